"""LPIPS against torchmetrics with the same random backbone, and against a backbone whose features are known."""

import dataclasses
import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from recon3d.errors import InputError
from recon3d.metrics.lpips import NETWORKS, Lpips, Unavailable, features, load_lpips, lpips, of_pair
from tools.make_lpips_heads import published_heads

NAMES = ("vgg", "alex")


def random_weights(name) -> dict[str, Tensor]:
    """He et al. 2015's, which keep features at one size through all stages; biases as small as they are in practice."""
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for key, shape in NETWORKS[name].shapes().items():
        deviation = (2 / torch.Size(shape[1:]).numel()) ** 0.5 if len(shape) == 4 else 0.1
        weights[key] = deviation * torch.randn(shape, generator=generator)
    return weights


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Lpips]:
    """Both networks with random weights, one from each kind of file."""
    folder = tmp_path_factory.mktemp("backbones")
    files = {"vgg": folder / "random.safetensors", "alex": folder / "random.pth"}
    save_file(random_weights("vgg"), files["vgg"])
    torch.save(random_weights("alex") | {"classifier.1.weight": torch.zeros(4, 4)}, files["alex"])
    found = {}
    for name in NAMES:
        model = load_lpips(name, files[name], any_weights=True)
        assert isinstance(model, Lpips) and not model.published
        found[name] = model
    return found


