"""Photos to cameras and depth by Depth Anything 3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch

from recon3d.core.geometry import Geometry
from recon3d.models.da3.network import Da3
from recon3d.models.da3.preprocessing import SIZE, preprocessed
from recon3d.models.pictures import Answer, NetworkPictures, Pass, geometry_in_network
from recon3d.models.vit import normalised


def answer(network: Da3, photos: Sequence[Annotated[np.ndarray, "h w 3"]], how: Pass) -> Answer:
    """Upright RGB uint8 photos -> cameras and depth; the world is about the reference view's frame, its scale arbitrary."""
    pictures = preprocessed(photos, size=how.size or SIZE, patch=network.config.patch_size)
    return Answer(geometry(network, pictures, how), pictures.network_from_photo, pictures.photo_rects)


@torch.inference_mode()
def geometry(network: Da3, pictures: NetworkPictures, how: Pass) -> Geometry:
    """Cameras, depth and confidence in the pictures' pixels, by one pass over all views."""
    found = network(normalised(pictures.images)[None].to(how.device), chunk=how.chunk)
    return geometry_in_network(found.camera_from_world[0], found.K[0], found.depth[0], found.depth_confidence[0], "da3")
