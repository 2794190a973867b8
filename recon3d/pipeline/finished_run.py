"""What a finished model gives back besides cameras and tracks: points that nothing observes, and the depth of a run's folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from recon3d.core.cameras import resize_map
from recon3d.core.geometry import Geometry
from recon3d.core.views import Views
from recon3d.errors import InputError
from recon3d.io.colmap_model import ColmapModel
from recon3d.io.depth_files import OR_WITHOUT, WrittenDepth, read_written
from recon3d.io.json_input import read_object
from recon3d.pipeline.choices import GEOMETRY
from recon3d.reconstruction.network_views import MAPS, depth_at, pixels_in_picture, sampled, with_points

WITH_DEPTH = "the input is a finished run: nothing was matched, and its depth was read"
FROM_A_RUN = "the input is a finished run, which says what made it"
UNTOLD = "unknown: the run does not say by which weights it was made"
SAME_CAMERA = 0.01  # of the focal length, by which a file's K may differ from that of the cameras


@dataclass(frozen=True)
class Maker:
    """Who made a run: a row of GEOMETRY, or "unknown"."""

    row: str
    licence: str
    commercial: bool


def maker_of(run: Path, has_depth: bool) -> Maker:
    """Of a run's folder, by its report.json, else its cameras.json: any words may stand there, and a row that they name counts.

    One that gives no depth did not make the run that has some. A file that cannot be read names none.
    """
    for name, *keys in (("report.json", "geometry", "row"), ("cameras.json", "source")):
        try:
            found: Any = read_object(run / name)
        except InputError:
            continue
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
        row = GEOMETRY.get(found) if isinstance(found, str) else None
        if row is not None and (row.weights is not None or not has_depth):
            return Maker(found, row.licence, row.commercial)
    return Maker("unknown", UNTOLD, False)


def checked_maker(run: Path, has_depth: bool, commercial_only: bool) -> Maker:
    """The same. Raises InputError where only weights for commercial use were asked for, and the run's are not known as such."""
    maker = maker_of(run, has_depth)
    if commercial_only and not maker.commercial:
        made = f"it was made by {maker.row}, whose licence is {maker.licence}" if maker.row in GEOMETRY else UNTOLD
        remedy = "Give the photos to a network that `recon3d weights list` shows as commercial"
        raise InputError(run, f"{made}, and --commercial-only refuses that", remedy)
    return maker


def with_points_of(model: ColmapModel, geometry: Geometry) -> Geometry:
    """The geometry of `model`'s photos, its points without observations in the model's colours (no photo tells theirs),
    without those that only left-out photos observe."""
    assert geometry.tracks is not None
    count = len(geometry.points)
    tracked = torch.from_numpy(np.bincount(model.track_point, minlength=count) > 0)
    observed = torch.bincount(geometry.tracks.point, minlength=count) > 0
    colors = torch.where(observed[:, None], geometry.colors, torch.from_numpy(model.colors).to(torch.uint8))
    return replace(geometry, colors=colors).with_points(observed | ~tracked)


def with_depth(views: Views, geometry: Geometry, folder: Path, most: int) -> Geometry:
    """The geometry with the depth and confidence that lie in `folder`, in the pixels of its working pictures.

    A view without a file has no depth; where none has one, the geometry stays as it is. Points that nothing observes were
    made of depth: they are made anew, at most `most`, of what is seen now. Raises InputError for files that are damaged or
    belong to other cameras.
    """
    files = [folder / PurePosixPath(name).with_suffix(".npz") for name in views.names]
    if not any(file.is_file() for file in files):
        return geometry
    depth, confidence = (tuple(torch.zeros(x.shape[1:], dtype=kind) for x in views.images) for kind in MAPS)
    for i, file in enumerate(files):
        if file.is_file():
            z, sure = in_working_pixels(views, geometry, i, file)
            mask = views.mask(i)
            shown = z > 0 if mask is None else (z > 0) & mask
            depth[i][shown] = z[shown].to(depth[i].dtype)
            confidence[i][shown] = sure[shown].to(confidence[i].dtype)
    known = replace(geometry, depth=depth, confidence=confidence)
    assert known.tracks is not None
    return known if len(known.tracks.point) else with_points(views, known, most)


def in_working_pixels(
    views: Views, geometry: Geometry, i: int, file: Path
) -> tuple[Annotated[Tensor, "H W"], Annotated[Tensor, "H W"]]:
    """Depth and confidence of view i's file. Raises InputError."""
    height, width = views.photo_sizes[i].tolist()
    written = read_written(file, (height, width))
    file_from_photo = resize_map((height, width), written.depth.shape)
    check_camera(views, geometry, i, written, file_from_photo, file)
    depth, confidence = torch.from_numpy(written.depth), torch.from_numpy(written.confidence)
    size = geometry.cameras.size(i)
    if tuple(depth.shape) == size:
        return depth, confidence
    at = pixels_in_picture(views.pixel_from_photo[i], file_from_photo, size)
    return depth_at(depth, at), sampled(confidence, at, "nearest")


def check_camera(
    views: Views, geometry: Geometry, i: int, written: WrittenDepth, file_from_photo: Annotated[Tensor, "3 3"], file: Path
) -> None:
    """Raise InputError where a file of depth was made with another camera than view i has."""
    K = (file_from_photo @ torch.linalg.inv(views.pixel_from_photo[i]) @ geometry.cameras.K[i]).numpy()
    if not bool((np.abs(written.K - K) <= SAME_CAMERA * K[0, 0]).all()):
        what = f"its depth is of a camera with focal length {written.K[0, 0]:.6g}, where the model has {K[0, 0]:.6g}"
        raise InputError(file, what, OR_WITHOUT)
