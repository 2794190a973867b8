"""Data sets as they lie on a disk: what is there, and its scenes, one by one, whatever the format."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from pathlib import Path

from recon3d.data import chunks, dl3dv, posed
from recon3d.data.frames import Choice, FrameList
from recon3d.data.posed_scene import PosedScene, SceneAt, Skipped, scene_folders
from recon3d.data.rules import Rules, why_not
from recon3d.errors import InputError, check_exists

SPLITS = ("test", "train")
Size = tuple[int, int]


@dataclass(frozen=True)
class Kind:
    about: str
    is_here: Callable[[Path], bool]
    scenes: Callable[[Path, Container[str] | None, Size], Iterator[PosedScene | Skipped]]
    located: Callable[[Path], list[SceneAt]]
    scene_at: Callable[[SceneAt, Size], PosedScene]
    how_to_get: str


def _has(is_scene: Callable[[Path], bool]) -> Callable[[Path], bool]:
    return lambda root: next(scene_folders(root, is_scene), None) is not None


# In the order in which they are looked for: a scene of DL3DV has a transforms.json too.
KINDS: dict[str, Kind] = {
    "chunks": Kind(
        "chunks of RealEstate10K, ACID or DL3DV",
        chunks.is_chunk_folder,
        lambda root, wanted, size: chunks.scenes(root, wanted),
        chunks.located,
        lambda at, size: chunks.scene_at(at),
        "RealEstate10K and ACID: the archives that https://github.com/dcharatan/pixelsplat links to; or the camera files "
        "of https://google.github.io/realestate10k/ and a downloader of videos. DL3DV: its folders, then recon3d data convert",
    ),
    "dl3dv": Kind(
        "scene folders of DL3DV",
        _has(dl3dv.is_scene),
        dl3dv.scenes,
        dl3dv.located,
        lambda at, size: dl3dv.scene_of(at.path, size),
        "DL3DV: register on the hub and accept its terms, see https://github.com/DL3DV-10K/Dataset",
    ),
    "posed": Kind(
        "folders of photos with cameras",
        _has(posed.is_scene),
        lambda root, wanted, size: posed.scenes(root, wanted),
        posed.located,
        lambda at, size: posed.scene_of(at.path),
        "Any photos with a COLMAP model, a transforms.json or a cameras.json; recon3d synth makes some",
    ),
}
REMEDY = f"What is read: {'; '.join(kind.about for kind in KINDS.values())}. datasets/README.md tells how to get them"


@dataclass(frozen=True)
class DataSet:
    kind: str  # a row of KINDS
    root: Path  # where its chunks or its folders begin

    def scenes(self, wanted: Container[str] | None = None, size: Size = (0, 0)) -> Iterator[PosedScene | Skipped]:
        """All scenes, or those named in `wanted`. Of pictures at several sizes the smallest that covers `size` is taken."""
        return KINDS[self.kind].scenes(self.root, wanted, size)

    def located(self) -> list[SceneAt]:
        """Where its scenes lie, in a lasting order: scenes are then opened one by one, in any order. Frames are not counted,
        since that would read every scene."""
        return KINDS[self.kind].located(self.root)

    def scene_at(self, at: SceneAt, size: Size = (0, 0)) -> PosedScene:
        """One of `located`; `size` as for `scenes`. Raises InputError where it cannot be read."""
        return KINDS[self.kind].scene_at(at, size)


def opened(root: Path, split: str = "test") -> DataSet:
    """What lies at `root`, or in its folder named `split`. Raises InputError where it is nothing that is read."""
    check_exists(root, REMEDY)
    if not root.is_dir():
        raise InputError(root, "it is a file, not the folder of a data set", REMEDY)
    found = _at(root / split) or _at(root)
    if found is None:
        raise InputError(root, "no data set lies here", REMEDY)
    return found


def all_splits(root: Path) -> dict[str, DataSet]:
    """What lies at `root`, by the names of its splits; "" where it has none. Raises InputError as `opened` does."""
    splits = {split: found for split in SPLITS if (found := _at(root / split)) is not None}
    return splits or {"": opened(root)}


def _at(place: Path) -> DataSet | None:
    if not place.is_dir():
        return None
    return next((DataSet(name, place) for name, kind in KINDS.items() if kind.is_here(place)), None)


def chosen(
    found: DataSet, frames: FrameList, rules: Rules, size: Size = (0, 0)
) -> Iterator[tuple[PosedScene, Choice] | Skipped]:
    """For every entry of a list its scene and frames, or why it is left out, in the order in which the data set has them."""
    yield from frames.skipped
    waiting: dict[str, list[Choice]] = {}
    for choice in frames.choices:
        waiting.setdefault(choice.scene, []).append(choice)
    for scene in found.scenes(frozenset(waiting), size):
        name = scene.name if isinstance(scene, PosedScene) else scene.scene
        for choice in waiting.pop(name, ()):
            if isinstance(scene, Skipped):
                yield scene
            else:
                reason = why_not(scene, choice, rules)
                yield (scene, choice) if reason is None else Skipped(name, reason)
    yield from (Skipped(name, "it is not in the data set") for name, choices in waiting.items() for _ in choices)
