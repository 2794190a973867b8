"""Photos to cameras and depth by LingBot-Map, as a video in their order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import numpy as np

from recon3d.core.geometry import Geometry
from recon3d.models.cost import Cost
from recon3d.models.lingbot.config import LingBotConfig
from recon3d.models.lingbot.network import LingBot
from recon3d.models.lingbot.stream import Streamed, interval_for, stream
from recon3d.models.lingbot.windows import Windows, stream_in_windows
from recon3d.models.pictures import Answer, NetworkPictures, Pass, geometry_in_network
from recon3d.models.pose_encoding import inverse_of, matrices_from_encoding
from recon3d.models.vggt.preprocessing import preprocessed

HEADS = ("camera_head", "depth_head")


def answer(network: LingBot, photos: Iterable[Annotated[np.ndarray, "h w 3"]], how: Pass) -> Answer:
    """Upright RGB uint8 photos -> cameras and depth; the world is nearly the first camera's frame, its scale arbitrary."""
    sizes = network.config.transformer
    pictures = preprocessed(photos, "crop", how.size or sizes.img_size, sizes.patch_size)
    return Answer(geometry(network, pictures, how), pictures.network_from_photo, pictures.photo_rects)


def cost(config: LingBotConfig, parameters: int) -> Cost:
    """What a stream takes: the scale frames at once, then the cache of them, of a window, and of all frames' trajectory."""
    sizes, head = config.transformer, config.depth_head
    kept = 2 * sizes.embed_dim * len(head.layers if head is not None else ())
    return Cost(
        parameters, sizes.patch_size, sizes.embed_dim, config.special_tokens, kept,
        head.features if head is not None else 0, sizes.img_size, config.scale_frames, sizes.depth,
        config.cache.scale_frames + config.cache.window, config.special_tokens,
    )  # fmt: skip


def geometry(
    network: LingBot, pictures: NetworkPictures, how: Pass, windows: Windows | None = None, interval: int | None = None
) -> Geometry:
    """Cameras, depth and confidence in the pictures' pixels; each frame's go to the CPU before the next one comes.

    `interval`: every how many frames one is stored; None: as few as keep to what the network was trained with, over the
    whole video or over each window. `windows`: streams of their own that are joined, for videos beyond some thousand frames.
    """
    if windows is not None:
        interval = interval or network.config.keyframe_interval
        return decoded(
            stream_in_windows(network, pictures.images, windows, interval, HEADS, how.chunk, how.on_view).frames
        )
    interval = interval or interval_for(network, len(pictures))
    return decoded(stream(network, pictures.images, interval, HEADS, how.chunk, how.on_view, how.cache_frames))


def decoded(frames: Streamed) -> Geometry:
    if frames.depth is None or frames.depth_confidence is None:
        raise ValueError("this LingBot-Map has no depth head, and gives no geometry without one")
    height, width = frames.depth.shape[-2:]
    world_from_camera, K = matrices_from_encoding(frames.encodings.float(), (height, width))
    camera_from_world = inverse_of(world_from_camera)
    return geometry_in_network(camera_from_world, K, frames.depth, frames.depth_confidence, source="lingbot-map")
