"""Chunks: many scenes in one file of torch, as pixelSplat began it for RealEstate10K and ACID, and others keep it for DL3DV.

Read without trust: nothing in a file is run, and nothing is believed that its length does not bear out.
"""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from collections.abc import Container, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, TypeGuard

import numpy as np
import torch
from torch import Tensor

from recon3d.core.cameras import Cameras
from recon3d.data.posed_scene import PosedScene, SceneAt, Skipped, encoded
from recon3d.errors import InputError
from recon3d.io import json_input
from recon3d.io.photos import encoded_header

CHUNK_BYTES = 100_000_000  # of pictures, from which on a chunk is closed
KEPT_OPEN = 4  # chunks of which scenes are asked for out of their order
SCENE_NAME = re.compile(r"\w[\w.\- ]{0,199}", re.ASCII)  # becomes the name of a folder
SIGNATURES = {b"\xff\xd8": ".jpg", b"\x89P": ".png", b"RI": ".webp"}
ROUNDED = 1e-4  # how far a rotation, stored in single precision, may be from orthonormal and still be taken as it stands
AGAIN = "Download the chunk again"
# What torch and its unpickler raise for a file that is cut, forged or something else.
UNREADABLE = (
    RuntimeError, EOFError, OSError, ValueError, TypeError, LookupError, AttributeError, AssertionError, MemoryError,
    zipfile.BadZipFile,
)  # fmt: skip


def is_chunk_folder(folder: Path) -> bool:
    return (folder / "index.json").is_file() or next(folder.glob("*.torch"), None) is not None


def scenes(folder: Path, wanted: Container[str] | None = None) -> Iterator[PosedScene | Skipped]:
    """The scenes of a folder of chunks, chunk by chunk; only those in `wanted`, if given, and only the chunks that have them.

    A chunk that cannot be read costs the scenes that index.json places in it. Raises InputError where index.json is no index.
    """
    index = read_index(folder)
    by_chunk: dict[str, list[str]] = {file.name: [] for file in sorted(folder.glob("*.torch"))}
    for name, file in index.items():
        by_chunk.setdefault(file, []).append(name)
    found: set[str] = set()
    for file, names in sorted(by_chunk.items()):
        if wanted is not None and index and not any(name in wanted for name in names):
            continue
        for scene in _of_chunk(folder, file, names):
            name = scene.name if isinstance(scene, PosedScene) else scene.scene
            if wanted is not None and name not in wanted:
                continue
            if isinstance(scene, PosedScene) and (name in found or index.get(name, file) != file):
                yield Skipped(f"{file}: {name}", "a second copy of the scene, which is passed over")
                continue
            found.add(name)
            yield scene


def located(folder: Path) -> list[SceneAt]:
    """All scenes of a folder of chunks, by its index.json, else by a look into every chunk; chunks that cannot be read are
    left out there. Raises InputError where index.json is no index."""
    if index := read_index(folder):
        return [SceneAt(name, folder / file) for name, file in index.items()]
    found = []
    for path in sorted(folder.glob("*.torch")):
        try:
            keys = [entry.get("key") for entry in read_chunk(path) if isinstance(entry, dict)]
        except InputError:
            continue
        found += [SceneAt(key, path) for key in keys if isinstance(key, str)]
    return found


def scene_at(at: SceneAt) -> PosedScene:
    """One scene of a chunk; the last chunks stay mapped. Raises InputError where it is not there or damaged."""
    entry = next((e for e in _kept_open(at.path) if isinstance(e, dict) and e.get("key") == at.name), None)
    if entry is None:
        raise InputError(at.path, f"it does not hold {at.name:.80}, which index.json places in it", AGAIN)
    scene = scene_of(entry, at.name)
    if isinstance(scene, Skipped):
        raise InputError(at.path, f"{scene.scene}: {scene.reason}", AGAIN)
    return scene


def read_index(folder: Path) -> dict[str, str]:
    """Scene -> name of its chunk; empty where the folder has no index.json, and every chunk is read to see what is in it."""
    path = folder / "index.json"
    if not path.is_file():
        return {}
    index = json_input.read_object(path)
    for name, file in index.items():
        if not isinstance(file, str) or Path(file).name != file or not file.endswith(".torch"):
            raise InputError(path, f"{name:.80} lies in {file!r:.40}, which is no name of a chunk", AGAIN)
    return index


