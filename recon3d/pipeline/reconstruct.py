"""A request carried out: the method is put together from the tables, run, and measured. Writes nothing but finished stages."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from recon3d.core.cameras import Cameras
from recon3d.core.gaussians import Gaussians
from recon3d.core.geometry import Geometry
from recon3d.core.origin import in_words
from recon3d.core.rotations import rotation_angle
from recon3d.core.scene import Scene
from recon3d.core.views import Views
from recon3d.errors import InputError
from recon3d.io.detect import Found
from recon3d.io.load import Loaded, load_views
from recon3d.models.ilrm.config import CONFIGS
from recon3d.pipeline import bundle_adjustment
from recon3d.pipeline.artefacts import (
    WorkFolder,
    pack_gaussians,
    unpack_gaussians,
)  # fmt: skip
from recon3d.pipeline.choices import QUALITY
from recon3d.pipeline.exposure import why_fitted
from recon3d.pipeline.holdout import measure
from recon3d.pipeline.method import Improvement, Method, run
from recon3d.pipeline.metric import MetricReport, checked, in_metres
from recon3d.pipeline.request import Plan, Request, plan
from recon3d.pipeline.sources import Asked, sourced
from recon3d.pipeline.splats import splatted
from recon3d.pipeline.stage_reports import CameraMotionReport, GeometryReport, RefinementReport, StageReports
from recon3d.pipeline.to_adjust import of_network
from recon3d.progress import Progress
from recon3d.reconstruction.heads.ilrm import normalisation
from recon3d.reconstruction.heads.optimisation import STEPS, optimised
from recon3d.reconstruction.pruning import brought_near, unmasked
from recon3d.reconstruction.refinement.refine import Refinement, refine, scene_extent, warm_up
from recon3d.reconstruction.world_frame import origin_of, upright
from recon3d.rendering.render import BACKENDS, usable_backend

PUBLISHED_OPTIMISATION = ("ilrm-dl3dv-16v", "ilrm-dl3dv-32v")  # rows of SPLATS whose authors optimise after prediction
SNAPSHOT_EVERY = 50  # steps between two pictures of the scene for whoever watches; one costs less than a step


@dataclass(frozen=True)
class Outcome:
    """A scene, and what the report says about how it came about."""

    scene: Scene
    loaded: Loaded
    stages: StageReports
    rasterizer: str
    world: World
    repeatable: bool
    holdout: dict[str, Any] | None  # where photos were held out


@dataclass(frozen=True)
class World:
    """What the frame and the unit of a scene's coordinates mean."""

    frame: str
    unit: str
    unit_source: str | None = None  # where metres came from
    origin: tuple[float, float, float] | None = None  # of the frame of the splats in the given world, where it is not its zero


def reconstruct(request: Request, found: Found, progress: Progress, work: WorkFolder | None = None) -> Outcome:
    """Photos to a scene. Raises InputError where the input cannot be reconstructed."""
    backend = usable_backend(request.device)
    chosen = plan(request, on_a_gpu=BACKENDS[backend].device == "cuda", has_depth=found.depth is not None)
    with progress.stage("photos"):
        loaded = loaded_views(request, chosen, found, progress)
        origin = origin_of(loaded.views)
        if any(origin):
            loaded = loaded.about(np.array(origin))
            progress.note(far_away(origin, request))
    asked = checked(chosen.metric, Asked(request, chosen, loaded, str(found.root), work, progress))
    scene, stages = run(loaded.views, method_of(asked, backend), progress)
    unit = metres_per_unit(stages)
    origin = (unit * origin[0], unit * origin[1], unit * origin[2])
    scene = replace(scene, origin=origin)
    holdout = None
    with progress.stage("measuring"):
        if scene.views is not None and scene.views.held_out.any():
            holdout = measure(scene, request.device)
    repeatable = stages.geometry.repeatable and chosen.budget.seconds is None and backend == "cpu"
    if bundle_adjustment.NAME in stages.improvements:
        repeatable = repeatable and request.seed is not None
    world = world_of(asked, scene, unit)
    return Outcome(scene, loaded, stages, backend, world, repeatable, holdout)


def far_away(origin: tuple[float, float, float], request: Request) -> str:
    """What a user should know whose cameras stand far from zero."""
    step = float(np.spacing(np.float32(max(map(abs, origin)))))
    given = "files of cameras keep the given world" if request.origin == "keep" else "all files stand about it"
    where = f"the given cameras are far from zero, where splats would be off by {step:.2g} units"
    return f"{where}: the scene is made about the origin {in_words(np.array(origin))}; {given} (--origin)"


