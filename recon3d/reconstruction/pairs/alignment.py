"""Global alignment: pairs of point maps, each in its own frame and scale, made into one world of cameras and depth."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import torch
from torch import Tensor

from recon3d.core.pairs import Pairs
from recon3d.core.rotations import matrices_from_quats, quats_from_matrices
from recon3d.reconstruction.pairs.aligned import Aligned, geometry_of, middles, pinholes
from recon3d.reconstruction.pairs.contradictions import distrust_contradicted
from recon3d.reconstruction.pairs.pair_viewer import view_pair
from recon3d.reconstruction.pairs.spanning_tree import Start, start

# Of the released optimiser (DUSt3R, Wang et al. 2024, section 3.4). Adam moves every unknown by the same steps, so the
# units of the unknowns are part of the method: the world's scale, the stretched translations, the focals' logarithm times 20.
SCALE = 0.5  # geometric mean of the scales of the pairs in the world that is optimised
FOCAL_UNIT = 20.0
BETAS = (0.9, 0.9)
BLOCK = 1 << 18  # pixels of pairs that are compared at a time: what fits into a cache


@dataclass(frozen=True)
class Alignment:
    steps: int = 300
    rate: float = 0.01
    last_rate: float = 1e-6
    schedule: Literal["cosine", "linear"] = "cosine"
    confident: float = 3.0  # raw confidence from which a pixel helps to find a pose to start from

    def rate_at(self, step: int) -> float:
        done = step / self.steps
        falling = (1 + math.cos(math.pi * done)) / 2 if self.schedule == "cosine" else 1 - done
        return self.last_rate + (self.rate - self.last_rate) * falling


@dataclass(frozen=True)
class Unknowns:
    """What Adam moves, float32 leaves. Translations t are sign(t) log(1 + |t|)."""

    quats: Annotated[Tensor, "N 4"]  # world from camera; of any length
    translations: Annotated[Tensor, "N 3"]
    log_focals: Annotated[Tensor, "N"]  # FOCAL_UNIT times the logarithm
    log_depths: Annotated[tuple[Tensor, ...], "N × P"]
    pair_quats: Annotated[Tensor, "E 4"]
    pair_translations: Annotated[Tensor, "E 3"]
    pair_log_scales: Annotated[Tensor, "E"]  # the scales are normalised to the geometric mean SCALE

    def leaves(self) -> list[Tensor]:
        pairs = [self.pair_quats, self.pair_translations, self.pair_log_scales]
        return [self.quats, self.translations, self.log_focals, *self.log_depths, *pairs]


@dataclass(frozen=True)
class Maps:
    """The unknowns as affine maps: a world point is `rays_to_world @ ray * depth + centers` by its picture, and
    `pairs_to_world @ point + pair_shifts` by a pair."""

    rays_to_world: Annotated[Tensor, "N 3 3"]
    centers: Annotated[Tensor, "N 3"]
    pairs_to_world: Annotated[Tensor, "E 3 3"]
    pair_shifts: Annotated[Tensor, "E 3"]


@dataclass(frozen=True)
class Claims:
    """All that the pairs say about one picture of P pixels: S point maps, those of pairs whose first picture it is and
    those of pairs whose second it is."""

    pairs: Annotated[Tensor, "S"]  # int64, index of the pair
    points: Annotated[Tensor, "S 3 P"]  # float32, in the frame of the pair
    weights: Annotated[Tensor, "S P"]  # float32; over all pictures they add up as the published loss does
    rays: Annotated[Tensor, "3 P"]  # x and y from the principal point in pixels, and 1


def align(
    pairs: Pairs, options: Alignment | None = None, principal_points: Annotated[Tensor, "N 2"] | None = None,
    advance: Callable[[int, int], None] | None = None,
) -> Aligned:  # fmt: skip
    """Cameras and depth of N pictures from E pairs that join them, by the published objective and its schedule.

    Principal points (x, y) are the pictures' middles where they are not given. `advance` is told the steps done, of how
    many. The world's unit is the geometric mean of the pairs' units. A start that has the lower loss is kept. It runs where
    the pairs' tensors are. Raises InputError where the pairs do not join all pictures.
    Source: DUSt3R (Wang et al. 2024), section 3.4, equation 5, and the units and schedules of its release.
    """
    options = options or Alignment()
    centers = middles(pairs) if principal_points is None else principal_points.double()
    begin = start(pairs.to("cpu"), centers, options.confident)
    claims = [claims_about(view, pairs, centers[view]) for view in range(len(pairs.sizes))]
    unknowns = unknowns_of(begin, pairs.edges.device)
    loss = differentiated(unknowns, claims)
    initial_loss = float(loss)
    adam = torch.optim.Adam(unknowns.leaves(), lr=options.rate, betas=BETAS, fused=True)
    for step in range(options.steps):
        adam.param_groups[0]["lr"] = options.rate_at(step)
        adam.step()
        loss = differentiated(unknowns, claims)
        if advance is not None:
            advance(step + 1, options.steps)
    reached = float(loss)
    if reached > initial_loss:  # Adam's first steps leave a start that is all but exact, and may not find back
        unknowns, reached = unknowns_of(begin, pairs.edges.device), initial_loss
    K = pinholes((unknowns.log_focals.detach().double() / FOCAL_UNIT).exp().cpu(), centers)
    world_from_camera, depth = in_units_of_pairs(unknowns, pairs)
    geometry = geometry_of(pairs, world_from_camera, K, depth)
    return Aligned(geometry, begin.unposed, initial_loss, reached)


def one_world(pairs: Pairs, advance: Callable[[int, int], None] | None = None) -> Aligned:
    """N pictures in one world: two that were paired both ways as they are, others by global alignment. Pixels that another
    picture contradicts lose their confidence. See `align`.
    """
    pairs.check("pairs")
    both_ways = sorted(pairs.edges.tolist()) == [[0, 1], [1, 0]] and len(pairs.sizes) == 2
    found = view_pair(pairs) if both_ways else align(pairs, advance=advance)
    return replace(found, geometry=distrust_contradicted(found.geometry))


def claims_about(view: int, pairs: Pairs, principal_point: Annotated[Tensor, "2"]) -> Claims:
    """Weights are the logarithms of the confidences, over the pixels of all first, or of all second, pictures of pairs."""
    height, width = pairs.size(view)
    device = pairs.edges.device
    edges = pairs.edges.cpu()
    found = []
    for side, points, confidence in ((0, pairs.points_i, pairs.confidence_i), (1, pairs.points_j, pairs.confidence_j)):
        pixels = int(pairs.sizes[edges[:, side]].prod(1).sum())
        found += [(e, points[e], confidence[e].log() / pixels) for e in (edges[:, side] == view).nonzero()[:, 0].tolist()]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    ones = torch.ones(height, width, dtype=torch.float64)
    rays = torch.stack([x + 0.5 - principal_point[0], y + 0.5 - principal_point[1], ones]).reshape(3, -1)
    return Claims(
        torch.tensor([e for e, _, _ in found], device=device),
        torch.stack([points.reshape(-1, 3).T for _, points, _ in found]).contiguous(),
        torch.stack([weights.flatten() for _, _, weights in found]), rays.float().to(device),
    )  # fmt: skip


def unknowns_of(begin: Start, device: torch.device) -> Unknowns:
    """A start in the world of the optimisation. Depth that is not positive starts at 1."""
    log_scales = torch.stack([similarity.scale for similarity in begin.world_from_pair]).log()
    rescaled = SCALE / log_scales.mean().exp()
    rotations = torch.stack([similarity.rotation for similarity in begin.world_from_pair])
    shifts = torch.stack([similarity.translation / similarity.scale for similarity in begin.world_from_pair])
    log_depths = [(depth.flatten() * rescaled).log() for depth in begin.depth]

    def leaf(value: Tensor) -> Tensor:
        return value.float().to(device).requires_grad_()

    return Unknowns(
        quats=leaf(quats_from_matrices(begin.world_from_camera[:, :3, :3])),
        translations=leaf(stretched(begin.world_from_camera[:, :3, 3] * rescaled)),
        log_focals=leaf(FOCAL_UNIT * begin.focals.log()),
        log_depths=tuple(leaf(torch.where(log_depth.isfinite(), log_depth, 0)) for log_depth in log_depths),
        pair_quats=leaf(quats_from_matrices(rotations)),
        pair_translations=leaf(stretched(shifts)),
        pair_log_scales=leaf(log_scales),
    )


def stretched(translations: Annotated[Tensor, "N 3"]) -> Annotated[Tensor, "N 3"]:
    return translations.sign() * translations.abs().log1p()


def unstretched(translations: Annotated[Tensor, "N 3"]) -> Annotated[Tensor, "N 3"]:
    return translations.sign() * translations.abs().expm1()


def maps_of(unknowns: Unknowns) -> Maps:
    focals = (unknowns.log_focals / FOCAL_UNIT).exp()
    shrunk = torch.stack([1 / focals, 1 / focals, torch.ones_like(focals)], -1)
    scales = SCALE * (unknowns.pair_log_scales - unknowns.pair_log_scales.mean()).exp()
    return Maps(
        rays_to_world=matrices_from_quats(unknowns.quats) * shrunk[:, None],
        centers=unstretched(unknowns.translations),
        pairs_to_world=matrices_from_quats(unknowns.pair_quats) * scales[:, None, None],
        pair_shifts=unstretched(unknowns.pair_translations) * scales[:, None],
    )


def differentiated(unknowns: Unknowns, claims: list[Claims]) -> Annotated[Tensor, ""]:
    """The loss, whose gradient is left in the leaves. Only the maps are differentiated by autograd: for the pixels it would
    keep several copies of all point maps."""
    maps = maps_of(unknowns)
    values = (maps.rays_to_world, maps.centers, maps.pairs_to_world, maps.pair_shifts)
    gradient = Maps(*(torch.zeros_like(value) for value in values))
    loss = torch.zeros((), device=maps.centers.device)
    for leaf in unknowns.leaves():
        leaf.grad = None
    with torch.no_grad():
        for view, claim in enumerate(claims):
            loss += compare(view, claim, unknowns.log_depths[view], maps, gradient)
    torch.autograd.backward(
        values, (gradient.rays_to_world, gradient.centers, gradient.pairs_to_world, gradient.pair_shifts)
    )
    return loss


def compare(view: int, claim: Claims, log_depth: Annotated[Tensor, "P"], maps: Maps, gradient: Maps) -> Annotated[Tensor, ""]:
    """The picture's part of the loss: weighted distances of its world points from where its pairs put them.

    Its gradient is added to `gradient`, and becomes that of `log_depth`.
    """
    depth = log_depth.exp()
    directions = maps.rays_to_world[view] @ claim.rays
    world = torch.addcmul(maps.centers[view][:, None], directions, depth)
    pull, loss = torch.zeros_like(world), torch.zeros_like(depth[0])
    size = max(1, BLOCK // len(depth))
    for some in (slice(k, k + size) for k in range(0, len(claim.pairs), size)):
        pairs, points, weights = claim.pairs[some], claim.points[some], claim.weights[some]
        apart = world - maps.pair_shifts[pairs][:, :, None]
        apart.baddbmm_(maps.pairs_to_world[pairs], points, alpha=-1)
        x, y, z = apart.unbind(1)
        distance = (x * x).addcmul_(y, y).addcmul_(z, z).sqrt_()  # a hundred times as fast as a norm over axis 1
        loss += (weights * distance).sum()
        pulls = apart.mul_((weights / distance.clamp_min(torch.finfo(distance.dtype).tiny))[:, None])
        pull.view(-1).addmv_(pulls.flatten(1).T, torch.ones_like(weights[:, 0]))  # their sum; quicker than sum(0)
        gradient.pairs_to_world[pairs] -= pulls @ points.transpose(1, 2)
        gradient.pair_shifts[pairs] -= pulls.sum(2)
    log_depth.grad = (pull * directions).sum(0) * depth
    gradient.rays_to_world[view] += (pull * depth) @ claim.rays.T
    gradient.centers[view] += pull.sum(1)
    return loss


def in_units_of_pairs(
    unknowns: Unknowns, pairs: Pairs
) -> tuple[Annotated[Tensor, "N 4 4"], Annotated[tuple[Tensor, ...], "N × H W"]]:
    """world_from_camera (float64) and depth, in a world in which the geometric mean of the pairs' scales is 1."""
    poses = torch.eye(4, dtype=torch.float64).repeat(len(pairs.sizes), 1, 1)
    poses[:, :3, :3] = matrices_from_quats(unknowns.quats.detach().double().cpu())
    poses[:, :3, 3] = unstretched(unknowns.translations.detach().double().cpu()) / SCALE
    depths = (log_depth.detach().exp().cpu() / SCALE for log_depth in unknowns.log_depths)
    return poses, tuple(depth.reshape(pairs.size(view)) for view, depth in enumerate(depths))