def _of_chunk(folder: Path, file: str, names: Sequence[str]) -> Iterator[PosedScene | Skipped]:
    """What a chunk holds, and what of it `names`, those of index.json, is not in it."""
    try:
        stored = read_chunk(folder / file)
    except InputError as error:
        yield from (Skipped(name, f"{file}: {error.what}") for name in names or [file])
        return
    held: set[str] = set()
    for i, entry in enumerate(stored):
        scene = scene_of(entry, f"{file}[{i}]")
        held.add(scene.name if isinstance(scene, PosedScene) else scene.scene)
        yield scene
    missing = f"index.json places it in {file}, which does not hold it"
    yield from (Skipped(name, missing) for name in names if name not in held)


def read_chunk(path: Path) -> list[Any]:
    """The entries of a chunk, mapped rather than read. Raises InputError where it is no list that torch wrote."""
    try:
        size = path.stat().st_size
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
        packed = any(part.compress_type != zipfile.ZIP_STORED for part in parts)
        if packed or sum(part.file_size for part in parts) > size:
            raise InputError(path, "it declares more than it holds", AGAIN)
        stored = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except FileNotFoundError as error:
        raise InputError(path, "index.json names it, but there is no such file", AGAIN) from error
    except pickle.UnpicklingError as error:  # torch's own text is a page on how to run what the file holds
        raise InputError(path, "it is damaged or holds more than tensors and values; nothing in it was run", AGAIN) from error
    except UNREADABLE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise InputError(path, f"it is no whole chunk of tensors ({reason})", AGAIN) from error
    if not isinstance(stored, list):
        raise InputError(path, f"it holds no list of scenes but a {type(stored).__name__}", AGAIN)
    if not stored:
        raise InputError(path, "it holds no scenes", AGAIN)
    return stored


_kept_open = lru_cache(maxsize=KEPT_OPEN)(read_chunk)


def scene_of(entry: Any, where: str) -> PosedScene | Skipped:
    """One entry of a chunk, checked; `where` names it as long as nothing else does."""
    key = entry.get("key") if isinstance(entry, dict) else None
    if not isinstance(key, str) or not SCENE_NAME.fullmatch(key):
        return Skipped(where, f"its key {key!r:.60} is no name of a scene")
    try:
        values, images, timestamps = _fields(entry, key)
        # All pictures of a scene have one size, else `decoded` and `data check` tell: opening each header here would take
        # most of the time of an evaluation, which uses a few frames of hundreds.
        height, width = encoded_header(images[0].numpy().tobytes(), Path(key)).stored_size
    except InputError as error:
        return Skipped(key, error.what)
    url = entry.get("url")
    suffixes = [SIGNATURES.get(bytes(image[:2].tolist()), ".bin") for image in images]
    return PosedScene(
        name=key,
        cameras=cameras_of(values, height, width),
        pictures=tuple(images),
        names=tuple(f"{i:05d}_{t}{suffix}" for i, (t, suffix) in enumerate(zip(timestamps, suffixes, strict=True))),
        timestamps=tuple(timestamps),
        lenses=(None,) * len(images),
        url=url if isinstance(url, str) else "",
    )


def _fields(entry: dict[str, Any], key: str) -> tuple[Annotated[Tensor, "N 18"], list[Tensor], list[int]]:
    """Cameras, encoded pictures and timestamps, whose types and lengths agree."""
    values, images, timestamps = entry.get("cameras"), entry.get("images"), entry.get("timestamps")
    if not isinstance(images, list) or not all(_is_plain(x, torch.uint8, 1) and len(x) for x in images):
        raise InputError(key, "its images are no list of encoded pictures", AGAIN)
    if not images:
        raise InputError(key, "it has no frames", AGAIN)
    if not _is_plain(values, torch.float32, 2) or values.shape[1] != 18:
        raise InputError(key, "its cameras are no table of 18 numbers a frame", AGAIN)
    if not _is_plain(timestamps, torch.int64, 1):
        raise InputError(key, "its timestamps are no list of whole numbers", AGAIN)
    counts = len(images), len(values), len(timestamps)
    if len(set(counts)) > 1:
        raise InputError(key, "it has {} pictures, {} cameras and {} timestamps".format(*counts), AGAIN)
    return values, images, timestamps.tolist()


