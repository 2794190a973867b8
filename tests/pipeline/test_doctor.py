"""What doctor says of networks: whether their weights are here, or how much there is to download."""

from __future__ import annotations

import pytest
from huggingface_hub import constants

from recon3d.models import checkpoints
from recon3d.models.weights import table
from recon3d.pipeline.doctor import chosen_by_name


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def detail(name: str) -> str:
    return next(row.detail for row in chosen_by_name() if row.part == f"geometry {name}")


def test_weights_that_are_not_here_are_told_with_their_size(cache):
    row = table()["vggt-1b"]
    assert row.bytes is not None and f"{row.bytes / 1e9:.1f} GB to download" in detail("vggt-1b")
    assert "weights" not in detail("colmap")


def test_heads_are_told_with_their_licence_too(cache):
    found = {row.part: row for row in chosen_by_name()}
    assert "weights are here" in found["splats joint"].detail
    assert "all rights are reserved" in found["splats ilrm-dl3dv-16v"].detail
    assert "weights are to be downloaded" in found["splats ilrm-dl3dv-16v"].detail


def test_weights_in_the_cache_of_the_hub_are_here(cache):
    row = table()["da3-small"]
    folder = cache / f"models--{row.repository.replace('/', '--')}"
    snapshot = folder / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / (row.revision or "main")).write_text("a" * 40)
    assert "to be downloaded" in detail("da3-small")
    (snapshot / row.file).write_bytes(b"x")
    assert checkpoints.cached(row) == snapshot / row.file
    assert "weights are here" in detail("da3-small")
