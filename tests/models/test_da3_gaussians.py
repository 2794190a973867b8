"""Depth Anything 3's Gaussians: where they lie, how large they are, and that they turn with the world."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recon3d.core.harmonics import harmonics
from recon3d.models.da3.answer import geometry_and_gaussians
from recon3d.models.da3.config import CameraDecoderConfig, Da3Config, GaussianHeadConfig, HeadConfig
from recon3d.models.da3.gaussians import PixelGaussians, pixel_gaussians, scale_to
from recon3d.models.da3.known_cameras import square
from recon3d.models.da3.network import Da3
from recon3d.models.da3.preprocessing import preprocessed
from recon3d.models.pictures import Pass
from recon3d.models.pose_encoding import inverse_of, rotation_from_xyzw
from recon3d.models.sizes import TransformerConfig

HEIGHT, WIDTH = 3, 4
K = torch.tensor([[5.0, 0, 2], [0, 4, 1.5], [0, 0, 1]]).double().repeat(1, 2, 1, 1)
SIZES = GaussianHeadConfig()


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cameras(views: int, seed: int = 1) -> torch.Tensor:
    """camera_from_world [1, views, 3, 4]."""
    return torch.cat((rotation_from_xyzw(random(1, views, 4, seed=seed)), random(1, views, 3, 1, seed=seed + 1)), -1)


def made(raw: torch.Tensor, camera_from_world: torch.Tensor) -> PixelGaussians:
    return pixel_gaussians(raw, 2 + random(1, 2, HEIGHT, WIDTH).abs(), camera_from_world, K, SIZES)


def test_a_gaussian_without_corrections_lies_on_the_ray_of_its_pixel_at_its_depth():
    """Distance along the ray, not z; scale: half way between the limits, times a tenth of a pixel's width and height."""
    pose, depth = cameras(2), 2 + random(1, 2, HEIGHT, WIDTH).abs()
    g = pixel_gaussians(torch.zeros(1, 2, HEIGHT, WIDTH, 38).double(), depth, pose, K, SIZES)
    world_from_camera = inverse_of(pose)[0, 1]
    direction = torch.tensor([(3.5 - 2) / 5, (1.5 - 1.5) / 4, 1]).double()
    ray = world_from_camera[:, :3] @ direction / direction.norm()
    index = HEIGHT * WIDTH + 1 * WIDTH + 3  # view 1, row 1, column 3
    assert torch.allclose(g.means[0, index], world_from_camera[:, 3] + ray * depth[0, 1, 1, 3])
    middle = (SIZES.scale_min + SIZES.scale_max) / 2
    assert torch.allclose(g.scales[0, index], middle * 0.1 * (1 / 5 + 1 / 4) * depth[0, 1, 1, 3])
    assert torch.allclose(g.opacities, torch.tensor(0.5).double())


def test_a_turned_world_has_turned_gaussians_of_the_same_colours():
    raw, pose = random(1, 2, HEIGHT, WIDTH, 38, seed=7), cameras(2)
    turn = rotation_from_xyzw(random(4, seed=9))
    turned = torch.cat((pose[..., :3] @ turn.T, pose[..., 3:]), -1)
    before, after = made(raw, pose), made(raw, turned)
    assert torch.allclose(after.means, before.means @ turn.T)
    assert torch.allclose(after.scales, before.scales) and torch.allclose(
        after.quats.norm(dim=-1), torch.tensor(1.0).double()
    )
    seen_from = torch.nn.functional.normalize(random(20, 3, seed=11), dim=-1)
    colors = before.harmonics @ harmonics(seen_from, 2).T
    assert torch.allclose(after.harmonics @ harmonics(seen_from @ turn.T, 2).T, colors)


def test_known_cameras_tell_the_scale_within_limits_and_two_tell_none():
    known = square(cameras(4))
    for factor, told in ((2.0, 0.5), (0.1, 3.0)):
        assert torch.allclose(
            scale_to(torch.cat((known[..., :3, :3], factor * known[..., :3, 3:]), -1), known),
            torch.tensor(told).double(),
        )
    assert scale_to(known[:, :2, :3], known[:, :2]).tolist() == [1]


def test_a_scene_has_a_gaussian_for_each_pixel_but_the_border():
    config = Da3Config(
        HeadConfig("dual_dpt", 8, (8, 8, 16, 16)),
        TransformerConfig(img_size=56, embed_dim=16, depth=4, num_heads=2, mlp_ratio=2.0),
        alt_start=1, qknorm_start=1, rope_start=1, layers=(0, 1, 2, 3), cam_dec=CameraDecoderConfig(), gs_head=SIZES,
    )  # fmt: skip
    torch.manual_seed(0)
    network = Da3(config).eval()
    network.head.output_conv2[2].bias.data += 2  # depth above what its correction takes off
    photos = [np.random.default_rng(i).integers(0, 255, (42, 70, 3), np.uint8) for i in range(2)]
    pictures = preprocessed(photos, size=70)
    found, gaussians = geometry_and_gaussians(network, pictures, Pass())
    assert len(gaussians) == 2 * (42 - 2) * (70 - 4) and gaussians.degree == 2
    found.check("da3")
    with pytest.raises(ValueError, match="gs_head"):
        geometry_and_gaussians(Da3(replace(config, gs_head=None)).eval(), pictures, Pass())