def _is_plain(x: Any, dtype: torch.dtype, axes: int) -> TypeGuard[Tensor]:
    """A dense tensor whose elements lie one after the other: it holds no more of them than its file has bytes."""
    return (
        type(x) is torch.Tensor and x.dtype == dtype and x.ndim == axes and x.layout == torch.strided
        and x.device.type == "cpu" and x.is_contiguous()
    )  # fmt: skip


def cameras_of(values: Annotated[Tensor, "N 18"], height: int, width: int) -> Cameras:
    """Cameras of pictures of one size from a chunk's rows: fx, fy, cx, cy as shares of the sides, two zeros, 3 × 4 pose."""
    values = values.double()
    sides = torch.tensor([width, height], dtype=torch.float64)
    K = torch.eye(3, dtype=torch.float64).repeat(len(values), 1, 1)
    K[:, [0, 1], [0, 1]] = values[:, :2] * sides
    K[:, :2, 2] = values[:, 2:4] * sides
    camera_from_world = torch.eye(4, dtype=torch.float64).repeat(len(values), 1, 1)
    camera_from_world[:, :3] = values[:, 6:].unflatten(1, (3, 4))
    camera_from_world[:, :3, :3] = mended(camera_from_world[:, :3, :3])
    index = torch.unique(values[:, :4], dim=0, return_inverse=True)[1]
    return Cameras(camera_from_world, K, torch.tensor([[height, width]]).repeat(len(values), 1), index)


def mended(rotation: Annotated[Tensor, "N 3 3"]) -> Annotated[Tensor, "N 3 3"]:
    """Rotations that were rounded become the nearest ones; others stay as they are, wrong ones too."""
    off = (rotation @ rotation.transpose(1, 2) - torch.eye(3, dtype=rotation.dtype)).abs().amax((1, 2))
    rounded = (off > ROUNDED) & (off <= json_input.MENDABLE)
    u, _, vt = torch.linalg.svd(rotation[rounded])
    rotation = rotation.clone()
    rotation[rounded] = u @ vt
    return rotation


def rows_of(cameras: Cameras) -> Annotated[Tensor, "N 18"]:
    """The inverse of `cameras_of`, float32."""
    sides = cameras.sizes.flip(1)
    intrinsics = torch.cat([cameras.K[:, [0, 1], [0, 1]] / sides, cameras.K[:, :2, 2] / sides], 1)
    zeros = torch.zeros(len(cameras), 2, dtype=torch.float64)
    return torch.cat([intrinsics, zeros, cameras.camera_from_world[:, :3].flatten(1)], 1).float()


def entry_of(scene: PosedScene) -> dict[str, Any]:
    """A scene as a chunk holds it."""
    images = [torch.from_numpy(np.frombuffer(encoded(scene, i)[0], np.uint8).copy()) for i in range(len(scene))]
    return {
        "key": scene.name, "url": scene.url, "timestamps": torch.tensor(scene.timestamps, dtype=torch.int64),
        "cameras": rows_of(scene.cameras), "images": images,
    }  # fmt: skip


def write_chunks(entries: Iterable[dict[str, Any]], folder: Path, most: int = CHUNK_BYTES) -> None:
    """NNNNNN.torch, each with pictures of `most` bytes and at most one scene more, and index.json, into a new folder."""
    folder.mkdir(parents=True)
    index: dict[str, str] = {}
    held: list[dict[str, Any]] = []
    size = files = 0

    def flush() -> None:
        nonlocal size, files
        if held:
            file = f"{files:06d}.torch"
            torch.save(held, folder / file)
            index.update({entry["key"]: file for entry in held})
            held.clear()
            size, files = 0, files + 1

    for entry in entries:
        held.append(entry)
        size += sum(len(image) for image in entry["images"])
        if size >= most:
            flush()
    flush()
    (folder / "index.json").write_text(json.dumps(index) + "\n")
