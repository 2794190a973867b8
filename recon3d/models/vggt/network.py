"""VGGT (Wang et al. 2025, arXiv 2503.11651): cameras, depth, points and tracks of any number of views in one pass."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from recon3d.models.attention import attention
from recon3d.models.vggt.aggregator import Aggregator
from recon3d.models.vggt.camera_head import CameraHead
from recon3d.models.vggt.config import VggtConfig
from recon3d.models.vggt.dense_head import VIEWS_AT_A_TIME, DenseHead
from recon3d.models.vggt.track_head import TrackHead
from recon3d.models.vit import Attend

HEADS = ("camera_head", "depth_head", "point_head", "track_head")

@dataclass(frozen=True)
class Prediction:
    """What the heads gave; None where a head was not asked for. Shapes [B, S, ...]; the world is the first camera's frame."""

    pose_encodings: Tensor | None = None  # [iterations, B, S, 9], camera_from_world
    depth: Tensor | None = None  # [B, S, H, W, 1], z
    depth_confidence: Tensor | None = None  # [B, S, H, W], from 1
    points_in_world: Tensor | None = None  # [B, S, H, W, 3]
    points_confidence: Tensor | None = None
    tracks: Tensor | None = None  # [iterations, B, S, N, 2], pixels
    visibility: Tensor | None = None  # [B, S, N], 0 to 1
    track_confidence: Tensor | None = None
    layers: Mapping[int, Tensor] | None = None  # outputs of the aggregator's layers that heads use, [B, S, P, 2C]


class Vggt(nn.Module):
    low_precision = ("aggregator.",)

    def __init__(self, config: VggtConfig) -> None:
        super().__init__()
        self.config = config
        width, patch = 2 * config.transformer.embed_dim, config.transformer.patch_size
        self.aggregator = Aggregator(config)
        self.camera_head = CameraHead(width, config.camera_head) if config.camera_head else None
        self.depth_head = DenseHead(width, patch, config.depth_head) if config.depth_head else None
        self.point_head = DenseHead(width, patch, config.point_head) if config.point_head else None
        self.track_head = TrackHead(width, patch, config.track_head) if config.track_head else None

    def layers_of(self, heads: Collection[str]) -> set[int]:
        """Layers of the aggregator whose outputs these heads use."""
        used = {self.config.transformer.depth - 1}
        for name in set(heads) - {"camera_head"}:
            head = getattr(self.config, name)
            used |= set(head.layers) if head is not None else set()
        return used

    def forward(
        self, images: Tensor, query_points: Tensor | None = None, heads: Collection[str] = HEADS,
        chunk: int = VIEWS_AT_A_TIME, first: int = 0,
        attend: Callable[[int], Attend] = lambda layer: attention,
        attend_cameras: Callable[[int, int], Attend] = lambda iteration, block: attention,
    ) -> Prediction:  # fmt: skip
        """Images [B, S, 3, H, W] in 0 to 1, sides multiples of the patch; points to track [B, N, 2], pixels of view 0.

        `heads` are those to run, `chunk` the views that dense heads take at a time. In a stream `first` views came before
        these; `attend(layer)` is the global attention of that layer, `attend_cameras(iteration, block)` the camera head's.
        """
        layers, cameras = self.aggregator(images, self.layers_of(heads), first, attend)
        grid = grid_of(images, self.config.transformer.patch_size)
        return self.read(layers, cameras, grid, query_points, heads, chunk, attend_cameras)

    def read(
        self, layers: Mapping[int, Tensor], cameras: Tensor, grid: tuple[int, int], query_points: Tensor | None,
        heads: Collection[str], chunk: int,
        attend_cameras: Callable[[int, int], Attend] = lambda iteration, block: attention,
    ) -> Prediction:  # fmt: skip
        """What the heads make of what the aggregator gives."""
        found: dict[str, Tensor] = {}
        special, config = self.config.special_tokens, self.config

        def patches(indices: tuple[int, ...]) -> list[Tensor]:
            return [layers[i][:, :, special:] for i in indices]

        if self.camera_head is not None and "camera_head" in heads:
            found["pose_encodings"] = self.camera_head(cameras, attend_cameras)
        if self.depth_head is not None and config.depth_head is not None and "depth_head" in heads:
            found["depth"], found["depth_confidence"] = self.depth_head(patches(config.depth_head.layers), grid, chunk)
        if self.point_head is not None and config.point_head is not None and "point_head" in heads:
            points, confidence = self.point_head(patches(config.point_head.layers), grid, chunk)
            found["points_in_world"], found["points_confidence"] = points, confidence
        if self.track_head is not None and config.track_head is not None and query_points is not None:
            tracks = self.track_head(patches(config.track_head.layers), grid, query_points)
            found["tracks"], found["visibility"], found["track_confidence"] = tracks
        return Prediction(**found, layers=layers)


def grid_of(images: Tensor, patch: int) -> tuple[int, int]:
    """Rows and columns of patches."""
    return images.shape[-2] // patch, images.shape[-1] // patch


