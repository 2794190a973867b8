"""What `recon3d weights` does: list what is published, fetch it, check a file against its network, rewrite it safely."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from recon3d.atomic import atomic_file, refuse_existing
from recon3d.errors import InputError, check_exists
from recon3d.models.weights import Weights, table
from recon3d.progress import Progress


def listed() -> list[dict[str, Any]]:
    """A row for each published file. Loads no torch."""
    return [
        {
            "key": key, "repository": row.repository, "file": row.file, "bytes": row.bytes, "sha256": row.sha256,
            "licence": row.licence, "code_licence": row.code_licence, "commercial": row.commercial, "about": row.about,
        }
        for key, row in table().items()
    ]  # fmt: skip


def row_of(key: str) -> Weights:
    rows = table()
    if key not in rows:
        raise InputError(key, "no weights have this name", f"The names are {', '.join(rows)}")
    return rows[key]


def pull(key: str, progress: Progress) -> dict[str, Any]:
    """Download published weights into the hub's cache, and compare their SHA-256 where it is known. Raises InputError."""
    from recon3d.models.checkpoints import downloaded, sha256

    row = row_of(key)
    path = downloaded(key, row, progress)
    found = sha256(path)
    if row.sha256 is not None and found != row.sha256:
        what = f"its SHA-256 is {found}, and {row.sha256} is published"
        raise InputError(path, what, "Remove it and download it again")
    return {"key": key, "file": str(path), "bytes": path.stat().st_size, "sha256": found, "licence": row.licence}


def verify(file: str, key: str | None) -> dict[str, Any]:
    """A file (or the cached one of a key) against the network `key`, or the one that it looks like. Raises InputError
    where the file cannot be read or looks like none."""
    from recon3d.models.checkpoints import WRITTEN, checkpoint
    from recon3d.models.loading import tensors_of
    from recon3d.models.resemblance import accounting, best_match, explained, looks_like

    if file in table():
        key = key or file
        source = checkpoint(file, row_of(file), None, Progress())
    else:
        path = Path(file)
        check_exists(path, "Give a checkpoint file, a folder with one, or a key of `recon3d weights list`")
        alone = path if path.is_file() else path / WRITTEN
        if key is None and alone.is_file() and (match := best_match(tensors_of(alone))) is not None:
            key = match.key
        if key is None:
            remedy = "Say with --network which one it is for"
            what = looks_like(tensors_of(alone)) if alone.is_file() else "a folder does not say for which network it is"
            raise InputError(path, what, remedy)
        source = checkpoint(key, row_of(key), file, Progress())
    assert source.path is not None
    tensors = tensors_of(source.path)
    found = accounting(tensors, source.row, source.config)
    published = file == key or _is_published(source.path, source.row)
    return {
        "file": str(source.path), "network": key, "complete": found.complete, "tensors": len(tensors),
        "used": len(found.source), "dropped": len(found.dropped), "twins": len(found.twins),
        "unknown": len(found.unknown), "missing": len(found.missing), "misshapen": len(found.misshapen),
        "licence": source.row.licence if published else licence_of_a_copy(key), "layouts": sharing(key),
        "lines": [asdict(line) for line in explained(tensors, found)],
    }  # fmt: skip


def sharing(key: str) -> dict[str, str]:
    """The published networks whose files have the layout of `key`, itself among them, and their licences."""
    row = row_of(key)
    wanted = row.network, row.config, row.layout
    return {other: its.licence for other, its in table().items() if (its.network, its.config, its.layout) == wanted}


def licence_of_a_copy(key: str) -> str:
    """What can be said of the licence of a file that is known by its layout only."""
    layouts = sharing(key)
    if len(layouts) == 1:
        return f"{layouts[key]}, if it is {key}: a licence goes with where a file came from"
    named = ", ".join(f"{other} ({licence})" for other, licence in layouts.items())
    return f"not told by the file: {named} share its layout, and a licence goes with where a file came from"


def _is_published(path: Path, row: Weights) -> bool:
    """Whether a file is the published one, by its bytes, where their SHA-256 is known."""
    from recon3d.models.checkpoints import sha256

    return row.sha256 is not None and path.stat().st_size == row.bytes and sha256(path) == row.sha256


def convert(source: Path, target: Path, overwrite: bool) -> dict[str, Any]:
    """The tensors of any checkpoint as safetensors, under their own names; a tensor stored twice is written once.
    Raises InputError."""
    from safetensors.torch import save_file

    from recon3d.models.loading import tensors_of

    if target.suffix != ".safetensors":
        raise InputError(target, "converting writes safetensors", "Give a name ending in .safetensors")
    refuse_existing(target, overwrite)
    tensors = tensors_of(source)
    if not tensors:
        raise InputError(source, "the file holds no tensors", "Give a checkpoint")
    first: dict[tuple, str] = {}
    kept, same = {}, {}
    for name, tensor in tensors.items():
        place = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
        if tensor.numel() and place in first:
            same[name] = first[place]
        else:
            first[place] = name
            kept[name] = tensor.contiguous()
    with atomic_file(target) as temporary:
        save_file(kept, temporary, metadata=same | {"format": "pt"})
    return {"file": str(target), "tensors": len(kept), "same": same, "bytes": target.stat().st_size}
