"""Views through iLRM: into the pictures and units of its checkpoint, and back into the world."""

from __future__ import annotations

import torch

from recon3d.core.gaussians import Gaussians
from recon3d.core.geometry import Geometry
from recon3d.core.similarity import Similarity
from recon3d.core.views import Views
from recon3d.models.ilrm.config import IlrmConfig
from recon3d.models.ilrm.network import Ilrm
from recon3d.models.ilrm.normalisation import from_first_camera, normalised, normalised_from_world
from recon3d.models.ilrm.preprocessing import preprocessed
from recon3d.reconstruction.heads.joint import in_world

SIZES = {"re10k": (256, 256), "wide": (540, 960)}  # (height, width) of the pictures that each variant was trained on


def ilrm_gaussians(network: Ilrm, views: Views, geometry: Geometry) -> Gaussians:
    """Gaussians in the world of the (seen) views."""
    config = network.config
    photos = [image.permute(1, 2, 0).contiguous().numpy() for image in views.images]
    pictures = preprocessed(photos, SIZES[config.variant], config)
    similarity = normalisation(config, geometry)
    K = (pictures.network_from_photo @ geometry.cameras.K).float()
    cameras = normalised(geometry.cameras.world_from_camera, similarity)
    device = next(network.parameters()).device
    with torch.inference_mode():
        found = network(*(x[None].to(device) for x in (pictures.images, K, cameras)))
    return in_world(found, similarity)


def normalisation(config: IlrmConfig, geometry: Geometry) -> Similarity:
    """As trained. The clips of RealEstate10K begin at the origin, and the rule of that variant depends on it: photos from
    elsewhere are moved there first."""
    cameras = geometry.cameras.world_from_camera
    if config.wide:
        return normalised_from_world(cameras, config)
    first = from_first_camera(cameras)
    return normalised_from_world(normalised(cameras, first), config) @ first
