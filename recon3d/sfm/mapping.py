"""Structure from motion: views in, cameras and sparse points out. The steps are features, matching and COLMAP's mapper."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from recon3d.core.lens import Lens
from recon3d.core.shapes import check_shapes
from recon3d.core.views import Views
from recon3d.errors import InputError
from recon3d.progress import Progress
from recon3d.sfm.features import Pictures, cameras_of, extract
from recon3d.sfm.matching import match, pairs_to_match, read_matches
from recon3d.sfm.models import Model, incremental_models, pipeline_options
from recon3d.sfm.settings import DEFAULT, MIN_MATCHES


@dataclass(frozen=True)
class Mapping:
    """What structure from motion found: R registered of the N views, P points seen in M observations."""

    registered: tuple[int, ...]  # indices into the given views, ascending
    camera_from_world: Annotated[Tensor, "R 4 4"]  # float64
    lenses: tuple[Lens, ...]  # R, of the full-size upright photos
    points: Annotated[Tensor, "P 3"]  # float64, world
    errors: Annotated[Tensor, "P"]  # float64, mean reprojection error in photo pixels
    track_view: Annotated[Tensor, "M"]  # int64, index into `registered`
    track_point: Annotated[Tensor, "M"]  # int64, index into `points`
    track_xy: Annotated[Tensor, "M 2"]  # float64, pixels of the full-size photo as taken (distorted)
    settings: str  # "default", "few views" or "known cameras"
    why: str  # one line: why these settings
    repeatable: bool  # the same input and seed give the same bits
    acceptance: dict[str, Any] = field(default_factory=dict)  # what the acceptance test measured, with its limits

    def __post_init__(self) -> None:
        check_shapes(self)


def geometry(
    views: Views,
    pictures: Pictures,
    *,
    seed: int | None = None,
    progress: Progress | None = None,
    where: str = "photos",
) -> Mapping:
    """Cameras and sparse points of the views that overlap. `pictures` gives the upright pictures for features.

    With a seed everything runs on one thread and repeats bit for bit (COLMAP's sums depend on the number of threads).
    Raises InputError at `where` when there is nothing to match, no overlap, or no model that can be believed.
    """
    progress = progress or Progress()
    threads = 1 if seed is not None else os.cpu_count() or 1
    with tempfile.TemporaryDirectory(prefix="recon3d-sfm-", ignore_cleanup_errors=True) as folder:
        database = Path(folder) / "default.db"
        counts = extract(views, pictures, DEFAULT, threads, database, progress)
        if max(counts) < MIN_MATCHES:
            raise InputError(where, f"nothing to match: no image has more than {max(counts)} features", REMEDY)
        pairs = pairs_to_match(len(views))
        match(database, pairs, DEFAULT, threads, seed or 0, progress)
        overlapping = sum(len(m.verified) >= MIN_MATCHES for m in read_matches(database))
        if overlapping == 0:
            what = f"no two images overlap: 0 of {len(pairs)} pairs have more than {MIN_MATCHES} matches"
            raise InputError(where, what, REMEDY)
        options = pipeline_options(cameras_of(views), DEFAULT, threads, seed or 0)
        models = incremental_models(database, len(views), options, progress)
        if not models:
            what = (
                f"no camera could be found: {overlapping} of {len(pairs)} pairs of images overlap, too little to start"
            )
            raise InputError(where, what, REMEDY)
    return mapping_of(models[0], views, DEFAULT.name, "", seed is not None)


REMEDY = "Take photos with more overlap, or give cameras with --cameras"


def mapping_of(model: Model, views: Views, settings: str, why: str, repeatable: bool) -> Mapping:
    """A model in the pixels of full-size photos; lenses that were given come out as they came in."""
    lenses, scales = [], []
    for view, lens in zip(model.views, model.lenses, strict=True):
        height, width = (int(x) for x in views.photo_sizes[view])
        given = views.lenses[view]
        lenses.append(given if given is not None else lens.resized(height, width))
        scales.append((width / lens.width, height / lens.height))
    photo_from_picture = np.array(scales)[model.view]
    errors = np.bincount(model.point, photo_from_picture.mean(1), len(model.points)) * model.errors
    errors /= np.maximum(np.bincount(model.point, minlength=len(model.points)), 1)
    return Mapping(
        registered=model.views,
        camera_from_world=torch.from_numpy(model.camera_from_world),
        lenses=tuple(lenses),
        points=torch.from_numpy(model.points),
        errors=torch.from_numpy(errors),
        track_view=torch.from_numpy(model.view),
        track_point=torch.from_numpy(model.point),
        track_xy=torch.from_numpy(model.xy * photo_from_picture),
        settings=settings,
        why=why,
        repeatable=repeatable,
    )
