"""LPIPS 0.1 (Zhang et al. 2018) over VGG16 or AlexNet: how different two pictures look. 0 where they are equal.

The linear heads are in the package. The ImageNet weights under them are a file of torchvision's that a user brings:
without it there is no LPIPS, and no other number stands in for it.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d

from recon3d.errors import InputError, check_exists

HEADS = Path(__file__).with_name("lpips_heads.safetensors")
# Of values in -1 to 1; lpips 0.1, its ScalingLayer. It is ImageNet's mean and deviation in other words.
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
TINY = 1e-10  # added to the length of features; lpips 0.1, normalize_tensor


@dataclass(frozen=True)
class Convolution:
    """Followed by a ReLU."""

    index: int  # N of torchvision's `features.N`
    shape: tuple[int, int, int, int]
    stride: int = 1
    padding: int = 1


@dataclass(frozen=True)
class Network:
    """Convolutions in five stages, each of which ends in features that are compared."""

    file: str  # torchvision's; its sha256 begins with the eight digits in its name
    stages: tuple[tuple[Convolution, ...], ...]
    pooled: tuple[int, ...]  # stages that begin with a maximum over windows
    window: int  # of these, pixels; their stride is 2
    smallest: int  # side of a picture in pixels that leaves one for the last stage

    @property
    def digest(self) -> str:
        return Path(self.file).stem.rpartition("-")[2]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape of every tensor that the stages use."""
        found: dict[str, tuple[int, ...]] = {}
        for conv in (conv for stage in self.stages for conv in stage):
            found |= {f"features.{conv.index}.weight": conv.shape, f"features.{conv.index}.bias": conv.shape[:1]}
        return found


def _vgg_stage(into: int, out: int, *indices: int) -> tuple[Convolution, ...]:
    return tuple(Convolution(index, (out, out if i else into, 3, 3)) for i, index in enumerate(indices))


NETWORKS: dict[Literal["vgg", "alex"], Network] = {
    # Simonyan & Zisserman 2015, configuration D: relu1_2, relu2_2, relu3_3, relu4_3, relu5_3.
    "vgg": Network(
        "vgg16-397923af.pth",
        (
            _vgg_stage(3, 64, 0, 2),
            _vgg_stage(64, 128, 5, 7),
            _vgg_stage(128, 256, 10, 12, 14),
            _vgg_stage(256, 512, 17, 19, 21),
            _vgg_stage(512, 512, 24, 26, 28),
        ),
        pooled=(1, 2, 3, 4),
        window=2,
        smallest=16,
    ),
    # Krizhevsky 2014 ("one weird trick"): the ReLU of each convolution.
    "alex": Network(
        "alexnet-owt-7be5be79.pth",
        (
            (Convolution(0, (64, 3, 11, 11), stride=4, padding=2),),
            (Convolution(3, (192, 64, 5, 5), padding=2),),
            (Convolution(6, (384, 192, 3, 3)),),
            (Convolution(8, (256, 384, 3, 3)),),
            (Convolution(10, (256, 256, 3, 3)),),
        ),
        pooled=(1, 2),
        window=3,
        smallest=31,
    ),
}


@dataclass(frozen=True)
class Lpips:
    """A network with its weights and heads, float32."""

    network: Network
    weights: dict[str, Tensor]  # by torchvision's names
    heads: tuple[Annotated[Tensor, "C"], ...]  # one for each stage
    published: bool  # the weights are torchvision's: values can be compared with those of others

    def to(self, device: str | torch.device) -> Lpips:
        weights = {name: x.to(device) for name, x in self.weights.items()}
        return replace(self, weights=weights, heads=tuple(head.to(device) for head in self.heads))


@dataclass(frozen=True)
class Unavailable:
    """A figure that cannot be computed here."""

    reason: str


