"""What a run says of a model in which two like places are joined: a note and a part of the report, by the photos' names."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import numpy as np

from recon3d.pipeline.sources import looked_for_folds
from recon3d.pipeline.stage_reports import told
from recon3d.progress import Progress
from tests.sfm.folded_scenes import capture
from tests.sfm.shared_views import views_of

SCHEMA = json.loads((Path(__file__).resolve().parents[2] / "docs" / "report.schema.json").read_text())


def looked(folded: bool, settings: str) -> tuple[Any, Progress]:
    """The photos of a capture, two before them having no camera."""
    geometry, names = capture("fronts", folded, 0)
    black = {name: np.zeros((48, 64, 3), np.uint8) for name in ("lost0", "lost1", *names)}
    found: Any = SimpleNamespace(settings=settings, registered=tuple(range(2, 2 + len(names))))
    progress = Progress()
    asked: Any = SimpleNamespace(loaded=SimpleNamespace(sequence=False), progress=progress)
    return looked_for_folds(views_of(black), found, geometry, asked), progress


def test_a_folded_model_is_noted_and_reported_by_the_names_of_its_photos():
    found, progress = looked(True, "default")
    assert found is not None and len({name[0] for name in found.photos}) == 1
    assert len(progress.notes) == 1 and found.photos[0] in progress.notes[0] and "two like places" in progress.notes[0]
    jsonschema.validate(told(found), SCHEMA["properties"]["geometry"]["properties"]["folded"])


def test_nothing_is_said_of_a_true_model_or_of_a_given_one():
    for folded, settings in ((False, "default"), (True, "given")):
        found, progress = looked(folded, settings)
        assert found is None and progress.notes == []
