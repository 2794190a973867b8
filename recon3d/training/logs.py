"""What a training leaves to look at: rows of figures as lines of JSON, the same for TensorBoard, and a picture."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from recon3d.atomic import atomic_file
from recon3d.data.batch import Batch

METRICS, PREVIEW = "metrics.jsonl", "preview.png"

Log = Callable[[dict], None]


def logger(folder: Path, tell: Log) -> Log:
    """Rows, which have a `step`, go into the folder and to `tell`; to TensorBoard where it is installed."""
    board = None
    if importlib.util.find_spec("tensorboard") is not None:
        from torch.utils.tensorboard import SummaryWriter

        board = SummaryWriter(str(folder))

    def log(row: dict) -> None:
        with (folder / METRICS).open("a") as file:
            file.write(json.dumps(row) + "\n")
        for name, value in row.items():
            if board is not None and isinstance(value, float):
                board.add_scalar(name, value, row["step"])
        tell(row)

    return log


@torch.no_grad()
def depth_rows(network: nn.Module, batches: Iterable[Batch]) -> list[Annotated[Tensor, "3 H W"]]:
    """A row for each scene: its views, and of the first one the inverse of depth, true and said, at one scale."""
    device = next(network.parameters()).device
    rows = []
    for batch in batches:
        said = network(batch.images.to(device)).depth[0, 0].cpu()
        truth = batch.depth[0, 0]
        known = truth > 0
        said = said * (truth[known] / said[known]).median()
        near = truth[known].quantile(0.02)
        rows.append(torch.cat([*batch.images[0], inverse(truth, near), inverse(said, near)], -1))
    return rows


def write_picture(rows: list[Annotated[Tensor, "3 H W"]], path: Path) -> None:
    picture = (255 * torch.cat(rows, -2).permute(1, 2, 0)).byte().numpy()
    with atomic_file(path) as temporary:
        Image.fromarray(np.ascontiguousarray(picture)).save(temporary, "PNG")


def inverse(depth: Tensor, near: Tensor) -> Tensor:
    """1 at `near`, 0 far away and where nothing is known."""
    return torch.where(depth > 0, near / depth.clamp_min(1e-6), 0).clamp(0, 1).expand(3, -1, -1)
