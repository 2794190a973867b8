"""Curves on the cards: scenes of versions that go on from each other add up, and the cards show what the figures are."""

import json

import pytest
from PIL import Image

from tools.training_curve import CHECKPOINTS, IMAGES, PANELS, plot, scenes_seen


def test_scenes_of_versions_add_up():
    assert scenes_seen([{"scenes": 100}, {"scenes": 20}, {"scenes": 3}]) == [100, 120, 123]


@pytest.mark.parametrize("name", PANELS)
def test_a_card_shows_the_curve_of_its_rows(name, tmp_path):
    """Drawn again it has the size of the picture that is shown, and other figures make another picture."""
    rows = json.loads((CHECKPOINTS / f"{name}.json").read_text())
    assert f"images/{name}.png" in (CHECKPOINTS / f"{name}.md").read_text()
    plot(name, rows, tmp_path / "same.png")
    assert Image.open(tmp_path / "same.png").size == Image.open(IMAGES / f"{name}.png").size
    worse = [{key: value if key in ("version", "scenes") else 0.5 for key, value in row.items()} for row in rows]
    plot(name, worse, tmp_path / "worse.png")
    assert (tmp_path / "same.png").read_bytes() != (tmp_path / "worse.png").read_bytes()
