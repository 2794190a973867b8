"""Who finds cameras: every way to turn views into those that have one, undistorted, with their geometry and what to report."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from recon3d.core.cameras import Cameras
from recon3d.core.geometry import Geometry
from recon3d.core.matches import Matches
from recon3d.core.views import Views
from recon3d.errors import InputError
from recon3d.io.colmap_model import ColmapModel
from recon3d.io.load import Loaded
from recon3d.io.photos import read_photo
from recon3d.io.view_places import ViewPlaces
from recon3d.models import checkpoints
from recon3d.models.checkpoints import Checkpoint
from recon3d.models.meta import on_meta
from recon3d.models.pictures import Answer, KnownOfPhotos
from recon3d.models.weights import table
from recon3d.pipeline.artefacts import Arrays, Keeper, pack_mapping, unpack_mapping
from recon3d.pipeline.choices import GEOMETRY, GUESSING
from recon3d.pipeline.finished_run import FROM_A_RUN, WITH_DEPTH, checked_maker, with_depth, with_points_of
from recon3d.pipeline.network_sources import has_known, in_known_world, known_to_tell, share_of_sky, taking_part
from recon3d.pipeline.plan import NetworkPlan, bounded, network_device, plans, stepping_down
from recon3d.pipeline.request import Plan, Request
from recon3d.pipeline.stage_reports import GeometryReport, NetworkReport, WindowsReport
from recon3d.pipeline.to_adjust import adjusts
from recon3d.pipeline.windowed import in_windows, read_report, size_of_a_pass
from recon3d.progress import Progress
from recon3d.reconstruction.network_views import in_photos
from recon3d.sfm.attempts import Guess
from recon3d.sfm.folded import FoldedReport, folded, in_words
from recon3d.sfm.mapping import Mapping
from recon3d.sfm.matching import pairs_to_match
from recon3d.sfm.registration import assembled, geometry, mapping_of_model
from recon3d.sfm.settings import attempts


@dataclass(frozen=True)
class Asked:
    """What a source is told besides the views."""

    request: Request
    chosen: Plan
    loaded: Loaded
    where: str  # the input as the user wrote it, for errors
    work: Keeper | None
    progress: Progress
    places: ViewPlaces | None = None  # of the loaded views, where --metric gps asks for them


@dataclass(frozen=True)
class Sourced:
    """Views that have a camera, at working size; their geometry; and the report's part on it."""

    views: Views
    geometry: Geometry
    report: GeometryReport


def sourced(views: Views, asked: Asked) -> Sourced:
    """By the model that the input is, else by the row of GEOMETRY that was chosen. Raises InputError."""
    if len(views) < 2:
        what = "there is one image only, and cameras are found from two or more"
        raise InputError(asked.where, what, "Give more photos")
    if asked.loaded.points is not None and asked.request.cameras is None:
        return of_model(views, asked.loaded.points, asked)
    return GEOMETRY[asked.chosen.geometry].load()(views, asked)


def colmap(views: Views, asked: Asked) -> Sourced:
    """Structure from motion on the full-size photos; finished once, it is kept in the work folder. `auto` asks a network for
    cameras where it gives none."""
    guess = partial(guessed, views, asked) if asked.request.geometry == "auto" else None

    def find() -> Mapping:
        # Apple's GPU is left out: exact products of whole numbers are proved for CUDA and CPUs.
        device = "cuda" if network_device(asked.request.device) == "cuda" else "cpu"
        return geometry(
            views, settings=asked.chosen.settings or attempts(asked.chosen.matching, len(views)), device=device,
            seed=asked.request.seed, sequence=asked.loaded.sequence, where=asked.where, progress=asked.progress,
            guess=guess,
        )  # fmt: skip

    found = find() if asked.work is None else asked.work.kept("geometry", find, pack_mapping, unpack_mapping)
    return of_mapping(views, found, asked)


def guessed(views: Views, asked: Asked) -> Guess:
    """A network's cameras: of the best one whose weights are here and free for any use; else of the one that is shipped."""
    rows = table()
    key = next(name for name in GUESSING if checkpoints.cached(rows[name]) is not None)
    source = checkpoints.checkpoint(key, rows[key], None, asked.progress)
    answer, _ = answered(source, views, asked)
    K = torch.linalg.inv(answer.network_from_photo) @ answer.geometry.cameras.K
    focals = K[:, [0, 1], [0, 1]].mean(1) / views.photo_sizes.max(1).values
    return Guess(key, answer.geometry.cameras.camera_from_world.numpy(), focals.numpy())


