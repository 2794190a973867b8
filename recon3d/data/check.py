"""What of a data set is there, and what is missing or damaged, scene by scene."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from recon3d.data.dataset import KINDS, DataSet, all_splits
from recon3d.data.posed_depth import depth_problem
from recon3d.data.posed_scene import PosedScene, decoded, place, refuse_other_size
from recon3d.data.rules import wrong_camera
from recon3d.errors import InputError
from recon3d.io.photos import Source, encoded_header, read_header
from recon3d.progress import Progress

TAIL = 64  # bytes at the end of a file in which its format's last mark is looked for: some writers pad
# What a file begins with -> the mark that ends it. A JPEG's cannot stand inside of its coded pixels.
ENDS = {b"\xff\xd8": b"\xff\xd9", b"\x89P": b"IEND"}
CUT = "truncated: the file ends before the picture does"


def check(root: Path, progress: Progress) -> dict[str, Any]:
    """{"root", "whole", "splits": [{"split", "kind", "about", "scenes", "views", "sizes", "wrong", "how_to_get"}]}.

    `wrong` has a row {"scene", "problems"} for each scene with one. The first picture of a scene is decoded; of the others
    header, end and size are looked at; depth beside them is read. Raises InputError where no data set lies at `root`.
    """
    splits = [_split(name, found, progress) for name, found in all_splits(root).items()]
    whole = all(split["scenes"] and not split["wrong"] for split in splits)
    return {"root": str(root), "whole": whole, "splits": splits}


def _split(name: str, found: DataSet, progress: Progress) -> dict[str, Any]:
    wrong: list[dict[str, Any]] = []
    sizes: Counter[str] = Counter()
    scenes = views = 0
    for scene in found.scenes():
        problems = problems_of(scene) if isinstance(scene, PosedScene) else [scene.reason]
        if isinstance(scene, PosedScene):
            scenes, views = scenes + 1, views + len(scene)
            sizes.update(f"{width}x{height}" for height, width in scene.cameras.sizes.tolist())
        if problems:
            wrong.append({"scene": scene.name if isinstance(scene, PosedScene) else scene.scene, "problems": problems})
        progress.advance(scenes, 0, "scenes")
    kind = KINDS[found.kind]
    return {
        "split": name, "kind": found.kind, "about": kind.about, "scenes": scenes, "views": views, "sizes": dict(sizes),
        "wrong": wrong, "how_to_get": kind.how_to_get,
    }  # fmt: skip


def problems_of(scene: PosedScene) -> list[str]:
    """What is wrong with the pictures, cameras and depth of a scene, frame by frame; empty where nothing is."""
    problems = list(scene.left_out)
    some_wrong = wrong_camera(scene.cameras, range(len(scene))) is not None
    for i in range(len(scene)):
        if problem := _picture_problem(scene, i):
            problems.append(f"frame {i}: {problem}")
        if problem := depth_problem(scene, i):
            problems.append(f"frame {i}: {problem}")
        if some_wrong and (problem := wrong_camera(scene.cameras, (i,))):
            problems.append(problem)
    return problems


def _picture_problem(scene: PosedScene, i: int) -> str | None:
    picture = scene.pictures[i]
    try:
        if i == 0:
            decoded(scene, i)
        elif isinstance(picture, Source):
            header = read_header(picture.path)
            refuse_other_size(scene, i, header.stored_size if picture.as_stored else header.size)
        else:
            refuse_other_size(scene, i, encoded_header(picture.numpy().tobytes(), place(scene, i)).stored_size)
        return None if _is_whole(*_ends(picture)) else CUT
    except InputError as error:
        return error.what
    except OSError as error:
        return f"it cannot be read ({error.strerror})"


def _ends(picture: Any) -> tuple[bytes, bytes]:
    """The first two and the last bytes of an encoded picture."""
    if not isinstance(picture, Source):
        return bytes(picture[:2].tolist()), bytes(picture[-TAIL:].tolist())
    with picture.path.open("rb") as file:
        start, size = file.read(2), file.seek(0, 2)
        file.seek(max(0, size - TAIL))
        return start, file.read()


def _is_whole(start: bytes, tail: bytes) -> bool:
    return start not in ENDS or ENDS[start] in tail
