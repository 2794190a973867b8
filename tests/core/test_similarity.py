"""Similarities: the group, what they do to points, cameras and splats, and fits with known answers."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recon3d.core.cameras import Cameras, fit_cameras
from recon3d.core.rotations import rotation_angle, rotation_from_vector
from recon3d.core.similarity import Similarity, fit_points, mean_rotation
from recon3d.core.synthetic import Synthetic, arc_of_cameras

NUMBERS = st.floats(-2, 2)
VECTORS = st.tuples(NUMBERS, NUMBERS, NUMBERS).map(lambda v: torch.tensor(v, dtype=torch.float64))
MOVES = st.builds(
    lambda scale, turn, shift: Similarity.of(scale, rotation_from_vector(turn), shift),
    st.floats(0.1, 10), VECTORS, VECTORS,
)  # fmt: skip


def cloud(count: int = 12, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assert_same(a: Similarity, b: Similarity, atol: float = 1e-9) -> None:
    for x, y in ((a.scale, b.scale), (a.rotation, b.rotation), (a.translation, b.translation)):
        torch.testing.assert_close(x, y, rtol=atol, atol=atol)


@settings(max_examples=40, deadline=None)
@given(a=MOVES, b=MOVES, c=MOVES)
def test_similarities_are_a_group_that_acts_on_points(a, b, c):
    points = cloud()
    torch.testing.assert_close((a @ b).apply(points), a.apply(b.apply(points)), rtol=1e-9, atol=1e-9)
    assert_same((a @ b) @ c, a @ (b @ c))
    assert_same(a @ Similarity.identity(), a)
    torch.testing.assert_close((a @ a.inverse()).apply(points), points, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close((a.inverse() @ a).apply(points), points, rtol=1e-8, atol=1e-8)


@settings(max_examples=40, deadline=None)
@given(move=MOVES)
def test_a_fit_of_exact_points_is_the_move_itself(move):
    assert_same(fit_points(cloud(), move.apply(cloud())), move, 1e-7)


@settings(max_examples=20, deadline=None)
@given(move=MOVES)
def test_two_cameras_suffice_for_a_fit_of_cameras(move):
    cameras = arc_of_cameras(Synthetic(views=2))
    assert_same(fit_cameras(cameras, cameras.transformed(move)), move, 1e-7)


def test_a_fit_of_disturbed_points_cannot_be_bettered_by_small_changes():
    """It is the least squares: any neighbour has a larger sum."""
    source, noise = cloud(), 0.3 * cloud(seed=1)
    target = Similarity.of(2.0, rotation_from_vector(torch.tensor([0.3, 1.0, -0.5], dtype=torch.float64))).apply(source) + noise
    weights = torch.linspace(0.2, 2, 12, dtype=torch.float64)
    best = fit_points(source, target, weights)

    def cost(move: Similarity) -> float:
        return float((weights * (move.apply(source) - target).square().sum(1)).sum())

    generator = torch.Generator().manual_seed(2)
    for _ in range(50):
        turn, shift = 1e-3 * torch.randn(2, 3, generator=generator, dtype=torch.float64)
        scale = 1 + 1e-3 * float(torch.randn((), generator=generator))
        assert cost(Similarity.of(scale, rotation_from_vector(turn), shift) @ best) > cost(best)


def test_a_fit_of_mirrored_points_is_still_a_rotation():
    rotation = fit_points(cloud(), cloud() * torch.tensor([1, 1, -1])).rotation
    torch.testing.assert_close(torch.linalg.det(rotation), torch.tensor(1.0, dtype=torch.float64))


def test_weights_of_zero_leave_points_and_cameras_out():
    move = Similarity.of(3.0, rotation_from_vector(torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)))
    target = move.apply(cloud())
    target[0] += 100
    weights = torch.ones(12)
    weights[0] = 0
    assert_same(fit_points(cloud(), target, weights), move)
    cameras = arc_of_cameras(Synthetic(views=4))
    wrong = cameras.transformed(move).camera_from_world.clone()
    wrong[2, 0, 3] += 5
    moved = Cameras(wrong, cameras.K, cameras.sizes, cameras.camera_index)
    assert_same(fit_cameras(cameras, moved, torch.tensor([1.0, 1, 0, 1])), move)


def test_what_leaves_a_fit_undecided_is_an_error():
    line = torch.arange(5.0)[:, None] * torch.tensor([1.0, 2, 3])
    with pytest.raises(ValueError, match="not on one line"):
        fit_points(line, line)
    with pytest.raises(ValueError, match="three points"):
        fit_points(cloud(2), cloud(2))
    cameras = arc_of_cameras(Synthetic(views=2))
    with pytest.raises(ValueError, match="two or more"):
        fit_cameras(cameras[[0]], cameras[[0]])
    with pytest.raises(ValueError, match="centres coincide"):
        fit_cameras(cameras[[0, 0]], cameras)
    exchanged = cameras.camera_from_world.clone()
    centers = cameras.centers_in_world.flip(0)
    exchanged[:, :3, 3] = -(exchanged[:, :3, :3] @ centers[:, :, None])[:, :, 0]
    with pytest.raises(ValueError, match="contradict"):
        fit_cameras(cameras, Cameras(exchanged, cameras.K, cameras.sizes, cameras.camera_index))


def test_the_mean_of_turns_about_one_axis_is_the_turn_between_them():
    axis = torch.tensor([0.0, 0.6, 0.8], dtype=torch.float64)
    turns = torch.stack([rotation_from_vector(axis * angle) for angle in (0.2, 0.8)])
    assert float(rotation_angle(mean_rotation(turns))) == pytest.approx(math.degrees(0.5))


def test_points_keep_their_dtype():
    assert Similarity.identity().apply(cloud().float()).dtype == torch.float32
