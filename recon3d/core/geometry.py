"""Geometry: cameras, and what is known of the surfaces they saw. The one owner of cameras in the pipeline."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import torch
from torch import Tensor

from recon3d.core.cameras import Cameras, as_index
from recon3d.core.matches import Matches
from recon3d.core.shapes import check_shapes
from recon3d.core.similarity import Similarity


@dataclass(frozen=True)
class Tracks:
    """Observations of points in views, as matching or a tracker gives them and COLMAP files carry them."""

    view: Annotated[Tensor, "M"]  # int64, index of the view
    point: Annotated[Tensor, "M"]  # int64, index into Geometry.points
    xy: Annotated[Tensor, "M 2"]  # float64, pixels of the undistorted full-size photo

    def __post_init__(self) -> None:
        check_shapes(self)

    def __len__(self) -> int:
        return len(self.view)


@dataclass(frozen=True)
class Geometry:
    """Cameras of N views with depth where a network gave it, and sparse points with tracks where matching did."""

    cameras: Cameras  # of the working-size pictures (Views.images)
    points: Annotated[Tensor, "P 3"]  # float64, world
    colors: Annotated[Tensor, "P 3"]  # uint8 sRGB, from seen views only
    errors: Annotated[Tensor, "P"]  # float64, mean reprojection error in photo pixels
    tracks: Tracks | None = None
    depth: Annotated[tuple[Tensor, ...], "N × H W"] | None = None  # z-depth in world units, 0 where unknown
    confidence: Annotated[tuple[Tensor, ...], "N × H W"] | None = None  # a rank in 0 to 1 over the scene; 0: masked, sky
    features: Annotated[Tensor, "N C h w"] | None = None  # a network's, of the whole working picture; never kept in files
    matches: Matches | None = None  # a network's, in undistorted photos; until bundle adjustment, which may use them
    scale: Literal["arbitrary", "metres"] = "arbitrary"
    scale_source: str = ""  # what made it metres: "given poses", ...
    source: str = "unknown"  # the row of GEOMETRY that made it

    def __post_init__(self) -> None:
        check_shapes(self)

    def __len__(self) -> int:
        return len(self.cameras)

    def __getitem__(self, index) -> Geometry:
        """Some of the views; points that fewer than two of them observe are left out, unless no view of all is said to observe
        them; tracks are numbered anew."""
        index = as_index(index, len(self))
        kept = replace(
            self,
            cameras=self.cameras[index],
            depth=None if self.depth is None else tuple(self.depth[i] for i in index.tolist()),
            confidence=None if self.confidence is None else tuple(self.confidence[i] for i in index.tolist()),
            features=None if self.features is None else self.features[index.to(self.features.device)],
            matches=None if self.matches is None else self.matches.of_views(index, len(self)),
            tracks=None,
        )
        if self.tracks is None:
            return kept
        new_view = torch.full((len(self),), -1, dtype=torch.int64)
        new_view[index] = torch.arange(len(index))
        view, point, xy = new_view[self.tracks.view], self.tracks.point, self.tracks.xy
        seen = view >= 0
        observed, before = (torch.bincount(points, minlength=len(self.points)) for points in (point[seen], point))
        chosen = (observed >= 2) | (before == 0)  # nobody says which views show a point without observations
        return replace(kept, tracks=Tracks(view[seen], point[seen], xy[seen])).with_points(chosen)

    def with_points(self, keep: Annotated[Tensor, "P"]) -> Geometry:
        """Only the points where `keep` (bool) is true, with their observations."""
        tracks = self.tracks
        if tracks is not None:
            number = torch.cumsum(keep, 0) - 1
            stays = keep[tracks.point]
            tracks = Tracks(tracks.view[stays], number[tracks.point[stays]], tracks.xy[stays])
        return replace(
            self, points=self.points[keep], colors=self.colors[keep], errors=self.errors[keep], tracks=tracks
        )

    def with_cameras(self, cameras: Cameras) -> Geometry:
        return replace(self, cameras=cameras)

    def transformed(self, similarity: Similarity) -> Geometry:
        """The same geometry in a world moved by `similarity`."""
        scale, depth = float(similarity.scale), self.depth
        if depth is not None and scale != 1:  # no copy without need: it may be most of a long capture's memory
            depth = tuple(d * scale for d in depth)
        cameras = self.cameras.transformed(similarity)
        return replace(self, cameras=cameras, points=similarity.apply(self.points), depth=depth)

    def check(self, stage: str) -> None:
        """Raise ValueError naming the stage and the number where a value is impossible."""
        self.cameras.check(stage)
        if not torch.isfinite(self.points).all():
            raise ValueError(f"{stage}: {int((~torch.isfinite(self.points).all(1)).sum())} points are not finite")
        for i, depth in enumerate(self.depth or ()):
            if not torch.isfinite(depth).all() or (depth < 0).any():
                raise ValueError(f"{stage}: depth of view {i} is negative or not finite")
        for i, confidence in enumerate(self.confidence or ()):
            if not ((confidence >= 0) & (confidence <= 1)).all():
                raise ValueError(f"{stage}: confidence of view {i} leaves 0 to 1")
