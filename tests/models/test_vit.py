"""Blocks written over their tokens against blocks that leave them alone."""

from __future__ import annotations

import pytest
import torch

from recon3d.models import vit
from recon3d.models.attention import grid_positions, rotary_2d
from recon3d.models.vit import Block, runs, stepped


@pytest.mark.parametrize("shape", [(1, 37), (5, 7), (3, 11)], ids=str)
@pytest.mark.parametrize("run", [1, 8, 10, 1000])
def test_a_block_in_place_gives_what_it_gives_beside(shape, run, monkeypatch):
    monkeypatch.setattr(vit, "RUN_ON_CPU", run)
    torch.manual_seed(0)
    block = Block(24, 3, 48, 1e-5, qk_norm=True, layerscale=0.5)
    rotate = rotary_2d(grid_positions(1, shape[1], first=1), 8, base=100.0)
    x = torch.randn(*shape, 24)
    expected = block(x, rotate).detach()
    with torch.no_grad():
        given = x.clone()
        assert stepped(block, given, rotate) is given
    torch.testing.assert_close(given, expected, atol=1e-6, rtol=1e-5)


def test_with_gradients_the_tokens_are_left_alone():
    torch.manual_seed(0)
    block, x = Block(8, 2, 16, 1e-5), torch.randn(2, 5, 8)
    given = x.clone()
    assert stepped(block, given).requires_grad and torch.equal(given, x)


@pytest.mark.parametrize("shape", [(1, 1), (1, 8328), (8, 1041), (3, 700), (200, 893), (2, 1537)], ids=str)
def test_runs_cover_every_token_once_and_are_about_alike(shape):
    counted, lengths = torch.zeros(shape), []
    for run in runs(counted[..., None]):
        counted[run] += 1
        lengths.append(counted[run].numel())
    assert bool((counted == 1).all())
    assert max(lengths) <= 1.5 * vit.RUN_ON_CPU
