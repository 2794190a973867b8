"""Depth Anything 3's monocular, metric and nested networks: sky, metres, and the scale of the pair."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recon3d.errors import InputError
from recon3d.models.da3.answer import geometry, metric_depth
from recon3d.models.da3.config import CameraDecoderConfig, Da3Config, HeadConfig, NestedConfig
from recon3d.models.da3.mono import Da3Mono, MonoPrediction, far_sky, metres, quantile
from recon3d.models.da3.nested import Da3Nested, in_metres, metric_scale
from recon3d.models.da3.network import Prediction
from recon3d.models.da3.preprocessing import preprocessed
from recon3d.models.pictures import Pass
from recon3d.models.sizes import TransformerConfig

MONO = Da3Config(
    HeadConfig("dpt", 8, (8, 8, 16, 16), output_dim=1),
    TransformerConfig(img_size=56, embed_dim=16, depth=4, num_heads=2, mlp_ratio=2.0),
    cat_token=False, layers=(0, 1, 2, 3),
)  # fmt: skip
ANY_VIEW = replace(
    MONO, head=HeadConfig("dual_dpt", 8, (8, 8, 16, 16)), cat_token=True, alt_start=1, qknorm_start=1, rope_start=1,
    cam_dec=CameraDecoderConfig(),
)  # fmt: skip
K = torch.tensor([[600.0, 0, 2], [0, 300, 2], [0, 0, 1]])


def network(build, config):
    torch.manual_seed(0)
    made = build(config)
    for parameter in made.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return made.requires_grad_(False).eval()


def test_views_do_not_see_each_other():
    images = torch.randn(2, 3, 3, 28, 42, generator=torch.Generator().manual_seed(0))
    together = network(Da3Mono, MONO)(images).depth_raw
    alone = network(Da3Mono, MONO)(images[1:, 2:], chunk=1).depth_raw
    assert torch.allclose(together[1:, 2:], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 11, 1000])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99, 1.0])
def test_a_quantile_is_numpys(count: int, share: float):
    values = torch.randn(count, generator=torch.Generator().manual_seed(count))
    assert float(quantile(values, share)) == pytest.approx(np.quantile(values.numpy(), share), abs=1e-6)


def test_sky_lies_as_far_as_nearly_all_else_and_a_little_of_it_is_left_alone():
    depth, sky = torch.arange(1.0, 101).reshape(1, 1, 10, 10), torch.zeros(1, 1, 10, 10)
    sky[..., :2, :] = 0.3
    far = far_sky(depth, sky)
    assert torch.equal(far[..., 2:, :], depth[..., 2:, :])
    assert torch.allclose(far[..., :2, :], torch.tensor(21 + 0.99 * 79))
    sky[..., 1, :] = 0.29
    assert torch.equal(far_sky(depth, sky), depth)


def test_metres_are_depth_by_the_mean_focal_length_over_300_pixels():
    assert torch.allclose(metres(torch.full((4, 4), 2.0), K), torch.tensor(3.0))


def prediction(depth: torch.Tensor, confidence: torch.Tensor) -> Prediction:
    camera = torch.eye(4)[:3].repeat(1, 1, 1, 1)
    camera[..., 3] = torch.tensor([1.0, 2, 3])
    return Prediction(depth, confidence, torch.zeros(1, 1, 9), camera, K[None, None])


def test_the_scale_is_what_the_confident_half_says():
    """Metric depth (in metres 1.5 times its number) is four times the depth, but wrong where confidence is low or sky is."""
    depth = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0)) + 1
    confidence, measured, sky = torch.full_like(depth, 2), 4 * depth / 1.5, torch.zeros_like(depth)
    confidence[..., :3, :], measured[..., :3, :] = 1.5, 1
    sky[..., 7, :], measured[..., 7, :] = 1, 100
    plain = prediction(depth, confidence)
    scale = metric_scale(plain, MonoPrediction(measured, measured, sky))
    assert float(scale) == pytest.approx(4)
    moved = in_metres(plain, scale, sky)
    assert torch.allclose(moved.depth[..., :7, :], 4 * depth[..., :7, :])
    assert torch.allclose(moved.camera_from_world[..., 3], torch.tensor([4.0, 8, 12]))
    assert (moved.depth_confidence[..., 7, :] == 1).all()
    assert (moved.depth[..., 7, :] == quantile(4 * depth[..., :7, :].flatten(), 0.99)).all()
    assert (in_metres(plain, scale * 1000, sky).depth[..., 7, :] == 200).all()


def test_pictures_of_nothing_but_sky_give_no_scale():
    depth = torch.ones(1, 1, 8, 8)
    with pytest.raises(InputError, match="sky"):
        metric_scale(prediction(depth, depth), MonoPrediction(depth, depth, depth))


def test_the_nested_pair_answers_in_metres_and_its_metric_network_alone_too():
    photos = [np.random.default_rng(i).integers(0, 255, (56, 84, 3), np.uint8) for i in range(2)]
    pictures = preprocessed(photos, size=84)
    pair = network(Da3Nested, NestedConfig(ANY_VIEW, MONO))
    for parameter in pair.da3_metric.head.sky_output_conv2[2].parameters():
        parameter.data.zero_()  # no sky
    found = geometry(pair, pictures, Pass())
    assert found.scale == "metres"
    alone = geometry(pair.da3, pictures, Pass())
    assert found.depth is not None and alone.depth is not None
    ratios = torch.stack([a / b for a, b in zip(found.depth, alone.depth, strict=True)])
    assert ratios.std() / ratios.mean() < 1e-4
    depth, known = metric_depth(pair.da3_metric, pictures, found.cameras.K, Pass())
    assert depth.shape == (2, 56, 84) and bool(known.all())
