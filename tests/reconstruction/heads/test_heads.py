"""Heads at their doors: units undone, depth filled, windows made one scene, and what was never trained told."""

import itertools
from dataclasses import replace

import pytest
import torch

from recon3d.core.gaussians import Gaussians
from recon3d.core.geometry import Geometry
from recon3d.core.similarity import Similarity
from recon3d.core.synthetic import Synthetic, arc_of_cameras
from recon3d.errors import InputError
from recon3d.models.da3.network import Da3
from recon3d.models.ilrm.config import IlrmConfig
from recon3d.models.ilrm.network import Ilrm
from recon3d.models.joint.network import Joint
from recon3d.reconstruction.heads import ilrm as ilrm_head
from recon3d.reconstruction.heads.anchors import anchor_count
from recon3d.reconstruction.heads.da3 import da3_gaussians
from recon3d.reconstruction.heads.ilrm import ilrm_gaussians
from recon3d.reconstruction.heads.joint import joint_gaussians
from recon3d.reconstruction.heads.optimisation import optimised
from recon3d.reconstruction.heads.start_depth import filled_from_nearest, start_depth
from recon3d.reconstruction.heads.trained import Trained, outside
from recon3d.reconstruction.heads.windows import footprints, fused, windows
from recon3d.reconstruction.lift import lift
from recon3d.rendering.render import render
from tests.models.test_joint import TINY
from tests.models.tiny import TINY_DA3
from tests.reconstruction.scenes import bare_geometry, plane_photos, splat_photos, views_of

MOVED = Similarity.of(
    2.5, torch.linalg.matrix_exp(torch.tensor([[0, -0.7, 0.2], [0.7, 0, 0.4], [-0.2, -0.4, 0]], dtype=torch.float64)),
    torch.tensor([1.0, -2, 3], dtype=torch.float64),
)  # fmt: skip


def wall(views: int = 5):
    """Photos of a textured wall z = 0.3 x with its true depth."""
    seen, geometry, _ = plane_photos(views=views, width=96, height=64)
    depth = []
    for i in range(views):
        rays = geometry.cameras.rays(i) @ geometry.cameras.world_from_camera[i, :3, :3].T
        center = geometry.cameras.centers_in_world[i]
        normal = torch.tensor([0.3, 0, -1], dtype=torch.float64)
        depth.append((-(center @ normal) / (rays @ normal)).float())
    confidence = tuple(torch.ones_like(d) for d in depth)
    return seen, replace(geometry, depth=tuple(depth), confidence=confidence)


@pytest.mark.parametrize("head", ["joint", "ilrm wide", "ilrm re10k", "da3"])
def test_a_moved_and_scaled_world_gives_the_same_gaussians_moved(head: str, monkeypatch) -> None:
    """What a head sees depends on neither the world's frame nor its unit, and both are undone on the way out."""
    views, geometry = wall(3)
    torch.manual_seed(0)
    if head == "joint":
        network = Joint(TINY)
        torch.nn.init.normal_(network.decoder.linear.weight, std=0.02)
        run = lambda g: joint_gaussians(network, views, g, 2)[0]  # noqa: E731
    elif head == "da3":
        da3 = Da3(TINY_DA3).eval()
        da3.head.output_conv2[2].bias.data += 2  # depth above what its correction takes off
        run = lambda g: da3_gaussians(da3, views, g)  # noqa: E731
    else:
        monkeypatch.setitem(ilrm_head.SIZES, "wide", (64, 96))
        ilrm = Ilrm(IlrmConfig("wide" if "wide" in head else "re10k", 2, 8, 16, 8, 2))
        run = lambda g: ilrm_gaussians(ilrm, views, g)  # noqa: E731
    expected = run(geometry).transformed(MOVED)
    found = run(geometry.transformed(MOVED))
    for name in ("means", "scales", "opacities", "sh"):
        ours, theirs = getattr(found, name), getattr(expected, name)
        torch.testing.assert_close(ours, theirs, atol=2e-3 * float(theirs.abs().max()), rtol=2e-3)
    torch.testing.assert_close((found.quats * expected.quats).sum(1).abs(), torch.ones(len(found)), atol=1e-3, rtol=0)


