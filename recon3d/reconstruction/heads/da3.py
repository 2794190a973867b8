"""Views through DA3's Gaussian head, with their cameras given to the network."""

from __future__ import annotations

from recon3d.core.gaussians import Gaussians
from recon3d.core.geometry import Geometry
from recon3d.core.views import Views
from recon3d.models.da3.answer import gaussians_of_known
from recon3d.models.da3.known_cameras import normalise_poses, normalised_from_given
from recon3d.models.da3.network import Da3
from recon3d.models.da3.preprocessing import preprocessed
from recon3d.models.pictures import Pass


def da3_gaussians(network: Da3, views: Views, geometry: Geometry) -> Gaussians:
    """Gaussians in the world of the (seen) views, on the rays of their cameras."""
    photos = [image.permute(1, 2, 0).contiguous().numpy() for image in views.images]
    pictures = preprocessed(photos)
    K = (pictures.network_from_photo @ geometry.cameras.K).float()
    given = geometry.cameras.camera_from_world
    how = Pass(device=str(next(network.parameters()).device))
    gaussians = gaussians_of_known(network, pictures, how, normalise_poses(given).float(), K)
    return gaussians.transformed(normalised_from_given(given).inverse())
