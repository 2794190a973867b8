"""Where the shared development material lies (real photos, prototypes, golden files); tests that need it skip without it."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared"


def shared(path: str) -> Path:
    """A path below the shared folder; skips the calling test where it is absent."""
    place = SHARED / path
    if not place.exists():
        pytest.skip(f"needs ../shared/{path}, which is not here")
    return place
