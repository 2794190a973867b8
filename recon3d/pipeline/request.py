"""What a run is asked for: one frozen list of words, the same for the command line and for Python. Loads no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recon3d.errors import InputError
from recon3d.pipeline.choices import GEOMETRY, QUALITY, SPLATS, STREAMING
from recon3d.pipeline.metric_request import Metric, parse_metric
from recon3d.sfm.settings import Matching, Settings

PLY_SPLAT = 4 * (3 + 3 + 3 + 9 + 1 + 3 + 4)  # bytes of a Gaussian of degree 1 in a PLY, which refinement makes
MAX_POINTS = 50_000
PLY_HEADER = 2000  # bytes at most


@dataclass(frozen=True)
class Request:
    """How to reconstruct an input. What is None is set by `quality`, or found out."""

    geometry: str = "auto"
    """Who finds the cameras, a row of `recon3d doctor` (colmap, vggt-1b, ...); auto: COLMAP, and where it finds
    no cameras that can be believed, a network's guess that COLMAP's matches pull into place."""
    weights: str | None = None
    """Of the network that --geometry names: a checkpoint file, a folder with one (and its config.json), or `random`;
    without it the published file, downloaded once."""
    splats: str = "auto"
    """Who makes the Gaussians (points, lift, joint, ilrm-re10k-2v, ilrm-dl3dv-16v, ilrm-dl3dv-32v, da3-giant); auto: lift
    where the geometry has depth, else points."""
    splats_weights: str | None = None
    """Of the head that --splats names: a checkpoint file, a folder with one, or `random`; without it the published file,
    downloaded once."""
    anchors: int | None = None
    """Views that the Gaussians of --splats joint stand in; without it as many as see nearly all points, 4 to 16."""
    window: int | None = None
    """Photos of one pass of the network that --geometry names. More go through in overlapping windows that are joined by the
    photos they share, and loops are closed; without it as many as the memory bears, 4 for
    recon3d-small."""
    window_overlap: int | None = None
    """Photos that a window shares with the next one; without it a quarter of it, 2 or more."""
    cache_frames: int | None = None
    """Of a network that goes frame by frame (lingbot-map, stream-vggt): besides its first frames it remembers so many of the
    latest ones whole (without it 64 and 31): fewer take less memory."""
    allow_noncommercial: bool = False
    """auto may take weights that are not for commercial use."""
    commercial_only: bool = False
    """Refuse weights that are not for commercial use."""
    cameras: Path | None = None
    """Known cameras, matched by name: a cameras.json, a transforms.json, a COLMAP model, an OpenSfM reconstruction.json, or
    what Metashape (XML) or RealityScan (CSV) exports. Followed, never changed."""
    metric: str = "none"
    """Where metres come from: none; poses (the given cameras are in metres); gps (of the photos' EXIF, or of the
    video's GPS track); network (the geometry's own metres, else da3-metric); or the metres between the centres of two
    cameras, as 2.5:IMG_1.jpg,IMG_7.jpg."""
    metric_weights: str | None = None
    """Of da3-metric: a checkpoint file, a folder with one, or `random`; without it the published file, downloaded once."""
    quality: Literal["preview", "standard", "high"] = "standard"
    """Sets --max-size, --refine and --max-gaussians where they are not given (384 px, 300 steps, 20 000; 512 px, 1000
    steps, 100 000; 768 px, 100 steps a photo but 1000 to 4000, 200 000; more Gaussians on CUDA), and how many features COLMAP
    matches."""
    max_size: int | None = None
    """Longest side in pixels of the pictures that refinement works on."""
    refine: str | None = None
    """Refinement: a number of steps (500), a time (60s, 5m) that starts when compiling is done, or 0 for none. Without it
    --splats ilrm-dl3dv-... takes the ten steps of its authors."""
    max_gaussians: int | None = None
    """No more Gaussians than this, whoever makes them."""
    max_points: int = MAX_POINTS
    """No more points than this in the cloud of a network's depth, which is written beside its cameras."""
    keep_sky: bool = False
    """Lift what a network, or else a simple test of colours and depth, calls sky; without it no Gaussian is made of it."""
    max_file_mb: float | None = None
    """The same as a size of the PLY in megabytes; the smaller of the two counts."""
    holdout: str | None = None
    """N or N:START: every Nth photo from START on (of the sorted names) gives a camera but no pixel, and is measured."""
    bundle_adjust: Literal["auto", "on", "off"] = "auto"
    """Adjust cameras that a network predicted to matches of the photos, where these fit better then; auto: where there are
    some. `on` says so where there is nothing to adjust."""
    refine_cameras: Literal["auto", "on", "off"] = "auto"
    """Refinement may move the cameras a little, with `on` given ones too; auto: where a network predicted all of them."""
    exposure: Literal["auto", "on", "off"] = "auto"
    """Refinement fits a change of colour to each photo: for photos with changing exposure or white balance. auto: where EXIF
    tells of several cameras or of exposures more than a stop apart. Held-out photos are measured as they are."""
    orientation: Literal["up", "none"] = "up"
    """Turn estimated cameras upright and centre them (up is -y), or leave the world as it was found."""
    origin: Literal["keep", "local"] = "keep"
    """Of known cameras far from zero (UTM), about which the scene is made: keep writes files of cameras in the given world
    (splats stand about an origin that their file tells), local writes every file about that origin."""
    max_images: int = 200
    """Take at most so many photos or frames, evenly spread."""
    fps: float | None = None
    """Frames of a video for each second; without it they are spread over the whole video."""
    masks: Path | None = None
    """Folder of masks (white = use); without it a folder `masks` in the input or beside it is used."""
    invert_masks: bool = False
    """White = leave out."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where splats are rendered; auto: CUDA where gsplat runs, else the CPU."""
    seed: int | None = None
    """Makes a run repeatable, byte for byte; matching then runs on one thread."""


