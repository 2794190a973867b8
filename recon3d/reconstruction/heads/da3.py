"""Views through DA3's Gaussian head, with their cameras given to the network, and its Gaussians brought to them."""

from __future__ import annotations

from recon3d.core.gaussians import Gaussians
from recon3d.core.geometry import Geometry
from recon3d.core.similarity import fit_cameras
from recon3d.core.views import Views
from recon3d.errors import InputError
from recon3d.models.da3.answer import geometry_and_gaussians
from recon3d.models.da3.known_cameras import normalise_poses
from recon3d.models.da3.network import Da3
from recon3d.models.da3.preprocessing import preprocessed
from recon3d.models.pictures import Pass


def da3_gaussians(network: Da3, views: Views, geometry: Geometry) -> Gaussians:
    """Gaussians in the world of the (seen) views. Raises InputError where the network places the cameras so that no
    similarity takes them there."""
    photos = [image.permute(1, 2, 0).contiguous().numpy() for image in views.images]
    pictures = preprocessed(photos)
    K = (pictures.network_from_photo @ geometry.cameras.K).float()
    known = (normalise_poses(geometry.cameras.camera_from_world).float(), K)
    device = next(network.parameters()).device
    found, gaussians = geometry_and_gaussians(network, pictures, Pass(device=str(device)), known)
    try:
        world_from_network = fit_cameras(found.cameras, geometry.cameras)
    except ValueError as error:
        remedy = "Use --splats lift, or more photos"
        raise InputError("--splats", f"da3-giant places the cameras elsewhere ({error})", remedy) from error
    return gaussians.transformed(world_from_network)
