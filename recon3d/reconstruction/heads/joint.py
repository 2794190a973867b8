"""Views and geometry through the joint network: into its pictures and units, and back into the world."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from recon3d.core.gaussians import Gaussians
from recon3d.core.geometry import Geometry
from recon3d.core.similarity import Similarity
from recon3d.core.views import Views
from recon3d.models.ilrm.network import HeadGaussians
from recon3d.models.ilrm.normalisation import normalised, reference_camera
from recon3d.models.joint.network import Joint, JointViews
from recon3d.reconstruction.heads.start_depth import start_depth


@torch.inference_mode()
def joint_gaussians(
    network: Joint, views: Views, geometry: Geometry, anchors: int
) -> tuple[Gaussians, Annotated[Tensor, "A"]]:
    """Gaussians in the world of the (seen) views, and the views that they stand in. Raises InputError without any depth."""
    depth, confidence = start_depth(views, geometry)
    size = size_of_all(geometry, network.config.multiple)
    similarity = normalised_from_world(geometry, depth)
    device = next(network.parameters()).device
    given = JointViews(
        torch.stack([resized(views.rgb(i), size) for i in range(len(views))])[None].to(device),
        resized_K(geometry, size)[None].to(device),
        normalised(geometry.cameras.world_from_camera, similarity)[None].to(device),
        torch.stack([nearest(d, size) for d in depth])[None].to(device) * float(similarity.scale),
        torch.stack([nearest(c, size) for c in confidence])[None].to(device),
        features_of(network, geometry, device),
    )
    found, chosen = network(given, anchors)
    return in_world(found, similarity), chosen[0].cpu()


def normalised_from_world(geometry: Geometry, depth: Annotated[tuple[Tensor, ...], "N × H W"]) -> Similarity:
    """The mean camera becomes the origin, and the median depth 1: what a head sees then depends on neither."""
    reference = reference_camera(geometry.cameras.world_from_camera.float()).double()
    scale = 1 / torch.cat([d.flatten() for d in depth]).median().double()
    rotation = reference[:3, :3].T
    return Similarity(scale, rotation, -scale * (rotation @ reference[:3, 3]))


def in_world(found: HeadGaussians, similarity: Similarity) -> Gaussians:
    """The Gaussians of the only scene, with the normalisation undone."""
    with torch.inference_mode(False):  # refinement derives by them
        names = ("means", "quats", "scales", "opacities", "sh")
        parts = (getattr(found, name)[0].cpu().float().clone() for name in names)
        return Gaussians(*parts).transformed(similarity.inverse())


def size_of_all(geometry: Geometry, multiple: int) -> tuple[int, int]:
    """(height, width) for all views: the median of theirs, in whole patches."""
    sizes = geometry.cameras.sizes.median(0).values.tolist()
    height, width = (max(round(side / multiple), 1) * multiple for side in sizes)
    return height, width


def resized_K(geometry: Geometry, size: tuple[int, int]) -> Annotated[Tensor, "N 3 3"]:
    """K in pixels of pictures of `size`; each axis on its own."""
    factors = torch.tensor(size, dtype=torch.float64) / geometry.cameras.sizes
    K = geometry.cameras.K.clone()
    K[:, 0] *= factors[:, 1:]
    K[:, 1] *= factors[:, :1]
    return K.float()


def resized(image: Annotated[Tensor, "3 H W"], size: tuple[int, int]) -> Annotated[Tensor, "3 h w"]:
    return F.interpolate(image[None], size, mode="bilinear", antialias=True)[0]


def nearest(values: Annotated[Tensor, "H W"], size: tuple[int, int]) -> Annotated[Tensor, "h w"]:
    return F.interpolate(values[None, None].float(), size, mode="nearest-exact")[0, 0]


def features_of(network: Joint, geometry: Geometry, device: torch.device) -> Tensor | None:
    """A geometry network's features, where this geometry carries them and this head was made for their width."""
    if geometry.features is None or network.config.feature_width != geometry.features.shape[1]:
        return None
    return geometry.features[None].to(device, torch.float32)
