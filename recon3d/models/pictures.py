"""What goes through a network's door: photos made into its pictures, with the way back, and its answer as a Geometry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor

from recon3d.core.cameras import Cameras
from recon3d.core.geometry import Geometry
from recon3d.core.matches import Matches
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
class KnownOfPhotos:
    """Cameras of all photos of a pass, for networks that have an input for them."""

    camera_from_world: Annotated[Tensor, "N 4 4"]
    K: Annotated[Tensor, "N 3 3"]  # pixels of the photos

    def __post_init__(self) -> None:
        check_shapes(self)

    def __getitem__(self, some: Sequence[int]) -> KnownOfPhotos:
        return KnownOfPhotos(self.camera_from_world[list(some)], self.K[list(some)])


@dataclass(frozen=True)
class Pass:
    """How a network is run: what pipeline.plan decides from the memory that there is."""

    size: int | None = None  # pixels, of the side that the family's preprocessing sets; None: as it was trained
    chunk: int = 8  # views that dense heads take at a time
    device: str = "cpu"
    features: bool = False  # the answer carries the features of its last layer
    matches: bool = False  # and what a network that can matches or tracks over the photos
    cache_frames: int | None = None  # the latest whose tokens a streaming network keeps; None: as many as is its custom
    known: KnownOfPhotos | None = None  # told to a network that takes cameras (Weights.takes_cameras)
    once: bool = False  # the network is used once: its parts may be let go when they have done their work
    on_view: Callable[[int, int], None] = lambda done, total: None  # told by networks that go view by view


@dataclass(frozen=True)
class Answer:
    """What a network says of N photos: geometry in the pixels of its pictures, and the way back to the photos."""

    geometry: Geometry
    network_from_photo: Annotated[Tensor, "N 3 3"]
    photo_rects: Annotated[Tensor, "N 4"]  # where in its pictures the photos are
    unposed: tuple[int, ...] = ()  # photos of which nothing told a pose: they stand where the search for one began
    features: Annotated[Tensor, "N C h w"] | None = None  # of the pictures, on the network's device, where asked for
    sky: Annotated[tuple[Tensor, ...], "N × H W"] | None = None  # bool, of networks that say what is sky
    matches: Matches | None = None  # in pixels of the photos as taken, where asked for, of networks that have some

    def __post_init__(self) -> None:
        check_shapes(self)


def scaled_and_moved(
    scale: tuple[float, float], offset: tuple[float, float]
) -> Annotated[Tensor, "3 3"]:  # fmt: skip
    """The affine map x' = scale · x + offset, per axis (x, y)."""
    (sx, sy), (tx, ty) = scale, offset
    return torch.tensor([[sx, 0, tx], [0, sy, ty], [0, 0, 1]], dtype=torch.float64)


def pixels_of_photos(
    xy: Annotated[Tensor, "M 2"], view: Annotated[Tensor, "M"], network_from_photo: Annotated[Tensor, "N 3 3"]
) -> Annotated[Tensor, "M 2"]:
    """Pixels of the pictures of these views as pixels of their photos, float64."""
    photo_from_network = torch.linalg.inv(network_from_photo)[view]
    return torch.einsum("mij,mj->mi", photo_from_network[:, :2, :2], xy.double()) + photo_from_network[:, :2, 2]


def ranked(
    confidence: Annotated[Iterable[Tensor], "N × H W"],
) -> Annotated[tuple[Tensor, ...], "N × H W"]:
    """Raw confidences as ranks over the scene: the share of pixels that are no more confident. Their scale means nothing.

    Equal ones share a rank, and none is 0, which is left to pixels that are masked or sky.
    """
    raw = [of_view.float().cpu() for of_view in confidence]
    # Sorted in place, asked view by view, and written to one block: what tells where each value went would take three times
    # the maps' memory, and a block for each view between what only it needs leaves the heap full of holes.
    values = torch.cat([x.flatten() for x in raw]).numpy()
    values.sort()
    ranks = torch.empty(len(values)).split([x.numel() for x in raw])
    for of_view, rank in zip(raw, ranks, strict=True):
        ordered, order = of_view.flatten().sort()  # asked in order, neighbours in memory answer one after another
        below = torch.from_numpy(values.searchsorted(ordered.numpy(), "right"))
        rank[order] = (below / len(values)).float()
    return tuple(rank.view_as(x) for rank, x in zip(ranks, raw, strict=True))


def geometry_in_network(
    camera_from_world: Annotated[Tensor, "N 3 4"], K: Annotated[Tensor, "N 3 3"],
    depth: Annotated[Iterable[Tensor], "N × H W"], confidence: Annotated[Iterable[Tensor], "N × H W"],
    source: str, scale: Literal["arbitrary", "metres"] = "arbitrary",
) -> Geometry:  # fmt: skip
    """The answer of one pass, in the pixels of the network's pictures (stacked, or of different sizes); raw confidences
    become ranks."""
    with torch.inference_mode(False):  # what refinement derives by must not be of inference mode
        maps = tuple(of_view.to("cpu", torch.float32, copy=True) for of_view in depth)
        square = torch.eye(4, dtype=torch.float64).repeat(len(maps), 1, 1)
        square[:, :3] = camera_from_world.cpu().double()
        sizes = torch.tensor([list(of_view.shape) for of_view in maps])
        cameras = Cameras(square, K.cpu().to(torch.float64, copy=True), sizes, torch.arange(len(maps)))
        none = torch.zeros(0, 3, dtype=torch.float64)
        return Geometry(
            cameras, none, none.to(torch.uint8), none[:, 0], depth=maps, confidence=ranked(confidence), scale=scale,
            scale_source="the network" if scale == "metres" else "", source=source,
        )  # fmt: skip
