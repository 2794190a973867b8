"""Photos to cameras and depth by Depth Anything 3, to Gaussians by its giant, to depth in metres by its metric network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor

from recon3d.core.gaussians import Gaussians
from recon3d.core.geometry import Geometry
from recon3d.models.cost import Cost
from recon3d.models.da3.config import Da3Config
from recon3d.models.da3.gaussians import PixelGaussians, scale_to
from recon3d.models.da3.known_cameras import normalise_poses
from recon3d.models.da3.mono import SKY, Da3Mono, metres
from recon3d.models.da3.nested import Da3Nested
from recon3d.models.da3.network import Da3, Prediction, Wanted
from recon3d.models.da3.preprocessing import SIZE, preprocessed
from recon3d.models.pictures import Answer, KnownOfPhotos, NetworkPictures, Pass, geometry_in_network
from recon3d.models.vit import normalised

PATCH = 14  # of every published size
BORDER = 8 / 256  # of the height and of the width, whose Gaussians the published code leaves out of its files


def answer(network: Da3 | Da3Nested, photos: Iterable[Annotated[np.ndarray, "h w 3"]], how: Pass) -> Answer:
    """Upright RGB uint8 photos -> cameras and depth; the world is about the reference view's frame. Known cameras of the
    photos are told to the network, which predicts cameras all the same."""
    pictures = preprocessed(photos, size=how.size or SIZE, patch=PATCH)
    found, tokens, sky = geometry_tokens_and_sky(network, pictures, how)
    grid = (pictures.size[0] // PATCH, pictures.size[1] // PATCH)
    features = tokens[0].transpose(1, 2).unflatten(2, grid) if how.features and tokens is not None else None
    return Answer(found, pictures.network_from_photo, pictures.photo_rects, features=features, sky=sky)


def cost(config: Da3Config, parameters: int) -> Cost:
    """What a pass takes: the layers that the head reads are kept."""
    sizes, head, kept = config.transformer, config.head, config.head_dim * len(config.layers)
    return Cost(parameters, sizes.patch_size, sizes.embed_dim, 1, kept, head.features, SIZE)


@torch.inference_mode()
def geometry(
    network: Da3 | Da3Nested, pictures: NetworkPictures, how: Pass, cameras_of_rays: bool = False, seed: int = 0
) -> Geometry:
    """Cameras, depth and confidence in the pictures' pixels, by one pass over all views; in metres by the nested network.

    `cameras_of_rays`: cameras from the rays, by samples that `seed` decides, not from the camera decoder.
    """
    return geometry_tokens_and_sky(network, pictures, how, cameras_of_rays, seed)[0]


@torch.inference_mode()
def geometry_tokens_and_sky(
    network: Da3 | Da3Nested, pictures: NetworkPictures, how: Pass, cameras_of_rays: bool = False, seed: int = 0
) -> tuple[Geometry, Annotated[Tensor, "1 N L D"] | None, Annotated[tuple[Tensor, ...], "N × H W"] | None]:
    """The same, the patch tokens of the last layer that the heads read, and what is sky (bool): the nested network, which
    has a head for sky, keeps no tokens; the others say nothing of sky."""
    wanted = Wanted(cameras_of_rays=cameras_of_rays, seed=seed, chunk=how.chunk)
    images = normalised(pictures.images)[None].to(how.device)
    known = None if how.known is None else in_pictures(how.known, pictures, how.device)
    if isinstance(network, Da3Nested):
        nested = network(images, known, wanted)
        return geometry_of(nested.metric, "metres"), None, tuple((nested.mono.sky[0] >= SKY).cpu())
    found = network(images, known, wanted)
    return geometry_of(found), found.tokens, None


def in_pictures(known: KnownOfPhotos, pictures: NetworkPictures, device: str) -> tuple[Tensor, Tensor]:
    """Cameras as the network takes them: normalised camera_from_world [1,N,4,4], K [1,N,3,3] in the pictures' pixels."""
    poses, K = normalise_poses(known.camera_from_world.double()), pictures.network_from_photo @ known.K.double()
    return poses[None].float().to(device), K[None].float().to(device)


def geometry_of(found: Prediction, scale: Literal["arbitrary", "metres"] = "arbitrary") -> Geometry:
    """Of the only scene of a pass."""
    cameras, depth = (found.camera_from_world[0], found.K[0]), found.depth[0]
    return geometry_in_network(*cameras, depth, found.depth_confidence[0], "da3", scale)


@torch.inference_mode()
def geometry_and_gaussians(network: Da3, pictures: NetworkPictures, how: Pass) -> tuple[Geometry, Gaussians]:
    """The same with a Gaussian for each pixel that is not at a border, where the network's are poor; in one world."""
    found = network(normalised(pictures.images)[None].to(how.device), wanted=Wanted(gaussians=True, chunk=how.chunk))
    assert found.gaussians is not None
    return geometry_of(found), off_borders(found.gaussians, pictures)


@torch.inference_mode()
def gaussians_of_known(
    network: Da3, pictures: NetworkPictures, how: Pass, camera_from_world: Annotated[Tensor, "N 4 4"],
    K: Annotated[Tensor, "N 3 3"],
) -> Gaussians:  # fmt: skip
    """Gaussians on the rays of given cameras (normalised, known_cameras.normalise_poses; K in the pictures' pixels), which
    the network looks at too. Its depth is brought to their unit by the cameras that it predicts, within SCALE_LIMITS."""
    known, K_known = camera_from_world[None].to(how.device), K[None].to(how.device)
    images = normalised(pictures.images)[None].to(how.device)
    encoded = network.encode(images, (known, K_known))
    found = network.read(encoded, Wanted(chunk=how.chunk))
    scale = scale_to(found.camera_from_world, known)[:, None, None, None]
    rotation, translation = known[..., :3, :].split((3, 1), -1)
    in_its_unit = torch.cat((rotation, translation / scale), -1)
    placed = replace(found, camera_from_world=in_its_unit, K=K_known)
    return off_borders(network.gaussians(encoded, images, placed, (known, K_known), how.chunk), pictures)


def off_borders(g: PixelGaussians, pictures: NetworkPictures) -> Gaussians:
    """Of the only scene, those that are kept."""
    height, width = pictures.size
    rows, columns = int(BORDER * height), int(BORDER * width)
    inside = torch.zeros(len(pictures), height, width, dtype=torch.bool, device=g.means.device)
    inside[:, rows : height - rows, columns : width - columns] = True
    in_front = (g.scales[0] > 0).all(-1)  # not so where the correction of a depth made it negative
    kept = inside.flatten() & in_front
    means, quats, scales, opacities, sh = (
        x[0][kept].cpu().float() for x in (g.means, g.quats, g.scales, g.opacities, g.harmonics.transpose(2, 3))
    )
    return Gaussians(means, quats, scales, opacities, sh)


@torch.inference_mode()
def metric_depth(
    network: Da3Mono, pictures: NetworkPictures, K: Annotated[Tensor, "N 3 3"], how: Pass
) -> tuple[Annotated[Tensor, "N H W"], Annotated[Tensor, "N H W"]]:
    """z in metres by the metric network for views with K in the pictures' pixels, and where it is known: not in the sky."""
    found = network(normalised(pictures.images)[None].to(how.device), how.chunk)
    depth = metres(found.depth_raw[0], K.to(found.depth_raw))
    return depth.cpu(), (found.sky[0] < SKY).cpu()
