"""Photos to cameras and depth by StreamVGGT, view by view in their order. Depth with cameras, as for VGGT."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Annotated

import numpy as np
from torch import Tensor

from recon3d.core.geometry import Geometry
from recon3d.models.cost import Cost
from recon3d.models.pictures import Answer, NetworkPictures, Pass, geometry_in_network
from recon3d.models.pose_encoding import matrices_from_encoding
from recon3d.models.stream_vggt.stream import WINDOW, CameraCaches, Stream
from recon3d.models.streaming import gathered
from recon3d.models.vggt.answer import cost as cost_of_vggt
from recon3d.models.vggt.config import VggtConfig
from recon3d.models.vggt.network import Vggt
from recon3d.models.vggt.preprocessing import preprocessed

HEADS = ("camera_head", "depth_head")


def answer(network: Vggt, photos: Iterable[Annotated[np.ndarray, "h w 3"]], how: Pass) -> Answer:
    """Upright RGB uint8 photos -> cameras and depth; the world is the first camera's frame, its scale arbitrary."""
    sizes = network.config.transformer
    pictures = preprocessed(photos, "crop", how.size or sizes.img_size, sizes.patch_size)
    window = WINDOW if how.cache_frames is None else 1 + how.cache_frames  # the first view, and the latest
    return Answer(geometry(network, pictures, how, window), pictures.network_from_photo, pictures.photo_rects)


def cost(config: VggtConfig, parameters: int) -> Cost:
    """What a stream takes: one view at a time, and the cache of a window of them."""
    of_all = cost_of_vggt(config, parameters)
    return replace(of_all, at_once=1, cached_layers=config.transformer.depth, cached_views=WINDOW)


def geometry(
    network: Vggt, pictures: NetworkPictures, how: Pass, window: int = WINDOW, cameras: CameraCaches = "consistent"
) -> Geometry:
    """Cameras, depth and confidence in the pictures' pixels; each view's go to the CPU before the next one comes."""
    stream = Stream(network, window, len(pictures), cameras)

    def answers() -> Iterator[dict[str, Tensor]]:
        for i in range(len(pictures)):
            found = stream.step(pictures.images[None, i : i + 1].to(how.device), HEADS)
            if found.pose_encodings is None or found.depth is None or found.depth_confidence is None:
                raise ValueError(
                    "this StreamVGGT has no camera head or no depth head, and gives no geometry without them"
                )
            encodings, depth = found.pose_encodings[-1, 0].float(), found.depth[0, ..., 0]
            yield {"encodings": encodings, "depth": depth, "confidence": found.depth_confidence[0]}
            how.on_view(i + 1, len(pictures))

    found = gathered(answers(), len(pictures))
    camera_from_world, K = matrices_from_encoding(found["encodings"], pictures.size)
    return geometry_in_network(camera_from_world, K, found["depth"], found["confidence"], source="stream-vggt")