def load_lpips(name: Literal["vgg", "alex"], backbone: Path | None, any_weights: bool = False) -> Lpips | Unavailable:
    """LPIPS over torchvision's ImageNet weights in the file `backbone` (.pth or .safetensors); without one `Unavailable`.

    Raises InputError for a file that is not torchvision's by its sha256. With `any_weights` other values will do,
    such as random ones in a test, under the same names and shapes.
    """
    network = NETWORKS[name]
    if backbone is None:
        return Unavailable(f"LPIPS ({name}) needs ImageNet weights, torchvision's {network.file}, and no file was given")
    check_exists(backbone, f"Give torchvision's {network.file}")
    with backbone.open("rb") as file:
        published = hashlib.file_digest(file, "sha256").hexdigest().startswith(network.digest)
    if not published and not any_weights:
        what = f"its sha256 does not begin with {network.digest}, so that LPIPS from it would compare with no other"
        raise InputError(backbone, what, f"Give torchvision's {network.file} as it was published")
    weights = _weights(backbone, network)
    return Lpips(network, weights, _heads(name, len(network.stages)), published)


@torch.no_grad()
def lpips(
    rendered: Annotated[Tensor, "N 3 H W"], photos: Annotated[Tensor, "N 3 H W"], model: Lpips
) -> Annotated[Tensor, "N"]:
    """LPIPS of each pair of pictures with values in 0 to 1; float64. Nothing is clipped.

    sum over stages of mean over pixels of sum_c w_c (a_c / |a| - b_c / |b|)^2, with features a, b of both pictures
    scaled to -1 to 1 and then to ImageNet's mean and deviation, and heads w >= 0 (Zhang et al. 2018, eq. 1; version 0.1 of
    their package). Networks run in float32, as theirs do, and on one pair at a time, so that memory does not grow with N.
    Raises ValueError for pictures of two sizes, or too small for the network.
    """
    if rendered.shape != photos.shape or min(photos.shape[-2:]) < model.network.smallest:
        sizes = f"{[*rendered.shape]} and {[*photos.shape]}"
        raise ValueError(f"LPIPS needs pictures of one size of at least {model.network.smallest} pixels: {sizes}")
    return torch.stack([of_pair(*pair, model) for pair in zip(rendered, photos, strict=True)])


def of_pair(
    rendered: Annotated[Tensor, "3 H W"], photo: Annotated[Tensor, "3 H W"], model: Lpips
) -> Annotated[Tensor, ""]:
    """LPIPS of two pictures, with its gradient where one is asked for; float64. On the device of the pictures and the model."""
    total = torch.zeros((), dtype=torch.float64, device=rendered.device)
    for x, head in zip(features(torch.stack([rendered, photo]).float(), model), model.heads, strict=True):
        a, b = x / (x.norm(dim=1, keepdim=True) + TINY)
        total = total + torch.einsum("c,chw->hw", head, (a - b).square()).double().mean()
    return total


def features(pictures: Annotated[Tensor, "N 3 H W"], model: Lpips) -> Iterator[Annotated[Tensor, "N C h w"]]:
    """What the network sees at the end of each stage in pictures with values in 0 to 1."""
    shift, scale = (torch.tensor(x, device=pictures.device).reshape(3, 1, 1) for x in (SHIFT, SCALE))
    x = (2 * pictures - 1 - shift) / scale
    for i, stage in enumerate(model.network.stages):
        if i in model.network.pooled:
            x = max_pool2d(x, model.network.window, stride=2)
        for conv in stage:
            weight, bias = (model.weights[f"features.{conv.index}.{part}"] for part in ("weight", "bias"))
            x = conv2d(x, weight, bias, conv.stride, conv.padding).relu()
        yield x


def _heads(name: str, stages: int) -> tuple[Annotated[Tensor, "C"], ...]:
    from safetensors.torch import load_file

    heads = load_file(HEADS)
    return tuple(heads[f"{name}.{stage}"] for stage in range(stages))


def _weights(path: Path, network: Network) -> dict[str, Tensor]:
    """The tensors of a file that the stages use, float32. Raises InputError where one is missing or has another shape."""
    content = _content(path)
    stored = content if isinstance(content, dict) else {}
    weights = {}
    for name, shape in network.shapes().items():
        tensor = stored.get(name)
        if not isinstance(tensor, Tensor) or tuple(tensor.shape) != shape:
            found = tuple(tensor.shape) if isinstance(tensor, Tensor) else "missing"
            what = f"its tensor {name} is {found} and should be {shape}"
            raise InputError(path, what, f"Give the weights of torchvision's {network.file}")
        weights[name] = tensor.float()
    return weights


def _content(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        what = f"it is no whole file of tensors ({str(error).splitlines()[0]})"
        raise InputError(path, what, "Download it again") from error