@dataclass(frozen=True)
class Budget:
    """Of refinement: a number of steps, or seconds; steps 0 for none."""

    steps: int | None
    seconds: float | None


@dataclass(frozen=True)
class Holdout:
    """Views start, start + every, ... of the sorted names."""

    every: int
    start: int

    def indices(self, count: int) -> list[int]:
        return list(range(self.start, count, self.every))


@dataclass(frozen=True)
class Plan:
    """A request with everything decided that can be before a file is opened."""

    geometry: str
    geometry_rule: str
    splats: str | None  # a row of SPLATS; None: auto, which looks at the geometry
    max_size: int
    matching: Matching  # of photos, by COLMAP's names
    settings: tuple[Settings, ...] | None  # of COLMAP, tried in this order; None: by the number of photos
    max_gaussians: int
    budget: Budget
    holdout: Holdout | None
    metric: Metric


def plan(request: Request, on_a_gpu: bool = False, has_depth: bool | None = False) -> Plan:
    """Fill in what the request leaves open; InputError at the flag where a value is wrong.

    `has_depth`: the input is a finished run with depth, which is read where the run's own cameras are; None: it was not looked
    at yet, and nothing that hangs on it is refused.
    """
    quality = QUALITY[request.quality]
    for flag, value, least in (
        ("--max-size", request.max_size, 32),
        ("--max-gaussians", request.max_gaussians, 1),
        ("--max-points", request.max_points, 1),
        ("--max-images", request.max_images, 2),
        ("--anchors", request.anchors, 1),
        ("--window", request.window, 3),
        ("--window-overlap", request.window_overlap, 1),
        ("--cache-frames", request.cache_frames, 1),
        ("--seed", request.seed, 0),
    ):
        if value is not None and value < least:
            raise InputError(flag, f"{value} is too small", f"Give {least} or more")
    if request.fps is not None and not 0 < request.fps <= 1000:
        raise InputError(
            "--fps", f"{request.fps:g} is no number of frames a second", "Give a number above 0, as 2 or 0.5"
        )
    name, rule = chosen_geometry(request)
    check_passes(request, name)
    if has_depth is not None:
        check_depth(request, name, has_depth and request.cameras is None)
    return Plan(
        geometry=name,
        geometry_rule=rule,
        splats=chosen_splats(request),
        max_size=quality.max_size if request.max_size is None else request.max_size,
        matching=quality.matching,
        settings=None,
        max_gaussians=most_gaussians(request, on_a_gpu),
        budget=parse_budget(str(quality.steps) if request.refine is None else request.refine),
        holdout=None if request.holdout is None else parse_holdout(request.holdout),
        metric=parse_metric(request.metric, request.metric_weights),
    )


def chosen_geometry(request: Request) -> tuple[str, str]:
    """The row of GEOMETRY, and the rule that chose it. Raises InputError at the flag that forbids it."""
    if request.geometry == "auto":
        if request.weights is not None:
            raise InputError("--weights", "auto does not say for which network they are", "Name it with --geometry")
        allowed = [k for k, row in GEOMETRY.items() if row.commercial or request.allow_noncommercial]
        rule = "auto: the first row that can run here" + ("" if request.allow_noncommercial else " and is free for any use")
        return next(key for key in allowed if GEOMETRY[key].why_not() is None), rule
    row = GEOMETRY.get(request.geometry)
    if row is None:
        raise InputError("--geometry", f"'{request.geometry}' is no way to find cameras", f"Use {', '.join(GEOMETRY)}")
    if request.commercial_only and not row.commercial:
        what = f"the weights of {request.geometry} are under {row.licence}, and --commercial-only refuses them"
        raise InputError("--geometry", what, "Use one that `recon3d weights list` shows as commercial")
    if request.weights is not None and row.weights is None:
        raise InputError("--weights", f"{request.geometry} has no weights", "Name a network with --geometry")
    return request.geometry, "named by the user"


