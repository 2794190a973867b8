"""Finished stages of a run, kept beside its output until it is written: the work folder, and what lies in it.

Arrays and JSON in .npz files, nothing that is executed when read.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar

import numpy as np
import torch

from recon3d.atomic import atomic_file
from recon3d.core.gaussians import Gaussians
from recon3d.core.lens import Lens
from recon3d.errors import InputError
from recon3d.pipeline.lock import HeldElsewhere, held
from recon3d.progress import Progress
from recon3d.sfm.mapping import Mapping

T = TypeVar("T")
Arrays = dict[str, np.ndarray]


LOCK = "lock"  # in the work folder: held while a run has it
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)  # of file systems that cannot lock


class Keeper(Protocol):
    """Who keeps finished stages."""

    def kept(self, name: str, make: Callable[[], T], pack: Callable[[T], Arrays], unpack: Callable[[Arrays], T]) -> T:
        """The result of a stage: read where it was finished before, else made and kept."""
        ...


class WorkFolder:
    """`.NAME.partial/` beside the output NAME: outlives a crash, and is removed when the run is over."""

    def __init__(self, output: Path, fingerprint: str, resume: bool, progress: Progress) -> None:
        """Make it. What lies there is kept only with `resume`, and only if it is of the same input and request.

        Raises InputError where another run has it.
        """
        self.path = work_folder(output)
        self._progress = progress
        self._lock = self._held(output)
        mark = self.path / "fingerprint"
        if self._content():
            if not resume:
                progress.note(f"{self.path}: removed what an earlier run had left there (--resume goes on from it)")
                self._clear()
            elif not mark.exists() or mark.read_text() != fingerprint:
                progress.note(f"{self.path}: it is of other photos or another request, so this run starts anew")
                self._clear()
        elif resume:
            progress.note(f"{output}: no unfinished run lies here, so this run starts at the beginning")
        with atomic_file(mark) as temporary:
            temporary.write_text(fingerprint)

    def _held(self, output: Path) -> BinaryIO | None:
        try:
            return held(self.path / LOCK)
        except HeldElsewhere:
            remedy = "Wait until it has ended, or give another --out"
            raise InputError(output, "another run is writing it at this moment", remedy) from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            self._progress.note(f"{self.path}: no locks here ({error.strerror}): let no second run write {output} meanwhile")
            return None

    def _content(self) -> list[Path]:
        return [entry for entry in self.path.iterdir() if entry.name != LOCK]

    def _clear(self) -> None:
        for entry in self._content():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def kept(self, name: str, make: Callable[[], T], pack: Callable[[T], Arrays], unpack: Callable[[Arrays], T]) -> T:
        """The result of a stage: read where it was finished before, else made and kept."""
        path = self.path / f"{name}.npz"
        if path.exists():
            self._progress.resumed()
            with np.load(path, allow_pickle=False) as stored:
                return unpack(dict(stored))
        made = make()
        with atomic_file(path) as temporary:
            np.savez(temporary, **pack(made))  # type: ignore[arg-type]
        return made

    def remove(self) -> None:
        _removed(self.path, self._lock)

    def release(self) -> None:
        """Let another run have it, with what lies in it."""
        if self._lock is not None:
            self._lock.close()


def work_folder(output: Path) -> Path:
    return output.parent / f".{output.name}.partial"


def discard(output: Path) -> None:
    """Remove what a run that ended has left beside its output; what a run has at this moment, or may have, stays."""
    path = work_folder(output)
    if not path.exists():
        return
    try:
        lock = held(path / LOCK)
    except (HeldElsewhere, OSError):  # where there are no locks, nobody can tell whether a run has it
        return
    _removed(path, lock)


def _removed(path: Path, lock: BinaryIO | None) -> None:
    shutil.rmtree(path, ignore_errors=True)  # before the release: after it the folder may be another run's
    if lock is not None:
        lock.close()
    if os.name == "nt":  # where a file that is open stays
        shutil.rmtree(path, ignore_errors=True)


FORM = 3  # of what stages pack, and of how cameras are found: what was kept in another one is not read again


def fingerprint(request: Any, files: tuple[Path, ...]) -> str:
    """Changes when the request changes, or a file of the input: its path, size or time."""
    lines = [str(FORM), repr(request)]
    for file in files:
        state = file.stat()
        lines.append(f"{file.resolve()} {state.st_size} {state.st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


ARRAYS = ("camera_from_world", "points", "errors", "track_view", "track_point", "track_xy")
WORDS = ("settings", "why", "repeatable", "acceptance", "disagreement")


def pack_mapping(found: Mapping) -> Arrays:
    words = {name: getattr(found, name) for name in WORDS}
    words["registered"] = found.registered
    words["lenses"] = [(lens.model, lens.params, lens.height, lens.width) for lens in found.lenses]
    return {name: getattr(found, name).numpy() for name in ARRAYS} | {"words": np.array(json.dumps(words))}


def unpack_mapping(arrays: Arrays) -> Mapping:
    words = json.loads(str(arrays["words"]))
    lenses = tuple(Lens(model, tuple(params), height, width) for model, params, height, width in words.pop("lenses"))
    registered = tuple(words.pop("registered"))
    return Mapping(registered=registered, lenses=lenses, **{n: torch.from_numpy(arrays[n]) for n in ARRAYS}, **words)


def pack_gaussians(gaussians: Gaussians) -> Arrays:
    names = ("means", "quats", "scales", "opacities", "sh")
    return {name: getattr(gaussians, name).cpu().numpy() for name in names} | {"mode": np.array(gaussians.mode)}


def unpack_gaussians(arrays: Arrays) -> Gaussians:
    names = ("means", "quats", "scales", "opacities", "sh")
    return Gaussians(*(torch.from_numpy(arrays[n]) for n in names), mode=str(arrays["mode"]))  # type: ignore[arg-type]
