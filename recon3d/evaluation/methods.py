"""What can be evaluated: a name to what is run, from photos (or posed views) to cameras, depth and splats.

Everything runs by the pipeline of `recon3d run`; a method says which rows of its tables, and what stands behind them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from recon3d.core.cameras import Cameras
from recon3d.core.gaussians import Gaussians
from recon3d.core.views import Views
from recon3d.errors import InputError
from recon3d.evaluation.kept import Kept
from recon3d.io.load import Loaded
from recon3d.models import checkpoints
from recon3d.models.checkpoints import RANDOM
from recon3d.models.weights import table
from recon3d.pipeline.artefacts import FORM
from recon3d.pipeline.choices import GEOMETRY, SPLATS
from recon3d.pipeline.method import run
from recon3d.pipeline.reconstruct import method_of
from recon3d.pipeline.request import Request, plan
from recon3d.pipeline.sources import Asked, sourced
from recon3d.progress import Progress
from recon3d.rendering.render import usable_backend
from recon3d.sfm.settings import DEFAULT, Settings

Device = Literal["auto", "cpu", "cuda"]
REFINED = "+3dgs"  # behind a name: its splats are refined
STEPS = 500  # of that refinement, the same for all methods
WHERE = "the scene"  # in errors of a method that concern no file
NEAREST = "nearest photo"  # not run: of each target the picture of the nearest input


@dataclass(frozen=True)
class Method:
    """Rows of the pipeline's tables."""

    about: str
    geometry: str
    splats: str = "auto"
    settings: tuple[Settings, ...] | None = None  # of COLMAP; None: as a run tries them
    refined: bool = False


METHODS = {
    "colmap": Method("COLMAP's mapper with its defaults", "colmap", settings=(DEFAULT,)),
    "colmap-few": Method("COLMAP as a run tries it: settings by the number of photos, in turn", "colmap"),
    "lift": Method("a Gaussian for every pixel of recon3d-small's depth", "recon3d-small", "lift"),
}


@dataclass(frozen=True)
class Found:
    """What a method made of its views. World and scale are its own."""

    names: tuple[str, ...]  # of the views that have a camera
    cameras: Cameras  # at working size
    points: torch.Tensor  # P 3
    depth: tuple[torch.Tensor, ...] | None
    gaussians: Gaussians | None
    seconds: float


def method(name: str) -> Method:
    """COLMAP, a network (with lift), a head on COLMAP's cameras; `+3dgs` behind it: refined. Raises InputError."""
    base = name.removesuffix(REFINED)
    if base in METHODS:
        found = METHODS[base]
    elif base in GEOMETRY:
        found = Method(GEOMETRY[base].about, base)
    elif base in SPLATS:
        found = Method(SPLATS[base].about, "colmap", base)
    else:
        known = ", ".join([*METHODS, NEAREST, *(n for n in (*GEOMETRY, *SPLATS) if n not in METHODS)])
        raise InputError("--methods", f"'{name}' is no method", f"Use some of {known}; {REFINED} behind one refines its splats")
    return replace(found, refined=name != base)


def carried_out(
    what: Method, views: Views, size: int, seed: int, kept: Path, splats: bool, device: Device, weights: Mapping[str, str]
) -> Found:
    """The method on views; its cameras are kept in a folder, for other tasks on the same views. `weights`: a file, a folder
    or "random" by the names of weights, in the place of the published ones. Raises InputError."""
    steps, adjust = str(STEPS if what.refined else 0), "auto" if splats else "off"  # without splats nothing adjusts cameras
    key = GEOMETRY[what.geometry].weights
    of_head = SPLATS[what.splats].weights if what.splats in SPLATS else None
    request = Request(
        geometry=what.geometry, splats=what.splats, refine=steps, max_size=size, seed=seed, orientation="none",
        device=device, exposure="off", bundle_adjust=adjust,
        weights=weights.get(key or ""), splats_weights=weights.get(of_head or ""),
    )  # fmt: skip
    chosen = plan(request)
    chosen = replace(chosen, settings=what.settings)
    progress = Progress()
    posed = bool(views.pose_known.any())
    # COLMAP looks at the photos themselves.
    matches = key is not None and table()[key].with_matches is not None and splats
    of_network = () if key is None else (size, matches, weights_hash(key, weights))
    keeper = Kept(kept, repr((FORM, what.geometry, what.settings, views.names, seed, posed, *of_network)))
    loaded = Loaded(views, (), False, None, (), False)
    asked = Asked(request, chosen, loaded, WHERE, keeper, progress)
    began = time.perf_counter()
    if not splats:
        found = sourced(views, asked)
        known, names, gaussians = found.geometry, found.views.names, None
    else:
        scene, _ = run(views, method_of(asked, usable_backend(device)), progress)
        assert scene.geometry is not None and scene.views is not None
        known, names, gaussians = scene.geometry, scene.views.names, scene.gaussians
    seconds = time.perf_counter() - began + keeper.saved
    return Found(names, known.cameras, known.points, known.depth, gaussians, seconds)


def weights_hash(key: str, given: Mapping[str, str]) -> str:
    """sha256 of the weights that are used: "random", or "not here" of published ones whose results are not kept for later.

    Raises InputError where a given folder has no checkpoint.
    """
    if given.get(key) == RANDOM:
        return RANDOM
    row = table()[key]
    path = Path(given[key]) if key in given else checkpoints.cached(row)
    if path is None:
        return "not here"
    return checkpoints.sha256(checkpoints.file_in(path, row) if path.is_dir() else path)


def weights_of(name: str, given: Mapping[str, str]) -> dict[str, str]:
    """The weights of a method's networks and a part of their hashes, for its records."""
    what = method(name)
    rows = [GEOMETRY[what.geometry], *([SPLATS[what.splats]] if what.splats in SPLATS else [])]
    return {row.weights: weights_hash(row.weights, given)[:16] for row in rows if row.weights is not None}