def metres_per_unit(stages: StageReports) -> float:
    """What all lengths were multiplied by since the geometry stood in its own unit."""
    report = stages.improvements.get("metric")
    return report.metres_per_unit if isinstance(report, MetricReport) and report.taken else 1.0


def world_of(asked: Asked, scene: Scene, unit: float) -> World:
    """What the coordinates of a finished scene mean; `unit`: what its lengths were multiplied by."""
    assert scene.geometry is not None
    given = bool(asked.loaded.views.pose_known.any())
    frame = "given" if given else "estimated, up is -y" if is_turned(asked) else "estimated"
    if given and unit != 1:
        frame = f"given, times {unit:.15g}"
    source = scene.geometry.scale_source if scene.geometry.scale == "metres" else None
    return World(frame, scene.geometry.scale, source, scene.origin if any(scene.origin) else None)


def is_turned(asked: Asked) -> bool:
    """Whether the world is turned upright: given cameras keep their frame."""
    return asked.request.orientation == "up" and not bool(asked.loaded.views.pose_known.any())


def loaded_views(request: Request, chosen: Plan, found: Found, progress: Progress) -> Loaded:
    """The photos at working size, with what is known of their cameras; held-out ones marked."""
    loaded = load_views(
        found, max_size=chosen.max_size, max_images=request.max_images, fps=request.fps, masks=request.masks,
        invert_masks=request.invert_masks, cameras=request.cameras, progress=progress,
    )  # fmt: skip
    given = loaded.views.held_out
    if chosen.holdout is None:
        if len(given) - int(given.sum()) < min(2, len(given)):
            what = f"{int(given.sum())} of its {len(given)} photos are held out, which leaves fewer than two to use"
            raise InputError(found.root, what, "Say with --holdout which are, or give more photos")
        return loaded
    held_out = torch.zeros(len(loaded.views), dtype=torch.bool)
    held_out[chosen.holdout.indices(len(held_out))] = True
    used = [name for name, i in zip(loaded.views.names, (given & ~held_out).tolist(), strict=True) if i]
    if used:
        where = request.cameras or found.cameras
        rest = f"{used[0]} first) are" if len(used) > 1 else f"{used[0]}) is"
        what = f"{len(used)} that {where} holds out ({rest} used like the others"
        progress.note(f"--holdout {request.holdout} says which photos are held out: {what}")
    if not held_out.any() or len(held_out) - int(held_out.sum()) < 2:
        what = f"{request.holdout} of {len(held_out)} photos leaves none to measure or fewer than two to use"
        raise InputError("--holdout", what, "Give other numbers, or more photos")
    return replace(loaded, views=replace(loaded.views, held_out=held_out))


def method_of(asked: Asked, backend: str) -> Method:
    """The stages as the request wants them."""

    def geometry(views: Views) -> tuple[Views, Geometry, GeometryReport]:
        found = sourced(views, asked)
        of_known = found.report.known_cameras
        if asked.loaded.in_metres and (of_known is None or of_known.scale is not None):
            return found.views, replace(found.geometry, scale="metres", scale_source="given poses"), found.report
        return found.views, found.geometry, found.report

    def apply_upright(views: Views, geometry: Geometry) -> tuple[Geometry, None]:
        return geometry.transformed(upright(geometry)), None

    turning = (Improvement("upright", apply_upright),) if is_turned(asked) else ()
    to_metres = Improvement("metric", partial(in_metres, asked.chosen.metric, asked=asked))
    metric = () if asked.chosen.metric.way == "none" else (to_metres,)  # last: the report tells where the world stands
    return Method(
        geometry=geometry,
        improvements=(*bundle_adjustment.improvements(asked), *turning, *metric),
        splats=lambda views, geometry: splatted(views, geometry, asked),
        prepare=partial(warm_up, backend),
        refine=lambda views, geometry, gaussians: refined(asked, backend, views, geometry, gaussians),
    )


