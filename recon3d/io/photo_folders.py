"""The photos below a folder: which folders are entered, and which are passed over. Loads no torch."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from recon3d.io import photos
from recon3d.io.masks import FOLDER

PICTURES = "images"  # where a run writes its pictures


@dataclass(frozen=True)
class Below:
    """What lies below a folder."""

    pictures: tuple[Path, ...]  # files that are photos by their suffix
    runs: tuple[Path, ...]  # folders that runs have written, whose pictures are no photos


def below(folder: Path) -> Below:
    """At any depth, but not in hidden folders, nor in folders of masks or of runs. Links to folders are followed."""
    found = list(_entered(folder))
    return Below(tuple(p for one in found for p in one.pictures), tuple(run for one in found for run in one.runs))


def holds_photos(folder: Path) -> bool:
    return any(one.pictures for one in _entered(folder))


def is_run(folder: Path) -> bool:
    """Whether `recon3d run` has written this folder."""
    return all((folder / part).is_file() for part in ("report.json", "cameras.json")) and (folder / "sparse").is_dir()


def in_run(file: Path) -> bool:
    """Whether a file is a picture that a run wrote, or a link to one: below its `images`."""
    places = (Path(os.path.abspath(file)), file.resolve())
    return any(folder.name == PICTURES and is_run(folder.parent) for place in places for folder in place.parents)


def is_visible(path: Path) -> bool:
    return not path.name.startswith(".") and path.name != FOLDER


def is_photo(file: Path) -> bool:
    return is_visible(file) and file.suffix.lower() in photos.SUFFIXES and file.is_file()


def _entered(top: Path) -> Iterator[Below]:
    """Each folder that is entered, once: by its own path where it has one, else by that of the first link to it."""
    known, waiting = set(), deque([top])
    while waiting:
        for place, folders, names in os.walk(waiting.popleft()):
            real = os.path.realpath(place)
            if real in known:
                folders.clear()
                continue
            known.add(real)
            inner = [Path(place) / name for name in sorted(folders) if is_visible(Path(name))]
            runs = tuple(folder for folder in inner if is_run(folder))
            links = [folder for folder in inner if folder not in runs and folder.is_symlink()]
            waiting.extend(link for link in links if not _leads_up(link, top))
            folders[:] = [folder.name for folder in inner if folder not in runs and folder not in links]
            yield Below(tuple(Path(place) / name for name in names if is_photo(Path(place) / name)), runs)


def _leads_up(link: Path, top: Path) -> bool:
    """Whether a link goes to a folder that holds itself or `top`, and so more than the user has given."""
    target = Path(os.path.realpath(link))
    return any(Path(os.path.realpath(folder)).is_relative_to(target) for folder in (link.parent, top))
