"""Planes fill what stereo left open: against depth of planes in closed form."""

from __future__ import annotations

import numpy as np

from recon3d.reconstruction.seeding.plain_surfaces import filled, first_met
from recon3d.reconstruction.seeding.plane_sweep import Small

HEIGHT, WIDTH = 48, 64
K = np.array([[60.0, 0, WIDTH / 2], [0, 60, HEIGHT / 2], [0, 0, 1]])
FLOOR = np.array([0.1, -0.5, -1.0]), -3.0  # normal · X = offset, in the world


def pictures(count: int = 4) -> list[Small]:
    """Grey pinholes side by side that look along z."""
    found = []
    for i in range(count):
        camera_from_world = np.eye(4)
        camera_from_world[0, 3] = -0.1 * i
        found.append(Small(np.full((HEIGHT, WIDTH), 0.5, np.float32), K, camera_from_world))
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


def test_a_window_that_as_many_see_through_as_agree_stays_open():
    """Of six others two have the plane in the hole, and the rest match what is twice as far behind it."""
    small = pictures(7)
    matched = {i: depth_of(FLOOR, picture) for i, picture in enumerate(small)}
    matched[0] = with_hole(matched[0], *HOLE)
    two_agree = {i: depth.copy() for i, depth in matched.items() if i < 3}
    assert (filled(two_agree, small)[0][20:28, 28:36] > 0).all()
    for i in (3, 4, 5, 6):
        matched[i][HOLE] *= 2
    assert (filled(matched, small)[0][20:28, 28:36] == 0).all()


def test_one_other_picture_is_not_enough():
    small = pictures(2)
    matched = {i: with_hole(depth_of(FLOOR, picture), *HOLE) for i, picture in enumerate(small)}
    assert (filled(matched, small)[0][HOLE] == 0).all()


def test_five_ways_of_eight_are_not_enough_where_three_meet_something_else():
    """A hole whose right side is the edge of a nearer box: up, down, left and both left slants meet the plane."""
    small = pictures()
    matched = {i: with_hole(depth_of(FLOOR, picture), *HOLE) for i, picture in enumerate(small)}
    box = slice(None), slice(44, 64)
    for depth in matched.values():
        depth[box] *= 0.5
    for depth in filled(matched, small).values():
        assert (depth[22:26, 40:43] == 0).all()
    assert (filled(matched, small)[0][18:30, 21:24] > 0).all()  # far from the box seven ways meet the plane


def test_a_bent_surface_is_filled_near_itself_or_not():
    """A cylinder with its axis upright at x = 0, z = 6, of radius 3: planes touch it, and leave it."""
    small = pictures()
    across = (np.arange(WIDTH) + 0.5 - K[0, 2]) / K[0, 0] * np.ones((HEIGHT, 1))
    truth = {}
    for i, picture in enumerate(small):
        x = -picture.camera_from_world[0, 3]  # of the camera: (x + z across)^2 + (z - 6)^2 = 9
        a, b, c = 1 + across**2, x * across - 6, x**2 + 36 - 9
        truth[i] = np.where(b**2 > a * c, (-b - np.sqrt(np.maximum(b**2 - a * c, 0))) / a, 0)
    found = filled({i: with_hole(depth, *HOLE) for i, depth in truth.items()}, small)
    for i, depth in found.items():
        new = depth[HOLE] > 0
        np.testing.assert_allclose(depth[HOLE][new], truth[i][HOLE][new], rtol=0.05)


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