def of_mapping(views: Views, found: Mapping, asked: Asked) -> Sourced:
    flat, known = assembled(views, found, asked.chosen.max_size, asked.chosen.geometry)
    report = stated(
        asked, views, known, found.registered, repeatable=found.repeatable, settings=found.settings, why=found.why,
        acceptance=found.acceptance, disagreement=found.disagreement, folded=looked_for_folds(views, found, known, asked),
    )  # fmt: skip
    return Sourced(flat, known, report)


def of_model(views: Views, model: ColmapModel, asked: Asked) -> Sourced:
    """Of a finished model: its cameras and points, and of a run's folder the depth that was written into it. The run's row
    and licence stay those of what it was made by."""
    run, depth = asked.loaded.run, asked.loaded.depth
    maker = None if run is None else checked_maker(run, depth is not None, asked.request.commercial_only)
    found = of_mapping(views, mapping_of_model(model, views), asked)
    known, report = with_points_of(model, found.geometry), found.report
    if maker is not None:
        if not maker.commercial:
            asked.progress.note(f"the licence of what made the input: {maker.licence}; no commercial use")
        known = replace(known, source=maker.row)
        report = replace(report, row=maker.row, rule=FROM_A_RUN, licence=maker.licence)
    if depth is not None:
        known = with_depth(found.views, known, depth, asked.request.max_points)
    why = report.why if known.depth is None else WITH_DEPTH
    return replace(found, geometry=known, report=replace(report, points=len(known.points), why=why))


def looked_for_folds(views: Views, found: Mapping, known: Geometry, asked: Asked) -> FoldedReport | None:
    """Photos that may have been put onto a like place, which are noted. Of a given model it is not known what was compared."""
    if found.settings == "given":
        return None
    compared = np.zeros((len(views), len(views)), bool)
    compared[tuple(np.array(pairs_to_match(len(views), asked.loaded.sequence)).T)] = True
    rows = np.ix_(found.registered, found.registered)
    report = folded(known, [views.names[i] for i in found.registered], (compared | compared.T)[rows])
    if report is not None:
        asked.progress.note(in_words(report))
    return report


def network(views: Views, asked: Asked) -> Sourced:
    """A network with published weights (or given, or random ones), in the memory that there is."""
    key = GEOMETRY[asked.chosen.geometry].weights
    assert key is not None
    source = checkpoints.checkpoint(key, table()[key], asked.request.weights, asked.progress)
    rows, of_held_out = taking_part(views)
    warn(source, of_held_out, asked)
    seen = views[rows]
    told = known_to_tell(source, seen)
    matching = checkpoints.with_matches(source) if adjusts(asked.request, asked.loaded, asked.chosen.geometry) else None

    def find() -> tuple[Answer, NetworkReport]:
        return answered(matching or source, seen, asked, told, matches=matching is not None)

    answer, how = find() if asked.work is None else asked.work.kept("geometry", find, pack_answer, unpack_answer)
    if answer.unposed:
        names = ", ".join(seen.names[i] for i in answer.unposed)
        asked.progress.note(f"no pair of photos tells where these stand, and they are not to be trusted: {names}")
    chosen, request, disagrees, of_known = asked.chosen, asked.request, {}, None
    if has_known(views):
        where = str(request.cameras or asked.where)
        flat, known, disagrees, of_known, sky = in_known_world(
            answer, views, rows, told is not None, chosen.max_size, request, where, asked.progress
        )
    else:
        flat, known = in_photos(answer, views, chosen.max_size, request.max_points, request.keep_sky)
        sky = share_of_sky(known)
    settings = f"{how.size} px, {how.linear_layers} on {how.device}"
    report = stated(
        asked, views, known, tuple(range(len(views))), repeatable=how.device == "cpu", settings=settings,
        why=how.why, acceptance={}, disagreement=disagrees, weights=source.report(), network=how, sky=sky,
        known_cameras=of_known, held_out_photos=of_held_out,
    )  # fmt: skip
    return Sourced(flat, known, report)


def warn(source: Checkpoint, of_held_out: str | None, asked: Asked) -> None:
    """What a user should know of the weights before they are believed, and of held-out photos."""
    if source.path is None:
        asked.progress.note(f"{source.key}: random weights, so cameras and depth mean nothing")
    else:
        use = "" if source.row.commercial else ": no commercial use"
        asked.progress.note(f"{source.key}: the weights are under {source.row.licence}{use}")
    if of_held_out is not None:
        asked.progress.note(of_held_out)