def pictures(count: int, height: int, width: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    photos = torch.rand(count, 3, height, width, generator=generator)
    return (photos + 0.1 * torch.randn(photos.shape, generator=generator)).clamp(0, 1), photos


def torchvision_layers(name) -> nn.Sequential:
    """`features` of torchvision's networks, which is not installed: built from its layout, apart from our table of stages."""
    if name == "alex":
        pool = lambda: nn.MaxPool2d(3, 2)  # noqa: E731
        convs = [nn.Conv2d(3, 64, 11, 4, 2), nn.Conv2d(64, 192, 5, padding=2)]
        convs += [nn.Conv2d(a, b, 3, padding=1) for a, b in ((192, 384), (384, 256), (256, 256))]
        relus = [nn.ReLU() for _ in convs]
        layers = [convs[0], relus[0], pool(), convs[1], relus[1], pool()]
        for conv, relu in zip(convs[2:], relus[2:], strict=True):
            layers += [conv, relu]
        return nn.Sequential(*layers, pool())
    layers, channels = [], 3
    for width in (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"):
        if isinstance(width, str):
            layers.append(nn.MaxPool2d(2, 2))
        else:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
    return nn.Sequential(*layers)


@pytest.mark.parametrize("name", NAMES)
def test_values_are_those_of_torchmetrics_with_the_same_backbone(models, name, monkeypatch):
    theirs = pytest.importorskip("torchmetrics.functional.image.lpips")
    layers = torchvision_layers(name)
    layers.load_state_dict({k.removeprefix("features."): v for k, v in models[name].weights.items()})
    monkeypatch.setattr(theirs, "_get_tv_model_features", lambda *_: layers)
    oracle = theirs._LPIPS(net=name, pnet_rand=True)
    for size in ((48, 67), (NETWORKS[name].smallest,) * 2):
        a, b = pictures(2, *size)
        with torch.no_grad():
            expected = oracle(a, b, normalize=True).flatten()
        assert lpips(a, b, models[name]).tolist() == pytest.approx(expected.tolist(), abs=1e-5)
        assert float(expected.min()) > 0.01
    mine, his = (a[0].clone().requires_grad_() for _ in range(2))
    of_pair(mine, b[0], models[name]).backward()
    oracle(his[None], b[:1], normalize=True).sum().backward()
    assert mine.grad is not None and his.grad is not None
    torch.testing.assert_close(mine.grad, his.grad, rtol=1e-3, atol=1e-5 * float(his.grad.abs().max()))


def test_heads_in_the_package_are_those_of_torchmetrics(models):
    pytest.importorskip("torchmetrics")
    published = published_heads()
    for name in NAMES:
        for stage, head in enumerate(models[name].heads):
            assert torch.equal(head, published[f"{name}.{stage}"])
    assert len(published) == 10


def red_and_green() -> dict[str, Tensor]:
    """VGG whose first stage shows how red and how green a pixel is, in channels 0 and 1, and whose others see nothing."""
    weights = {key: torch.zeros(shape) for key, shape in NETWORKS["vgg"].shapes().items()}
    for channel in (0, 1):
        weights["features.0.weight"][channel, channel, 1, 1] = 1
        weights["features.2.weight"][channel, channel, 1, 1] = 1
    return weights


def test_a_red_picture_differs_from_a_green_one_by_the_heads_weights(models):
    """Features (1, 0) and (0, 1) at every pixel: sum_c w_c (a_c - b_c)^2 = w_0 + w_1; on half of the pixels, half of it."""
    model = dataclasses.replace(models["vgg"], weights=red_and_green())
    red, green = torch.zeros(2, 1, 3, 16, 20).unbind()
    red[:, 0], green[:, 1] = 1, 1
    expected = float(model.heads[0][:2].sum())
    assert float(lpips(red, green, model)) == pytest.approx(expected, abs=1e-6)
    half = torch.cat([red[..., :10], green[..., :10]], -1)
    assert float(lpips(red, half, model)) == pytest.approx(expected / 2, abs=1e-6)
    assert next(features(red, model))[0, 0, 3, 3] == pytest.approx((1 + 0.030) / 0.458)


@pytest.mark.parametrize("name", NAMES)
def test_equal_pictures_do_not_differ_and_swapping_them_changes_nothing(models, name):
    a, b = pictures(1, 40, 33)
    assert lpips(a, a, models[name]).tolist() == [0]
    assert float(lpips(a, b, models[name])) == pytest.approx(float(lpips(b, a, models[name])), abs=1e-7)


def test_a_picture_has_one_value_in_whatever_company(models):
    a, b = pictures(3, 40, 33)
    assert torch.equal(lpips(a, b, models["alex"])[1:2], lpips(a[1:2], b[1:2], models["alex"]))


@pytest.mark.parametrize("name", NAMES)
def test_without_a_backbone_there_is_a_reason_and_no_number(name):
    found = load_lpips(name, None)
    assert isinstance(found, Unavailable) and NETWORKS[name].file in found.reason


def test_weights_that_are_not_torchvisions_are_refused_and_those_that_are_say_so(tmp_path: Path, monkeypatch):
    file = tmp_path / "alexnet.pth"
    torch.save(random_weights("alex"), file)
    with pytest.raises(InputError, match="does not begin with 7be5be79"):
        load_lpips("alex", file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:8]
    monkeypatch.setitem(NETWORKS, "alex", dataclasses.replace(NETWORKS["alex"], file=f"alexnet-owt-{digest}.pth"))
    model = load_lpips("alex", file)
    assert isinstance(model, Lpips) and model.published


def test_files_that_do_not_hold_the_network_are_refused(tmp_path: Path):
    other, torn, absent = tmp_path / "other.safetensors", tmp_path / "torn.pth", tmp_path / "absent.pth"
    save_file(random_weights("alex"), other)
    torn.write_bytes(other.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"features.0.weight is \(64, 3, 11, 11\) and should be \(64, 3, 3, 3\)"):
        load_lpips("vgg", other, any_weights=True)
    with pytest.raises(InputError, match="no whole file of tensors"):
        load_lpips("alex", torn, any_weights=True)
    with pytest.raises(InputError, match="no such file"):
        load_lpips("alex", absent)


@pytest.mark.parametrize("name", NAMES)
def test_pictures_of_two_sizes_and_too_small_for_the_network_are_refused(models, name):
    smallest = NETWORKS[name].smallest
    for a, b in ((40, 41), (smallest - 1, smallest - 1)):
        with pytest.raises(ValueError, match=f"one size of at least {smallest} pixels"):
            lpips(torch.zeros(1, 3, 50, a), torch.zeros(1, 3, 50, b), models[name])
