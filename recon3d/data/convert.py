"""Data sets from one form to another: encoded pictures stay byte for byte, cameras to float32."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from recon3d.atomic import atomic_folder, make_parents, refuse_existing
from recon3d.data.check import problems_of
from recon3d.data.chunks import SCENE_NAME, entry_of, write_chunks
from recon3d.data.dataset import all_splits
from recon3d.data.posed_scene import PosedScene, Skipped, encoded
from recon3d.errors import InputError
from recon3d.io.cameras_json import write_cameras
from recon3d.progress import Progress

Form = Literal["chunks", "folders"]


def convert(source: Path, target: Path, form: Form, overwrite: bool, progress: Progress) -> dict[str, Any]:
    """Write the whole scenes of `source` to the folder `target`, and tell which were left out: {"scenes", "views", "skipped"}.

    Pictures that a lens bends or a tag turns are written anew, undistorted and upright, as PNG. Chunks go to a folder for
    each split, "test" where the source has none. Masks, and what a file of cameras holds besides cameras, are not taken along.
    """
    refuse_existing(target, overwrite)
    found = all_splits(source)
    make_parents(target)
    skipped: list[Skipped] = []
    counts = {"scenes": 0, "views": 0}
    with atomic_folder(target, overwrite) as folder:
        for split, data in found.items():
            usable = _usable(data.scenes(), form, skipped)
            WRITERS[form](_counted(usable, counts, progress), folder, split)
        if not counts["scenes"]:
            first = f"; {skipped[0].scene}: {skipped[0].reason}" if skipped else ""
            what = f"it has no scene that can be converted{first}"
            raise InputError(source, what, "recon3d data check tells what is wrong with it")
    return {**counts, "skipped": [{"scene": s.scene, "reason": s.reason} for s in skipped]}


def _usable(scenes: Iterable[PosedScene | Skipped], form: Form, skipped: list[Skipped]) -> Iterator[PosedScene]:
    """Whole scenes with a name of their own; why others are none goes into `skipped`."""
    names: set[str] = set()
    for scene in scenes:
        if isinstance(scene, Skipped):
            skipped.append(scene)
        elif reason := _why_not(scene, form, names):
            skipped.append(Skipped(scene.name, reason))
        else:
            names.add(scene.name)
            yield scene


def _why_not(scene: PosedScene, form: Form, names: set[str]) -> str | None:
    if scene.name in names:
        return "another scene has this name"
    if problems := problems_of(scene):
        return problems[0]
    if form == "chunks" and len(scene.cameras.sizes.unique(dim=0)) > 1:
        return "its pictures have several sizes, which a chunk cannot tell"
    if form == "chunks" and not SCENE_NAME.fullmatch(scene.name):
        return "its name has signs that a chunk's may not have: rename its folder"
    return None


def _counted(scenes: Iterable[PosedScene], counts: dict[str, int], progress: Progress) -> Iterator[PosedScene]:
    for scene in scenes:
        yield scene
        counts["scenes"] += 1
        counts["views"] += len(scene)
        progress.advance(counts["scenes"], 0, "scenes")


def _as_chunks(scenes: Iterable[PosedScene], folder: Path, split: str) -> None:
    write_chunks((entry_of(scene) for scene in scenes), folder / (split or "test"))


def _as_folders(scenes: Iterable[PosedScene], folder: Path, split: str) -> None:
    """SCENE/images/NUMBER_TIMESTAMP.jpg, so that names sort as the frames do, and SCENE/cameras.json."""
    for scene in scenes:
        place = folder / split / scene.name
        (place / "images").mkdir(parents=True)
        names = []
        for i, timestamp in enumerate(scene.timestamps):
            content, suffix = encoded(scene, i)
            names.append(f"{i:05d}_{timestamp}{suffix}")
            (place / "images" / names[-1]).write_bytes(content)
        write_cameras(place / "cameras.json", names, scene.cameras, source="converted")


WRITERS: dict[Form, Callable[[Iterable[PosedScene], Path, str], None]] = {"chunks": _as_chunks, "folders": _as_folders}
