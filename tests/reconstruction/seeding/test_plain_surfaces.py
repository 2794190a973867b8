"""Planes fill what stereo left open: against depth of planes in closed form."""

from __future__ import annotations

import numpy as np

from recon3d.reconstruction.seeding.plain_surfaces import filled, first_met
from recon3d.reconstruction.seeding.plane_sweep import Small

HEIGHT, WIDTH = 48, 64
K = np.array([[60.0, 0, WIDTH / 2], [0, 60, HEIGHT / 2], [0, 0, 1]])
FLOOR = np.array([0.1, -0.5, -1.0]), -3.0  # normal · X = offset, in the world


def pictures(grey: float = 0.5) -> list[Small]:
    """Four pinholes side by side that look along z."""
    found = []
    for i in range(4):
        camera_from_world = np.eye(4)
        camera_from_world[0, 3] = -0.1 * i
        found.append(Small(np.full((HEIGHT, WIDTH), grey, np.float32), K, camera_from_world))
    return found


def depth_of(plane: tuple[np.ndarray, float], picture: Small) -> np.ndarray:
    """z of n · X = d along each pixel's ray from the camera's centre."""
    normal, offset = plane
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    rays = np.stack([(x - K[0, 2]) / K[0, 0], (y - K[1, 2]) / K[1, 1], np.ones_like(x)], -1)
    center = -picture.camera_from_world[:3, 3]
    return (offset - normal @ center) / (rays @ normal)


def with_hole(depth: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
    depth = depth.copy()
    depth[rows, columns] = 0
    return depth


HOLE = slice(16, 32), slice(20, 44)


def test_a_hole_in_a_plane_is_filled_with_its_depth():
    small = pictures()
    truth = {i: depth_of(FLOOR, picture) for i, picture in enumerate(small)}
    found = filled({i: with_hole(depth, *HOLE) for i, depth in truth.items()}, small)
    for i, depth in found.items():
        np.testing.assert_allclose(depth, truth[i], rtol=1e-4)


def test_what_is_beside_a_plane_and_not_within_it_stays_open():
    small = pictures()
    matched = {i: with_hole(depth_of(FLOOR, picture), slice(None), slice(40, None)) for i, picture in enumerate(small)}
    assert all((depth[:, 41:] == 0).all() for depth in filled(matched, small).values())


def test_what_has_another_grey_in_every_picture_stays_open():
    """A thing that nothing was matched on moves before the plane: the plane's pixel is the thing here, the plane there."""
    small, truth = pictures(), depth_of(FLOOR, pictures()[0])
    small[0].grey[HOLE] = 0.9
    matched = {i: with_hole(depth_of(FLOOR, picture), *HOLE) for i, picture in enumerate(small)}
    found = filled(matched, small)[0]
    inner = slice(20, 28), slice(26, 38)
    assert (found[inner] == 0).all()
    np.testing.assert_allclose(found[:14], truth[:14], rtol=1e-4)


def test_a_window_that_others_see_through_stays_open():
    small = pictures()
    matched = {i: depth_of(FLOOR, picture) for i, picture in enumerate(small)}
    for i in (1, 2, 3):
        matched[i][HOLE] *= 2  # behind the frame the others match what is twice as far
    matched[0] = with_hole(matched[0], *HOLE)
    assert (filled(matched, small)[0][20:28, 28:38] == 0).all()


def test_depths_of_no_plane_come_back_as_they_were():
    rng = np.random.default_rng(3)
    small = pictures()
    matched = {i: rng.uniform(1, 9, (HEIGHT, WIDTH)) * (rng.random((HEIGHT, WIDTH)) < 0.8) for i in range(4)}
    for i, depth in filled(matched, small).items():
        np.testing.assert_array_equal(depth, matched[i])


def test_no_picture_and_a_picture_without_depth():
    assert filled({}, []) == {}
    nothing = {0: np.zeros((HEIGHT, WIDTH))}
    np.testing.assert_array_equal(filled(nothing, pictures())[0], nothing[0])


def test_first_met_looks_eight_ways():
    labels = np.full((3, 4), -1)
    labels[0, 0], labels[1, 3], labels[2, 1] = 5, 7, 6
    met = first_met(labels)[:, 1, 1]  # from row 1, column 1: up-left, right and down meet something, five ways nothing
    assert sorted(met.tolist()) == [-1, -1, -1, -1, -1, 5, 6, 7]
    assert (first_met(labels)[:, 1, 3] == 7).all()
