"""Where the masks of photos lie. What they say is read by io.photos. Loads no torch."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

FOLDER = "masks"


def mask_folders(root: Path) -> tuple[Path, ...]:
    """The folders `masks` in the folder of photos and beside it, as far as they are there."""
    return tuple(folder for folder in (root / FOLDER, root.parent / FOLDER) if folder.is_dir())


def find_mask(name: str, folders: tuple[Path, ...]) -> Path | None:
    """The mask of photo `name` (relative, forward slashes): of `sub/a.jpg` it is `sub/a.jpg.png`, `sub/a.png` or `sub/a.jpg`."""
    photo = PurePosixPath(name)
    for folder in folders:
        for candidate in (photo.with_name(photo.name + ".png"), photo.with_suffix(".png"), photo):
            if (folder / candidate).is_file():
                return folder / candidate
    return None
