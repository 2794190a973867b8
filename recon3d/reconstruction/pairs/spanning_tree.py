"""Where global alignment starts: the surest pairs that join all pictures, chained into one world."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.pairs import Pairs
from recon3d.core.similarity import Similarity, fit_points
from recon3d.errors import InputError
from recon3d.reconstruction.pairs.aligned import pinholes
from recon3d.reconstruction.pairs.focal import weiszfeld_focal
from recon3d.reconstruction.pairs.resection import resection

ROUNDS = 10  # of RANSAC
# Focals that are tried where no pair tells one: multiples of the longest side, evenly spaced in their logarithm.
TRIED_FOCALS = (0.5, 3.0, 21)


@dataclass(frozen=True)
class Start:
    """N pictures and E pairs in one world. Float64."""

    world_from_camera: Annotated[Tensor, "N 4 4"]
    focals: Annotated[Tensor, "N"]  # pixels
    depth: Annotated[tuple[Tensor, ...], "N × H W"]  # z, world units; may be negative or not finite
    world_from_pair: tuple[Similarity, ...]  # E
    unposed: tuple[int, ...]  # pictures whose pose nothing tells: it is the identity


def start(pairs: Pairs, principal_points: Annotated[Tensor, "N 2"], confident: float) -> Start:
    """Chain the pairs, strongest first. Raises InputError where they do not join all pictures.

    Each picture's focal comes from a point map of its own: that of the strongest pair of the tree in which it is the
    first. Pixels with a raw confidence above `confident` help to find the poses of pictures that are never the first.
    Source: DUSt3R (Wang et al. 2024), section 3.4, and its released initialisation, which takes the focal from another
    picture's map by mistake (naver/dust3r issue 164).
    """
    scores = [float(a.mean() * b.mean()) for a, b in zip(pairs.confidence_i, pairs.confidence_j, strict=True)]
    tree = spanning_tree(pairs, scores)
    points, chained = chain(pairs, tree)
    focals = focals_of_first_pictures(pairs, tree, scores, principal_points)
    poses = torch.eye(4, dtype=torch.float64).repeat(len(points), 1, 1)
    best = pairs.best_confidence()
    unposed = []
    for view in range(len(points)):
        if view in chained:
            poses[view, :3, :3], poses[view, :3, 3] = chained[view].rotation, chained[view].translation
            continue
        found = resected(points[view], best[view] > confident, principal_points[view], focals.get(view))
        if found is None:
            unposed.append(view)
        else:
            poses[view], focals[view] = found
    camera_from_world = torch.linalg.inv(poses)
    depth = tuple((p @ m[:3, :3].T + m[:3, 3])[..., 2] for p, m in zip(points, camera_from_world, strict=True))
    world_from_pair = tuple(
        fitted(pairs, e, pairs.points_i[e], points[i], pairs.confidence_i[e]) for e, i in enumerate(pairs.edges[:, 0].tolist())
    )
    known = torch.tensor([focals.get(view, float(max(pairs.size(view)))) for view in range(len(points))]).double()
    return Start(poses, known, depth, world_from_pair, tuple(unposed))


def spanning_tree(pairs: Pairs, scores: list[float]) -> list[int]:
    """The pairs of the maximum spanning tree, strongest first (Kruskal 1956). (i, j) and (j, i) are one link, of which the
    better one is taken."""
    if len(pairs) == 0:
        raise InputError("pairs", "there are none", "Give two pictures or more")
    group = list(range(len(pairs.sizes)))
    edges = pairs.edges.tolist()
    tree = []
    for e in sorted(range(len(pairs)), key=lambda e: -scores[e]):
        i, j = (group[view] for view in edges[e])
        if i != j:
            group = [i if g == j else g for g in group]
            tree.append(e)
    if len(tree) + 1 < len(group):
        apart = next(view for view in range(len(group)) if group[view] != group[0])
        raise InputError(
            "pairs", f"the pairs of {len(group)} pictures fall into {len(set(group))} groups: no chain of pairs joins "
            f"picture {apart} to picture 0", "Take a pair graph that joins all pictures, such as the complete one",
        )  # fmt: skip
    return tree


def chain(pairs: Pairs, tree: list[int]) -> tuple[list[Tensor], dict[int, Similarity]]:
    """Points [H,W,3] of every picture in the frame of the strongest pair, and the frames of the pictures that came first in
    a pair (by their index): each is world from its camera, with the scale of that pair."""
    points: dict[int, Tensor] = {}
    frames: dict[int, Similarity] = {}
    waiting = deque(tree)
    while waiting:
        e = waiting.popleft()
        i, j = pairs.edges[e].tolist()
        of_i, of_j = pairs.points_i[e].double(), pairs.points_j[e].double()
        if not points:
            frame = Similarity.identity()
        elif i in points:
            frame = fitted(pairs, e, of_i, points[i], pairs.confidence_i[e])
        elif j in points:
            frame = fitted(pairs, e, of_j, points[j], pairs.confidence_j[e])
        else:
            waiting.append(e)
            continue
        for view, seen in ((i, of_i), (j, of_j)):
            if view not in points:
                points[view] = frame.apply(seen.reshape(-1, 3)).reshape(seen.shape)
        frames.setdefault(i, frame)
    return [points[view] for view in sorted(points)], frames


def fitted(
    pairs: Pairs, e: int, source: Annotated[Tensor, "H W 3"], target: Annotated[Tensor, "H W 3"],
    confidence: Annotated[Tensor, "H W"],
) -> Similarity:  # fmt: skip
    """The similarity that takes a point map of pair e to points of the world, weighted by the pair's confidence."""
    try:
        return fit_points(source.reshape(-1, 3), target.reshape(-1, 3), confidence.flatten())
    except ValueError as error:
        i, j = pairs.edges[e].tolist()
        raise InputError(f"pair of pictures {i} and {j}", "its points lie on one line", "Leave the pair out") from error


def focals_of_first_pictures(
    pairs: Pairs, tree: list[int], scores: list[float], principal_points: Annotated[Tensor, "N 2"]
) -> dict[int, float]:
    """Focal lengths in pixels of the pictures that come first in a pair, by their index."""
    best_first = sorted(range(len(pairs)), key=lambda e: -scores[e])
    focals: dict[int, float] = {}
    for e in (*tree, *best_first):
        i = int(pairs.edges[e, 0])
        if i not in focals:
            focals[i] = float(weiszfeld_focal(pairs.points_i[e][None], principal_points[[i]]))
    return focals


def resected(
    points_in_world: Annotated[Tensor, "H W 3"], use: Annotated[Tensor, "H W"], principal_point: Annotated[Tensor, "2"],
    focal: float | None,
) -> tuple[Annotated[Tensor, "4 4"], float] | None:  # fmt: skip
    """world_from_camera and focal of the picture that sees these points; of several focals the one with most inliers."""
    low, high, count = TRIED_FOCALS
    spread = torch.logspace(0, 1, count, base=high / low, dtype=torch.float64) * low * max(use.shape)
    tried = spread if focal is None else torch.tensor([focal], dtype=torch.float64)
    cameras = pinholes(tried, principal_point.expand(len(tried), 2))
    solved = [(resection(points_in_world, use, K, ROUNDS), float(K[0, 0])) for K in cameras]
    found = [(pose.inliers, pose.world_from_camera, of_pose) for pose, of_pose in solved if pose is not None]
    return max(found, key=lambda candidate: candidate[0])[1:] if found else None
