"""Figures on held-out scenes: of a perfect answer."""

from types import SimpleNamespace

import pytest
import torch

from recon3d.models.pose_encoding import encoding_from_matrices
from recon3d.training.scenes import validation
from recon3d.training.validation import abs_rel, measured


class Knows(torch.nn.Module):
    """Says the truth about the scenes that it is told in their order."""

    def __init__(self, batches) -> None:
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))
        self.batches = iter(batches)

    def forward(self, images):
        b = next(self.batches)
        encodings = encoding_from_matrices(b.camera_from_world[..., :3, :], b.K, b.size)
        return SimpleNamespace(encodings=encodings, depth=3 * b.depth.clamp_min(0.1))


def test_a_perfect_answer_has_perfect_figures():
    batches = list(validation(2, 3, (64, 64)))
    found = measured(Knows(batches), batches)
    assert found.auc5 == 1 and found.auc30 == 1 and found.abs_rel == pytest.approx(0, abs=1e-6)


def test_depth_is_compared_at_the_scale_of_the_medians():
    truth = torch.tensor([[1.0, 2.0, 0.0, 4.0]])
    assert abs_rel(torch.tensor([[2.0, 4.0, 9.0, 16.0]]), truth) == pytest.approx(1 / 3)
