"""--metric carried out: what can be refused is refused before cameras are found; then the world is brought to metres."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recon3d.core.geodesy import east_north_up
from recon3d.core.geometry import Geometry
from recon3d.core.similarity import Similarity, fit_points
from recon3d.core.views import Views
from recon3d.errors import InputError
from recon3d.io.gps import Place
from recon3d.io.view_places import ViewPlaces, places_of
from recon3d.models import checkpoints
from recon3d.models.checkpoints import WeightsReport
from recon3d.models.da3.mono import Da3Mono
from recon3d.models.weights import table
from recon3d.pipeline.metric_request import FLAG, Metric, two_of
from recon3d.pipeline.plan import network_device
from recon3d.pipeline.sources import Asked
from recon3d.reconstruction.metric_depth import metres_for_a_unit
from recon3d.reconstruction.metric_scale import (
    MOST_DEVIATION,
    PlacesFit,
    deviation_of_track,
    fit_places,
    scale_of_length,
    scale_of_ratios,
)

OTHERWISE = "Leave --metric out, or give metres between two cameras, as 2.5:IMG_1.jpg,IMG_7.jpg"
LEAST_PLACES = 3
SAME_PLACE = 0.01  # metres
METRIC = "da3-metric"  # a key of recon3d.models.weights.table


@dataclass(frozen=True)
class FirstPlace:
    """The photo or frame that places are told relative to, in double precision."""

    photo: str
    latitude: float
    longitude: float
    altitude: float | None  # metres; None: no photo tells it, and all are taken to be at one height


@dataclass(frozen=True)
class GpsReport:
    """How the places of photos or frames fit the cameras."""

    first: FirstPlace
    residuals: Mapping[str, float]  # metres, by photo
    rms_metres: float  # of those that were used
    left_out: tuple[str, ...]  # photos whose place contradicts the others
    east_north_up_from_world: tuple[tuple[float, ...], ...] | None  # 4x4, of the world in metres; None: not taken


@dataclass(frozen=True)
class MetricReport:
    """Where metres came from, and what a unit of the world was before."""

    way: str
    source: str  # as Geometry.scale_source has it
    taken: bool
    metres_per_unit: float  # 1 where the world was in metres already
    why: str | None = None  # it was not taken, or nothing was to do
    deviation: float | None = None  # standard deviation of the scale, of itself, where it can be told
    gps: GpsReport | None = None
    views: Mapping[str, float] | None = None  # metres for a unit, as each view says
    weights: WeightsReport | None = None


Measured = tuple[Geometry, MetricReport]


def checked(metric: Metric, asked: Asked) -> Asked:
    """The same, with the places of the views where GPS is asked for: a video is read through for them, once.

    Raises InputError for what cannot work whatever cameras are found.
    """
    views = asked.loaded.views
    if metric.way == "length":
        two_of(views.names, metric.photos)
    elif metric.way == "poses" and int(views.pose_known.sum()) < 2:
        what = f"the cameras of {int(views.pose_known.sum())} of {len(views)} photos are given, and a unit needs two"
        raise InputError(FLAG, what, "Give cameras with --cameras, or another way: gps, network or a length")
    elif metric.way == "gps":
        known = places_of(views)
        if known.note is not None:
            asked.progress.note(known.note)
        check_places(known, len(views))
        return replace(asked, places=known)
    return asked


def in_metres(metric: Metric, views: Views, geometry: Geometry, asked: Asked) -> Measured:
    """The geometry in metres as `metric` says, and how that went. Raises InputError.

    Given cameras that are in metres stay as they are, and the report says what was measured. A scale that is less certain
    than MOST_DEVIATION is told and not taken.
    """
    moved, report = MEASURES[metric.way](metric, views, geometry, asked)
    uncertain = report.deviation is not None and report.deviation > MOST_DEVIATION
    why = report.why
    if uncertain:
        why = f"its standard deviation is {report.deviation:.0%} of it, and more than {MOST_DEVIATION:.0%} is not believed"
    if geometry.scale_source == "given poses" and metric.way != "poses":
        why = "the given cameras are in metres, and stay as they are"
    if why is not None:
        report = replace(report, taken=False, why=why, gps=report.gps and replace(report.gps, east_north_up_from_world=None))
        asked.progress.note(f"{FLAG} {metric.way}: {report.metres_per_unit:.4g} metres for a unit was not taken: {why}")
        return geometry, report
    return replace(moved, scale="metres", scale_source=report.source), report


def of_length(metric: Metric, views: Views, geometry: Geometry, asked: Asked) -> Measured:
    named = two_of(asked.loaded.views.names, metric.photos)
    names = [asked.loaded.views.names[i] for i in named]
    for name in names:
        if name not in views.names:
            raise InputError(FLAG, f"no camera was found for {name}", "Name two photos that were placed (report.json)")
    first, second = (views.names.index(name) for name in names)
    try:
        scale = scale_of_length(geometry.cameras.centers_in_world, first, second, metric.metres)
    except ValueError as error:
        raise InputError(FLAG, f"{names[0]} and {names[1]}: {error}", "Name two photos taken from different places") from error
    source = f"{metric.metres:g} m between {names[0]} and {names[1]}"
    return scaled(geometry, scale), MetricReport(metric.way, source, True, scale)


def of_poses(metric: Metric, views: Views, geometry: Geometry, asked: Asked) -> Measured:
    rows = [views.names.index(name) for name in known_names(asked) if name in views.names]
    centers = geometry.cameras.centers_in_world[rows]
    if len(centers) < 2 or not bool((centers - centers[0]).any()):
        raise InputError(FLAG, "poses: the given cameras stand at one place, which tells no unit", OTHERWISE)
    return geometry, MetricReport(metric.way, "given poses", True, 1.0)


def known_names(asked: Asked) -> list[str]:
    """Of the photos whose poses were given."""
    views = asked.loaded.views
    return [views.names[i] for i in views.pose_known.nonzero()[:, 0].tolist()]


def of_gps(metric: Metric, views: Views, geometry: Geometry, asked: Asked) -> Measured:
    """By a robust similarity from camera centres to the places of photos or frames, relative to the first of these."""
    assert asked.places is not None
    row = {name: i for i, name in enumerate(views.names)}
    told = {row[name]: place for i, place in asked.places.places.items() if (name := asked.loaded.views.names[i]) in row}
    found = replace(asked.places, places=told)
    check_places(found, len(views))
    known, rows = found.places, sorted(found.places)
    first, places, has_height = local_places(known)
    centers = geometry.cameras.centers_in_world[rows]
    try:
        fit = fit_places(centers, places)
    except ValueError as error:
        raise InputError(FLAG, f"gps: {error}", OTHERWISE) from error
    scale = float(fit.metres_from_world.scale)
    begin = FirstPlace(views.names[first], known[first].latitude, known[first].longitude, known[first].altitude)
    names = tuple(views.names[i] for i in rows)
    source = f"GPS of {int(fit.used.sum())} {found.source}" + ("" if has_height else ", heights unknown")
    deviation = deviation_of_track(fit, centers) if found.one_receiver else fit.deviation
    report = MetricReport(metric.way, source, True, scale, deviation=deviation, gps=gps_report(begin, names, fit, scale))
    return scaled(geometry, scale), report


def of_network(metric: Metric, views: Views, geometry: Geometry, asked: Asked) -> Measured:
    """The metres that the geometry's own network gave, else those that da3-metric sees. Raises InputError."""
    if geometry.scale == "metres":
        return geometry, MetricReport(metric.way, geometry.scale_source, True, 1.0)
    source = checkpoints.checkpoint(METRIC, table()[METRIC], asked.request.metric_weights, asked.progress)
    device = network_device(asked.request.device)
    network = checkpoints.network(source, asked.request.seed or 0, None, device)
    assert isinstance(network, Da3Mono)
    if source.path is None:
        asked.progress.note(f"{METRIC}: random weights, so its metres mean nothing")
    advance = partial(asked.progress.advance, text="views")
    found = metres_for_a_unit(network, views, geometry, device, advance)
    try:
        scale, deviation = scale_of_ratios(torch.tensor(list(found.values()), dtype=torch.float64))
    except ValueError as error:
        raise InputError(FLAG, f"network: {error}", OTHERWISE) from error
    report = MetricReport(
        metric.way, METRIC, True, scale, deviation=deviation if deviation < math.inf else None,
        why=None if deviation < math.inf else "one view alone tells it, and nothing tells how certain it is",
        views={views.names[i]: round(value, 6) for i, value in found.items()}, weights=source.report(),
    )  # fmt: skip
    return scaled(geometry, scale), report


