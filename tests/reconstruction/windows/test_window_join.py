"""Two windows' worlds, from the views that both saw: the similarity is the true one, and what tells none is not believed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from recon3d.core.rotations import rotation_angle, rotation_from_vector
from recon3d.core.similarity import Similarity
from recon3d.models.pictures import Answer
from recon3d.reconstruction.windows.join import Window, join
from tools.benchmarks.joined_windows import EXACT, InventedNetwork, Noise, lap

WORLD = lap(20)


def two(noise: Noise = EXACT, seed: int = 0) -> tuple[Window, Window, float]:
    """Windows that share views 8 to 11 of 20, and the true scale of the first world of the second."""
    network = InventedNetwork(WORLD, noise, seed)
    first, second = (Window(views, network(views)) for views in (tuple(range(12)), tuple(range(8, 20))))
    return first, second, network.scales[0] / network.scales[1]


def with_cameras(window: Window, camera_from_world: torch.Tensor) -> Window:
    known = window.answer.geometry
    cameras = replace(known.cameras, camera_from_world=camera_from_world)
    return replace(window, answer=replace(window.answer, geometry=replace(known, cameras=cameras)))


def test_without_errors_the_similarity_takes_one_window_onto_the_other():
    first, second, scale = two()
    found = join(first, second)
    assert found.why is None and found.shared == found.agreeing == (8, 9, 10, 11)
    assert float(found.similarity.scale) == pytest.approx(scale, rel=1e-5)
    moved = second.answer.geometry.cameras.transformed(found.similarity).camera_from_world[:4]
    torch.testing.assert_close(moved, first.answer.geometry.cameras.camera_from_world[8:], atol=1e-4, rtol=1e-4)


def test_the_scale_is_right_to_less_than_the_noise_of_one_depth_map():
    """1 % a depth map: over four shared ones of two windows 1 % · √(2 / 4) = 0.7 %, and cameras tell a little more."""
    off = []
    for seed in range(12):
        first, second, scale = two(Noise(), seed)
        off.append(math.log(float(join(first, second).similarity.scale) / scale))
    assert np.sqrt(np.mean(np.square(off))) < 0.008


def test_one_shared_camera_that_is_wrong_changes_nothing():
    first, second, scale = two()
    poses = second.answer.geometry.cameras.camera_from_world.clone()
    poses[2, :3, :3] = rotation_from_vector(torch.tensor([0.0, 0.6, 0], dtype=torch.float64)) @ poses[2, :3, :3]
    poses[2, :3, 3] += 2
    found = join(first, with_cameras(second, poses))
    assert found.agreeing == (8, 9, 11) and found.why is None
    assert float(found.similarity.scale) == pytest.approx(scale, rel=1e-3)
    clean = join(first, second).similarity
    assert float(rotation_angle(clean.rotation.T @ found.similarity.rotation)) < 1e-3


def test_cameras_that_agree_on_nothing_are_told():
    first, second, _ = two()
    random = torch.Generator().manual_seed(0)
    poses = second.answer.geometry.cameras.camera_from_world.clone()
    poses[:, :3, :3] = rotation_from_vector(2 * torch.randn(len(poses), 3, generator=random, dtype=torch.float64))
    why = join(first, with_cameras(second, poses)).why
    assert why is not None and "shared cameras agree" in why


def test_depths_of_other_surfaces_are_told():
    first, second, _ = two()
    known = second.answer.geometry
    random = torch.Generator().manual_seed(0)
    depth = tuple(torch.rand(x.shape, generator=random) * 10 + 0.1 for x in known.depth or ())
    other = replace(second, answer=replace(second.answer, geometry=replace(known, depth=depth)))
    why = join(first, other).why
    assert why is not None and "depths of the same pixels differ" in why


def test_a_still_camera_without_depth_tells_no_similarity():
    first, second, _ = two()
    still = second.answer.geometry.cameras.camera_from_world[:1].expand(12, 4, 4).clone()
    unknown = tuple(torch.zeros_like(x) for x in second.answer.geometry.depth or ())
    blind = replace(second.answer, geometry=replace(second.answer.geometry, depth=unknown))
    why = join(first, with_cameras(replace(second, answer=blind), still)).why
    assert why is not None and "no depth is known" in why


def test_pictures_of_another_size_are_compared_where_they_show_the_same():
    """The second window saw the photos at half the size: every pixel is a block of four of the first's."""
    first, second, scale = two()
    known = second.answer.geometry
    assert known.depth is not None and known.confidence is not None
    half = torch.diag(torch.tensor([0.5, 0.5, 1], dtype=torch.float64))
    smaller = replace(
        known,
        cameras=replace(known.cameras, K=half @ known.cameras.K, sizes=known.cameras.sizes // 2),
        depth=tuple(x[::2, ::2] for x in known.depth), confidence=tuple(x[::2, ::2] for x in known.confidence),
    )  # fmt: skip
    answer = Answer(smaller, half.repeat(12, 1, 1), second.answer.photo_rects / 2)
    assert float(join(first, replace(second, answer=answer)).similarity.scale) == pytest.approx(scale, rel=0.02)


def test_windows_that_share_nothing_are_no_join():
    first, second, _ = two()
    with pytest.raises(ValueError, match="share no view"):
        join(first, replace(second, views=tuple(range(20, 32))))


def test_the_join_the_other_way_is_the_inverse():
    first, second, _ = two(Noise(), 3)
    both = join(first, second).similarity @ join(second, first).similarity
    one = Similarity.identity()
    assert float(both.scale) == pytest.approx(1, abs=2e-3)
    torch.testing.assert_close(both.rotation, one.rotation, atol=1e-6, rtol=0)
