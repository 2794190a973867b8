"""Gaussians to start from: at sparse points, at dense ones from stereo, and far behind all of them."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.gaussians import Gaussians
from recon3d.core.geometry import Geometry
from recon3d.core.harmonics import C0
from recon3d.core.views import Views
from recon3d.errors import InputError
from recon3d.reconstruction.seeding.backdrop import backdrop
from recon3d.reconstruction.seeding.dense import dense_points

NEIGHBOURS = 3  # whose mean distance is a sparse Gaussian's first size (3DGS, Kerbl et al. 2023, section 5.1)
OPACITY = 0.5  # of the first Gaussians; 3DGS starts at 0.1, which costs steps that a short refinement does not have
WORST_ERROR = 2.0  # pixels of the photo: points off by more start as floaters
LARGEST = 0.05  # of a point's distance to the nearest camera: a lonely point starts no cloud in front of everything
DENSE_SIZE = 0.6  # of the gap between dense points


def seed(views: Views, geometry: Geometry, degree: int = 0, device: str = "cpu") -> Gaussians:
    """Round Gaussians in the colours of the photos; all views are used, so give only the seen ones. Stereo on `device`.

    Raises InputError where there are too few points to start from.
    """
    dense = dense_points(views, geometry, device)
    parts = [
        sparse_seeds(geometry),
        (dense.points, dense.colors, DENSE_SIZE * dense.sizes),
        backdrop(views, geometry),
    ]
    points, colors, sizes = (torch.cat(columns) for columns in zip(*parts, strict=True))
    sh = torch.zeros(len(points), (degree + 1) ** 2, 3)
    sh[:, 0] = (colors - 0.5) / C0
    return Gaussians(
        means=points.float(),
        quats=torch.tensor([1.0, 0, 0, 0]).repeat(len(points), 1),
        scales=sizes.float()[:, None].repeat(1, 3),
        opacities=torch.full((len(points),), OPACITY),
        sh=sh,
    )


def sparse_seeds(
    geometry: Geometry,
) -> tuple[Annotated[Tensor, "P 3"], Annotated[Tensor, "P 3"], Annotated[Tensor, "P"]]:
    """Sparse points that fit well, their colours (0 to 1), and the gaps to their neighbours in world units."""
    chosen = geometry.with_points(geometry.errors <= WORST_ERROR)
    if len(chosen.points) <= NEIGHBOURS:
        chosen = geometry
    if len(chosen.points) <= NEIGHBOURS:
        what = f"only {len(geometry.points)} sparse points were found, too few to start splats from"
        raise InputError("photos", what, "Take photos with more overlap")
    nearest = torch.cdist(chosen.points, chosen.cameras.centers_in_world).amin(1)
    sizes = torch.minimum(gaps(chosen.points), LARGEST * nearest).clamp_min(1e-9)
    return chosen.points, chosen.colors.float() / 255, sizes


def gaps(points: Annotated[Tensor, "P 3"]) -> Annotated[Tensor, "P"]:
    """Mean distance of every point to its nearest neighbours."""
    from scipy.spatial import KDTree

    distances, _ = KDTree(points.numpy()).query(points.numpy(), NEIGHBOURS + 1)
    return torch.from_numpy(distances[:, 1:].mean(1))