def gps_report(first: FirstPlace, names: tuple[str, ...], fit: PlacesFit, scale: float) -> GpsReport:
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, :3], matrix[:3, 3] = fit.metres_from_world.rotation, fit.metres_from_world.translation
    return GpsReport(
        first,
        residuals={name: round(float(r), 3) for name, r in zip(names, fit.residuals, strict=True)},
        rms_metres=round(float(fit.residuals[fit.used].square().mean().sqrt()), 4),
        left_out=tuple(name for name, used in zip(names, fit.used.tolist(), strict=True) if not used),
        east_north_up_from_world=tuple(map(tuple, matrix.tolist())),
    )


def scaled(geometry: Geometry, scale: float) -> Geometry:
    return geometry.transformed(Similarity.of(scale))


def local_places(known: Mapping[int, Place]) -> tuple[int, Tensor, bool]:
    """The view whose place is the zero, all places (in the order of views) in metres east, north and up of it, and whether
    photos tell heights: where any does not, all are taken to be at one."""
    rows = sorted(known)
    has_height = all(known[i].altitude is not None for i in rows)
    heights = [float(known[i].altitude or 0) if has_height else 0.0 for i in rows]
    degrees = np.array([[known[i].latitude, known[i].longitude, h] for i, h in zip(rows, heights, strict=True)])
    return rows[0], torch.from_numpy(east_north_up(degrees, degrees[0])), has_height


def check_places(found: ViewPlaces, count: int) -> None:
    """Raise InputError where the `count` views tell too few places, one only, or places on a line."""
    known, what = found.places, found.what
    if len(known) < LEAST_PLACES:
        told = f"{len(known)} of {count} {what} tell where they were taken ({found.where})"
        raise InputError(FLAG, f"gps: {told}, and {LEAST_PLACES} are needed", OTHERWISE)
    _, places, _ = local_places(known)
    if float((places - places.mean(0)).norm(dim=1).max()) < SAME_PLACE:
        raise InputError(FLAG, f"gps: all {len(known)} {what} tell the same place", OTHERWISE)
    try:
        fit_points(places, places)
    except ValueError as error:
        raise InputError(FLAG, f"gps: the places of the {len(known)} {what} lie on one line", OTHERWISE) from error


MEASURES: dict[str, Any] = {"length": of_length, "poses": of_poses, "gps": of_gps, "network": of_network}
