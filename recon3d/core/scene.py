"""Scene, what `run` returns and every exporter takes; Rendering, what `render` returns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from recon3d.core.gaussians import Gaussians
from recon3d.core.geometry import Geometry
from recon3d.core.shapes import check_shapes
from recon3d.core.similarity import Similarity
from recon3d.core.splats import Splats
from recon3d.core.views import Views


@dataclass(frozen=True)
class Scene:
    """Splats with the cameras and photos they came from; one read from a splat file alone has only `gaussians`."""

    gaussians: Gaussians
    geometry: Geometry | None = None
    views: Views | None = None
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)  # in the world, of the frame that all of the above stand in

    @staticmethod
    def of(splats: Splats) -> Scene:
        """Splats of a file."""
        x, y, z = splats.origin.tolist()
        return Scene(Gaussians.of(splats), origin=(x, y, z))

    def splats(self) -> Splats:
        """The Gaussians as arrays that know where they stand."""
        return replace(self.gaussians.splats(), origin=np.array(self.origin))

    def transformed(self, similarity: Similarity) -> Scene:
        """The same scene in a world moved by `similarity`. An origin moves with it, so that nothing becomes rounder."""
        x, y, z = self.origin
        if any(self.origin):
            x, y, z = similarity.apply(torch.tensor([self.origin], dtype=torch.float64))[0].tolist()
            similarity = Similarity.of(float(similarity.scale), similarity.rotation)
        geometry = None if self.geometry is None else self.geometry.transformed(similarity)
        return Scene(self.gaussians.transformed(similarity), geometry, self.views, (x, y, z))


@dataclass(frozen=True)
class Rendering:
    """What N cameras of one size see."""

    rgb: Annotated[Tensor, "N 3 H W"]  # sRGB, not clamped above 1
    depth: Annotated[Tensor, "N H W"]  # expected z-depth, 0 where alpha < 1e-4
    alpha: Annotated[Tensor, "N H W"]

    def __post_init__(self) -> None:
        check_shapes(self)