def refined(
    asked: Asked, backend: str, views: Views, geometry: Geometry, gaussians: Gaussians
) -> tuple[Gaussians, Geometry, RefinementReport]:
    """Splats refined as the budget says, and what is seen through masks only left out."""
    request, chosen = asked.request, asked.chosen
    if chosen.budget.steps == 0:
        return unmasked(views, geometry, gaussians), geometry, RefinementReport()
    if request.refine is None and chosen.splats in PUBLISHED_OPTIMISATION:
        return optimised_as_published(asked, backend, views, geometry, gaussians)
    said = dict(zip(asked.loaded.views.names, asked.loaded.exif, strict=False))
    seen = [name for name, held_out in zip(views.names, views.held_out.tolist(), strict=True) if not held_out]
    why = why_fitted(request.exposure, [said[name] for name in seen if name in said])
    if request.exposure == "auto" and why is not None:
        asked.progress.note(f"the photos' exposures are fitted: {why} (--exposure)")
    steps = chosen.budget.steps if request.refine is not None else QUALITY[request.quality].steps_for(len(seen))
    options = Refinement(
        steps=steps, seconds=chosen.budget.seconds, max_gaussians=chosen.max_gaussians,
        seed=request.seed or 0, refine_cameras=moves_cameras(asked), exposure=why is not None, backend=backend,
        snapshot_every=SNAPSHOT_EVERY,
    )  # fmt: skip

    def make() -> tuple[Gaussians, Geometry, RefinementReport]:
        result = refine(views, geometry, gaussians, options, asked.progress)
        near = brought_near(result.gaussians, result.geometry.cameras)
        shares = {views.names[i]: round(share, 3) for i, share in result.distractors.items()}
        report = RefinementReport(
            result.steps, round(result.seconds, 3), result.interrupted, exposures=why, distractors=shares or None
        )
        return unmasked(views, result.geometry, near), result.geometry, report

    found = make() if asked.work is None else asked.work.kept("refinement", make, *refinement_codec(geometry))
    if not options.refine_cameras:
        return found
    splats, moved, report = found
    return splats, moved, replace(report, cameras=motion_of(views, geometry.cameras, moved.cameras))


def moves_cameras(asked: Asked) -> bool:
    """Whether refinement may move cameras: as it was asked for, else where a network predicted all of them."""
    if asked.request.refine_cameras != "auto":
        return asked.request.refine_cameras == "on"
    predicted = of_network(asked.request, asked.loaded, asked.chosen.geometry)
    return predicted and not bool(asked.loaded.views.pose_known.any())


def motion_of(views: Views, before: Cameras, after: Cameras) -> CameraMotionReport:
    """What refinement did to the cameras."""
    seen = ~views.held_out
    between = after.camera_from_world[:, :3, :3] @ before.camera_from_world[:, :3, :3].transpose(1, 2)
    degrees = torch.rad2deg(rotation_angle(between))[seen].median()
    shift = (after.centers_in_world - before.centers_in_world).norm(dim=1)[seen].median() / scene_extent(before)
    follow = tuple(name for name, out in zip(views.names, views.held_out.tolist(), strict=True) if out)
    return CameraMotionReport(round(float(degrees), 4), round(float(shift), 5), follow)


def optimised_as_published(
    asked: Asked, backend: str, views: Views, geometry: Geometry, gaussians: Gaussians
) -> tuple[Gaussians, Geometry, RefinementReport]:
    """A head's own few steps, where --refine asks for no others."""
    seen = ~views.held_out
    similarity = normalisation(CONFIGS[str(asked.chosen.splats)], geometry[seen])
    start = time.perf_counter()
    advance = partial(asked.progress.advance, text="steps")
    found = optimised(gaussians, views[seen], geometry[seen], similarity, backend, advance)
    way = "as published: Adam on the input views"
    report = RefinementReport(STEPS, round(time.perf_counter() - start, 3), way=way)
    return unmasked(views, geometry, found), geometry, report


def refinement_codec(geometry: Geometry) -> tuple[Callable, Callable]:
    """How a refined scene lies in the work folder: splats, cameras, and what the report says."""

    def pack(result):
        gaussians, moved, report = result
        return pack_gaussians(gaussians) | {
            "cameras": moved.cameras.camera_from_world.numpy(), "report": np.array(json.dumps(asdict(report))),
        }  # fmt: skip

    def unpack(arrays):
        cameras = replace(geometry.cameras, camera_from_world=torch.from_numpy(arrays["cameras"]))
        report = RefinementReport(**json.loads(str(arrays["report"])))
        return unpack_gaussians(arrays), geometry.with_cameras(cameras), report

    return pack, unpack
