"""StreamVGGT (arXiv 2507.11539): VGGT where a view attends to itself and to those before, so that a video can go view by view.

The network, its names and its files are VGGT's; only what attends to what differs.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import torch
from torch import Tensor

from recon3d.models.streaming import FrameCache, causal
from recon3d.models.vggt.network import HEADS, Prediction, Vggt, grid_of

WINDOW = 32  # views that are seen by default: 3.3 GB at 518 × 392 in bfloat16; the network was trained on 10

# "consistent": every pass of the camera head sees what the same pass left, as the whole sequence at once and as in training.
# "released": one cache for all passes, as the reference streams; for its published cameras.
CameraCaches = Literal["consistent", "released"]


def forward_causal(network: Vggt, images: Tensor, heads: Collection[str] = HEADS) -> Prediction:
    """Views [B, S, 3, H, W] of a whole sequence at once, each seeing those before: what a stream has to equal."""
    height, width = grid_of(images, network.config.transformer.patch_size)
    over_views = causal(network.config.special_tokens + height * width)
    over_cameras = causal(1)
    return network(
        images, heads=heads, attend=lambda layer: over_views, attend_cameras=lambda iteration, block: over_cameras
    )  # fmt: skip


class Stream:
    """The state of one stream, which sees the first view and the `window` − 1 latest, the one that comes included.

    With a window of all views the result equals `forward_causal`.
    """

    def __init__(
        self, network: Vggt, window: int = WINDOW, frames: int | None = None, cameras: CameraCaches = "consistent"
    ) -> None:
        """`frames`, where it is known: how many views will come; less room is made where they are few."""
        if window < 2:
            raise ValueError(f"a stream sees the first view and the one that comes: a window of {window} is too small")
        self.network, self.window, self.frames, self.shared = network, window, frames, cameras == "released"
        self.came = 0
        self.size: torch.Size | None = None
        self.layers: list[FrameCache] = []  # of the global blocks
        self.cameras: dict[tuple[int, int], FrameCache] = {}  # (iteration, block); iteration 0 where they share one

    @torch.inference_mode()
    def step(self, images: Tensor, heads: Collection[str] = HEADS) -> Prediction:
        """The next view [B, 1, 3, H, W], of the size of the first."""
        if images.shape[1] != 1:
            raise ValueError(f"a stream takes one view at a time, not {images.shape[1]}")
        if self.size is None:
            self.size = images.shape[-2:]
            self._make_caches(images.shape[-2:].numel() // self.network.config.transformer.patch_size**2)
        if images.shape[-2:] != self.size:
            raise ValueError(f"views of one stream have one size: {list(images.shape[-2:])} after {list(self.size)}")
        found = self.network(
            images, heads=heads, first=self.came,
            attend=lambda layer: self.layers[layer].attend,
            attend_cameras=lambda i, block: self.cameras[0 if self.shared else i, block].attend,
        )  # fmt: skip
        self.came += 1
        return found

    def _make_caches(self, patches: int) -> None:
        config, latest = self.network.config, self.window - 1
        tokens = config.special_tokens + patches
        self.layers = [FrameCache(tokens, 1, latest, frames=self.frames) for _ in range(config.transformer.depth)]
        if config.camera_head is None:
            return
        passes, blocks = config.camera_head.iterations, range(config.camera_head.trunk.trunk_depth)
        if self.shared:
            # A view leaves one entry for each pass; the oldest view's go one by one as the new one's come.
            entries = None if self.frames is None else passes * self.frames
            self.cameras = {(0, block): FrameCache(1, passes, passes * latest, frames=entries) for block in blocks}
        else:
            each = [(i, block) for i in range(passes) for block in blocks]
            self.cameras = {key: FrameCache(1, 1, latest, frames=self.frames) for key in each}
