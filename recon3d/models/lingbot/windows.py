"""Long videos in windows: each a stream of its own, moved by a similarity onto the frames that it shares with the one before."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.rotations import quats_from_matrices
from recon3d.models.lingbot.network import HEADS, LingBot
from recon3d.models.lingbot.stream import PASSING_FRAME, Streamed, stream
from recon3d.models.pose_encoding import rotation_from_xyzw
from recon3d.models.vggt.dense_head import VIEWS_AT_A_TIME

LEAST_DEPTH = 1.1920929e-07  # float32's epsilon: depths that divide nothing
SCALES = (1e-3, 1e3)


@dataclass(frozen=True)
class Windows:
    window_size: int = 64  # stored frames, the scale frames included
    overlap_size: int | None = None  # frames; None: as many as there are scale frames
    overlap_keyframes: int | None = None  # the same in key frames, where that is given


@dataclass(frozen=True)
class Joined:
    frames: Streamed
    scales: Annotated[Tensor, "W"]  # of each window against the first
    transforms: Annotated[Tensor, "W 4 4"]  # [R | t] without the scale


def spans(frames: int, scale_frames: int, interval: int, windows: Windows) -> tuple[list[range], int]:
    """The windows' frames, and how many one shares with the next."""
    scale_frames = min(scale_frames, frames)
    length = min(scale_frames + max(windows.window_size - scale_frames, 0) * interval, frames)
    overlap = scale_frames if windows.overlap_size is None else windows.overlap_size
    if windows.overlap_keyframes is not None:
        overlap = max(scale_frames, windows.overlap_keyframes * interval)
    overlap = min(overlap, frames - 1)
    found = []
    for start in range(0, frames, max(length - overlap, 1)):
        span = range(start, min(start + length, frames))
        if len(span) >= overlap or span.stop == frames:
            found.append(span)
        if span.stop == frames:
            break
    return found, overlap


def stream_in_windows(
    network: LingBot, images: Annotated[Tensor, "L 3 H W"], windows: Windows, interval: int | None = None,
    heads: Collection[str] = HEADS, chunk: int = VIEWS_AT_A_TIME,
    on_frame: Callable[[int, int], None] = lambda done, total: None,
) -> Joined:  # fmt: skip
    """A whole video as windows that are streams of their own, joined; `on_frame(done, total)` is told after each call."""
    interval = interval or network.config.keyframe_interval
    found, overlap = spans(len(images), network.config.scale_frames, interval, windows)
    total = sum(len(span) for span in found)
    streams: list[Streamed] = []
    for span in found:
        before = sum(len(s) for s in streams)
        told = lambda done, _, before=before: on_frame(before + done, total)  # noqa: E731
        streams.append(stream(network, images[span.start : span.stop], interval, heads, chunk, told))
    return joined(streams, overlap)


def joined(windows: Sequence[Streamed], overlap: int) -> Joined:
    """Every window in the frame of the first; frames that two windows share come from the later one.

    One window alone stays as it is, to the last bit.
    """
    if len(windows) == 1:
        return Joined(windows[0], torch.ones(1), torch.eye(4)[None])
    one = torch.ones(())
    placed = [moved(windows[0], one, torch.eye(3), torch.zeros(3))]
    scales, transforms = [one], [torch.eye(4)]
    for window in windows[1:]:
        scale, rotation, translation = similarity(placed[-1], window, overlap)
        placed.append(moved(window, scale, rotation, translation))
        transform = torch.eye(4)
        transform[:3, :3], transform[:3, 3] = rotation, translation
        scales.append(scale)
        transforms.append(transform)
    kept = [part(w, max(len(w) - overlap, 0)) for w in placed[:-1]] + placed[-1:]
    return Joined(concatenated(kept), torch.stack(scales), torch.stack(transforms))


def similarity(before: Streamed, window: Streamed, overlap: int) -> tuple[Tensor, Tensor, Tensor]:
    """(s, R, t) that moves `window` onto `before`: x -> s R x + t. The scale is a median of depths, the rest one camera's."""
    start = max(len(before) - overlap, 0)
    shared = min(overlap, len(before) - start, len(window))
    stored = (before.kinds[start : start + shared] != PASSING_FRAME) & (window.kinds[:shared] != PASSING_FRAME)
    paired = stored.nonzero()[:, 0]
    if not len(paired):
        paired = torch.zeros(1, dtype=torch.int64)
    anchor = int(paired[-1])
    scale = torch.ones(())
    if before.depth is not None and window.depth is not None:
        scale = depth_ratio(before.depth[start + paired], window.depth[paired])
    there, here = before.encodings[start + anchor], window.encodings[anchor]
    rotation = rotation_from_xyzw(there[3:7]) @ rotation_from_xyzw(here[3:7]).T
    return scale, rotation, there[:3] - scale * rotation @ here[:3]


def depth_ratio(numerators: Tensor, denominators: Tensor) -> Tensor:
    """The median of a / b (of an even count the lower middle) over pixels where both are known; 1 where none is."""
    known = numerators.isfinite() & denominators.isfinite() & (denominators.abs() > LEAST_DEPTH)
    ratios = numerators[known] / denominators[known]
    return ratios.median().clamp(*SCALES) if len(ratios) else torch.ones(())


def moved(window: Streamed, scale: Tensor, rotation: Tensor, translation: Tensor) -> Streamed:
    """The same frames in a world moved by x -> s R x + t; quaternions come out normalised, with w not negative."""
    centers = scale * window.encodings[:, :3] @ rotation.T + translation
    quats = quats_from_matrices(rotation @ rotation_from_xyzw(window.encodings[:, 3:7]))[:, [1, 2, 3, 0]]
    points = window.points_in_world
    return replace(
        window,
        encodings=torch.cat((centers, quats, window.encodings[:, 7:]), 1),
        depth=None if window.depth is None else scale * window.depth,
        points_in_world=None if points is None else scale * points @ rotation.T + translation,
    )


def part(window: Streamed, count: int) -> Streamed:
    """The first `count` frames."""
    return replace(window, **{name: x[:count] for name, x in vars(window).items() if x is not None})


def concatenated(windows: Sequence[Streamed]) -> Streamed:
    there = [name for name, x in vars(windows[0]).items() if x is not None]
    return replace(windows[0], **{name: torch.cat([getattr(w, name) for w in windows]) for name in there})