def answered(
    source: Checkpoint, views: Views, asked: Asked, known: KnownOfPhotos | None = None, matches: bool = False
) -> tuple[Answer, NetworkReport]:
    """The network's answer by the first plan that the memory bears, in one pass or in windows, and that plan."""
    device = network_device(asked.request.device)
    build = source.row.resolve("network")
    parameters = sum(p.numel() for p in on_meta(lambda: build(source.config)).parameters())
    cost = bounded(source.row.resolve("cost")(source.config, parameters), asked.request.cache_frames)
    cost = cost if matches else replace(cost, tracked=0)
    aspect = float((views.photo_sizes[:, 1] / views.photo_sizes[:, 0]).median())
    size = size_of_a_pass(source, cost, len(views), aspect, device, asked.request, asked.progress)

    def run(plan: NetworkPlan) -> tuple[Answer, WindowsReport | None]:
        made = checkpoints.network(source, asked.request.seed or 0, plan.low, device)
        told = replace(plan.how, on_view=lambda done, total: asked.progress.advance(done, total, "views"))
        how = replace(
            told, features=asked.chosen.splats == "joint", matches=matches, known=known,
            cache_frames=asked.request.cache_frames,
        )  # fmt: skip
        if size < len(views):
            ask, overlap = partial(source.row.resolve("answer"), made), asked.request.window_overlap
            looks, sequence = source.row.features, asked.loaded.sequence
            return in_windows(ask, views, how, size, overlap, looks, sequence, asked.progress)
        photos = (read_photo(s)[0] for s in views.sources)  # one at a time: of each only a small picture is kept
        return source.row.resolve("answer")(made, photos, how), None

    (answer, windows), plan = stepping_down(plans(cost, size, aspect, device), run, asked.progress)
    return answer, plan.report(windows)


def stated(asked: Asked, views: Views, known: Geometry, registered: tuple[int, ...], **of_source: Any) -> GeometryReport:
    """What every source reports, and what this one does."""
    measured = known.errors[known.errors >= 0]
    return GeometryReport(
        row=asked.chosen.geometry,
        rule=asked.chosen.geometry_rule,
        licence=GEOMETRY[asked.chosen.geometry].licence,
        registered=len(registered),
        total=len(views),
        unregistered=tuple(name for i, name in enumerate(views.names) if i not in set(registered)),
        points=len(known.points),
        reprojection_px=round(float(measured.median()), 4) if len(measured) else None,
        **of_source,
    )


MATCHES = ("view", "track", "xy")


def pack_answer(found: tuple[Answer, NetworkReport]) -> Arrays:
    """How an answer lies in the work folder. Pictures of several sizes have an array each."""
    answer, how = found
    known = answer.geometry
    assert known.depth is not None and known.confidence is not None
    arrays = {
        "camera_from_world": known.cameras.camera_from_world, "K": known.cameras.K, "sizes": known.cameras.sizes,
        "network_from_photo": answer.network_from_photo, "photo_rects": answer.photo_rects,
    }  # fmt: skip
    arrays |= {f"depth_{i}": x for i, x in enumerate(known.depth)}
    arrays |= {f"confidence_{i}": x for i, x in enumerate(known.confidence)}
    arrays |= {f"sky_{i}": x for i, x in enumerate(answer.sky or ())}
    if answer.matches is not None:
        arrays |= {f"matches_{name}": getattr(answer.matches, name) for name in MATCHES}
    words = asdict(how) | {"scale": known.scale, "scale_source": known.scale_source, "source": known.source}
    words["unposed"] = answer.unposed
    words["matches"] = None if answer.matches is None else (answer.matches.longest, answer.matches.source)
    return {name: x.numpy() for name, x in arrays.items()} | {"words": np.array(json.dumps(words))}


def unpack_answer(arrays: Arrays) -> tuple[Answer, NetworkReport]:
    words = json.loads(str(arrays["words"]))
    known = {name: torch.from_numpy(x) for name, x in arrays.items() if name != "words"}
    views = len(known["K"])
    cameras = Cameras(known["camera_from_world"], known["K"], known["sizes"], torch.arange(views))
    none = torch.zeros(0, 3, dtype=torch.float64)
    found = Geometry(
        cameras, none, none.to(torch.uint8), none[:, 0], depth=tuple(known[f"depth_{i}"] for i in range(views)),
        confidence=tuple(known[f"confidence_{i}"] for i in range(views)), scale=words.pop("scale"),
        scale_source=words.pop("scale_source"), source=words.pop("source"),
    )  # fmt: skip
    unposed = tuple(words.pop("unposed"))
    sky = tuple(known[f"sky_{i}"] for i in range(views)) if "sky_0" in known else None
    matched = words.pop("matches")
    matches = None
    if matched is not None:
        view, track, xy = (known[f"matches_{name}"] for name in MATCHES)
        matches = Matches(view, track, xy, *matched)
    how = NetworkReport(**words | {"windows": read_report(words["windows"])})
    return Answer(found, known["network_from_photo"], known["photo_rects"], unposed, sky=sky, matches=matches), how
