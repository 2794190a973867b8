"""From the name of published weights, or a file of the user's, to a network that is ready: found, downloaded, filled."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from recon3d.errors import InputError, check_exists
from recon3d.models.config import configured, values_of
from recon3d.models.loading import content_of, filled_from_file, lowered, packed, shapes_in
from recon3d.models.meta import on_meta, shapes_of
from recon3d.models.official import account
from recon3d.models.weights import Weights
from recon3d.progress import Progress

RANDOM = "random"
OF_A_RUN = ("calls", "windowed", "image_size", "head")  # may stand in a configuration and says nothing of the network
SUFFIXES = (".safetensors", ".pt", ".pth")
WRITTEN, SIZES = "model.safetensors", "config.json"  # weights as trainings here and the hub call them, and their network's sizes
STANDS = "training.pt"  # beside them: where a training stands, which no other network is filled from


@dataclass(frozen=True)
class WeightsReport:
    """For the report: which weights were used, under which licence. No file: random ones."""

    key: str  # a name of `recon3d weights list`
    licence: str
    commercial: bool
    random: Literal[True] | None = None
    file: str | None = None
    bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Checkpoint:
    """Where the weights of a network come from. `path` None: random ones."""

    key: str
    row: Weights
    path: Path | None
    config: Any

    def report(self) -> WeightsReport:
        return weights_report(self.key, self.row.licence, self.row.commercial, self.path)


def weights_report(key: str, licence: str, commercial: bool, path: Path | None) -> WeightsReport:
    """Of weights in a file, whose bytes are told; None: random ones."""
    known = WeightsReport(key, licence, commercial)
    if path is None:
        return replace(known, random=True)
    return replace(known, file=str(path), bytes=path.stat().st_size, sha256=sha256(path))


def checkpoint(key: str, row: Weights, weights: str | None, progress: Progress) -> Checkpoint:
    """`weights`: a file, a folder with one, "random", or None for the published file, which is downloaded where the hub's
    cache does not have it. A config.json tells the sizes of the checkpoint that its folder means; beside a file that is named
    itself it may be of anything, unless the file is called as trainings call theirs. Raises InputError."""
    if weights == RANDOM:
        return Checkpoint(key, row, None, row.config)
    if weights is None:
        return Checkpoint(key, row, downloaded(key, row, progress), row.config)
    path = Path(weights)
    check_exists(path, "Give a checkpoint file, a folder with one, or the word random")
    file = file_in(path, row) if path.is_dir() else path
    beside = file.with_name(SIZES)
    belongs = path.is_dir() or (file.name == WRITTEN and file in meant_by(file.parent, row))
    config = config_in(beside, row) if belongs and beside.is_file() else config_told_by(file, row)
    return Checkpoint(key, row, file, config)


def with_matches(found: Checkpoint) -> Checkpoint | None:
    """The same built so that its answer has matches where they are asked for; None where it can have none, or the file has not
    all of what that takes."""
    if found.row.with_matches is None or found.path is None:
        return None
    config = found.row.resolve("with_matches")(found.config, found.row.config)
    if config is None or config == found.config:
        return None if config is None else found
    build = found.row.resolve("network")
    ours = shapes_of(on_meta(lambda: build(config)))
    filled = account(shapes_in(found.path), ours, found.row.layout).complete
    return replace(found, config=config) if filled else None


def config_told_by(file: Path, row: Weights) -> Any:
    """The sizes that a checkpoint tells of itself, else the published ones."""
    told = None if row.read_config is None else row.resolve("read_config")(content_of(file), str(file))
    return row.config if told is None else told


def file_in(folder: Path, row: Weights) -> Path:
    """The checkpoint that a folder means. Raises InputError where that is none, or not certain."""
    found = meant_by(folder, row)
    if len(found) == 1:
        return found[0]
    if not found and (folder / STANDS).is_file():
        what = f"the training in it has not ended: {WRITTEN} is not there"
        raise InputError(folder, what, "Go on with it by the command that began it")
    what = "no checkpoint lies in it" if not found else f"{len(found)} checkpoints lie in it"
    raise InputError(folder, f"{what}, and none is called {row.file}", "Name the file itself")


def meant_by(folder: Path, row: Weights) -> list[Path]:
    """The checkpoint under its published name, else the one that a training writes, else all that lie in the folder."""
    for name in (row.file, *row.sources, WRITTEN):
        if (folder / name).is_file():
            return [folder / name]
    return sorted(file for file in folder.iterdir() if file.suffix in SUFFIXES and file.name != STANDS)


def config_in(file: Path, row: Weights) -> Any:
    """The sizes that a config.json gives. One that repeats some of the published sizes, as the hub's do, means those."""
    try:
        values = json.loads(file.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(file, f"it is no JSON ({error})", "Mend it, or take it away for the published size") from error
    if not isinstance(values, dict):
        raise InputError(file, "it is no JSON object", "Mend it, or take it away for the published size")
    if row.read_config is not None:
        told = row.resolve("read_config")(values, str(file))
        return row.config if told is None else told
    published = values_of(row.config)
    values = {name: value for name, value in values.items() if name in published or name not in OF_A_RUN}
    if all(published.get(name) == value for name, value in values.items()):
        return row.config
    return configured(type(row.config), values, str(file))


def cached(row: Weights) -> Path | None:
    """The published file, where it is shipped or the hub's cache has it."""
    from huggingface_hub import try_to_load_from_cache

    if row.shipped_file is not None:
        return row.shipped_file
    found = try_to_load_from_cache(row.repository, row.file, revision=row.revision)
    return Path(found) if isinstance(found, str) else None


def downloaded(key: str, row: Weights, progress: Progress) -> Path:
    """The published file from the hub's cache, or from the hub into it (HF_HUB_OFFLINE is honoured). Raises InputError."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError

    if found := cached(row):
        return found
    size = f" ({row.bytes / 1e9:.1f} GB)" if row.bytes else ""
    progress.note(f"{key}: downloading {row.file} of {row.repository}{size}, licence {row.licence}")
    remedy = f"Download {row.file} of {row.repository} by hand and give it with --weights"
    try:
        return Path(hf_hub_download(row.repository, row.file, revision=row.revision))
    except GatedRepoError as error:
        page = f"https://huggingface.co/{row.repository}"
        raise InputError(key, f"its weights are given out on request only, at {page}", remedy) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(key, f"its weights are not here and could not be downloaded ({why})", remedy) from error


def network(found: Checkpoint, seed: int, low: torch.dtype | None, device: str = "cpu") -> nn.Module:
    """The network with its weights, for inference; linear layers in type `low` where given. Raises InputError."""
    build = found.row.resolve("network")
    if found.path is not None:
        made = on_meta(lambda: build(found.config))
        made = filled_from_file(made, found.path, found.row.layout, low)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made = build(found.config)
        made = lowered(made, low).requires_grad_(False).eval()
    return packed(made) if device == "cpu" else made.to(device)


def sha256(path: Path) -> str:
    """Of the whole file, read in pieces; the hub's cache names large files by it already."""
    blob = path.resolve().name
    if re.fullmatch(r"[0-9a-f]{64}", blob):
        return blob
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
