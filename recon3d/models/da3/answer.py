"""Photos to cameras and depth by Depth Anything 3, to Gaussians by its giant, to depth in metres by its metric network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor

from recon3d.core.gaussians import Gaussians
from recon3d.core.geometry import Geometry
from recon3d.models.cost import Cost
from recon3d.models.da3.config import Da3Config
from recon3d.models.da3.gaussians import scale_to
from recon3d.models.da3.mono import SKY, Da3Mono, metres
from recon3d.models.da3.nested import Da3Nested
from recon3d.models.da3.network import Da3, Prediction, Wanted
from recon3d.models.da3.preprocessing import SIZE, preprocessed
from recon3d.models.pictures import Answer, NetworkPictures, Pass, geometry_in_network
from recon3d.models.vit import normalised

PATCH = 14  # of every published size
BORDER = 8 / 256  # of the height and of the width, whose Gaussians the published code leaves out of its files


def answer(network: Da3 | Da3Nested, photos: Sequence[Annotated[np.ndarray, "h w 3"]], how: Pass) -> Answer:
    """Upright RGB uint8 photos -> cameras and depth; the world is about the reference view's frame."""
    pictures = preprocessed(photos, size=how.size or SIZE, patch=PATCH)
    return Answer(geometry(network, pictures, how), pictures.network_from_photo, pictures.photo_rects)


def cost(config: Da3Config, parameters: int) -> Cost:
    """What a pass takes: the layers that the head reads are kept."""
    head, kept = config.head, config.head_dim * len(config.layers)
    return Cost(parameters, config.patch_size, config.embed_dim, 1, kept, head.features, SIZE)


@torch.inference_mode()
def geometry(
    network: Da3 | Da3Nested, pictures: NetworkPictures, how: Pass, cameras_of_rays: bool = False, seed: int = 0
) -> Geometry:
    """Cameras, depth and confidence in the pictures' pixels, by one pass over all views; in metres by the nested network.

    `cameras_of_rays`: cameras from the rays, by samples that `seed` decides, not from the camera decoder.
    """
    wanted = Wanted(cameras_of_rays=cameras_of_rays, seed=seed, chunk=how.chunk)
    images = normalised(pictures.images)[None].to(how.device)
    if isinstance(network, Da3Nested):
        return geometry_of(network(images, wanted=wanted).metric, "metres")
    return geometry_of(network(images, wanted=wanted))


def geometry_of(found: Prediction, scale: Literal["arbitrary", "metres"] = "arbitrary") -> Geometry:
    """Of the only scene of a pass."""
    cameras, depth = (found.camera_from_world[0], found.K[0]), found.depth[0]
    return geometry_in_network(*cameras, depth, found.depth_confidence[0], "da3", scale)


@torch.inference_mode()
def geometry_and_gaussians(
    network: Da3, pictures: NetworkPictures, how: Pass, known: tuple[Tensor, Tensor] | None = None
) -> tuple[Geometry, Gaussians]:
    """The same with a Gaussian for each pixel that is not at a border, where the network's are poor; in one world.

    `known`: camera_from_world [N, 4, 4] (known_cameras.normalise_poses) and K [N, 3, 3] in the pictures' pixels, which the
    network then looks at, and whose scale the world has.
    """
    given = None if known is None else (known[0][None].to(how.device), known[1][None].to(how.device))
    images = normalised(pictures.images)[None].to(how.device)
    found = network(images, given, Wanted(gaussians=True, chunk=how.chunk))
    g = found.gaussians
    assert g is not None
    if given is not None:
        found = scaled(found, scale_to(found.camera_from_world, given[0]))
    height, width = pictures.size
    rows, columns = int(BORDER * height), int(BORDER * width)
    inside = torch.zeros(len(pictures), height, width, dtype=torch.bool, device=g.means.device)
    inside[:, rows : height - rows, columns : width - columns] = True
    in_front = (g.scales[0] > 0).all(-1)  # not so where the correction of a depth made it negative
    kept = inside.flatten() & in_front
    parts = (x[0][kept].cpu().float() for x in (g.means, g.quats, g.scales, g.opacities, g.harmonics.transpose(2, 3)))
    return geometry_of(found), Gaussians(*parts)


def scaled(found: Prediction, scale: Annotated[Tensor, "B"]) -> Prediction:
    """Cameras and depth in another unit, which the Gaussians have already."""
    rotation, translation = found.camera_from_world.split((3, 1), -1)
    camera_from_world = torch.cat((rotation, scale[:, None, None, None] * translation), -1)
    return replace(found, camera_from_world=camera_from_world, depth=scale[:, None, None, None] * found.depth)


@torch.inference_mode()
def metric_depth(
    network: Da3Mono, pictures: NetworkPictures, K: Annotated[Tensor, "N 3 3"], how: Pass
) -> tuple[Annotated[Tensor, "N H W"], Annotated[Tensor, "N H W"]]:
    """z in metres by the metric network for views with K in the pictures' pixels, and where it is known: not in the sky."""
    found = network(normalised(pictures.images)[None].to(how.device), how.chunk)
    depth = metres(found.depth_raw[0], K.to(found.depth_raw))
    return depth.cpu(), (found.sky[0] < SKY).cpu()
