"""Two pictures in one world without optimisation: the frame of the surer pair, and the other picture's pose from its points."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.pairs import Pairs
from recon3d.reconstruction.pairs.aligned import Aligned, geometry_of, middles, pinholes
from recon3d.reconstruction.pairs.focal import weiszfeld_focal
from recon3d.reconstruction.pairs.resection import resection

CONFIDENT = 3.0  # raw confidence from which a pixel helps to find a pose
ROUNDS = 100  # of RANSAC


def view_pair(pairs: Pairs, principal_points: Annotated[Tensor, "N 2"] | None = None) -> Aligned:
    """Pictures 0 and 1 from their pairs (0, 1) and (1, 0); the world is the camera of the pair that is surer of itself.

    Principal points (x, y) are the pictures' middles where they are not given. Source: DUSt3R (Wang et al. 2024),
    section 3.3, recovering intrinsics and relative poses.
    """
    pairs = pairs.to("cpu")
    pair_of = {i: e for e, (i, _) in enumerate(pairs.edges.tolist())}
    if len(pairs) != 2 or set(pair_of) != {0, 1}:
        raise ValueError(f"two pictures are viewed by the pairs (0, 1) and (1, 0), not by {pairs.edges.tolist()}")
    centers = middles(pairs) if principal_points is None else principal_points.double()
    focals = torch.cat([weiszfeld_focal(pairs.points_i[pair_of[i]][None], centers[[i]]) for i in (0, 1)])
    K = pinholes(focals, centers)
    confidence = pairs.best_confidence()
    sureness = [float(pairs.confidence_i[e].mean() * pairs.confidence_j[e].mean()) for e in (pair_of[0], pair_of[1])]
    first = 0 if sureness[0] > sureness[1] else 1
    other, e = 1 - first, pair_of[first]
    found = resection(pairs.points_j[e], confidence[other] > CONFIDENT, K[other], ROUNDS)
    poses = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1)
    if found is not None:
        poses[other] = found.world_from_camera
    camera_from_world = torch.linalg.inv(poses[other])
    in_other = pairs.points_j[e].double() @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]
    depth = {first: pairs.points_i[e][..., 2], other: in_other[..., 2]}
    geometry = geometry_of(pairs, poses, K, (depth[0], depth[1]))
    return Aligned(geometry, unposed=() if found else (other,))