def check_passes(request: Request, geometry: str) -> None:
    """Raise InputError where flags on a network's passes are given and the row of GEOMETRY has none such."""
    if GEOMETRY[geometry].weights is None:
        for flag, value in (("--window", request.window), ("--window-overlap", request.window_overlap)):
            if value is not None:
                what = f"{geometry} is no network and takes all photos at once"
                raise InputError(flag, what, "Leave it out, or name a network with --geometry")
    if request.window is not None and request.window_overlap is not None and request.window_overlap >= request.window:
        what = f"windows of {request.window} photos cannot share {request.window_overlap}"
        raise InputError("--window-overlap", what, f"Give {request.window - 1} or fewer")
    if request.cache_frames is not None and geometry not in STREAMING:
        what = f"{geometry} goes through no stream and keeps no frames"
        raise InputError("--cache-frames", what, f"Leave it out, or use --geometry {' or '.join(STREAMING)}")


def check_depth(request: Request, geometry: str, reads_depth: bool) -> None:
    """Raise InputError where flags on depth are given and nothing gives any, or what is read has them settled."""
    if reads_depth:
        if request.keep_sky:
            what = "the input is a finished run, in whose depth sky has no confidence any more"
            raise InputError("--keep-sky", what, "Leave it out, or give the photos and a network with --geometry")
        return
    if GEOMETRY[geometry].weights is None:
        if request.splats == "lift":
            what = f"--geometry {geometry} gives no depth to lift"
            raise InputError("--splats", what, "Use points or joint, or a network with --geometry")
        for flag, asked in (("--keep-sky", request.keep_sky), ("--max-points", request.max_points != MAX_POINTS)):
            if asked:
                what = f"{geometry} gives no depth that it could be about"
                raise InputError(flag, what, "Leave it out, or name a network with --geometry")


def chosen_splats(request: Request) -> str | None:
    """The row of SPLATS, None for auto. Raises InputError at the flag that forbids it."""
    row = SPLATS.get(request.splats)
    if request.splats != "auto" and row is None:
        remedy = f"Use auto, {', '.join(SPLATS)}"
        raise InputError("--splats", f"'{request.splats}' is no way to make Gaussians", remedy)
    if row is not None and request.commercial_only and not row.commercial:
        what = f"the licence of {request.splats}'s weights is {row.licence}, and --commercial-only refuses them"
        raise InputError("--splats", what, "Use points, lift or joint")
    if request.splats_weights is not None and (row is None or row.weights is None):
        raise InputError("--splats-weights", f"--splats {request.splats} has no weights", "Name a head with --splats")
    if request.anchors is not None and request.splats != "joint":
        raise InputError("--anchors", f"--splats {request.splats} has no anchors", "Use it with --splats joint")
    return None if row is None else request.splats


def most_gaussians(request: Request, on_a_gpu: bool) -> int:
    """By --max-gaussians or --quality, and by --max-file-mb. Raises InputError at the latter."""
    quality = QUALITY[request.quality]
    by_quality = quality.max_on_a_gpu if on_a_gpu else quality.max_gaussians
    most = by_quality if request.max_gaussians is None else request.max_gaussians
    if request.max_file_mb is None:
        return most
    fit = int((request.max_file_mb * 1e6 - PLY_HEADER) / PLY_SPLAT)
    if fit < 1:
        raise InputError("--max-file-mb", f"{request.max_file_mb:g} MB hold no Gaussian", "Give 0.01 or more")
    return fit if request.max_gaussians is None else min(most, fit)


def parse_budget(text: str) -> Budget:
    """`500`, `60s`, `5m` or `0`. Raises InputError at --refine."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([sm]?)", text.strip())
    if found is None or (not found[2] and "." in found[1]):
        raise InputError(
            "--refine", f"'{text}' is no number of steps and no time", "Give steps as 500, or a time as 60s or 5m"
        )
    if not found[2]:
        return Budget(int(found[1]), None)
    seconds = float(found[1]) * {"s": 1, "m": 60}[found[2]]
    return Budget(None, seconds) if seconds > 0 else Budget(0, None)


def parse_holdout(text: str) -> Holdout:
    """`8` or `8:4`. Raises InputError at --holdout."""
    found = re.fullmatch(r"(\d+)(?::(\d+))?", text.strip())
    if found is None or int(found[1]) < 2:
        raise InputError(
            "--holdout", f"'{text}' does not say which photos", "Give every how many of them, 2 or more, as 8 or 8:4"
        )
    return Holdout(int(found[1]), int(found[2] or 0))
