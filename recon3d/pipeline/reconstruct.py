"""A request carried out: the method is put together from the tables, run, and measured. Writes nothing but finished stages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from recon3d.core.gaussians import Gaussians
from recon3d.core.geometry import Geometry
from recon3d.core.scene import Scene
from recon3d.core.views import Views
from recon3d.errors import InputError
from recon3d.io.detect import Found
from recon3d.io.load import Loaded, load_views
from recon3d.pipeline.artefacts import (
    WorkFolder,
    pack_gaussians,
    unpack_gaussians,
)  # fmt: skip
from recon3d.pipeline.choices import SPLATS
from recon3d.pipeline.holdout import measure
from recon3d.pipeline.method import Improvement, Method, run
from recon3d.pipeline.request import Plan, Request, plan
from recon3d.pipeline.sources import Asked, sourced
from recon3d.progress import Progress
from recon3d.reconstruction.pruning import brought_near, thinned, unmasked
from recon3d.reconstruction.refinement.refine import Refinement, refine, warm_up
from recon3d.reconstruction.world_frame import upright
from recon3d.rendering.render import usable_backend

SNAPSHOT_EVERY = 50  # steps between two pictures of the scene for whoever watches; one costs less than a step


@dataclass(frozen=True)
class Outcome:
    """A scene, and what the report says about how it came about."""

    scene: Scene
    loaded: Loaded
    facts: dict[str, Any]  # parts of the report: "geometry", "refinement", "holdout", "repeatable", ...


def reconstruct(request: Request, found: Found, progress: Progress, work: WorkFolder | None = None) -> Outcome:
    """Photos to a scene. Raises InputError where the input cannot be reconstructed."""
    chosen, backend = plan(request), usable_backend(request.device)
    with progress.stage("photos"):
        loaded = loaded_views(request, chosen, found, progress)
    facts: dict[str, Any] = {"rasterizer": backend}
    method = method_of(request, chosen, loaded, str(found.root), backend, work, facts, progress)
    scene = run(loaded.views, method, progress)
    with progress.stage("measuring"):
        if scene.views is not None and scene.views.held_out.any():
            facts["holdout"] = measure(scene, request.device)
    facts["repeatable"] = facts["geometry"]["repeatable"] and chosen.budget.seconds is None and backend == "cpu"
    return Outcome(scene, loaded, facts)


def loaded_views(request: Request, chosen: Plan, found: Found, progress: Progress) -> Loaded:
    """The photos at working size, with what is known of their cameras; held-out ones marked."""
    loaded = load_views(
        found, max_size=chosen.max_size, max_images=request.max_images, fps=request.fps, masks=request.masks,
        invert_masks=request.invert_masks, cameras=request.cameras, progress=progress,
    )  # fmt: skip
    if chosen.holdout is None:
        return loaded
    held_out = torch.zeros(len(loaded.views), dtype=torch.bool)
    held_out[chosen.holdout.indices(len(held_out))] = True
    if not held_out.any() or len(held_out) - int(held_out.sum()) < 2:
        what = f"{request.holdout} of {len(held_out)} photos leaves none to measure or fewer than two to use"
        raise InputError("--holdout", what, "Give other numbers, or more photos")
    return replace(loaded, views=replace(loaded.views, held_out=held_out))


def method_of(
    request: Request, chosen: Plan, loaded: Loaded, where: str, backend: str, work: WorkFolder | None,
    facts: dict[str, Any], progress: Progress,
) -> Method:  # fmt: skip
    """The stages as the request wants them; each writes what it found into `facts`."""

    def geometry(views: Views) -> tuple[Views, Geometry]:
        found = sourced(views, Asked(request, chosen, loaded, where, work, progress))
        facts["geometry"] = found.facts
        if found.facts.get("weights", {}).get("random"):
            facts["random_weights"] = True
        if loaded.in_metres:
            return found.views, replace(found.geometry, scale="metres", scale_source="given poses")
        return found.views, found.geometry

    def splats(views: Views, geometry: Geometry) -> Gaussians:
        if geometry.depth is None:
            return SPLATS["points"].load()(views, geometry)
        return SPLATS["lift"].load()(views, geometry, chosen.max_gaussians)

    def apply_upright(views: Views, geometry: Geometry) -> Geometry:
        return geometry.transformed(upright(geometry))

    def apply_refinement(views: Views, geometry: Geometry, gaussians: Gaussians) -> tuple[Gaussians, Geometry]:
        gaussians, geometry, facts["refinement"] = refined(
            request, chosen, backend, views, geometry, gaussians, work, progress
        )
        return gaussians, geometry

    given = bool(loaded.views.pose_known.any())
    turned = request.orientation == "up" and not given
    facts["world"] = {
        "frame": "given" if given else "estimated, up is -y" if turned else "estimated",
        "unit": "metres" if loaded.in_metres else "arbitrary",
    }
    return Method(
        geometry=geometry,
        improvements=(Improvement("upright", apply_upright),) if turned else (),
        splats=splats,
        prepare=warm_up,
        refine=apply_refinement,
    )


def refined(
    request: Request, chosen: Plan, backend: str, views: Views, geometry: Geometry, gaussians: Gaussians,
    work: WorkFolder | None, progress: Progress,
) -> tuple[Gaussians, Geometry, dict[str, Any]]:  # fmt: skip
    """Splats refined as the budget says, and what is seen through masks only left out."""
    facts: dict[str, Any] = {"steps": 0, "seconds": 0.0, "interrupted": False}
    gaussians = thinned(gaussians, chosen.max_gaussians, request.seed or 0)
    if chosen.budget.steps == 0:
        return unmasked(views, geometry, gaussians), geometry, facts
    options = Refinement(
        steps=chosen.budget.steps, seconds=chosen.budget.seconds, max_gaussians=chosen.max_gaussians,
        seed=request.seed or 0, refine_cameras=request.refine_cameras, exposure=request.exposure, backend=backend,
        snapshot_every=SNAPSHOT_EVERY,
    )  # fmt: skip

    def make() -> tuple[Gaussians, Geometry, dict[str, Any]]:
        result = refine(views, geometry, gaussians, options, progress)
        facts = {"steps": result.steps, "seconds": round(result.seconds, 3), "interrupted": result.interrupted}
        near = brought_near(result.gaussians, result.geometry.cameras)
        return unmasked(views, result.geometry, near), result.geometry, facts

    if work is None:
        return make()
    return work.kept("refinement", make, *refinement_codec(geometry))


def refinement_codec(geometry: Geometry) -> tuple[Callable, Callable]:
    """How a refined scene lies in the work folder: splats, cameras, and what the report says."""

    def pack(result):
        gaussians, moved, facts = result
        words = [facts["steps"], facts["seconds"], float(facts["interrupted"])]
        return pack_gaussians(gaussians) | {
            "cameras": moved.cameras.camera_from_world.numpy(),
            "facts": torch.tensor(words, dtype=torch.float64).numpy(),
        }

    def unpack(arrays):
        cameras = replace(geometry.cameras, camera_from_world=torch.from_numpy(arrays["cameras"]))
        steps, seconds, interrupted = arrays["facts"].tolist()
        facts = {"steps": int(steps), "seconds": seconds, "interrupted": bool(interrupted)}
        return unpack_gaussians(arrays), geometry.with_cameras(cameras), facts

    return pack, unpack
