"""Lenses: COLMAP's camera models by name, distortion of rays, and the pinhole that an undistorted photo gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

# Model -> (COLMAP's model id, names of its parameters). Ids and orders are COLMAP's (src/colmap/sensor/models.h, as documented).
MODELS: dict[str, tuple[int, tuple[str, ...]]] = {
    "SIMPLE_PINHOLE": (0, ("f", "cx", "cy")),
    "PINHOLE": (1, ("fx", "fy", "cx", "cy")),
    "SIMPLE_RADIAL": (2, ("f", "cx", "cy", "k1")),
    "RADIAL": (3, ("f", "cx", "cy", "k1", "k2")),
    "OPENCV": (4, ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2")),
    "OPENCV_FISHEYE": (5, ("fx", "fy", "cx", "cy", "k1", "k2", "k3", "k4")),
    "FULL_OPENCV": (6, ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")),
    "SIMPLE_RADIAL_FISHEYE": (8, ("f", "cx", "cy", "k1")),
    "RADIAL_FISHEYE": (9, ("f", "cx", "cy", "k1", "k2")),
}
FISHEYE = ("OPENCV_FISHEYE", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE")


@dataclass(frozen=True)
class Lens:
    """The lens of an upright photo at its full size: a COLMAP model and its parameters (pixels, pixel centres at + 0.5)."""

    model: str
    params: tuple[float, ...]
    height: int
    width: int

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise ValueError(f"camera model {self.model} is not one of {', '.join(MODELS)}")
        if len(self.params) != len(MODELS[self.model][1]):
            raise ValueError(
                f"camera model {self.model} has {len(MODELS[self.model][1])} parameters, {len(self.params)} were given"
            )

    @staticmethod
    def pinhole(K: Annotated[np.ndarray, "3 3"], height: int, width: int) -> Lens:
        return Lens("PINHOLE", (float(K[0][0]), float(K[1][1]), float(K[0][2]), float(K[1][2])), height, width)

    def param(self, name: str) -> float:
        """A parameter by COLMAP's name; 0 for a distortion that the model does not have."""
        names = MODELS[self.model][1]
        if name in names:
            return self.params[names.index(name)]
        return self.params[names.index("f")] if name in ("fx", "fy") else 0.0

    @property
    def K(self) -> Annotated[np.ndarray, "3 3"]:
        return np.array([[self.param("fx"), 0, self.param("cx")], [0, self.param("fy"), self.param("cy")], [0, 0, 1.0]])

    @property
    def is_pinhole(self) -> bool:
        """Straight lines stay straight: no distortion parameter differs from 0 (never so for a fisheye)."""
        names = MODELS[self.model][1]
        bends = any(v != 0 for n, v in zip(names, self.params, strict=True) if n[0] in "kp")
        return self.model not in FISHEYE and not bends

    def resized(self, height: int, width: int) -> Lens:
        """The same lens for the photo at another size of the same shape."""
        scale = {"f": width / self.width, "fx": width / self.width, "cx": width / self.width}
        scale |= {"fy": height / self.height, "cy": height / self.height}
        names = MODELS[self.model][1]
        return Lens(
            self.model, tuple(v * scale.get(n, 1.0) for n, v in zip(names, self.params, strict=True)), height, width
        )

    def distort(self, rays: Annotated[np.ndarray, "... 2"]) -> Annotated[np.ndarray, "... 2"]:
        """(x/z, y/z) of ideal rays -> those at which the lens shows them. Source: COLMAP's and OpenCV's documented models."""
        x, y = rays[..., 0], rays[..., 1]
        r2 = x * x + y * y
        k = [self.param(f"k{i}") for i in range(1, 7)]
        if self.model in FISHEYE:
            r = np.sqrt(r2)
            theta = np.arctan(r)
            t2 = theta * theta
            bent = theta * (1 + t2 * (k[0] + t2 * (k[1] + t2 * (k[2] + t2 * k[3]))))
            ratio = np.where(r > 1e-12, bent / np.maximum(r, 1e-12), 1.0)
            return np.stack([x * ratio, y * ratio], -1)
        radial = 1 + r2 * (k[0] + r2 * (k[1] + r2 * k[2]))
        if self.model == "FULL_OPENCV":
            radial = radial / (1 + r2 * (k[3] + r2 * (k[4] + r2 * k[5])))
        p1, p2 = self.param("p1"), self.param("p2")
        return np.stack(
            [x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x), y * radial + 2 * p2 * x * y + p1 * (r2 + 2 * y * y)],
            -1,
        )

    def undistort(self, bent: Annotated[np.ndarray, "... 2"]) -> Annotated[np.ndarray, "... 2"]:
        """The inverse of `distort`, by Newton's method with a numeric Jacobian; NaN where no ray arrives there."""
        rays = np.array(bent, dtype=np.float64)
        step = 1e-6
        for _ in range(50):
            off = self.distort(rays) - bent
            du = (self.distort(rays + [step, 0]) - self.distort(rays - [step, 0])) / (2 * step)
            dv = (self.distort(rays + [0, step]) - self.distort(rays - [0, step])) / (2 * step)
            determinant = du[..., 0] * dv[..., 1] - du[..., 1] * dv[..., 0]
            with np.errstate(divide="ignore", invalid="ignore"):
                move_x = (off[..., 0] * dv[..., 1] - off[..., 1] * dv[..., 0]) / determinant
                move_y = (off[..., 1] * du[..., 0] - off[..., 0] * du[..., 1]) / determinant
            move = np.clip(np.nan_to_num(np.stack([move_x, move_y], -1)), -0.5, 0.5)
            rays -= move
            if np.abs(move).max(initial=0) < 1e-13:
                break
        found = np.abs(self.distort(rays) - bent).max(-1) < 1e-9
        return np.where(found[..., None], rays, np.nan)

    def rays_of_pixels(self, xy: Annotated[np.ndarray, "... 2"]) -> Annotated[np.ndarray, "... 2"]:
        """Pixels of the photo -> (x/z, y/z) in the camera, NaN where the lens sees nothing."""
        K = self.K
        bent = (np.asarray(xy, np.float64) - [K[0, 2], K[1, 2]]) / [K[0, 0], K[1, 1]]
        return bent if self.is_pinhole else self.undistort(bent)

    def pixels_of_rays(self, rays: Annotated[np.ndarray, "... 2"]) -> Annotated[np.ndarray, "... 2"]:
        """(x/z, y/z) in the camera -> pixels of the photo."""
        K = self.K
        bent = np.asarray(rays, np.float64) if self.is_pinhole else self.distort(np.asarray(rays, np.float64))
        return bent * [K[0, 0], K[1, 1]] + [K[0, 2], K[1, 2]]


