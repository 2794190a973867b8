"""docs/conventions.md in numbers: each test is one sentence of that page, checked by hand-made cases."""

import math

import torch

from recon3d.core.cameras import Cameras, resize_map
from recon3d.core.rotations import matrices_from_quats
from recon3d.core.similarity import Similarity
from recon3d.core.synthetic import Synthetic, arc_of_cameras, look_at


def one_camera(camera_from_world: torch.Tensor | None = None, height: int = 4, width: int = 6) -> Cameras:
    """A camera at the origin (unless told otherwise) with a focal length of 10 pixels."""
    K = torch.tensor([[10.0, 0, width / 2], [0, 10.0, height / 2], [0, 0, 1]], dtype=torch.float64)
    pose = torch.eye(4, dtype=torch.float64) if camera_from_world is None else camera_from_world
    return Cameras(pose[None], K[None], torch.tensor([[height, width]]), torch.zeros(1, dtype=torch.int64))


def points(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def test_camera_axes_are_x_right_y_down_z_forward():
    pixels, depth = one_camera().project(points([0, 0, 5], [1, 0, 5], [0, 1, 5]))
    assert pixels[0].tolist() == [[3, 2], [5, 2], [3, 4]]
    assert depth.tolist() == [[5, 5, 5]]


def test_camera_from_world_maps_world_points_into_the_camera():
    """A camera 2 to the right of the origin sees the origin 2 to its left."""
    pose = torch.eye(4, dtype=torch.float64)
    pose[0, 3] = -2
    camera = one_camera(pose)
    assert camera.centers_in_world.tolist() == [[2, 0, 0]]
    assert camera.project(points([0, 0, 5]))[0].tolist() == [[[3 - 10 * 2 / 5, 2]]]
    assert torch.allclose(camera.world_from_camera[0] @ camera.camera_from_world[0], torch.eye(4, dtype=torch.float64))


def test_up_is_minus_y():
    """A camera made upright shows what lies towards -y in the upper half of its picture."""
    camera = one_camera(look_at(torch.tensor([0.0, -1.0, -5.0]), torch.tensor([0.0, -1.0, 0.0])))
    pixels, _ = camera.project(points([0, -1.5, 0], [0, -0.5, 0]))
    assert pixels[0, 0, 1] < 2 < pixels[0, 1, 1]


def test_the_first_pixel_centre_is_at_a_half():
    rays = one_camera().rays(0)
    assert torch.allclose(rays[0, 0], points([(0.5 - 3) / 10, (0.5 - 2) / 10, 1]))
    assert torch.allclose(rays[3, 5], points([(5.5 - 3) / 10, (3.5 - 2) / 10, 1]))


def test_resizing_moves_pixels_as_their_borders_say():
    """The borders 0 and W of the picture stay borders: a point keeps its place as a share of the width."""
    camera = one_camera(height=4, width=6)
    smaller = camera.resized(resize_map((4, 6), (2, 3))[None], torch.tensor([[2, 3]]))
    point = points([0.7, -0.3, 4])
    assert torch.allclose(smaller.project(point)[0], camera.project(point)[0] / 2)
    assert smaller.K[0, 0, 2] == 1.5 and smaller.K[0, 1, 2] == 1


def test_depth_is_the_z_coordinate_and_zero_is_unknown():
    camera = one_camera()
    depth = torch.full((4, 6), 3.0, dtype=torch.float64)
    depth[1, 2] = 0
    in_world, known = camera.unproject(0, depth)
    assert not known[1, 2] and known.sum() == 23
    assert in_world[1, 2].tolist() == [0, 0, 0]
    assert torch.all(in_world[..., 2][known] == 3)  # not the length of the ray
    pixels, _ = camera.project(in_world[0])
    assert torch.allclose(pixels[0], points(*[[x + 0.5, 0.5] for x in range(6)]))


def test_quaternions_are_wxyz():
    """(cos 45°, 0, 0, sin 45°) turns by 90° about z: x becomes y."""
    half = math.sqrt(0.5)
    turned = matrices_from_quats(points([half, 0, 0, half]))[0] @ points([1, 0, 0])[0]
    assert torch.allclose(turned, points([0, 1, 0])[0])


def test_a_moved_world_with_moved_cameras_gives_the_same_pixels():
    cameras = arc_of_cameras(Synthetic(views=3))
    rotation = matrices_from_quats(points([0.9, 0.1, -0.3, 0.2]))[0]
    move = Similarity.of(2.5, rotation, points([1, -2, 3])[0])
    generator = torch.Generator().manual_seed(0)
    cloud = torch.randn(20, 3, generator=generator, dtype=torch.float64)
    pixels, depth = cameras.project(cloud)
    moved_pixels, moved_depth = cameras.transformed(move).project(move.apply(cloud))
    assert torch.allclose(pixels, moved_pixels)
    assert torch.allclose(2.5 * depth, moved_depth)
