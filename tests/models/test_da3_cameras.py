"""Depth Anything 3's cameras: from rays, known ones for the network, and its answer aligned to them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recon3d.core.similarity import Similarity
from recon3d.models.da3.answer import answer
from recon3d.models.da3.known_cameras import align_poses, centers, normalise_poses, normalised_from_given, square
from recon3d.models.da3.network import Da3
from recon3d.models.da3.preprocessing import preprocessed
from recon3d.models.da3.ray_cameras import cameras_from_rays
from recon3d.models.pictures import KnownOfPhotos, Pass
from recon3d.models.pose_encoding import inverse_of, rotation_from_xyzw
from recon3d.models.sizes import TrunkConfig
from recon3d.models.vit import normalised
from tests.models.test_da3_metric import ANY_VIEW, network


def cameras(count: int, seed: int = 0) -> torch.Tensor:
    """camera_from_world [count, 4, 4], anywhere."""
    generator = torch.Generator().manual_seed(seed)
    rotation = rotation_from_xyzw(torch.randn(count, 4, generator=generator, dtype=torch.float64))
    return square(torch.cat((rotation, torch.randn(count, 3, 1, generator=generator, dtype=torch.float64)), -1))


def test_the_similarity_of_normalised_poses_takes_the_cameras_to_them():
    given = cameras(5)
    similarity, expected = normalised_from_given(given), normalise_poses(given)
    assert torch.allclose(similarity.apply(centers(given[:, :3])), centers(expected[:, :3]))
    assert torch.allclose(given[:, :3, :3] @ similarity.rotation.T, expected[:, :3, :3])


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("size", [(42, 70), (84, 56)])
def test_rays_of_a_camera_give_it_back_in_spite_of_wrong_ones(size: tuple[int, int], seed: int):
    """direction = R K⁻¹ (x, y, 1) and origin = centre at pixel centres of an 8-fold grid; one in five rays is noise."""
    height, width = size
    K = torch.tensor([[60.0, 0, width / 2], [0, 50, height / 2], [0, 0, 1]]).double()
    pose = cameras(2)[:, :3]
    world_from_camera = inverse_of(pose)
    rows, columns = height // 14 * 8, width // 14 * 8
    y, x = torch.meshgrid(
        *((torch.arange(n) + 0.5) * s / n for n, s in ((rows, height), (columns, width))), indexing="ij"
    )
    in_camera = torch.stack((x, y, torch.ones_like(x)), -1).double() @ torch.linalg.inv(K).T
    directions = torch.einsum("sij,yxj->syxi", world_from_camera[..., :3], in_camera)
    wrong = torch.rand(2, rows, columns, generator=torch.Generator().manual_seed(5)) < 0.2
    directions[wrong] = torch.randn(int(wrong.sum()), 3, generator=torch.Generator().manual_seed(6)).double()
    origins = world_from_camera[:, None, None, :, 3].expand_as(directions)
    rays = torch.cat((directions, origins), -1)[None]
    ours = cameras_from_rays(rays, torch.ones(1, 2, rows, columns).double(), size, seed)
    # What noise comes near enough to a ray to be taken for one moves the fit by this much.
    assert torch.allclose(ours.camera_from_world[0], pose, atol=0.02)
    assert torch.allclose(ours.K[0], K.expand(2, -1, -1), atol=2)


def test_normalised_cameras_begin_with_the_identity_and_have_a_median_distance_of_one():
    normal = normalise_poses(cameras(5)[None])[0]
    assert torch.allclose(normal[0], torch.eye(4).double(), atol=1e-12)
    assert torch.isclose(centers(normal[:, :3]).norm(dim=1).median(), torch.tensor(1.0).double())


def test_two_normalised_cameras_are_ten_times_their_distance_apart():
    given = cameras(2)
    apart = (centers(given[0, :3]) - centers(given[1, :3])).norm()
    assert torch.isclose(centers(normalise_poses(given)[1, :3]).norm(), 10 * apart)


def moved(given: torch.Tensor, similarity: Similarity) -> torch.Tensor:
    """The same cameras in a world moved by `similarity`, camera_from_world [N, 3, 4]."""
    world_from_camera = inverse_of(given[:, :3])
    rotation = similarity.rotation @ world_from_camera[..., :3]
    return inverse_of(torch.cat((rotation, similarity.apply(centers(given[:, :3]))[..., None]), -1))


@pytest.mark.parametrize(("count", "outliers"), [(3, 0), (10, 0), (14, 4)])
def test_an_answer_in_a_moved_world_comes_back(count: int, outliers: int):
    given, depth = cameras(count), torch.rand(count, 4, 5).double()
    there = Similarity.of(2.5, cameras(1, seed=3)[0, :3, :3], torch.tensor([1.0, -2, 3]))
    predicted = moved(given, there)
    predicted[:outliers] = cameras(outliers, seed=4)[:, :3]
    scaled = align_poses(predicted, given, 2.5 * depth)
    assert torch.allclose(scaled.depth, depth) and torch.equal(scaled.camera_from_world, given[:, :3])
    kept = align_poses(predicted, given, depth, keep_scale=False)
    assert torch.equal(kept.depth, depth)
    assert torch.allclose(kept.camera_from_world[outliers:], predicted[outliers:])


def test_what_cannot_be_aligned_is_refused():
    line = torch.eye(4).double().repeat(4, 1, 1)
    line[:, 0, 3] = torch.arange(4.0)
    depth = torch.ones(4, 2, 2)
    with pytest.raises(ValueError, match="three points"):
        align_poses(cameras(4)[:, :3], line, depth)
    with pytest.raises(ValueError, match="three points"):
        align_poses(cameras(2)[:, :3], cameras(2), depth[:2])
    line[1, 1, 3] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        align_poses(cameras(4)[:, :3], line, depth)


def test_known_cameras_of_photos_reach_the_network_normalised_and_in_its_pixels():
    """The goldens prove the network; here what its door makes of cameras of photos of 120 x 80 pixels."""
    told = network(Da3, replace(ANY_VIEW, cam_enc=TrunkConfig(trunk_depth=1, num_heads=2, mlp_ratio=2.0)))
    photos = [np.random.default_rng(i).integers(0, 256, (80, 120, 3), np.uint8) for i in range(3)]
    K = torch.tensor([[100.0, 0, 60], [0, 100, 40], [0, 0, 1]]).double().repeat(3, 1, 1)
    known = KnownOfPhotos(cameras(3), K)
    with_cameras, without = (answer(told, photos, Pass(size=84, known=k)).geometry.depth for k in (known, None))
    K_there = torch.tensor([[70.0, 0, 42], [0, 70, 28], [0, 0, 1]]).repeat(1, 3, 1, 1)
    images = normalised(preprocessed(photos, size=84).images)[None]
    direct = told(images, (normalise_poses(cameras(3)).float()[None], K_there)).depth[0]
    assert with_cameras is not None and without is not None
    assert torch.allclose(torch.stack(with_cameras), direct, atol=1e-5)
    assert float((torch.stack(without) - direct).abs().max()) > 1e-3
