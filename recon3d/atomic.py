"""The only way to write: files and folders appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recon3d.errors import InputError


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raise InputError where `path` is taken and --overwrite was not given, or where it can never be written."""
    if path.exists() and not overwrite:
        raise InputError(path, "it exists already", "Give another place, or --overwrite to replace it")


def make_parents(path: Path) -> None:
    """Make the folder that `path` lies in; InputError where that cannot be, or where it cannot be written to."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(probe)
        os.unlink(name)
    except OSError as error:
        raise InputError(
            path, f"it cannot be written ({error.strerror or error})", "Give a path in a folder that you may write to"
        ) from error


@contextmanager
def placed(path: Path, alone: bool = True) -> Iterator[None]:
    """What the system answers to writing tells no place, or a temporary one: whoever reads the error is told of `path`.

    `alone`: nothing else is written meanwhile, so what tells no place is of `path` too.
    """
    try:
        yield
    except OSError as error:
        told, ours = error.filename, os.path.abspath(path.parent / f".{path.stem}.")
        if error.errno is not None and (alone if told is None else os.path.abspath(str(told)).startswith(ours)):
            error.filename = str(path)
        raise


@contextmanager
def atomic_file(path: Path | str) -> Iterator[Path]:
    """A temporary neighbour to write to; flushed to disk and renamed to `path` at the end, removed where an exception leaves.

    The suffix is kept, for writers that look at it. An existing `path` is replaced in one step.
    """
    path = Path(path)
    with placed(path):
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=f".partial{path.suffix}", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            _flush(temporary)
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextmanager
def atomic_folder(path: Path | str, overwrite: bool = False) -> Iterator[Path]:
    """A sibling folder to fill; renamed to `path` at the end, removed where an exception leaves.

    An existing `path` is put aside, replaced, then removed, so that no moment shows a mixture of two runs.
    """
    path = Path(path)
    with placed(path):
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
        try:
            yield temporary
            flush_all(temporary)
            os.chmod(temporary, 0o777 & ~_umask())
            if not path.exists():
                os.rename(temporary, path)
                return
            if not overwrite:
                raise InputError(
                    path, "it appeared while the run was working", "Give another place, or --overwrite to replace it"
                )
            old = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent)) / "old"
            os.rename(path, old)
            os.rename(temporary, path)
            shutil.rmtree(old.parent)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def flush_all(folder: Path) -> None:
    """Every file below a folder is on the disk when this returns, so that a rename after it shows whole files only."""
    for file in folder.rglob("*"):
        if file.is_file():
            _flush(file)


def _flush(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
