"""Networks without values: built on the meta device, for their names and shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from recon3d.models.official import Shape

Network = TypeVar("Network", bound=nn.Module)


def on_meta(build: Callable[[], Network]) -> Network:
    """The network with shapes and no values."""
    with torch.device("meta"):
        return build()


def shapes_of(network: nn.Module) -> dict[str, Shape]:
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
