"""The main job from paths to files: look at the input, check the output, reconstruct, write, report."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recon3d.atomic import flush_all, make_parents, placed, refuse_existing
from recon3d.errors import InputError, check_exists
from recon3d.pipeline.request import Request, plan
from recon3d.progress import Progress
from recon3d.report import report, write_report
from recon3d.version import __version__

if TYPE_CHECKING:
    from recon3d.io.detect import Found
    from recon3d.pipeline.reconstruct import Outcome


@dataclass(frozen=True)
class Output:
    """Where a run writes: a single .ply with its report beside it, or a folder."""

    path: Path
    overwrite: bool
    resume: bool
    as_folder: bool = False  # whatever the name looks like

    @property
    def is_file(self) -> bool:
        return self.path.suffix.lower() == ".ply" and not self.as_folder

    @property
    def report(self) -> Path:
        return self.path.with_name(self.path.stem + ".report.json") if self.is_file else self.path / "report.json"


def run(inputs: tuple[Path, ...], request: Request, output: Output, progress: Progress) -> dict[str, Any]:
    """Carry out a request and write its files; returns the report. Raises InputError, leaving nothing behind."""
    plan(request, has_depth=None)  # flags first: they cost nothing to check
    for path in inputs:
        check_exists(path)
    for path in (request.cameras, request.masks):
        if path is not None:
            check_exists(path)

    # Loaded only here, and torch after the next look: a wrong path is told in a moment.
    from recon3d.io.detect import detect

    found = detect(inputs)
    plan(request, has_depth=found.depth is not None)
    check_output(output, found)

    from recon3d.pipeline.artefacts import WorkFolder, fingerprint

    work = WorkFolder(output.path, fingerprint(request, files_read(request, found)), output.resume, progress)
    try:
        refuse_taken(output)  # once more: another run may have ended since, and let go of the work folder
        with placed(output.path, alone=False):  # logs and caches are written as well, and they may lie on other disks
            content = written(inputs, request, output, found, work, progress)
        work.remove()
    except InputError:
        work.remove()
        raise
    finally:
        work.release()
    return content


def files_read(request: Request, found: Found) -> tuple[Path, ...]:
    """Every file that the result depends on."""
    from recon3d.io.as_taken import also_read

    beside = () if request.cameras is None else also_read(request.cameras)
    return found.files + files_of(request.masks) + files_of(request.cameras) + beside


def files_of(place: Path | None) -> tuple[Path, ...]:
    """The files of a flag that names a file or a folder."""
    if place is None:
        return ()
    return tuple(sorted(file for file in place.rglob("*") if file.is_file())) if place.is_dir() else (place,)


def check_output(output: Output, found: Found) -> None:
    """Refuse what is there already or cannot be written, and an output that would replace the input."""
    if output.path.suffix and not output.is_file and not output.as_folder and not output.path.is_dir():
        remedy = "Give a name ending in .ply, or a folder (with a dot in it as NAME/); other formats come from `recon3d export`"
        raise InputError("--out", f"'{output.path.name}' is no kind of file that run writes", remedy)
    if output.path.is_dir() and output.is_file:
        raise InputError("--out", f"'{output.path}' is a folder", "Give another name")
    if output.path.exists() and any(file.resolve().is_relative_to(output.path.resolve()) for file in found.files):
        raise InputError("--out", f"'{output.path}' holds the input", "Write somewhere else")
    refuse_taken(output)
    make_parents(output.path)


def refuse_taken(output: Output) -> None:
    refuse_existing(output.path, output.overwrite)
    if output.is_file:
        refuse_existing(output.report, output.overwrite)


def written(
    inputs: tuple[Path, ...], request: Request, output: Output, found: Found, work: Any, progress: Progress
) -> dict[str, Any]:
    """Reconstruct, then make the files in the work folder and move them to their place."""
    from recon3d.pipeline.outputs import write_folder, write_splats
    from recon3d.pipeline.reconstruct import reconstruct

    outcome = reconstruct(request, found, progress, work)
    made = work.path / "output"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    with progress.stage("writing"), placed(output.path):
        if output.is_file:
            export = write_splats(outcome.scene, made / output.path.name, request.device)
        else:
            export = write_folder(outcome.scene, made, request.device, progress, request.origin)
    left_out = [{"name": name, "reason": reason} for name, reason in outcome.loaded.left_out]
    left_out += [{"name": n, "reason": "no camera was found for it"} for n in outcome.stages.geometry.unregistered]
    assert outcome.scene.views is not None
    parts = {
        "input": {
            "kind": found.kind,
            "path": str(found.root),
            "used": list(outcome.scene.views.names),
            "left_out": left_out,
            **not_matched_in(outcome),
        },
        **parts_of(outcome),
        "export": export,
        "paths": [str(output.path), str(output.report)],
    }
    content = report(arguments_of(inputs, request, output), progress, parts, __version__)
    with placed(output.path):
        write_report(made / output.report.name, content)
        publish(made, output)
    return content


def parts_of(outcome: Outcome) -> dict[str, Any]:
    """What the stages have to say, and what the scene is."""
    from recon3d.pipeline.stage_reports import told

    stages, gaussians = outcome.stages, outcome.scene.gaussians
    shown = {"count": len(gaussians), "degree": gaussians.degree, "mode": gaussians.mode}
    parts: dict[str, Any] = {
        "rasterizer": outcome.rasterizer,
        "geometry": told(stages.geometry),
        **{name.replace(" ", "_"): told(value) for name, value in stages.improvements.items() if value is not None},
        "splats": shown | told(stages.splats),
        "refinement": told(stages.refinement),
        "world": {key: value for key, value in asdict(outcome.world).items() if value is not None},
        "repeatable": outcome.repeatable,
    }
    if any(weights is not None and weights.random for weights in (stages.geometry.weights, stages.splats.weights)):
        parts["random_weights"] = True
    return parts if outcome.holdout is None else parts | {"holdout": outcome.holdout}


def not_matched_in(outcome: Outcome) -> dict[str, list[str]]:
    """Names in given cameras and of photos that found no partner; nothing where all did, or no camera was given."""
    loaded = outcome.loaded
    named = {"cameras_without_photo": loaded.unmatched_cameras, "photos_without_camera": loaded.without_camera}
    return {key: list(names) for key, names in named.items() if names}


def publish(made: Path, output: Output) -> None:
    """Move finished files to their place, each in one step: the report of a single PLY first, so that no PLY lacks one."""
    flush_all(made)
    if output.is_file:
        os.replace(made / output.report.name, output.report)
        os.replace(made / output.path.name, output.path)
        return
    if output.path.exists():
        os.rename(output.path, made.parent / "replaced")
    os.rename(made, output.path)


def arguments_of(inputs: tuple[Path, ...], request: Request, output: Output) -> dict[str, Any]:
    """The request as JSON takes it."""
    words = {key: str(value) if isinstance(value, Path) else value for key, value in asdict(request).items()}
    return {"inputs": [str(path) for path in inputs], **words, "out": str(output.path)}
