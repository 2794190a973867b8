"""An evaluation carried out: every method on every choice of frames, one record each; what was measured is not done again."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from recon3d.atomic import atomic_file
from recon3d.data.dataset import chosen, opened
from recon3d.data.frames import Choice, read_frames
from recon3d.data.posed_scene import PosedScene, Skipped, with_unit_baseline
from recon3d.data.rules import RULES, wrong_camera
from recon3d.data.samplers import evenly, spread
from recon3d.errors import InputError, check_exists
from recon3d.evaluation.inputs import PictureSize, Subset
from recon3d.evaluation.judging import NotMeasured
from recon3d.evaluation.measuring import Measured, Settings, measured_method, measured_prediction, nearest_photo
from recon3d.evaluation.methods import NEAREST, STEPS, WHERE, Device, method, weights_of
from recon3d.evaluation.predictions import fingerprint
from recon3d.evaluation.records import Record, Task, read_record, record_path, write_record
from recon3d.metrics.lpips import load_lpips
from recon3d.models.checkpoints import RANDOM
from recon3d.models.weights import table
from recon3d.pipeline.ray_tasks import on_ray
from recon3d.pipeline.request import parse_holdout
from recon3d.pipeline.shards import Shard
from recon3d.progress import Progress
from recon3d.report import versions
from recon3d.version import __version__

MOST_TASKS = 64
REQUEST = "evaluation.json"  # what all records of a folder have in common


@dataclass(frozen=True)
class Evaluation:
    """What is asked for."""

    task: Task
    dataset: Path
    out: Path
    methods: tuple[str, ...] = ()
    predictions: tuple[tuple[str, Path], ...] = ()  # name, folder
    weights: tuple[tuple[str, str], ...] = ()  # name of published weights, and a file, a folder or "random" in their place
    views: tuple[int | None, ...] = (3, 6, None)  # numbers of input views; None: all. Not with a frame list
    frames: Path | None = None
    rules: str = "none"  # a row of data.rules.RULES
    split: str = "test"
    size: str = "256"
    cameras: Literal["found", "given"] = "found"  # by the method, or those of the data set
    holdout: str = "8:4"  # targets of novel views, where no list names them
    alignment: Literal["none", "median", "scale", "scale_shift"] = "median"  # of depth
    lpips: Path | None = None  # torchvision's VGG16
    name: str | None = None  # of the data set in the report
    device: Device = "auto"
    seed: int = 0
    shard: Shard = field(default=Shard())


@dataclass(frozen=True)
class Unit:
    """One record to make."""

    method: str
    subset: Subset


def evaluate(asked: Evaluation, progress: Progress) -> int:
    """Write the records that are missing, those of failures and those whose predictions have changed since; returns how many
    were made. Raises InputError where the request cannot be."""
    check(asked)
    same_request(asked)
    settings, made, named = settings_of(asked), 0, dict(asked.predictions)
    told, mended = set[Path](), set[Path]()
    for number, unit in enumerate(units(asked)):
        scene, views = (unit.subset.scene.name, len(unit.subset.context)) if isinstance(unit, Unit) else (unit.scene, unit.views)
        path = record_path(asked.out, asked.task, unit.method, scene, views)
        told.add(path)
        if isinstance(unit, Unit):
            mended.add(record_path(asked.out, asked.task, unit.method, scene, views_of_skipped(asked)))
        if number % asked.shard.of != asked.shard.number - 1:
            continue
        files = fingerprint(named[unit.method], scene, views) if isinstance(unit, Unit) and unit.method in named else None
        before = record_at(path)
        if before is not None and is_done(before, unit, files):
            continue
        with progress.stage(f"{unit.method}: {scene}, {views} views"):
            record = replace(of_unit(asked, settings, unit), predicted_from=files) if isinstance(unit, Unit) else unit
            write_record(asked.out, record)
        made += 1
    for path in sorted(mended - told):
        before = record_at(path)
        if before is not None and before.status == "skipped":  # before the scene could be used
            path.unlink(missing_ok=True)
    return made


def record_at(path: Path) -> Record | None:
    """None where there is none, as where another shard has removed it since it was looked for. Raises InputError."""
    try:
        return read_record(path)
    except InputError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise


def is_done(record: Record, unit: Unit | Record, files: str | None) -> bool:
    """Whether a record stands as it is: measured of what lies there now, or skipped for the same reason."""
    if isinstance(unit, Record):
        return record.status == "ok" or (record.status, record.why) == (unit.status, " ".join((unit.why or "").split()))
    return record.status == "ok" and record.predicted_from == files


def evaluate_on_ray(asked: Evaluation, address: str) -> int:
    """The same by tasks of a Ray cluster whose machines share the folder."""
    check(asked)
    same_request(asked)
    count = min(MOST_TASKS, sum(1 for _ in units(asked)))
    return sum(on_ray(address, count, evaluate_shard, asked))


def evaluate_shard(shard: Shard, asked: Evaluation) -> int:
    return evaluate(replace(asked, shard=shard), Progress())


def check(asked: Evaluation) -> None:
    """Raises InputError at the flag that is wrong."""
    for name in asked.methods:
        if name != NEAREST:
            method(name)
        elif asked.task != "nvs":
            raise InputError("--methods", f"'{NEAREST}' gives pictures only", "Use it with recon3d eval nvs")
    names = [*asked.methods, *(name for name, _ in asked.predictions)]
    if len(set(names)) < len(names):
        raise InputError("--methods", "a name comes twice", "Give each method and each prediction one name")
    for key, place in asked.weights:
        if key not in table():
            raise InputError("--weights", f"'{key}' names no weights", "recon3d weights list shows the names")
        if place != RANDOM:
            check_exists(Path(place), "Give a checkpoint file, a folder with one, or the word random")
    if asked.rules not in RULES:
        raise InputError("--rules", f"'{asked.rules}' are no rules", f"Use {', '.join(RULES)}")
    if any(count is not None and count < 2 for count in asked.views):
        raise InputError("--views", "cameras are found from two views or more", "Give 2 or more, or all")
    exact = PictureSize.parsed(asked.size).exact
    if exact is not None and asked.task in ("depth", "points"):
        raise InputError("--size", f"{asked.task} is measured on whole pictures", "Give the longest side alone")
    if not asked.methods and not asked.predictions:
        raise InputError("--methods", "there is nothing to evaluate", "Name methods, or predictions of others")


def same_request(asked: Evaluation) -> None:
    """Records of one folder are of one request: what differs is said. Raises InputError."""
    free = ("methods", "predictions", "shard", "out", "device", "views", "task")
    words = {key: str(value) for key, value in vars(asked).items() if key not in free}
    path = asked.out / REQUEST
    if path.exists():
        before = json.loads(path.read_text())
        differs = [f"{key} {before.get(key)}" for key, value in words.items() if before.get(key) != value]
        if differs:
            raise InputError(asked.out, f"it holds an evaluation with other settings: {', '.join(differs)}", "Use another --out")
        return
    asked.out.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(words, indent=1) + "\n")


def settings_of(asked: Evaluation) -> Settings:
    return Settings(
        asked.task, PictureSize.parsed(asked.size), asked.cameras == "given", asked.alignment, load_lpips("vgg", asked.lpips),
        asked.device, asked.seed, asked.out, dict(asked.weights),
    )  # fmt: skip


def units(asked: Evaluation) -> Iterator[Unit | Record]:
    """Every method on every choice of frames, in a fixed order; records of scenes that cannot be used as they are."""
    names = (*asked.methods, *(name for name, _ in asked.predictions))
    for found in choices(asked):
        for name in names:
            if isinstance(found, Skipped):
                yield skipped(asked, name, found.scene, views_of_skipped(asked), found.reason)
            else:
                yield Unit(name, found)


def choices(asked: Evaluation) -> Iterator[Subset | Skipped]:
    """Frames of every scene: those of a list, or so many input views spread evenly, for novel views beside held-out ones."""
    root = opened(asked.dataset, asked.split)
    rules, size = RULES[asked.rules], PictureSize.parsed(asked.size).exact or (0, 0)
    if asked.frames is not None:
        for found in chosen(root, read_frames(asked.frames), rules, size):
            if isinstance(found, Skipped):
                yield found
                continue
            scene, choice = found
            if asked.task == "nvs" and not choice.target:
                yield Skipped(scene.name, "the list names no target for it")
                continue
            scene = with_unit_baseline(scene, choice.context) if rules.unit_baseline else scene
            yield Subset(scene, choice.context, choice.target)
        return
    some = False
    for scene in root.scenes(None, size):
        some = True
        yield from [scene] if isinstance(scene, Skipped) else spread_choices(asked, scene)
    if not some:
        raise InputError(asked.dataset, "the data set has no scene", "recon3d data check says what is there")


def spread_choices(asked: Evaluation, scene: PosedScene) -> Iterator[Subset | Skipped]:
    """One for each number of views; a scene that has no more than that many comes once, with all."""
    if wrong := wrong_camera(scene.cameras, range(len(scene))):
        yield Skipped(scene.name, wrong)
        return
    seen = set()
    for count in asked.views:
        if asked.task == "nvs":
            holdout = parse_holdout(asked.holdout)
            rest = len(scene) - len(holdout.indices(len(scene)))
            found = spread(scene.name, len(scene), min(count or rest, rest), holdout.every, holdout.start)
        else:
            found = Choice(scene.name, evenly(len(scene), count or len(scene)), ())
        if isinstance(found, Skipped):
            yield found
        elif found.context not in seen:
            seen.add(found.context)
            yield Subset(scene, found.context, found.target)


def of_unit(asked: Evaluation, settings: Settings, unit: Unit) -> Record:
    """What a method makes of the frames, judged. Whatever it raises is its failure, told in one line."""
    subset, is_run = unit.subset, unit.method in asked.methods and unit.method != NEAREST
    weights = weights_of(unit.method, settings.weights) if is_run else {}
    blank = Record(
        asked.task, asked.name or asked.dataset.resolve().name, subset.scene.name, len(subset.context), unit.method, "ok",
        total=len(subset.context), protocol=protocol_of(asked), versions=stamped(subset) | weights,
    )  # fmt: skip
    try:
        found = measured(settings, subset, unit.method, dict(asked.predictions))
    except InputError as error:
        why = error.what if str(error.where) == WHERE else f"{error.where}: {error.what}"
        return replace(blank, status="failed", why=why)
    except NotMeasured as error:
        return replace(blank, status="failed", why=str(error))
    except Exception as error:
        return replace(blank, status="failed", why=f"{type(error).__name__}: {error}")
    judged = found.judged
    return replace(
        blank, seconds=found.seconds, registered=found.registered, figures=judged.figures, unavailable=judged.unavailable,
        pair_errors=judged.pair_errors, of_views=judged.of_views, pictures=judged.pictures,
        protocol=blank.protocol | judged.protocol,
    )  # fmt: skip


def measured(settings: Settings, subset: Subset, name: str, predictions: dict[str, Path]) -> Measured:
    """By files of another program, the nearest photo, or a method that is run."""
    if name in predictions:
        return measured_prediction(settings, subset, predictions[name], name)
    return nearest_photo(settings, subset) if name == NEAREST else measured_method(settings, subset, name)


def merge(folders: Sequence[Path], out: Path) -> None:
    """Records and pictures of shards in one folder, which may be one of theirs. Raises InputError where settings differ."""
    for folder in folders:
        check_exists(folder / REQUEST, "Give folders that recon3d eval has written")
        if (folder / REQUEST).read_bytes() != (folders[0] / REQUEST).read_bytes():
            raise InputError(folder, f"its settings differ from those of {folders[0]}", "Merge shards of one evaluation")
    out.mkdir(parents=True, exist_ok=True)
    for folder in (f for f in folders if f.resolve() != out.resolve()):
        for part in ("results", "pictures"):
            if (folder / part).is_dir():
                shutil.copytree(folder / part, out / part, dirs_exist_ok=True)
        shutil.copy(folder / REQUEST, out / REQUEST)


def skipped(asked: Evaluation, name: str, scene: str, views: int, reason: str) -> Record:
    return Record(
        asked.task, asked.name or asked.dataset.resolve().name, scene, views, name, "skipped", reason,
        protocol=protocol_of(asked), versions={"recon3d": __version__},
    )  # fmt: skip


def views_of_skipped(asked: Evaluation) -> int:
    """The number of views that the one record of a scene without any is under."""
    return next((v for v in asked.views if v is not None), 0)


def protocol_of(asked: Evaluation) -> dict[str, str]:
    """What the numbers mean, the same for all scenes."""
    frames = "spread evenly" if asked.frames is None else asked.frames.name.removesuffix(".gz").removesuffix(".json")
    words = {"frames": frames, "size": asked.size, "cameras": asked.cameras, "seed": str(asked.seed)}
    if asked.rules != "none":
        words["rules"] = asked.rules
    if asked.task == "nvs":
        words |= {"steps of +3dgs": str(STEPS)} | ({} if asked.frames is not None else {"targets": asked.holdout})
    return words | ({"alignment": asked.alignment} if asked.task == "depth" else {})


def stamped(subset: Subset) -> dict[str, str]:
    """Versions, and a hash of the scene's names and cameras."""
    known = subset.scene.cameras
    content = repr((subset.scene.names, known.sizes.tolist())).encode("utf-8", "surrogateescape")
    digest = hashlib.sha256(content + known.camera_from_world.numpy().tobytes() + known.K.numpy().tobytes())
    wanted = ("python", "torch", "pycolmap", "gsplat")
    return {"recon3d": __version__, "data": digest.hexdigest()[:16]} | {n: v for n, v in versions().items() if n in wanted}
