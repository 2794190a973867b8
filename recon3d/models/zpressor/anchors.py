"""Which views are anchors, and whose supports the others are."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

FAR = 1e10  # squared distance that every view starts with, as in the released code
SEED, STARTS = 42, 10  # of k-means, as in the released code


def farthest_points(centers: Annotated[Tensor, "B N 3"], count: int) -> Annotated[Tensor, "B A"]:
    """Anchors by farthest point sampling of camera centres, in the order of choice; ties go to the lowest view.

    The first is the view farthest from the mean of all (the paper starts from a random one, the released code so). Where
    there are fewer distinct centres than anchors, view 0 comes again and again, as there. float32.
    """
    centers = centers.float()
    chosen = [squared(centers, centers.mean(1)).argmax(1)]
    nearest = torch.full(centers.shape[:2], FAR, device=centers.device)
    for _ in range(count - 1):
        nearest = torch.minimum(nearest, squared(centers, picked(centers, chosen[-1][:, None])[:, 0]))
        chosen.append(nearest.argmax(1))
    return torch.stack(chosen, 1)


def assigned(centers: Annotated[Tensor, "B N 3"], anchors: Annotated[Tensor, "B A"]) -> Annotated[Tensor, "B N"]:
    """The position in `anchors` of each view's nearest anchor; ties go to the lowest position."""
    centers = centers.float()
    of_anchors = picked(centers, anchors)
    return (centers[:, :, None] - of_anchors[:, None]).square().sum(-1).argmin(-1)


def clustered(
    tokens: Annotated[Tensor, "B N F"], count: int
) -> tuple[Annotated[Tensor, "B A"], Annotated[Tensor, "B N"]]:
    """Anchors and assignment of views without cameras: k-means of a vector for each, anchors nearest to the means.

    Anchors ascend; an empty cluster has view 0, as in the released code.
    """
    from sklearn.cluster import KMeans

    anchors, clusters = [], []
    for of_scene in tokens.detach().float().cpu():
        labels = torch.from_numpy(KMeans(count, random_state=SEED, n_init=STARTS).fit(of_scene.numpy()).labels_).long()  # type: ignore[arg-type]
        nearest = torch.tensor([nearest_to_mean(of_scene, labels == j) for j in range(count)])
        order = nearest.argsort(stable=True)
        anchors.append(nearest[order])
        clusters.append(order.argsort()[labels])
    return torch.stack(anchors).to(tokens.device), torch.stack(clusters).to(tokens.device)


def nearest_to_mean(tokens: Annotated[Tensor, "N F"], members: Annotated[Tensor, "N"]) -> int:
    if not members.any():
        return 0
    distances = (tokens - tokens[members].mean(0)).norm(dim=1)
    return int(torch.where(members, distances, torch.inf).argmin())


def squared(centers: Annotated[Tensor, "B N 3"], to: Annotated[Tensor, "B 3"]) -> Annotated[Tensor, "B N"]:
    return (centers - to[:, None]).square().sum(-1)


def picked(values: Annotated[Tensor, "B N ..."], indices: Annotated[Tensor, "B A"]) -> Annotated[Tensor, "B A ..."]:
    """values[b, indices[b]] for every scene b."""
    scenes = torch.arange(len(values), device=values.device)[:, None]
    return values[scenes, indices]


def supports(
    anchors: Annotated[Tensor, "B A"], clusters: Annotated[Tensor, "B N"]
) -> Annotated[Tensor, "B·A S"]:
    """Views of every anchor's cluster but itself, ascending, as indices into all B·N views; -1 fills the rows.

    S is the size of the largest cluster, at least 1.
    """
    scenes, views = clusters.shape
    positions = torch.arange(anchors.shape[1], device=anchors.device)
    every = torch.arange(views, device=anchors.device)
    member = (clusters[:, None] == positions[:, None]) & (every != anchors[:, :, None])  # B A N
    most = max(int(member.sum(-1).max()), 1)
    order = torch.where(member, every, views).sort(-1).values[..., :most]
    first = views * torch.arange(scenes, device=anchors.device)[:, None, None]
    return torch.where(order < views, order + first, -1).flatten(0, 1)
