"""LingBot-Map over a video: which frames are stored, what each sees, and the whole stream as tensors on the CPU."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from recon3d.models.lingbot.network import HEADS, LingBot, Prediction
from recon3d.models.streaming import FrameCache, gathered
from recon3d.models.vggt.dense_head import VIEWS_AT_A_TIME

TRAINED_FRAMES = 320  # beyond as many stored frames the authors report a loss of quality
SCALE_FRAME, KEY_FRAME, PASSING_FRAME = 0, 1, 2  # a passing frame is predicted and not stored


@dataclass(frozen=True)
class Streamed:
    """What a stream of L frames gave, on the CPU; None where the network lacks the head. Cameras are world_from_camera."""

    encodings: Annotated[Tensor, "L 9"]
    kinds: Annotated[Tensor, "L"]  # uint8: SCALE_FRAME, KEY_FRAME or PASSING_FRAME
    depth: Annotated[Tensor, "L H W"] | None = None
    depth_confidence: Annotated[Tensor, "L H W"] | None = None
    points_in_world: Annotated[Tensor, "L H W 3"] | None = None
    points_confidence: Annotated[Tensor, "L H W"] | None = None

    def __len__(self) -> int:
        return len(self.encodings)


class Stream:
    """The state of one stream: the caches, and how many frames came and were stored.

    A stored frame sees all tokens of the first `cache.scale_frames` frames and of the last `cache.window` stored ones, itself
    included, and the special tokens of all stored between. A passing frame sees what is stored, and itself.
    """

    def __init__(
        self, network: LingBot, interval: int | None = None, frames: int | None = None, window: int | None = None
    ) -> None:
        """`interval`: every how many frames one is stored; None: the configuration's. `frames`, where it is known: how many
        will come; room for the trajectory's tokens is then made at once. `window`: the latest that keep all tokens; None: the
        configuration's."""
        self.window = window or network.config.cache.window
        self.network = network
        self.interval = interval or network.config.keyframe_interval
        self.frames = frames
        self.came = self.stored = 0
        self.size: torch.Size | None = None
        self.layers: list[FrameCache] = []  # of the global blocks
        self.cameras: dict[tuple[int, int], FrameCache] = {}  # (iteration, block): nothing is ever evicted from these

    def kind(self, frame: int) -> int:
        """What frame number `frame` of the stream is."""
        scale_frames = self.network.config.scale_frames
        if frame < scale_frames:
            return SCALE_FRAME
        return KEY_FRAME if (frame - scale_frames) % self.interval == 0 else PASSING_FRAME

    @torch.inference_mode()
    def step(self, images: Tensor, heads: Collection[str] = HEADS, chunk: int = VIEWS_AT_A_TIME) -> Prediction:
        """The next frames [B, F, 3, H, W], all of one size: the scale frames in one call, then one at a time.

        Several frames in a later call are all stored and see each other, which is not what one at a time gives.
        """
        if self.size is None:
            self.size = images.shape[-2:]
            self._make_caches(images.shape[-2:].numel() // self.network.config.transformer.patch_size**2)
        if images.shape[-2:] != self.size:
            raise ValueError(f"frames of one stream have one size: {list(images.shape[-2:])} after {list(self.size)}")
        count = images.shape[1]
        store = count > 1 or self.kind(self.came) != PASSING_FRAME
        found = self.network(
            images, heads, chunk, self.came, self.stored,
            attend=lambda layer: functools.partial(self.layers[layer].attend, store=store),
            attend_cameras=lambda i, block: functools.partial(self.cameras[i, block].attend, store=store),
        )  # fmt: skip
        self.came += count
        self.stored += count if store else 0
        return found

    def _make_caches(self, patches: int) -> None:
        config = self.network.config
        tokens = config.special_tokens + patches
        anchors, window = config.cache.scale_frames, self.window
        stored = None if self.frames is None else sum(self.kind(i) != PASSING_FRAME for i in range(self.frames))
        passing = self.interval > 1

        def cache(tokens: int, kept: int) -> FrameCache:
            return FrameCache(tokens, anchors, window, kept, stored, spare=tokens if passing else 0)

        self.layers = [cache(tokens, config.special_tokens) for _ in range(config.transformer.depth)]
        if config.camera_head is not None:
            sizes = config.camera_head.vggt
            passes, blocks = range(sizes.iterations), range(sizes.trunk.trunk_depth)
            self.cameras = {(i, block): cache(1, kept=1) for i in passes for block in blocks}


def stream(
    network: LingBot, images: Annotated[Tensor, "L 3 H W"], interval: int | None = None, heads: Collection[str] = HEADS,
    chunk: int = VIEWS_AT_A_TIME, on_frame: Callable[[int, int], None] = lambda done, total: None, window: int | None = None,
) -> Streamed:  # fmt: skip
    """A whole video: the scale frames together, then frame by frame, each answer moved to the CPU at once.

    `on_frame(done, total)` is told after each call; `window` as in Stream.
    """
    state = Stream(network, interval, len(images), window)
    kinds = torch.tensor([state.kind(i) for i in range(len(images))], dtype=torch.uint8)
    device = network.aggregator.camera_token.device

    def answers() -> Iterator[dict[str, Tensor]]:
        while state.came < len(images):
            count = 1 if state.came else network.config.scale_frames
            found = state.step(images[None, state.came : state.came + count].to(device), heads, chunk)
            yield one_scene(found)
            on_frame(state.came, len(images))

    return Streamed(kinds=kinds, **gathered(answers(), len(images)))


def one_scene(found: Prediction) -> dict[str, Tensor]:
    """The last pass and the maps of a batch of one scene, under the names of Streamed."""
    if found.pose_encodings is None:
        raise ValueError("this LingBot-Map has no camera head, and a stream gives nothing without one")
    maps = {
        "depth": found.depth, "depth_confidence": found.depth_confidence,
        "points_in_world": found.points_in_world, "points_confidence": found.points_confidence,
    }  # fmt: skip
    values = {name: value[0] for name, value in maps.items() if value is not None}
    if "depth" in values:
        values["depth"] = values["depth"][..., 0]
    return {"encodings": found.pose_encodings[-1, 0], **values}


def interval_for(network: LingBot, frames: int) -> int:
    """Every how many frames one is stored, so that no more are than the network was trained with."""
    return max(network.config.keyframe_interval, -(-frames // TRAINED_FRAMES))
