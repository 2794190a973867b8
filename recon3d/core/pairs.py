"""Pairs: what a network of two images says of the pairs of a scene, before alignment has made one world of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import torch
from torch import Tensor

from recon3d.core.shapes import check_shapes


@dataclass(frozen=True)
class Pairs:
    """E ordered pairs (i, j) of N pictures: point maps of both in the camera of i, each on the grid of its own picture."""

    edges: Annotated[Tensor, "E 2"]  # int64, (i, j)
    points_i: Annotated[tuple[Tensor, ...], "E × Hi Wi 3"]  # float32, of picture i, in camera i of its pair
    points_j: Annotated[tuple[Tensor, ...], "E × Hj Wj 3"]  # float32, of picture j, in camera i as well
    confidence_i: Annotated[tuple[Tensor, ...], "E × Hi Wi"]  # float32, as the network gives it (> 1), no rank
    confidence_j: Annotated[tuple[Tensor, ...], "E × Hj Wj"]
    sizes: Annotated[Tensor, "N 2"]  # (height, width) of the pictures, int64, on the CPU
    matches: Annotated[tuple[Tensor, ...], "E × M 4"] | None = None  # x, y in picture i and x, y in picture j, pixels
    scale: Literal["arbitrary", "metres"] = "arbitrary"  # of each pair by itself
    source: str = "unknown"  # the row of GEOMETRY that made it

    def __post_init__(self) -> None:
        check_shapes(self)
        views = len(self.sizes)
        if ((self.edges < 0) | (self.edges >= views)).any():
            raise ValueError(f"Pairs.edges leave the {views} pictures of Pairs.sizes")
        for e, (i, j) in enumerate(self.edges.tolist()):
            if i == j:
                raise ValueError(f"Pairs.edges[{e}] pairs picture {i} with itself")
            for points, view, name in ((self.points_i[e], i, "points_i"), (self.points_j[e], j, "points_j")):
                height, width = self.sizes[view].tolist()
                if points.shape[:2] != (height, width):
                    shape = list(points.shape)
                    raise ValueError(f"Pairs.{name}[{e}] has shape {shape}, picture {view} is {height} x {width}")

    def __len__(self) -> int:
        return len(self.edges)

    def size(self, view: int) -> tuple[int, int]:
        """(height, width) of a picture."""
        return int(self.sizes[view, 0]), int(self.sizes[view, 1])

    def to(self, device: torch.device | str) -> Pairs:
        """The same on another device; sizes stay on the CPU."""
        moved = {
            name: tuple(x.to(device) for x in getattr(self, name))
            for name in ("points_i", "points_j", "confidence_i", "confidence_j")
        }
        matches = None if self.matches is None else tuple(x.to(device) for x in self.matches)
        return replace(self, edges=self.edges.to(device), matches=matches, **moved)

    def best_confidence(self) -> Annotated[tuple[Tensor, ...], "N × H W"]:
        """Of every pixel of every picture, the largest raw confidence that any pair gives it; 0 without a pair."""
        best = [torch.zeros(self.size(view), device=self.edges.device) for view in range(len(self.sizes))]
        for (i, j), of_i, of_j in zip(self.edges.tolist(), self.confidence_i, self.confidence_j, strict=True):
            best[i] = torch.maximum(best[i], of_i)
            best[j] = torch.maximum(best[j], of_j)
        return tuple(best)

    def check(self, stage: str) -> None:
        """Raise ValueError naming the stage, the pair and the number where a value is impossible."""
        for e, (i, j) in enumerate(self.edges.tolist()):
            for points, confidence in ((self.points_i[e], self.confidence_i[e]), (self.points_j[e], self.confidence_j[e])):
                wrong = int((~torch.isfinite(points).all(-1)).sum())
                if wrong:
                    raise ValueError(f"{stage}: {wrong} points of the pair of pictures {i} and {j} are not finite")
                if not (torch.isfinite(confidence) & (confidence >= 1)).all():
                    raise ValueError(f"{stage}: a confidence of the pair of pictures {i} and {j} is below 1 or not finite")
