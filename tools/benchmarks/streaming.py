"""What the streaming networks hold in memory over a long video: tiny networks, random weights, synthetic frames.

    python tools/benchmarks/streaming.py

Prints for each network a table over the frames: bytes of its caches, and the most that the process held during the frame.
Answers are thrown away, as they are moved out of a stream. The last lines state by how much the memory grew once the bound
of the cache was reached, of the caches, of the process, and of what the process holds more than before the stream; and
LingBot-Map's trajectory, which grows by design, against its formula: special tokens of every frame that left the window.
Exit status 1 where memory is not flat or the formula does not hold.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import torch
from torch import Tensor

from recon3d.models.lingbot.config import CacheConfig, LingBotCameraHeadConfig, LingBotConfig, TimeRotation
from recon3d.models.lingbot.network import LingBot
from recon3d.models.lingbot.stream import Stream as LingBotStream
from recon3d.models.sizes import TransformerConfig, TrunkConfig
from recon3d.models.stream_vggt.stream import Stream as VggtStream
from recon3d.models.streaming import FrameCache
from recon3d.models.vggt.config import AggregatorConfig, CameraHeadConfig, DptConfig, VggtConfig, VitConfig
from recon3d.models.vggt.network import Vggt
from recon3d.progress import peak_memory

GROWTH = 0.05  # at most, once the bound is reached
SETTLED = 10  # frames after the bound whose largest is what later ones are compared with
HEADS = ("camera_head", "depth_head")
SCALE_FRAMES, WINDOW = 8, 24
WIDTH, DEPTH = 128, 8
TINY = VggtConfig(
    TransformerConfig(img_size=224, embed_dim=WIDTH, depth=DEPTH, num_heads=4, mlp_ratio=2.0),
    AggregatorConfig(patch_embed=VitConfig(1, 4, 2.0)), camera_head=CameraHeadConfig(TrunkConfig(1, 4, 1.0)),
    depth_head=DptConfig(16, (16, 16, 16, 16), (1, 3, 5, 7), output_dim=2, activation="exp"),
)  # fmt: skip
TINY_LINGBOT = LingBotConfig(
    TINY.transformer, TINY.aggregator, rope3d=TimeRotation((8, 12, 12)), scale_frames=SCALE_FRAMES,
    cache=CacheConfig(WINDOW, SCALE_FRAMES),
    camera_head=LingBotCameraHeadConfig(CameraHeadConfig(TrunkConfig(1, 4, 1.0))), depth_head=TINY.depth_head,
)  # fmt: skip


@dataclass(frozen=True)
class Held:
    """Bytes after a frame."""

    frame: int  # that came, from 1
    frames: int  # keys and values of frames that are seen whole
    trajectory: int  # of tokens that are kept of the others
    cameras: int  # of the camera head's caches
    process: int  # at most, during the frame


def pictures(size: int, frames: int) -> Iterator[Tensor]:
    """A texture that moves: [1, 1, 3, size, size] at a time."""
    texture = torch.rand(3, size + frames, size + frames, generator=torch.Generator().manual_seed(0))
    for i in range(frames):
        yield texture[None, None, :, i : i + size, i : i + size]


def held(stream: VggtStream | LingBotStream, process: int) -> Held:
    def total(caches: list[FrameCache], kept: bool) -> int:
        return sum(c.bytes_of(c.kept_tokens if kept else c.used - c.kept_tokens) for c in caches)

    cameras = list(stream.cameras.values())
    sizes = total(stream.layers, False), total(stream.layers, True), total(cameras, False) + total(cameras, True)
    return Held(stream.came, *sizes, process)


def over_a_video(stream: VggtStream | LingBotStream, together: int, size: int, frames: int) -> list[Held]:
    """Memory after each call: the first `together` frames at once, then one by one."""
    source = pictures(size, frames)
    rows = []
    while stream.came < frames:
        images = torch.cat([next(source) for _ in range(1 if stream.came else together)], 1)
        with peak_memory(interval=0.002) as peak:
            stream.step(images, HEADS)
        rows.append(held(stream, int(peak() * 1e6)))
    return rows


def growths(rows: list[Held], bound: int, before: int) -> dict[str, float]:
    """Growth after frame number `bound`, besides the trajectory. `before`: what the process held before the stream."""
    later = [row for row in rows if row.frame >= bound]

    def growth(sizes: list[int]) -> float:
        return max(sizes) / max(sizes[:SETTLED]) - 1

    # Room for the trajectory is reserved at once, and becomes memory as it is written.
    process = [row.process - row.trajectory for row in later]
    return {
        "caches": growth([row.frames + row.cameras for row in later]),
        "process": growth(process),
        "process since the stream began": growth([size - before for size in process]),
    }


def table(rows: list[Held], every: int) -> str:
    lines = ["| frame | frames seen whole | trajectory | camera head | process |", "|" + "---|" * 5]
    for row in [*rows[:-1:every], rows[-1]]:
        sizes = (row.frames, row.trajectory, row.cameras, row.process)
        lines.append(f"| {row.frame} | " + " | ".join(f"{size / 1e6:.2f} MB" for size in sizes) + " |")
    return "\n".join(lines)


def trajectory_formula(frames: int) -> int:
    """2 · layers · T · C numbers of 4 bytes for each frame between the scale frames and the window."""
    special = TINY_LINGBOT.special_tokens
    return 2 * DEPTH * special * WIDTH * 4 * max(0, frames - SCALE_FRAMES - WINDOW)


def main() -> int:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--frames", type=int, default=200)
    ask.add_argument("--size", type=int, default=224, help="pixels, a multiple of 14")
    options = ask.parse_args()
    bound = SCALE_FRAMES + WINDOW
    if options.frames <= bound:
        ask.error(f"--frames: the cache is full after {bound} frames, and what comes then is measured")
    torch.manual_seed(0)
    streams = {
        "stream-vggt": (VggtStream(Vggt(TINY).eval(), bound, options.frames), 1),
        "lingbot-map": (LingBotStream(LingBot(TINY_LINGBOT).eval(), frames=options.frames), SCALE_FRAMES),
    }
    flat, stated = True, []
    for name, (stream, together) in streams.items():
        before = psutil.Process().memory_info().rss
        rows = over_a_video(stream, together, options.size, options.frames)
        print(f"\n{name}: {options.frames} frames of {options.size} px, the cache is full after {bound}\n")
        print(table(rows, max(1, len(rows) // 10)), flush=True)
        grown = growths(rows, bound, before)
        flat &= max(grown.values()) <= GROWTH
        words = ", ".join(f"{of} {g:+.2%}" for of, g in grown.items())
        stated.append(f"{name}: growth after frame {bound} besides the trajectory: {words} (allowed {GROWTH:.0%})")
    measured, expected = rows[-1].trajectory, trajectory_formula(options.frames)
    print("\n" + "\n".join(stated))
    print(f"lingbot-map: trajectory {measured} bytes, {expected} by 2·L·T·C·4 for each frame that left the window")
    return 0 if flat and measured == expected else 1


if __name__ == "__main__":
    sys.exit(main())
