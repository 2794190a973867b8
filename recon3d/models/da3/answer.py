"""Photos to cameras and depth by Depth Anything 3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch

from recon3d.core.geometry import Geometry
from recon3d.models.da3.network import Da3
from recon3d.models.da3.preprocessing import SIZE, preprocessed
from recon3d.models.da3.ray_pose import cameras_from_rays
from recon3d.models.pictures import Answer, NetworkPictures, Pass, geometry_in_network
from recon3d.models.vit import normalised


def answer(network: Da3, photos: Sequence[Annotated[np.ndarray, "h w 3"]], how: Pass) -> Answer:
    """Upright RGB uint8 photos -> cameras and depth; the world is about the reference view's frame, its scale arbitrary."""
    pictures = preprocessed(photos, size=how.size or SIZE, patch=network.config.patch_size)
    return Answer(geometry(network, pictures, how), pictures.network_from_photo, pictures.photo_rects)


@torch.inference_mode()
def geometry(
    network: Da3, pictures: NetworkPictures, how: Pass, cameras_of_rays: bool = False, seed: int = 0
) -> Geometry:
    """Cameras, depth and confidence in the pictures' pixels, by one pass over all views.

    `cameras_of_rays`: cameras from the rays (ray_pose, by samples that `seed` decides), not from the camera decoder.
    """
    images = normalised(pictures.images)[None].to(how.device)
    found = network(images, rays=cameras_of_rays, chunk=how.chunk)
    camera_from_world, K = found.camera_from_world[0], found.K[0]
    if found.rays is not None and found.ray_confidence is not None:
        cameras = cameras_from_rays(found.rays, found.ray_confidence, pictures.size, seed)
        camera_from_world, K = cameras.camera_from_world[0], cameras.K[0]
    return geometry_in_network(camera_from_world, K, found.depth[0], found.depth_confidence[0], "da3")
