"""Procedural textures of the sample scene: functions of a point on a solid, with hashed integers as the only chance.

Every texture takes points [R, 3] in the solid's axes (metres) and normals [R, 3], and gives linear RGB [R, 3]. They are
irregular on purpose: patterns that repeat look alike in different places, and then photos are matched wrongly.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from tools.raycaster import Points, Texture, dot

Palette = Annotated[np.ndarray, "C 3"]


def colours(*codes: str) -> Palette:
    """Linear RGB of "#rrggbb" (sRGB)."""
    srgb = np.array([[int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)] for code in codes])
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def chance(cells: Annotated[np.ndarray, "R D"], seed: int) -> Annotated[np.ndarray, "R"]:
    """A number in [0, 1) for each integer cell: a mix of multiplications and shifts of 32 bits."""
    h = np.full(len(cells), seed * 0x9E3779B1 & 0xFFFFFFFF, np.uint32)
    for axis in range(cells.shape[1]):
        h = (h ^ cells[:, axis].astype(np.int64).astype(np.uint32)) * np.uint32(0x85EBCA6B)
        h = (h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35)
        h ^= h >> np.uint32(16)
    return h.astype(np.float64) / 2**32


def noise(p: Annotated[np.ndarray, "R 3"], seed: int) -> Annotated[np.ndarray, "R"]:
    """Value noise in [0, 1) with period 1 and a smooth fade."""
    cell = np.floor(p)
    u = p - cell
    u = u * u * (3 - 2 * u)
    total = np.zeros(len(p))
    for corner in np.ndindex(2, 2, 2):
        x, y, z = (u[:, k] if corner[k] else 1 - u[:, k] for k in range(3))
        total += x * y * z * chance(cell + corner, seed)
    return total


def cloudy(p: Annotated[np.ndarray, "R 3"], seed: int, octaves: int = 4) -> Annotated[np.ndarray, "R"]:
    """Noise over several octaves, in [0, 1), mean 0.5."""
    total, amplitude, scale = np.zeros(len(p)), 0.5, 1.0
    for octave in range(octaves):
        total += amplitude * (noise(p * scale, seed + octave) - 0.5)
        amplitude, scale = amplitude * 0.6, scale * 2.1
    return np.clip(total + 0.5, 0, 1)


def plane(p: Points, normals: Points) -> Annotated[np.ndarray, "R 2"]:
    """Two coordinates along the face that a point lies on (that of the largest part of its normal)."""
    axis = np.abs(normals).argmax(1)
    first = np.where(axis == 0, p[:, 2], p[:, 0])
    second = np.where(axis == 1, p[:, 2], p[:, 1])
    return np.stack([first, second], -1)


def around(p: Points) -> Annotated[np.ndarray, "R 2"]:
    """Length around the axis y (at the point's own radius, in whole patterns) and height."""
    return np.stack([np.arctan2(p[:, 2], p[:, 0]), p[:, 1]], -1)


def planks(palette: Palette, width: float, length: float, seed: int) -> Texture:
    """Boards of different tones with a grain along them and dark joints."""

    def texture(p: Points, normals: Points) -> Points:
        uv = plane(p, normals)
        row = np.floor(uv[:, 0] / width)
        shifted = uv[:, 1] / length + chance(row[:, None], seed)
        board = np.stack([row, np.floor(shifted)], -1)
        tone = chance(board, seed + 1)
        grain = cloudy(np.stack([uv[:, 0] * 55, uv[:, 1] * 5, tone * 40], -1), seed + 2)
        across, along = uv[:, 0] / width - row, shifted - board[:, 1]
        joint = (np.minimum(across, 1 - across) * width < 0.0025) | (np.minimum(along, 1 - along) * length < 0.0025)
        mixed = blend(palette, 0.65 * tone + 0.35 * grain) * (0.55 + 0.9 * grain)[:, None]
        return np.where(joint[:, None], 0.35 * mixed, mixed)

    return texture


def patchwork(palette: Palette, size: float, seed: int, polar: bool = False) -> Texture:
    """Square patches, each of two colours of the palette, with a disc, diamond, half or bar in it, and a woven grain."""

    def texture(p: Points, normals: Points) -> Points:
        uv = around(p) * [1, 1 / size] * [6 / np.pi, 1] if polar else plane(p, normals) / size
        cell = np.floor(uv)
        inside = uv - cell - 0.5
        ground = picked(palette, chance(cell, seed))
        motif = picked(palette, chance(cell, seed + 1))
        shape = np.floor(chance(cell, seed + 2) * 5)
        reach = 0.22 + 0.22 * chance(cell, seed + 3)
        turn = chance(cell, seed + 4) * np.pi
        a = inside[:, 0] * np.cos(turn) + inside[:, 1] * np.sin(turn)
        b = inside[:, 1] * np.cos(turn) - inside[:, 0] * np.sin(turn)
        distance = np.select(
            [shape == 0, shape == 1, shape == 2, shape == 3],
            [np.hypot(a, b), np.abs(a) + np.abs(b), np.abs(a) * 2, a + reach],
            np.abs(np.hypot(a, b) - 0.25) * 3,
        )
        weave = 0.8 + 0.4 * cloudy(p * 90, seed + 5, 2)
        return np.where((distance < reach)[:, None], motif, ground) * weave[:, None]

    return texture


def veined(palette: Palette, scale: float, seed: int) -> Texture:
    """Marble: veins of a bent sine, in the colours of the palette."""

    def texture(p: Points, normals: Points) -> Points:
        bent = cloudy(p * scale, seed)
        wave = 0.5 + 0.5 * np.sin(scale * (p @ [2.2, 1.1, 1.7]) + 16 * bent)
        return blend(palette, wave) * (0.75 + 0.5 * cloudy(p * scale * 5, seed + 7, 2))[:, None]

    return texture


def speckled(ground: Palette, spots: Palette, size: float, seed: int) -> Texture:
    """Spots of one to three tenths of a cell at a random place of every cell, on a cloudy ground."""

    def texture(p: Points, normals: Points) -> Points:
        q = p / size
        base = np.floor(q)
        colour = blend(ground, cloudy(q * 0.6, seed))
        for step in np.ndindex(3, 3, 3):
            cell = base + step - 1
            centre = cell + np.stack([chance(cell, seed + k) for k in (1, 2, 3)], -1)
            away = q - centre
            inside = dot(away, away) < (0.25 + 0.3 * chance(cell, seed + 4)) ** 2
            colour = np.where(inside[:, None], picked(spots, chance(cell, seed + 5)), colour)
        return colour

    return texture


def landscape(seed: int) -> Texture:
    """A painting of three ranges of hills under a sky, for the wall."""

    def texture(p: Points, normals: Points) -> Points:
        x, height = p[:, 0], -p[:, 1]
        stroke = cloudy(np.stack([x * 25, height * 60, 0 * x], -1), seed)
        colour = blend(colours("#f6d9a8", "#86b3d1", "#3f6fa8"), np.clip(height * 2.2 + 0.5 + 0.3 * (stroke - 0.5), 0, 1))
        for k, tone in enumerate(colours("#7d8fb0", "#5c8266", "#2f5238")):
            ridge = 0.09 - 0.1 * k + 0.22 * (cloudy(np.stack([x * (3 + 2 * k), 0 * x + k, 0 * x], -1), seed + 9) - 0.5)
            colour = np.where((height < ridge)[:, None], tone * (0.5 + stroke)[:, None], colour)
        return colour

    return texture


def plaster(palette: Palette, seed: int) -> Texture:
    """A wall with large clouds of colour and fine, irregular marks."""

    def texture(p: Points, normals: Points) -> Points:
        marks = cloudy(p * 14, seed + 3, 4)
        return blend(palette, 0.5 * cloudy(p * 2.2, seed) + 0.5 * marks) * (0.55 + 0.9 * marks)[:, None]

    return texture


def by_face(top: Texture, side: Texture) -> Texture:
    """One texture where the surface faces up or down, another elsewhere."""

    def texture(p: Points, normals: Points) -> Points:
        level = np.abs(normals[:, 1]) > 0.7
        colour = np.empty_like(p)
        colour[level], colour[~level] = top(p[level], normals[level]), side(p[~level], normals[~level])
        return colour

    return texture


def picked(palette: Palette, at: Annotated[np.ndarray, "R"]) -> Points:
    """One colour of the palette for each number in [0, 1)."""
    return palette[(at * len(palette)).astype(int)]


def blend(palette: Palette, at: Annotated[np.ndarray, "R"]) -> Points:
    """The palette as a ramp, read at numbers from 0 to 1."""
    place = np.clip(at, 0, 1) * (len(palette) - 1)
    return np.stack([np.interp(place, np.arange(len(palette)), palette[:, c]) for c in range(3)], -1)
