"""Photos to cameras and depth by VGGT. Depth with cameras is better than its point head (paper, table 3): that is left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from recon3d.core.geometry import Geometry
from recon3d.core.matches import Matches
from recon3d.models.cost import Cost
from recon3d.models.loading import give_back_freed_memory
from recon3d.models.pictures import Answer, NetworkPictures, Pass, geometry_in_network
from recon3d.models.pose_encoding import matrices_from_encoding
from recon3d.models.vggt.config import TrackHeadConfig, VggtConfig
from recon3d.models.vggt.network import Prediction, Vggt, grid_of
from recon3d.models.vggt.preprocessing import preprocessed
from recon3d.models.vggt.tracks import TRACKED, tracked

HEADS = ("camera_head", "depth_head")


def answer(network: Vggt, photos: Iterable[Annotated[np.ndarray, "h w 3"]], how: Pass) -> Answer:
    """Upright RGB uint8 photos -> cameras and depth; the world is the first camera's frame, its scale arbitrary."""
    sizes = network.config.transformer
    pictures = preprocessed(photos, "crop", how.size or sizes.img_size, sizes.patch_size)
    found, features, matches = of_pass(network, pictures, how)
    return Answer(
        found, pictures.network_from_photo, pictures.photo_rects, features=features if how.features else None,
        matches=matches,
    )  # fmt: skip


def with_matches(config: VggtConfig, published: VggtConfig) -> VggtConfig | None:
    """The configuration with the track head, where the network is of the published size."""
    if config.track_head is not None:
        return config
    return replace(config, track_head=TrackHeadConfig()) if config == published else None


def cost(config: VggtConfig, parameters: int) -> Cost:
    """What a pass takes: the layers that the depth head reads are kept."""
    sizes, head = config.transformer, config.depth_head
    kept = 2 * sizes.embed_dim * len(head.layers if head is not None else ())
    features = head.features if head is not None else 0
    found = Cost(parameters, sizes.patch_size, sizes.embed_dim, config.special_tokens, kept, features, sizes.img_size)
    if config.track_head is None:
        return found
    # Maps in float32, from fine to coarse, and once more while they are joined.
    of_a_pixel = 4 * config.track_head.features * (1 + 4 / 3) / config.track_head.stride**2
    return replace(found, tracked=int(of_a_pixel), tracked_views=TRACKED)


def predicted(network: Vggt, images: Annotated[Tensor, "B S 3 H W"], how: Pass) -> Prediction:
    """The heads' output; where the network is used once, its encoder, two thirds of it, makes room for them."""
    heads = (*HEADS, "track_head") if how.matches and network.track_head is not None else HEADS
    layers, cameras = network.aggregator(images, keep=network.layers_of(heads))
    if how.once:
        del network.aggregator
        give_back_freed_memory()
    return network.read(layers, cameras, grid_of(images, network.config.transformer.patch_size), None, HEADS, how.chunk)


@torch.inference_mode()
def geometry(network: Vggt, pictures: NetworkPictures, how: Pass) -> Geometry:
    """Cameras, depth and confidence in the pictures' pixels, by one pass over all views."""
    return of_pass(network, pictures, how)[0]


@torch.inference_mode()
def of_pass(
    network: Vggt, pictures: NetworkPictures, how: Pass
) -> tuple[Geometry, Annotated[Tensor, "N C h w"], Matches | None]:
    """The same, the patch tokens of the last layer that a head reads, and tracks where they are asked for."""
    found = predicted(network, pictures.images[None].to(how.device), how)
    if found.pose_encodings is None or found.depth is None or found.depth_confidence is None or found.layers is None:
        raise ValueError("this VGGT has no camera head or no depth head, and gives no geometry without them")
    camera_from_world, K = matrices_from_encoding(found.pose_encodings[-1, 0].float(), pictures.size)
    tokens = found.layers[max(found.layers)][0, :, network.config.special_tokens :]
    grid = grid_of(pictures.images, network.config.transformer.patch_size)
    features = tokens.transpose(1, 2).unflatten(2, grid)
    maps = (found.depth[0, ..., 0], found.depth_confidence[0])
    known, matches = geometry_in_network(camera_from_world, K, *maps, source="vggt"), None
    if how.matches and network.track_head is not None and network.config.track_head is not None:
        layers = [found.layers[i][:, :, network.config.special_tokens :] for i in network.config.track_head.layers]
        del found, maps  # what only the geometry needed makes room
        matches = tracked(network.track_head, layers, grid, pictures, how.chunk)
    return known, features, matches
