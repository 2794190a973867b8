"""Who makes the Gaussians: every row of SPLATS, from seen views with their geometry; long captures in windows; the budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from recon3d.core.gaussians import Gaussians
from recon3d.core.geometry import Geometry
from recon3d.core.views import Views
from recon3d.models import checkpoints
from recon3d.models.checkpoints import Checkpoint
from recon3d.models.weights import table
from recon3d.pipeline.choices import SPLATS
from recon3d.pipeline.plan import network_device
from recon3d.pipeline.sources import Asked
from recon3d.pipeline.stage_reports import BudgetReport, SplatsReport
from recon3d.reconstruction.budget import CELL, WAYS, drawn_evenly, joined, within_budget
from recon3d.reconstruction.heads.anchors import anchor_count
from recon3d.reconstruction.heads.trained import Trained, outside
from recon3d.reconstruction.heads.windows import footprints, fused, windows
from recon3d.reconstruction.lift import lift
from recon3d.reconstruction.seeding.seed import seed
from recon3d.rendering.render import BACKENDS, backend_for

Made = tuple[Gaussians, SplatsReport]
# A pass over some views: its Gaussians, and the names of the views that it made anchors of.
Head = Callable[[Views, Geometry], tuple[Gaussians, tuple[str, ...]]]

# What the published weights were trained on, as far as that is published. Pixels: the longest side.
TRAINED = {
    "ilrm-re10k-2v": Trained(views=(2, 2), pixels=(256, 640), overlap=(0.05, 1.0)),
    "ilrm-dl3dv-16v": Trained(views=(16, 16), pixels=(960, 3840)),
    "ilrm-dl3dv-32v": Trained(views=(32, 48), pixels=(960, 3840)),
    "da3-giant": Trained(views=(2, 32), pixels=(504, 3840)),
}
AT_A_TIME = {"ilrm-re10k-2v": 2, "ilrm-dl3dv-16v": 16, "ilrm-dl3dv-32v": 32, "da3-giant": 32, "joint": 128}  # views


def splatted(views: Views, geometry: Geometry, asked: Asked) -> Made:
    """Gaussians of the seen views by the row that was chosen, no more than the budget. Raises InputError."""
    name, rule = asked.chosen.splats, "named by the user"
    if name is None:
        name, rule = ("points" if geometry.depth is None else "lift"), "auto: lift where there is depth, else points"
    report = SplatsReport(name, rule, SPLATS[name].licence)
    gaussians, report = SPLATS[name].load()(views, geometry, asked, report)
    gaussians.check("splats")
    most, refined = asked.chosen.max_gaussians, asked.chosen.budget.steps != 0
    evenly = {"drawn evenly": partial(drawn_evenly, seed=asked.request.seed or 0)}
    kept, cost = within_budget(gaussians, views, geometry, most, evenly if refined else WAYS, asked.request.device)
    if cost is None:
        return kept, report
    budget = BudgetReport(most, len(gaussians), len(kept), cost.way, cost.psnr_before, cost.psnr_after)
    return kept, replace(report, budget=budget)


def points(views: Views, geometry: Geometry, asked: Asked, report: SplatsReport) -> Made:
    return seed(views, geometry, device=BACKENDS[backend_for(asked.request.device)].device), report


def lifted(views: Views, geometry: Geometry, asked: Asked, report: SplatsReport) -> Made:
    """One layer where no refinement follows; else the Gaussians of every view, those that lie together joined."""
    one_layer = asked.chosen.budget.steps == 0
    found = lift(views, geometry, asked.chosen.max_gaussians, one_layer)
    return found if one_layer else joined(found, found.opacities, CELL)[0], report


def joint(views: Views, geometry: Geometry, asked: Asked, report: SplatsReport) -> Made:
    """By the weights that come with the toolkit, by others of its kind, or random ones, which give what `lift` gives."""
    from recon3d.models.joint.network import Joint
    from recon3d.reconstruction.heads.joint import joint_gaussians

    key = SPLATS["joint"].weights
    assert key is not None
    source = checkpoints.checkpoint(key, table()[key], asked.request.splats_weights, asked.progress)
    if source.path is None:
        asked.progress.note(f"{key}: random weights, which give what lift gives of the anchors")
        width = None if geometry.features is None else geometry.features.shape[1]
        source = replace(source, config=replace(source.config, feature_width=width))
    network = checkpoints.network(source, asked.request.seed or 0, None, network_device(asked.request.device))
    assert isinstance(network, Joint)
    anchors = anchor_count(geometry) if asked.request.anchors is None else asked.request.anchors

    def head(some: Views, of_some: Geometry) -> tuple[Gaussians, tuple[str, ...]]:
        gaussians, chosen = joint_gaussians(network, some, of_some, anchors)
        return gaussians, tuple(some.names[i] for i in chosen.tolist())

    gaussians, count, names = in_windows(head, views, geometry, AT_A_TIME["joint"])
    return gaussians, replace(report, weights=source.report(), anchors=names, windows=count)


def ilrm(views: Views, geometry: Geometry, asked: Asked, report: SplatsReport) -> Made:
    from recon3d.reconstruction.heads.ilrm import ilrm_gaussians

    return published(ilrm_gaussians, views, geometry, asked, report)


def da3(views: Views, geometry: Geometry, asked: Asked, report: SplatsReport) -> Made:
    from recon3d.reconstruction.heads.da3 import da3_gaussians

    return published(da3_gaussians, views, geometry, asked, report)


def published(run: Callable, views: Views, geometry: Geometry, asked: Asked, report: SplatsReport) -> Made:
    """A head with published weights (or given, or random ones); says where the input is unlike what they were trained on."""
    key = report.row
    source = checkpoints.checkpoint(key, table()[key], asked.request.splats_weights, asked.progress)
    warn(source, asked)
    network = checkpoints.network(source, asked.request.seed or 0, None, network_device(asked.request.device))
    at_a_time = min(AT_A_TIME[key], len(views))
    unlike = outside(TRAINED[key], geometry, at_a_time)
    for clause in unlike:
        asked.progress.note(f"{key}: {clause}; expect less than its published figures")
    gaussians, count, _ = in_windows(lambda some, of_some: (run(network, some, of_some), ()), views, geometry, at_a_time)
    return gaussians, replace(report, weights=source.report(), windows=count, outside=unlike)


def warn(source: Checkpoint, asked: Asked) -> None:
    if source.path is None:
        asked.progress.note(f"{source.key}: random weights, so its Gaussians mean nothing")
    else:
        asked.progress.note(f"{source.key}: the licence of its weights: {source.row.licence}; no commercial use")


def in_windows(head: Head, views: Views, geometry: Geometry, size: int) -> tuple[Gaussians, int, tuple[str, ...]]:
    """All views at once where they are no more than `size`, else overlapping windows of them, made one scene as they come.

    Returns the Gaussians, how many windows there were, and the names of all anchors, sorted.
    """
    of_windows = windows(len(views), size)
    kept = best = None
    names: set[str] = set()
    for some in of_windows:
        new, anchors = head(views[some], geometry[some])
        if len(of_windows) == 1:
            return new, 1, tuple(sorted(anchors))
        names |= set(anchors)
        here = footprints(new, geometry.cameras[some])
        kept, best = (new, here) if kept is None or best is None else fused(kept, best, new, here)
    assert kept is not None
    return kept, len(of_windows), tuple(sorted(names))