def test_the_untrained_joint_network_draws_the_wall_that_it_was_given() -> None:
    views, geometry = wall()
    gaussians, anchors = joint_gaussians(Joint(TINY), views, geometry, 3)
    assert len(anchors) == 3 and len(gaussians) == 3 * (96 // 2) * (64 // 2)
    drawn = render(gaussians, geometry.cameras[[0]], device="cpu")
    inner = (slice(None), slice(16, 48), slice(24, 72))
    assert float((drawn.rgb[0][inner] - views.rgb(0)[inner]).square().mean()) < 0.005
    assert float((drawn.depth[0][inner[1:]] / geometry.depth[0][inner[1:]] - 1).abs().median()) < 0.02


def test_depth_between_known_pixels_is_that_of_the_nearest() -> None:
    depth = torch.zeros(5, 9)
    depth[2, 0], depth[2, 8] = 1, 3
    filled = filled_from_nearest(depth, 7.0)
    assert torch.equal(filled[:, :4], torch.ones(5, 4)) and torch.equal(filled[:, 5:], torch.full((5, 4), 3.0))
    assert torch.equal(filled_from_nearest(torch.zeros(2, 2), 7.0), torch.full((2, 2), 7.0))


def test_stereo_and_sparse_points_tell_the_depth_of_the_wall() -> None:
    """Of a geometry without depth maps, as COLMAP's is."""
    views, geometry = wall()
    assert geometry.depth is not None
    filled, confidence = start_depth(views, replace(geometry, depth=None, confidence=None))
    for ours, theirs, trusted in zip(filled, geometry.depth, confidence, strict=True):
        assert float((ours / theirs - 1).abs().median()) < 0.03
        assert 0.02 < float((trusted > 0).float().mean()) < 1
    with pytest.raises(InputError, match="nothing tells the depth"):
        start_depth(views, bare_geometry(geometry.cameras))


def test_published_optimisation_brings_pictures_nearer_to_the_photos_in_any_unit() -> None:
    """In ten steps; and a world of another unit ends at the same scene, as steps are taken in the head's units."""
    _, geometry, truth = splat_photos(views=4)
    black = render(truth, geometry.cameras, device="cpu")
    views = views_of(black.rgb + 1 - black.alpha[:, None])
    noise = 0.02 * torch.randn(truth.sh.shape, generator=torch.Generator().manual_seed(0))
    start = replace(truth, sh=truth.sh + 10 * noise)
    similarity = ilrm_head.normalisation(IlrmConfig("wide", 2), geometry)
    found = optimised(start, views, geometry, similarity, "cpu")

    def error(gaussians: Gaussians) -> float:
        white = render(gaussians, geometry.cameras, device="cpu")
        pictures = white.rgb + 1 - white.alpha[:, None]
        return float((pictures - torch.stack([views.rgb(i) for i in range(4)])).square().mean())

    assert error(found) < 0.95 * error(start)
    moved = geometry.transformed(MOVED)
    there = optimised(start.transformed(MOVED), views, moved, ilrm_head.normalisation(IlrmConfig("wide", 2), moved), "cpu")
    torch.testing.assert_close(there.transformed(MOVED.inverse()).means, found.means, atol=1e-3, rtol=0)


def test_windows_hold_every_view_and_share_a_quarter() -> None:
    assert [w.tolist() for w in windows(4, 8)] == [[0, 1, 2, 3]]
    found = windows(21, 8)
    assert all(len(w) == 8 for w in found)
    assert set(torch.cat(found).tolist()) == set(range(21))
    assert all(len(set(a.tolist()) & set(b.tolist())) >= 2 for a, b in itertools.pairwise(found))


def test_two_windows_of_one_wall_leave_one_layer_the_better_seen_one() -> None:
    """The second window's cameras stand nearer: where both see the wall its Gaussians stay, elsewhere those of the first."""
    views, geometry = wall(4)
    near = replace(geometry, cameras=geometry.cameras.resized(*doubled(geometry)), depth=None, confidence=None)
    first = lift(views, geometry, 10**6)
    second = replace(first[torch.arange(0, len(first), 2)], scales=first.scales[::2])
    half = second.means[:, 0] > 0
    second = second[half]
    kept, footprint = fused(
        first, footprints(first, geometry.cameras), second, footprints(second, near.cameras)
    )
    assert len(kept) == len(footprint) and len(kept) < 0.8 * (len(first) + len(second))
    right = kept.means[:, 0] > 0.1
    left = kept.means[:, 0] < -0.1
    assert 0 < int(right.sum()) < 0.7 * int((first.means[:, 0] > 0.1).sum())
    assert int(left.sum()) == int((first.means[:, 0] < -0.1).sum())


def doubled(geometry: Geometry) -> tuple[torch.Tensor, torch.Tensor]:
    """The map and sizes of pictures of twice the resolution."""
    double = torch.diag(torch.tensor([2.0, 2, 1], dtype=torch.float64)).repeat(len(geometry), 1, 1)
    return double, 2 * geometry.cameras.sizes


def test_anchors_grow_with_what_they_must_cover() -> None:
    """An arc about one object, of which each view sees nearly all, asks for the fewest; a street asks for more."""
    around = arc_of_cameras(Synthetic(views=20, height=64, width=64, arc=40))
    points = torch.rand(500, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.2 - 0.1
    none = {"colors": torch.zeros(500, 3, dtype=torch.uint8), "errors": torch.zeros(500).double()}
    one_place = replace(bare_geometry(around), points=points, **none)
    assert anchor_count(one_place) == 4
    pose = torch.eye(4, dtype=torch.float64).repeat(20, 1, 1)
    pose[:, 0, 3] = -torch.arange(20)
    along = replace(around, camera_from_world=pose)
    spread = torch.cat((20 * points.new_tensor(torch.rand(500, 1).tolist()), points[:, 1:2], 1 + points[:, 2:]), 1)
    assert anchor_count(replace(one_place, cameras=along, points=spread)) > 8


def test_what_lies_outside_of_training_is_said_with_its_figure() -> None:
    _, geometry = wall(4)
    trained = Trained(views=(2, 2), pixels=(256, 640), overlap=(0.0, 0.01), baseline=(10.0, 20.0))
    said = outside(trained, geometry, 4)
    assert said[0] == "4 views at a time, trained on 2"
    assert said[1].startswith("96 pixels") and "trained on 256 to 640" in said[1]
    assert "in the next view, trained on 0 to 0.01" in said[2] and "of the depth between neighbours" in said[3]
    assert outside(Trained(), geometry, 4) == ()


def test_views_without_a_mean_direction_keep_their_scale() -> None:
    """One view only: nothing tells a unit but its depth."""
    views, geometry = wall(2)
    one = geometry[[0]]
    gaussians, _ = joint_gaussians(Joint(TINY), views[[0]], one, 4)
    assert isinstance(gaussians, Gaussians) and one.depth is not None
    points = one.cameras.unproject(0, one.depth[0])[0].reshape(-1, 3).float()
    assert float(torch.cdist(gaussians.means[::50], points).amin(1).max()) < 0.05


def test_views_of_several_sizes_become_pictures_of_one() -> None:
    views, geometry = wall(2)
    assert geometry.depth is not None
    pictures = torch.nn.functional.interpolate(views.rgb(1)[None], scale_factor=0.5)[0]
    mixed = replace(views, images=(views.images[0], views_of(pictures[None]).images[0]))
    half = torch.stack((torch.eye(3), torch.diag(torch.tensor([0.5, 0.5, 1])))).double()
    cameras = geometry.cameras.resized(half, torch.tensor([[64, 96], [32, 48]]))
    maps = (geometry.depth[0], geometry.depth[1][::2, ::2])
    small = replace(geometry, cameras=cameras, depth=maps, confidence=tuple(torch.ones_like(d) for d in maps))
    gaussians, _ = joint_gaussians(Joint(TINY), mixed, small, 2)
    drawn = render(gaussians, cameras[[0]], device="cpu").depth[0, 16:48, 24:72]
    assert float((drawn / geometry.depth[0][16:48, 24:72] - 1).abs().median()) < 0.02
