"""Attention in blocks against torch's own, and rotary embeddings against complex numbers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from recon3d.models import attention as module
from recon3d.models.attention import attention, attention_in_blocks, grid_positions, rotary_2d


@pytest.mark.parametrize("scores", [2_130_000, 900, 1])
@pytest.mark.parametrize("shape", [(1, 3, 70, 8), (2, 5, 33, 4), (7, 41, 16)])
def test_any_block_gives_what_torch_gives(shape, scores, monkeypatch):
    monkeypatch.setattr(module, "SCORES", scores)
    monkeypatch.setattr(module, "LEAST_ROWS", 3)
    generator = torch.Generator().manual_seed(0)
    queries, keys, values = (torch.randn(shape, generator=generator) for _ in range(3))
    more = torch.cat((keys, keys[..., :9, :] + 1), -2), torch.cat((values, values[..., :9, :]), -2)
    for k, v in ((keys, values), more):
        expected = F.scaled_dot_product_attention(queries, k, v)
        torch.testing.assert_close(attention_in_blocks(queries, k, v), expected, atol=1e-5, rtol=1e-5)


def test_low_precision_is_near_and_the_type_is_that_of_the_values():
    generator = torch.Generator().manual_seed(0)
    queries, keys, values = (torch.randn(1, 4, 200, 16, generator=generator) for _ in range(3))
    low = attention(queries, keys, values.bfloat16())
    assert low.dtype == torch.bfloat16
    expected = F.scaled_dot_product_attention(queries, keys, values)
    assert float((low.float() - expected).norm() / expected.norm()) < 0.02


def test_a_token_that_may_not_be_seen_has_no_say():
    generator = torch.Generator().manual_seed(0)
    queries, keys, values = (torch.randn(1, 2, 6, 4, generator=generator) for _ in range(3))
    allowed = torch.ones(6, 6, dtype=torch.bool).tril()
    causal = attention(queries, keys, values, allowed)
    for i in range(6):
        expected = F.scaled_dot_product_attention(queries[..., i : i + 1, :], keys[..., : i + 1, :], values[..., : i + 1, :])
        torch.testing.assert_close(causal[..., i : i + 1, :], expected)


def test_rotation_turns_pairs_of_channels_like_complex_numbers():
    positions = grid_positions(3, 4, first=1)
    assert positions[5].tolist() == [2, 2] and positions[3].tolist() == [1, 4]
    x = torch.randn(2, 12, 8, generator=torch.Generator().manual_seed(0))
    turned = rotary_2d(positions, 8, base=100.0)(x)
    for axis in (0, 1):
        pairs = torch.complex(x[..., 4 * axis : 4 * axis + 2], x[..., 4 * axis + 2 : 4 * axis + 4])
        angles = positions[:, axis, None] * 100.0 ** -(torch.arange(2) / 2)
        expected = pairs * torch.polar(torch.ones_like(angles), angles)
        found = torch.complex(turned[..., 4 * axis : 4 * axis + 2], turned[..., 4 * axis + 2 : 4 * axis + 4])
        torch.testing.assert_close(found, expected)
