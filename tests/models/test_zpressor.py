"""ZPressor beyond its golden cases: both forms against a plain loop over clusters, and what the order of views means."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor

from recon3d.models.meta import on_meta, shapes_of
from recon3d.models.zpressor import network as module
from recon3d.models.zpressor.anchors import assigned, farthest_points
from recon3d.models.zpressor.config import PUBLISHED, ZPressorConfig
from recon3d.models.zpressor.network import ZPressor
from tests.shared_folder import shared

CONFIG = ZPressorConfig((16, 8), num_heads=2, num_layers=2)


def by_loop(network: ZPressor, features: list[Tensor], anchors: Tensor, clusters: Tensor) -> list[Tensor]:
    """Every scene, level and cluster on its own, as the paper says it."""
    maps = []
    for level, of_level in enumerate(features):
        scenes = []
        for tokens, chosen, labels in zip(of_level.flatten(-2).transpose(-1, -2), anchors, clusters, strict=True):
            state = [tokens[a] for a in chosen]
            for cross, alone in zip(network.cross_attn_layers[level], network.self_attn_layers[level], strict=True):
                for j, anchor in enumerate(chosen.tolist()):
                    supports = [i for i in range(len(tokens)) if labels[i] == j and i != anchor]
                    if supports:
                        state[j] = cross(state[j], tokens[supports].flatten(0, 1))
                    state[j] = alone(state[j])
            scenes.append(torch.stack(state).transpose(-1, -2).unflatten(-1, of_level.shape[-2:]))
        maps.append(torch.stack(scenes))
    return maps


def scenes(views: int, seed: int = 0) -> tuple[ZPressor, list[Tensor], Tensor]:
    torch.manual_seed(seed)
    features = [torch.randn(2, views, width, 2, 3, requires_grad=True) for width in CONFIG.embed_dims]
    world_from_camera = torch.eye(4).repeat(2, views, 1, 1)
    world_from_camera[..., :3, 3] = torch.randn(2, views, 3)
    return ZPressor(CONFIG), features, world_from_camera


@pytest.mark.parametrize("padded_up_to", [0, 10**6])
@pytest.mark.parametrize(("views", "anchors"), [(9, 3), (5, 5), (7, 1), (6, 4)])
def test_both_forms_give_what_a_loop_over_clusters_gives(monkeypatch, padded_up_to: int, views: int, anchors: int) -> None:
    """Values and gradients; of 5 anchors in 5 views no cluster has a support."""
    monkeypatch.setattr(module, "PADDED_UP_TO", {"cpu": padded_up_to})
    monkeypatch.setattr(module, "MOST_PADDING", 1e9)
    network, features, world_from_camera = scenes(views)
    found = network(features, world_from_camera, anchors)
    expected = by_loop(network, features, found.anchors, found.clusters)
    probes = [torch.randn_like(x) for x in expected]
    gradients = []
    for maps in (found.features, expected):
        for ours, theirs in zip(maps, expected, strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
        total = sum((x * p).sum() for x, p in zip(maps, probes, strict=True))
        assert isinstance(total, Tensor)
        gradients.append(torch.autograd.grad(total, [*features, *network.parameters()], allow_unused=True))
    for ours, theirs in zip(*gradients, strict=True):
        theirs = torch.zeros(()) if theirs is None else theirs
        torch.testing.assert_close(torch.zeros_like(theirs) if ours is None else ours, theirs, atol=1e-4, rtol=1e-4)


def test_the_order_of_views_changes_nothing_but_their_numbers() -> None:
    network, features, world_from_camera = scenes(8)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(1))
    first = network(features, world_from_camera, 3)
    second = network([x[:, order] for x in features], world_from_camera[:, order], 3)
    assert torch.equal(order[second.anchors], first.anchors)
    for a, b in zip(first.features, second.features, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_every_view_belongs_to_its_nearest_anchor() -> None:
    centers = torch.randn(1, 20, 3, generator=torch.Generator().manual_seed(0))
    anchors = farthest_points(centers, 4)
    distances = torch.cdist(centers[0], centers[0][anchors[0]])
    assert torch.equal(assigned(centers, anchors)[0], distances.argmin(1))
    assert len(set(anchors[0].tolist())) == 4


@pytest.mark.parametrize("host", ["depthsplat", "mvsplat", "pixelsplat"])
def test_every_published_tensor_is_ours_below_its_hosts_prefix(host: str) -> None:
    published = json.loads(shared(f"parity/zpressor/keys/zpressor-{host}.json").read_text())
    ours = shapes_of(on_meta(lambda: ZPressor(PUBLISHED)))
    prefix = next(iter(published)).split("zipmatch.")[0] + "zipmatch."
    assert {name.removeprefix(prefix): tuple(shape) for name, shape in published.items()} == ours
    assert sum(torch.Size(shape).numel() for shape in ours.values()) == 1_485_312
