"""What goes through a network's door: photos made into its pictures, with the way back, and its answer as a Geometry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor

from recon3d.core.cameras import Cameras
from recon3d.core.geometry import Geometry
from recon3d.core.shapes import check_shapes


@dataclass(frozen=True)
class NetworkPictures:
    """N photos as a network was trained to see them, before its own mean and deviation are taken out.

    Coordinates are continuous on both sides: pixel i covers [i, i + 1).
    """

    images: Annotated[Tensor, "N 3 H W"]  # float32, 0 to 1
    network_from_photo: Annotated[Tensor, "N 3 3"]  # float64, affine: x in the picture of x in the photo
    photo_rects: Annotated[Tensor, "N 4"]  # float64, x0 y0 x1 y1: where in the picture the photo is; the rest is padding

    def __post_init__(self) -> None:
        check_shapes(self)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width), the same for all."""
        return int(self.images.shape[2]), int(self.images.shape[3])


@dataclass(frozen=True)
class Pass:
    """How a network is run: what pipeline.plan decides from the memory that there is."""

    size: int | None = None  # pixels, of the side that the family's preprocessing sets; None: as it was trained
    chunk: int = 8  # views that dense heads take at a time
    device: str = "cpu"
    on_view: Callable[[int, int], None] = lambda done, total: None  # told by networks that go view by view


@dataclass(frozen=True)
class Answer:
    """What a network says of N photos: geometry in the pixels of its pictures, and the way back to the photos."""

    geometry: Geometry
    network_from_photo: Annotated[Tensor, "N 3 3"]
    photo_rects: Annotated[Tensor, "N 4"]  # where in its pictures the photos are

    def __post_init__(self) -> None:
        check_shapes(self)


def scaled_and_moved(
    scale: tuple[float, float], offset: tuple[float, float]
) -> Annotated[Tensor, "3 3"]:  # fmt: skip
    """The affine map x' = scale · x + offset, per axis (x, y)."""
    (sx, sy), (tx, ty) = scale, offset
    return torch.tensor([[sx, 0, tx], [0, sy, ty], [0, 0, 1]], dtype=torch.float64)


def ranked(confidence: Annotated[Tensor, "N H W"]) -> Annotated[Tensor, "N H W"]:
    """Raw confidences as ranks in 0 to 1 over the scene; equal ones share a rank. Their scale means nothing otherwise."""
    values, where, counts = confidence.flatten().unique(return_inverse=True, return_counts=True)
    if len(values) == 1:
        return torch.ones_like(confidence)
    below = counts.cumsum(0) - counts
    return (below.double() / below[-1]).float()[where].reshape(confidence.shape)


def geometry_in_network(
    camera_from_world: Annotated[Tensor, "N 3 4"], K: Annotated[Tensor, "N 3 3"], depth: Annotated[Tensor, "N H W"],
    confidence: Annotated[Tensor, "N H W"], source: str, scale: Literal["arbitrary", "metres"] = "arbitrary",
) -> Geometry:  # fmt: skip
    """The answer of one pass, in the pixels of the network's pictures; raw confidences become ranks."""
    views, height, width = depth.shape
    square = torch.eye(4, dtype=torch.float64).repeat(views, 1, 1)
    square[:, :3] = camera_from_world.double().cpu()
    sizes = torch.tensor([[height, width]]).expand(views, -1).clone()
    cameras = Cameras(square, K.double().cpu(), sizes, torch.arange(views))
    none = torch.zeros(0, 3, dtype=torch.float64)
    return Geometry(
        cameras, none, none.to(torch.uint8), none[:, 0], depth=tuple(depth.float().cpu()),
        confidence=tuple(ranked(confidence.float().cpu())), scale=scale,
        scale_source="the network" if scale == "metres" else "", source=source,
    )  # fmt: skip