def undistorted(lens: Lens) -> Lens:
    """The pinhole of the undistorted photo: size and principal point kept, one focal factor so that no border is empty.

    Every pixel of the result lies inside the photo, so nothing is invented at its edges. A pinhole comes back unchanged.
    Raises ValueError where the lens sees less than a pinhole can show (a border of the photo has no ray).
    """
    if lens.is_pinhole:
        return Lens.pinhole(lens.K, lens.height, lens.width)
    K, height, width = lens.K, lens.height, lens.width
    x, y = np.linspace(0, width, 65), np.linspace(0, height, 65)
    edge = {
        "left": np.stack([np.zeros(65), y], -1), "right": np.stack([np.full(65, width), y], -1),
        "top": np.stack([x, np.zeros(65)], -1), "bottom": np.stack([x, np.full(65, height)], -1),
    }  # fmt: skip
    rays = {name: lens.rays_of_pixels(points) for name, points in edge.items()}
    if any(np.isnan(r).any() for r in rays.values()):
        raise ValueError(f"the {lens.model} lens has no ray for part of the photo's border")
    # Each border of the pinhole picture, at focal * factor, must not look past the nearest ray of the photo's border.
    factors = [
        K[0, 2] / K[0, 0] / -rays["left"][:, 0].max(),
        (width - K[0, 2]) / K[0, 0] / rays["right"][:, 0].min(),
        K[1, 2] / K[1, 1] / -rays["top"][:, 1].max(),
        (height - K[1, 2]) / K[1, 1] / rays["bottom"][:, 1].min(),
    ]
    if min(factors) <= 0:
        raise ValueError(f"the {lens.model} lens folds at the photo's border")
    factor = max(factors)
    return Lens("PINHOLE", (K[0, 0] * factor, K[1, 1] * factor, K[0, 2], K[1, 2]), height, width)


def undistortion_map(
    lens: Lens, pinhole: Lens, pinhole_from_pixel: Annotated[np.ndarray, "3 3"], height: int, width: int
) -> Annotated[np.ndarray, "H W 2"]:
    """For every pixel centre of an undistorted picture of (height, width): where the photo shows it, in photo pixels.

    `pinhole_from_pixel` is the affine map from the picture's pixels to those of `pinhole` (the identity at full size).
    """
    y, x = np.meshgrid(np.arange(height) + 0.5, np.arange(width) + 0.5, indexing="ij")
    at = np.stack([x, y], -1) @ pinhole_from_pixel[:2, :2].T + pinhole_from_pixel[:2, 2]
    return lens.pixels_of_rays(pinhole.rays_of_pixels(at))
