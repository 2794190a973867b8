"""Runs the cases of pairs of point maps: focal lengths, two pictures, global alignment, contradicted points.

The reference has pixel centres at integers and principal points in the middles of the pictures. Ours have centres at +0.5,
so that its principal points lie half a pixel farther.
"""

from __future__ import annotations

import torch
from torch import Tensor

from recon3d.core.cameras import Cameras
from recon3d.core.geometry import Geometry
from recon3d.core.pairs import Pairs
from recon3d.core.similarity import fit_points
from recon3d.metrics.poses import pair_errors
from recon3d.reconstruction.pairs import spanning_tree
from recon3d.reconstruction.pairs.alignment import FOCAL_UNIT, SCALE, Alignment, align
from recon3d.reconstruction.pairs.contradictions import distrust_contradicted
from recon3d.reconstruction.pairs.focal import median_focal, weiszfeld_focal
from recon3d.reconstruction.pairs.pair_viewer import CONFIDENT, ROUNDS, view_pair
from recon3d.reconstruction.pairs.resection import REACH
from tests.parity.cases import Case

HALF_A_PIXEL = 0.5
DISTURBED = 1e-6  # relative
RUNS = 5


def maps(case: Case, name: str) -> tuple[Tensor, ...]:
    """The tensors `in.NAME.*`, in order."""
    return tuple(case.tensors[key] for key in sorted(case.tensors) if key.startswith(f"in.{name}."))


def pairs_of(case: Case) -> Pairs:
    of_pairs = (maps(case, name) for name in ("pts_i", "pts_j", "conf_i", "conf_j"))
    return Pairs(case.given("edges"), *of_pairs, sizes=case.given("imshapes"))


def their_principal_points(pairs: Pairs) -> Tensor:
    return pairs.sizes.flip(1).double() / 2 + HALF_A_PIXEL


def focal(case: Case) -> None:
    def limits(config: dict) -> tuple[float, float]:
        return float(config["min_focal"]), float(config["max_focal"])

    points, centers = case.given("pts3d"), case.given("pp").double() + HALF_A_PIXEL
    clipped = weiszfeld_focal(case.given("pts3d_for_clipped"), centers, limits(case.config["clipped"]))
    case.check_outputs(
        {
            "weiszfeld": weiszfeld_focal(points, centers, limits(case.config)),
            "median": median_focal(points, centers),
            "weiszfeld_clipped": clipped,
        }
    )


def pair_viewer(case: Case) -> None:
    pairs = pairs_of(case)
    published = {"min_conf_thr": CONFIDENT, "iterations_count": ROUNDS, "reprojection_error": REACH}
    assert published.items() <= case.config.items(), case.name
    geometry = view_pair(pairs, their_principal_points(pairs)).geometry
    cameras = geometry.cameras
    ours = {
        "focals": cameras.K[:, 0, 0],
        "principal_points": cameras.K[:, :2, 2] - HALF_A_PIXEL,
        "poses": cameras.world_from_camera,
    }
    for i, (depth, confidence) in enumerate(zip(geometry.depth or (), pairs.best_confidence(), strict=True)):
        ours |= {f"depth.{i:02}": depth, f"pts3d.{i:02}": cameras.unproject(i, depth)[0], f"im_conf.{i:02}": confidence}
    case.check_outputs(ours)


def disturbed(pairs: Pairs, seed: int) -> Pairs:
    generator = torch.Generator().manual_seed(seed)

    def moved(items: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(x * (1 + DISTURBED * torch.randn(x.shape, generator=generator)) for x in items)

    return Pairs(pairs.edges, moved(pairs.points_i), moved(pairs.points_j), pairs.confidence_i, pairs.confidence_j, pairs.sizes)


def alignment(case: Case) -> None:
    pairs, config = pairs_of(case), case.config
    published = {
        "init": "mst", "dist": "l1", "conf": "log",
        "base_scale": SCALE, "focal_break": FOCAL_UNIT, "niter_pnp": spanning_tree.ROUNDS,
    }  # fmt: skip
    assert published.items() <= config.items(), case.name
    options = Alignment(config["niter"], config["lr"], config["lr_min"], config["schedule"], config["min_conf_thr"])
    centers = their_principal_points(pairs)
    focals = spanning_tree.start(pairs, centers, options.confident).focals
    case.check("init.focals", focals, case.tensors["out.corrected.init.focals"])
    runs = []
    for seed in range(RUNS):
        aligned = align(disturbed(pairs, seed), options, centers)
        runs.append({"final_loss": aligned.loss, **errors(case, aligned.geometry.cameras)})
    for name, gate in case.facts["gates"].items():
        if "max" in gate:
            values = torch.tensor([run[name] for run in runs])
            value = float(values.max() if name == "final_loss" else values.median())
            assert value <= gate["max"], f"{case.name} {name}: {value:.4g}, at most {gate['max']:.4g}"


def errors(case: Case, cameras) -> dict[str, float]:
    """How far the cameras are from the truth, by the names of the gates."""
    truth = case.tensors["truth.poses"].double()
    # The reference compares camera a from camera b for a < b, `pair_errors` the later from the earlier: hence the flips.
    apart = pair_errors(cameras.camera_from_world.flip(0), torch.linalg.inv(truth).flip(0))
    ours, centers = cameras.centers_in_world, truth[:, :3, 3]
    moved = fit_points(ours, centers).apply(ours)
    spread = (centers - centers.mean(0)).square().sum(1).mean().sqrt()
    return {
        "rot_deg_max": float(apart.rotation.max()),
        "trans_deg_max": float(apart.translation.max()),
        "ate_rel": float((moved - centers).square().sum(1).mean().sqrt() / spread),
        "focal_rel_max": float((cameras.K[:, 0, 0] / case.tensors["truth.focals"] - 1).abs().max()),
    }


def clean_pointcloud(case: Case) -> None:
    assert case.config["bad_conf"] == 0, case.name
    depth, confidence = maps(case, "depth"), maps(case, "conf")
    K = case.given("K").double()
    K[:, :2, 2] += HALF_A_PIXEL
    sizes = torch.tensor([list(of_view.shape) for of_view in depth])
    cameras = Cameras(case.given("world_to_cam").double(), K, sizes, torch.arange(len(depth)))
    none = torch.zeros(0, 3)
    geometry = Geometry(cameras, none, none, none[:, 0], depth=depth, confidence=confidence)
    ours = distrust_contradicted(geometry, case.config["tol"]).confidence
    for i, of_view in enumerate(ours or ()):
        name = f"out.conf.{i:02}"
        gate = case.facts["gates"][name]
        apart = (of_view - case.tensors[name]).abs() > gate["atol"] + gate["rtol"] * case.tensors[name].abs()
        share = float(apart.double().mean())
        assert share <= gate["max_mismatch_fraction"], f"{case.name} {name}: {share:.3g} of the pixels differ"


RUNNERS = {
    "focal": focal, "pair_viewer": pair_viewer, "alignment": alignment, "clean_pointcloud": clean_pointcloud,
}  # fmt: skip
