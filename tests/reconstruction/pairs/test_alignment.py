"""Pairs of point maps of a world that is known: what alignment makes of them is that world again."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from recon3d.core.cameras import fit_cameras
from recon3d.core.geometry import Geometry
from recon3d.core.pairs import Pairs
from recon3d.core.synthetic import Synthetic, arc_of_cameras
from recon3d.errors import InputError
from recon3d.metrics.poses import pair_errors
from recon3d.reconstruction.pairs.aligned import middles
from recon3d.reconstruction.pairs.alignment import (
    Alignment,
    align,
    claims_about,
    differentiated,
    maps_of,
    one_world,
    unknowns_of,
)
from recon3d.reconstruction.pairs.pair_viewer import view_pair
from recon3d.reconstruction.pairs.spanning_tree import spanning_tree, start

COMPLETE = [(i, j) for i in range(4) for j in range(4) if i != j]


def world(views: int = 4, height: int = 15, width: int = 20) -> Geometry:
    """Cameras on an arc, each with its own focal length, every second one upright; and a wavy surface before each."""
    cameras = arc_of_cameras(Synthetic(views=views, height=height, width=width, arc=20.0 * views, distance=3.0))
    K, sizes = cameras.K.clone(), cameras.sizes.clone()
    K[:, 0, 0] = K[:, 1, 1] = width * torch.linspace(0.8, 1.6, views, dtype=torch.float64)
    sizes[1::2] = sizes[1::2].flip(1)
    K[:, :2, 2] = sizes.flip(1) / 2
    cameras = replace(cameras, K=K, sizes=sizes)
    depth = []
    for i, (rows, columns) in enumerate(sizes.tolist()):
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        depth.append((3 + 0.5 * torch.sin(0.5 * x + i) * torch.cos(0.4 * y)).float())
    none = torch.zeros(0, 3, dtype=torch.float64)
    return Geometry(cameras, none, none.to(torch.uint8), none[:, 0], depth=tuple(depth))


def pairs_of(world: Geometry, edges: list[tuple[int, int]], units: list[float] | None = None, turn: int = 0) -> Pairs:
    """Exact pairs; pair e has lengths in `units[e]`. Later pairs are surer, or earlier ones after a `turn` of the order."""
    assert world.depth is not None
    points = [world.cameras.unproject(i, depth)[0] for i, depth in enumerate(world.depth)]
    units = units or [1.0] * len(edges)

    def seen(view: int, camera: int, unit: float) -> Tensor:
        matrix = world.cameras.camera_from_world[camera]
        return ((points[view] @ matrix[:3, :3].T + matrix[:3, 3]) * unit).float()

    order = [(e + turn) % len(edges) for e in range(len(edges))]
    confidence = [[torch.full(points[view].shape[:2], 4.0 + k) for view in edge] for edge, k in zip(edges, order, strict=True)]
    return Pairs(
        torch.tensor(edges).reshape(-1, 2),
        tuple(seen(i, i, unit) for (i, _), unit in zip(edges, units, strict=True)),
        tuple(seen(j, i, unit) for (i, j), unit in zip(edges, units, strict=True)),
        tuple(of_i for of_i, _ in confidence), tuple(of_j for _, of_j in confidence), world.cameras.sizes,
    )  # fmt: skip


def differences(found: Geometry, true: Geometry) -> dict[str, float]:
    """Largest of all views: rotations and translations in degrees, focals and depths relative."""
    apart = pair_errors(found.cameras.camera_from_world, true.cameras.camera_from_world)
    scale = float(fit_cameras(found.cameras, true.cameras).scale)
    assert found.depth is not None and true.depth is not None
    depths = [(a * scale / b - 1).abs().max() for a, b in zip(found.depth, true.depth, strict=True)]
    return {
        "rotation": float(apart.rotation.max()),
        "translation": float(apart.translation.max()),
        "focal": float((found.cameras.K[:, 0, 0] / true.cameras.K[:, 0, 0] - 1).abs().max()),
        "depth": float(torch.stack(depths).max()),
    }


def noisy(pairs: Pairs, amount: float) -> Pairs:
    """Points moved by normal noise."""
    generator = torch.Generator().manual_seed(0)

    def moved(maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(x + amount * torch.randn(x.shape, generator=generator) for x in maps)

    return replace(pairs, points_i=moved(pairs.points_i), points_j=moved(pairs.points_j))


def noise_of(pairs: Pairs) -> Pairs:
    """Pairs that a network without training might give."""
    nothing = replace(pairs, points_i=tuple(0 * x for x in pairs.points_i), points_j=tuple(0 * x for x in pairs.points_j))
    return noisy(nothing, 1.0)


UNITS = [1.0, 0.5, 2.0, 1.5, 0.7, 1.1, 3.0, 0.9, 1.3, 0.4, 1.2, 0.8]  # of the pairs of COMPLETE


def test_exact_pairs_of_pictures_of_two_shapes_and_four_focals_give_the_world_again():
    true = world()
    found = align(pairs_of(true, COMPLETE, UNITS), Alignment(steps=20))
    assert max(differences(found.geometry, true).values()) < 1e-4  # measured: 4e-6
    assert found.loss is not None and found.loss < 1e-5 and found.unposed == ()
    found.geometry.check("alignment")
    unit = float(fit_cameras(true.cameras, found.geometry.cameras).scale)
    assert unit == pytest.approx(float(np.exp(np.mean(np.log(UNITS)))), rel=1e-5)


def test_optimisation_takes_noise_out_of_the_start():
    true = world()
    pairs = noisy(pairs_of(true, COMPLETE), 0.05)
    start_only, aligned = align(pairs, Alignment(steps=0)), align(pairs, Alignment(steps=200))
    assert aligned.loss is not None and aligned.initial_loss is not None and aligned.loss < 0.9 * aligned.initial_loss
    before, after = differences(start_only.geometry, true), differences(aligned.geometry, true)
    assert all(after[name] < before[name] for name in ("translation", "depth")), (before, after)


@pytest.mark.parametrize("turn", range(0, 12, 3))
def test_each_focal_at_the_start_comes_from_the_picture_itself(turn: int):
    """Whatever pair is the surest: the released code takes some from another picture."""
    true = world()
    pairs = pairs_of(true, COMPLETE, UNITS, turn)
    assert torch.allclose(start(pairs, middles(pairs), 3.0).focals, true.cameras.K[:, 0, 0], rtol=1e-5)


def test_pictures_that_are_first_in_no_pair_get_a_tried_focal_and_a_pose():
    true = world(height=90, width=120)
    pairs = pairs_of(true, [(2, 0), (2, 1), (2, 3)])
    begin = start(pairs, middles(pairs), 3.0)
    assert begin.unposed == ()
    assert ((begin.focals / true.cameras.K[:, 0, 0]).log().abs() < 0.3).all()


def test_a_picture_whose_pose_nothing_tells_is_named():
    true = world(views=3)
    pairs = pairs_of(true, [(0, 1), (0, 2)])
    unsure = replace(pairs, confidence_j=(pairs.confidence_j[0], torch.full_like(pairs.confidence_j[1], 2.0)))
    assert align(unsure, Alignment(steps=1)).unposed == (2,)


def test_pairs_that_do_not_join_all_pictures_are_refused_in_one_line():
    pairs = pairs_of(world(), [(0, 1), (1, 0), (2, 3), (3, 2)])
    with pytest.raises(InputError, match=r"^pairs: the pairs of 4 pictures fall into 2 groups: no chain .* joins picture 2 to"):
        one_world(pairs)
    with pytest.raises(InputError, match="there are none"):
        one_world(pairs_of(world(views=1), []))


def test_the_tree_takes_the_surest_pairs_one_way_each():
    edges = [(0, 1), (1, 0), (1, 2), (2, 1), (0, 2), (2, 0)]
    assert spanning_tree(pairs_of(world(views=3), edges), [5, 6, 1, 2, 4, 3]) == [1, 4]


def test_the_written_gradient_is_that_of_the_published_loss():
    true = world()
    pairs = noisy(pairs_of(true, COMPLETE, UNITS), 0.1)
    centers = middles(pairs)
    unknowns = unknowns_of(start(pairs, centers, 3.0), pairs.edges.device)
    loss = differentiated(unknowns, [claims_about(view, pairs, centers[view]) for view in range(4)])
    written = [leaf.grad for leaf in unknowns.leaves()]
    maps = maps_of(unknowns)
    sides = ((pairs.points_i, pairs.confidence_i), (pairs.points_j, pairs.confidence_j))
    expected = torch.zeros(())
    for side, (points, confidence) in enumerate(sides):
        pixels = sum(of_pair.numel() for of_pair in confidence)
        for e, view in enumerate(pairs.edges[:, side].tolist()):
            height, width = pairs.size(view)
            y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
            rays = torch.stack([x - width / 2, y - height / 2, torch.ones_like(x)], -1)
            depth = unknowns.log_depths[view].exp().reshape(height, width, 1)
            here = rays @ maps.rays_to_world[view].T * depth + maps.centers[view]
            there = points[e] @ maps.pairs_to_world[e].T + maps.pair_shifts[e]
            expected = expected + ((here - there).norm(dim=-1) * confidence[e].log()).sum() / pixels
    assert float(loss) == pytest.approx(float(expected.detach()), rel=1e-5)
    for ours, exact in zip(written, torch.autograd.grad(expected, unknowns.leaves()), strict=True):
        assert ours is not None and (ours - exact).norm() < 1e-5 * exact.norm()  # measured: 1e-6


@pytest.mark.parametrize("turn", [0, 1])
def test_two_pictures_stand_in_the_frame_of_the_surer_pair(turn: int):
    true = world(views=2)
    found = one_world(pairs_of(true, [(0, 1), (1, 0)], [1.0, 3.0], turn)).geometry
    assert max(differences(found, true).values()) < 1e-5  # measured: 2e-6
    first = 1 - turn
    assert torch.equal(found.cameras.camera_from_world[first], torch.eye(4, dtype=torch.float64))
    assert float(fit_cameras(true.cameras, found.cameras).scale) == pytest.approx([1.0, 3.0][first], rel=1e-5)


def test_the_viewer_asks_for_both_pairs():
    with pytest.raises(ValueError, match=r"not by \[\[0, 1\]\]"):
        view_pair(pairs_of(world(views=2), [(0, 1)]))


def test_progress_is_told_every_step():
    told = []
    align(pairs_of(world(), COMPLETE), Alignment(steps=3), advance=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_the_rate_falls_from_the_first_to_nearly_the_last():
    for schedule in ("cosine", "linear"):
        rates = [Alignment(steps=100, schedule=schedule).rate_at(step) for step in range(101)]
        assert rates[0] == 0.01 and rates[100] == pytest.approx(1e-6) and rates[50] == pytest.approx(0.01 / 2, rel=1e-3)
        assert all(a > b for a, b in itertools.pairwise(rates))


def test_noise_instead_of_point_maps_still_gives_cameras():
    many, two = pairs_of(world(), COMPLETE), pairs_of(world(views=2), [(0, 1), (1, 0)])
    align(noise_of(many), Alignment(steps=30)).geometry.check("alignment")
    view_pair(noise_of(two)).geometry.check("alignment")
