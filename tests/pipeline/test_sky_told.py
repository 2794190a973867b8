"""What report.json calls sky is what was taken for sky, not what known cameras could not confirm."""

from dataclasses import replace

import torch

from recon3d.models.pictures import Answer
from recon3d.pipeline import network_sources
from recon3d.pipeline.request import Request
from recon3d.progress import Progress
from tools.benchmarks.known_cameras import true_scene


def test_depth_that_nothing_confirms_is_not_called_sky(monkeypatch):
    """A grey photo whose depth lies on no surface of the others; a quarter of one photo of four is sky."""
    views, truth = true_scene(3, 4)
    assert truth.depth is not None
    views = replace(
        views, images=(*views.images[:3], torch.full_like(views.images[3], 128)), lenses=(None,) * 4,
        known_camera_from_world=truth.cameras.camera_from_world,
    )  # fmt: skip
    ramp = torch.linspace(0.2, 5, truth.depth[3].shape[1]).expand_as(truth.depth[3]) * truth.depth[3].median()
    sure = [torch.ones_like(depth) for depth in truth.depth]
    sure[0][: len(sure[0]) // 4] = 0
    predicted = replace(truth, depth=(*truth.depth[:3], ramp), confidence=tuple(sure))
    monkeypatch.setattr(network_sources, "in_photos", lambda *_: (views, predicted))
    monkeypatch.setattr(network_sources, "disagreement", lambda *_: {})
    answer = Answer(predicted, torch.eye(3, dtype=torch.float64).repeat(4, 1, 1), torch.zeros(4, 4))
    _, known, _, report, sky = network_sources.in_known_world(
        answer, views, range(4), False, 128, Request(), "cameras.json", Progress()
    )
    assert report.unconfirmed == (views.names[3],) and known.confidence is not None and not known.confidence[3].any()
    shown = sum(int((depth > 0).sum()) for depth in predicted.depth or ())
    assert sky == round(int((truth.depth[0][: len(sure[0]) // 4] > 0).sum()) / shown, 4)
    assert 0.03 < sky < 0.1 < network_sources.share_of_sky(known)
