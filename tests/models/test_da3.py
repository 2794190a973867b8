"""Depth Anything 3: what holds for it whatever its weights are."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recon3d.errors import InputError
from recon3d.models.da3.answer import answer, geometry
from recon3d.models.da3.config import CameraDecoderConfig, Da3Config, HeadConfig
from recon3d.models.da3.network import Da3, Wanted
from recon3d.models.da3.preprocessing import Method, preprocessed
from recon3d.models.da3.reference_view import order_of, reference_view, reordered
from recon3d.models.loading import low_precision_names
from recon3d.models.pictures import Pass
from recon3d.models.sizes import TransformerConfig, TrunkConfig

TINY = Da3Config(
    HeadConfig("dual_dpt", 8, (8, 8, 16, 16)), TransformerConfig(img_size=56, embed_dim=24, depth=6, num_heads=2, mlp_ratio=2.0),
    alt_start=2, qknorm_start=2, rope_start=2, layers=(2, 3, 4, 5), cam_dec=CameraDecoderConfig(),
    cam_enc=TrunkConfig(1, 2, 2.0),
)  # fmt: skip


def network(config: Da3Config = TINY) -> Da3:
    """With random weights that are all of some size."""
    torch.manual_seed(0)
    made = Da3(config)
    for parameter in made.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return made.requires_grad_(False).eval()


def images(views: int, height: int = 28, width: int = 42) -> torch.Tensor:
    return torch.randn(1, views, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("size", [(640, 480), (311, 977), (60, 45), (504, 504)])
@pytest.mark.parametrize("method", ["upper_bound_resize", "upper_bound_crop", "lower_bound_resize", "lower_bound_crop"])
def test_the_way_back_finds_a_mark_of_the_photo_where_the_picture_shows_it(size: tuple[int, int], method: Method):
    """The centre of mass of a bright disc, mapped from the photo, lies where it is in the picture, within half a pixel."""
    height, width = size
    y, x = np.mgrid[:height, :width] + 0.5
    at = np.array([0.45 * width, 0.55 * height])
    disc = np.hypot(x - at[0], y - at[1]) < 0.2 * min(size)
    photo = np.repeat((255 * disc)[..., None], 3, 2).astype(np.uint8)
    pictures = preprocessed([photo], method, size=112)
    light = pictures.images[0, 0].double().numpy()
    rows, columns = np.mgrid[: light.shape[0], : light.shape[1]] + 0.5
    seen = np.array([(columns * light).sum(), (rows * light).sum()]) / light.sum()
    expected = pictures.network_from_photo[0].numpy() @ [*at, 1]
    assert np.abs(seen - expected[:2]).max() < 0.5


def test_photos_of_several_shapes_give_one_size_and_lose_the_same_on_both_sides():
    photos = [np.zeros(shape, np.uint8) for shape in ((480, 640, 3), (640, 480, 3), (500, 500, 3))]
    pictures = preprocessed(photos)
    assert pictures.size == (378, 378)
    middles = torch.tensor([[320, 240, 1], [240, 320, 1], [250, 250, 1]], dtype=torch.float64)
    assert torch.allclose((pictures.network_from_photo @ middles[..., None])[:, :2, 0], torch.tensor(189.0).double())


def test_a_photo_too_narrow_for_a_patch_is_refused_by_number():
    with pytest.raises(InputError, match="photo 2: it is 6x504"):
        preprocessed([np.zeros((504, 504, 3), np.uint8), np.zeros((504, 6, 3), np.uint8)])


def test_depth_does_not_depend_on_how_many_views_the_head_takes_at_a_time():
    at_once, one_by_one = (network()(images(3), wanted=Wanted(rays=True, chunk=chunk)) for chunk in (8, 1))
    for name in ("depth", "depth_confidence", "rays", "ray_confidence"):
        assert torch.allclose(getattr(at_once, name), getattr(one_by_one, name), rtol=1e-4, atol=1e-5)


def test_views_in_another_order_give_the_same_views_in_that_order():
    """The reference view is chosen by what the views show, so that their order does not matter; "first" goes by order."""
    order = [2, 0, 3, 1]
    for strategy, same in (("saddle_balanced", True), ("first", False)):
        made = network(replace(TINY, ref_view_strategy=strategy))
        plain, turned = made(images(4)), made(images(4)[:, order])
        assert torch.allclose(plain.depth[:, order], turned.depth, rtol=1e-3, atol=1e-4) == same
        assert torch.allclose(plain.pose_encodings[:, order], turned.pose_encodings, rtol=1e-3, atol=1e-4) == same


def test_rays_are_not_computed_unless_asked_for():
    assert network()(images(1)).rays is None


def test_known_cameras_change_the_answer_and_need_an_encoder():
    pose = torch.eye(4).repeat(1, 2, 1, 1)
    K = torch.tensor([[50.0, 0, 21], [0, 50, 14], [0, 0, 1]]).repeat(1, 2, 1, 1)
    assert not torch.allclose(network()(images(2), (pose, K)).depth, network()(images(2)).depth, rtol=1e-2)
    with pytest.raises(ValueError, match="cam_enc"):
        network(replace(TINY, cam_enc=None))(images(2), (pose, K))


def test_the_reference_goes_to_the_front_and_comes_back():
    order = order_of(torch.tensor([2, 0]), 5)
    assert order.tolist() == [[2, 0, 1, 3, 4], [0, 1, 2, 3, 4]]
    x = torch.randn(2, 5, 3)
    assert torch.equal(reordered(reordered(x, order), order.argsort(1)), x)


def test_the_balanced_view_is_the_one_between_extremes():
    """Lengths 1, 2, 3 along directions that turn evenly: the one in the middle is half way in every measure."""
    turn = torch.tensor([0.0, 0.5, 1.0])
    tokens = torch.stack((turn.cos(), turn.sin(), torch.zeros(3)), -1) * torch.tensor([[1.0], [2.0], [3.0]])
    assert reference_view(tokens[None], "saddle_balanced").tolist() == [1]


def test_an_answer_is_in_the_pixels_of_its_pictures():
    photos = [np.full((90, 120, 3), 100 + 40 * i, np.uint8) for i in range(2)]
    found = answer(network(), photos, Pass(size=56))
    assert found.geometry.depth is not None and found.geometry.depth[0].shape == (42, 56)
    assert found.photo_rects.tolist() == [[0, 0, 56, 42]] * 2
    corners = found.network_from_photo[0] @ torch.tensor([[0, 0, 1], [120, 90, 1]], dtype=torch.float64).T
    assert torch.allclose(corners[:2].T, torch.tensor([[0.0, 0], [56, 42]]).double())
    assert torch.allclose(found.geometry.cameras.K[:, :2, 2], torch.tensor([28.0, 21.0]).double())
    found.geometry.check("da3")


def test_low_precision_moves_depth_by_less_than_a_few_percent():
    plain, low = network(), network()
    for name in low_precision_names(low):
        assert name.startswith("backbone.")
        low.get_parameter(name).data = low.get_parameter(name).data.bfloat16()
    pictures = preprocessed([np.random.default_rng(0).integers(0, 255, (56, 56, 3), np.uint8)], size=56)
    depth = [geometry(n, pictures, Pass()).depth for n in (plain, low)]
    assert depth[0] is not None and depth[1] is not None
    assert (depth[1][0] / depth[0][0] - 1).abs().median() < 0.05


def test_cameras_of_rays_are_the_same_for_the_same_seed():
    pictures = preprocessed([np.random.default_rng(0).integers(0, 255, (56, 84, 3), np.uint8)], size=84)
    first, again = (geometry(network(), pictures, Pass(), cameras_of_rays=True, seed=3) for _ in range(2))
    assert torch.equal(first.cameras.K, again.cameras.K)
    assert not torch.equal(first.cameras.K, geometry(network(), pictures, Pass()).cameras.K)
