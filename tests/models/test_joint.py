"""The joint network: what it starts from, that all of it learns, and that a batch is its scenes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from recon3d.core.synthetic import Synthetic, arc_of_cameras
from recon3d.models.checkpoints import weights_report
from recon3d.models.ilrm.network import HeadGaussians
from recon3d.models.joint.config import JointConfig
from recon3d.models.joint.network import Joint, JointViews
from recon3d.reconstruction.lift import lift
from tests.reconstruction.scenes import bare_geometry, views_of

TINY = JointConfig(dim=32, head_dim=16, image_patch=8, scene_patch=4, encoder_blocks=1, zpressor_layers=2, blocks=4)
NAMES = ("means", "quats", "scales", "opacities", "sh")


def scene(views: int, size: int = 16, seed: int = 0, features: int | None = None) -> JointViews:
    """One scene of noise seen by an arc of cameras, at random depths."""
    generator = torch.Generator().manual_seed(seed)
    cameras = arc_of_cameras(Synthetic(views=views, height=size, width=size, arc=60))
    depth = 1 + torch.rand(1, views, size, size, generator=generator)
    found = None if features is None else torch.rand(1, views, features, 3, 3, generator=generator)
    images = torch.rand(1, views, 3, size, size, generator=generator)
    world_from_camera = cameras.world_from_camera.float()[None]
    return JointViews(images, cameras.K.float()[None], world_from_camera, depth, torch.ones_like(depth), found)


def disturbed(config: JointConfig, seed: int = 0) -> Joint:
    """A network whose decoder is no longer zero."""
    torch.manual_seed(seed)
    network = Joint(config)
    torch.nn.init.normal_(network.decoder.linear.weight, std=0.05)
    return network


def test_the_untrained_network_gives_what_lift_gives_where_a_scene_pixel_is_a_pixel_but_round() -> None:
    torch.manual_seed(0)
    views = scene(3)
    network = Joint(replace(TINY, step=1, scene_patch=8))
    found, anchors = network(views, 3)
    order = anchors[0]
    cameras = arc_of_cameras(Synthetic(views=3, height=16, width=16, arc=60))[order]
    depth = tuple(views.depth[0, order])
    geometry = replace(bare_geometry(cameras), depth=depth, confidence=tuple(torch.ones_like(d) for d in depth))
    pictures = views.images[0, order]
    lifted = lift(views_of(pictures), geometry, max_gaussians=10**6)
    for name in ("means", "opacities"):
        torch.testing.assert_close(getattr(found, name)[0], getattr(lifted, name), atol=1e-5, rtol=1e-5)
    across_the_tilt = lifted.scales[:, :1].expand(-1, 3)
    torch.testing.assert_close(found.scales[0], across_the_tilt, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.quats[0], torch.tensor([[1.0, 0, 0, 0]]).expand(len(lifted), 4), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.sh[0], lifted.sh, atol=0.01, rtol=0)  # lift's photos have 8 bits


@pytest.mark.parametrize("features", [None, 5])
def test_gradients_reach_every_parameter(features: int | None) -> None:
    """What joins features and what stands in for them are used in turn, so each is asked for where it is used."""
    network = disturbed(replace(TINY, feature_width=features))
    found, _ = network(scene(5, features=features), 2)
    sum((getattr(found, name) * torch.randn_like(getattr(found, name))).sum() for name in NAMES).backward()  # type: ignore[union-attr]
    unused = "encoder." if features is not None else "from_features."
    untouched = [
        name for name, p in network.named_parameters()
        if not name.startswith(unused) and (p.grad is None or not p.grad.any())
    ]  # fmt: skip
    assert untouched == []


def test_from_zeros_the_decoder_learns_first_and_then_all_else() -> None:
    torch.manual_seed(0)
    network, views = Joint(TINY), scene(4)
    optimiser = torch.optim.SGD(network.parameters(), 0.1)
    reached = []
    for _ in range(2):
        optimiser.zero_grad()
        network(views, 2)[0].means.square().sum().backward()
        reached.append({name for name, p in network.named_parameters() if p.grad is not None and p.grad.any()})
        optimiser.step()
    assert reached[0] == {"decoder.linear.weight"}
    assert reached[1] == {name for name, _ in network.named_parameters()}


def test_scenes_of_a_batch_do_not_know_of_each_other() -> None:
    network = disturbed(TINY)
    scenes = [scene(5, seed=seed) for seed in range(2)]
    fields = ("images", "K", "world_from_camera", "depth", "confidence")
    both = JointViews(*(torch.cat([getattr(s, name) for s in scenes]) for name in fields))
    found, anchors = network(both, 3)
    for i, alone in enumerate(scenes):
        expected, chosen = network(alone, 3)
        assert torch.equal(anchors[i], chosen[0])
        assert_close(found, expected, i)


def assert_close(found: HeadGaussians, expected: HeadGaussians, scene: int = 0, atol: float = 1e-5) -> None:
    for name in NAMES:
        ours: Tensor = getattr(found, name)[scene].cpu()
        torch.testing.assert_close(ours, getattr(expected, name)[0], atol=atol, rtol=atol)


@pytest.mark.parametrize(("views", "anchors", "expected"), [(2, 4, 2), (6, 3, 3), (1, 1, 1)])
def test_there_are_as_many_gaussians_as_scene_pixels_of_the_anchors(views: int, anchors: int, expected: int) -> None:
    found, chosen = disturbed(TINY)(scene(views), anchors)
    assert chosen.shape == (1, expected)
    assert found.means.shape == (1, expected * (16 // TINY.step) ** 2, 3)


def test_runs_of_views_change_nothing(monkeypatch) -> None:
    network, views = disturbed(TINY), scene(7)
    expected, _ = network(views, 3)
    monkeypatch.setattr("recon3d.models.joint.network.VIEWS_AT_A_TIME", 2)
    assert_close(network(views, 3)[0], expected)


def test_pictures_that_patches_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="20x20 are not divisible by 8"):
        Joint(TINY)(scene(2, size=20), 2)


@pytest.mark.gpu
@pytest.mark.parametrize("views", [3, 40])
def test_a_gpu_gives_the_same_gaussians(views: int) -> None:
    network, given = disturbed(TINY), scene(views, size=64)
    with torch.no_grad():
        expected, anchors = network(given, 3)
        names = ("images", "K", "world_from_camera", "depth", "confidence")
        there = JointViews(*(getattr(given, name).cuda() for name in names))
        found, chosen = network.cuda()(there, 3)
    assert torch.equal(chosen.cpu(), anchors)
    assert_close(found, expected, atol=1e-3)


def test_weights_from_a_file_are_told_with_their_bytes(tmp_path) -> None:
    """What `joint` reports of a checkpoint of one's own, as the published networks do of theirs."""
    file = tmp_path / "joint.pt"
    file.write_bytes(b"abc")
    told = weights_report("recon3d-joint", "Apache-2.0", True, file)
    assert (told.bytes, told.file, told.random) == (3, str(file), None)
    assert told.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
    assert weights_report("recon3d-joint", "Apache-2.0", True, None).random
