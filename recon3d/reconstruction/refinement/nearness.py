"""What is near is made opaque: a backdrop that shines through surfaces looks right in the seen photos, and wrong elsewhere.

A photo alone does not tell a surface from a veil before a backdrop of its colours. So most steps draw what is near over a
random colour in place of what is far, and compare only the pixels that it nearly fills by itself, of those where the first
Gaussians (points and stereo) have a surface, or a trace of one and the photo no sky: there it has to hide the colour. All
other pixels, and with them what is truly far, have the remaining steps. A random background is an option of 3DGS' published
trainer, for whole pictures of objects; asking only what is nearly opaque already is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.geometry import Geometry
from recon3d.metrics.image import WINDOW
from recon3d.reconstruction.refinement.density import known_points
from recon3d.reconstruction.seeding import backdrop
from recon3d.reconstruction.sky import may_be_sky

# By tools/benchmarks/opaque.py: see docs/measurements.md, Scenes.
ALL_EVERY = 4  # steps, of which one draws everything
NEARLY = 0.8  # alpha of what is near in a pixel that is compared in the others
SURFACE, TRACE = 0.5, 0.1  # the same of the first Gaussians, where a pixel may be sky and where not; stereo's have about 0.7
FAR = 0.75  # of the radius of the backdrop, from which on everything is far


@dataclass(frozen=True)
class Surroundings:
    """A sphere about the cameras. What lies outside of it is far."""

    middle: Annotated[Tensor, "3"]
    radius: float  # world units

    def hold(self, means: Annotated[Tensor, "G 3"]) -> Annotated[Tensor, "G"]:
        """Which are near (bool)."""
        return (means - self.middle).norm(dim=1) <= self.radius


def surroundings(geometry: Geometry, means: Annotated[Tensor, "G 3"]) -> Surroundings | None:
    """Of the (seen) cameras and the points that are known, on the device of the means; None where no points are known, or
    all means are near."""
    points = known_points(geometry)
    if not len(points):
        return None
    middle, radius = backdrop.place(geometry.cameras, points)
    found = Surroundings(middle.to(means), FAR * radius)
    return None if bool(found.hold(means).all()) else found


def known_surface(alpha: Annotated[Tensor, "H W"], rgb: Annotated[Tensor, "3 H W"]) -> Annotated[Tensor, "H W"]:
    """The pixels (bool) of a photo that show something near, by the alpha of what is near of the first Gaussians."""
    return (alpha >= SURFACE) | ((alpha >= TRACE) & ~may_be_sky(rgb.cpu()).to(alpha.device))


def compared(
    alpha: Annotated[Tensor, "H W"], surface: Annotated[Tensor, "H W"], mask: Annotated[Tensor, "H W"] | None
) -> Annotated[Tensor, "H W"]:
    """The pixels (bool) of a surface that what is near nearly fills, within the mask; all of the mask where SSIM finds none
    of them. The device is not asked.
    """
    allowed = torch.ones_like(surface) if mask is None else mask
    filled = (alpha >= NEARLY) & surface & allowed
    edge = WINDOW // 2
    return filled | (allowed & ~filled[edge:-edge, edge:-edge].any())
