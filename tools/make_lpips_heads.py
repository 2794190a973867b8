"""Write recon3d/metrics/lpips_heads.safetensors from the heads in torchmetrics' wheel: python tools/make_lpips_heads.py"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from recon3d.metrics.lpips import HEADS, NETWORKS

METADATA = {
    "source": "LPIPS 0.1, https://github.com/richzhang/PerceptualSimilarity, as in torchmetrics' wheel",
    "licence": "BSD-2-Clause, Copyright (c) 2018 Richard Zhang, Phillip Isola, Alexei A. Efros, Eli Shechtman, Oliver Wang",
}


def published_heads() -> dict[str, Tensor]:
    """`vgg.0` and so on: the weights of channels, [C], of each network and stage."""
    spec = importlib.util.find_spec("torchmetrics")  # its folder is wanted, without the seconds that an import takes
    assert spec is not None and spec.origin is not None, "torchmetrics is not installed"
    folder = Path(spec.origin).parent / "functional" / "image" / "lpips_models"
    heads = {}
    for name, network in NETWORKS.items():
        stored = torch.load(folder / f"{name}.pth", map_location="cpu", weights_only=True)
        for stage in range(len(network.stages)):
            heads[f"{name}.{stage}"] = stored[f"lin{stage}.model.1.weight"].flatten().contiguous()
    return heads


if __name__ == "__main__":
    save_file(published_heads(), HEADS, METADATA)
