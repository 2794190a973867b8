"""Golden cases of ZPressor (arXiv 2505.23734): anchors, blocks, rounds of all clusters, and the whole module."""

from __future__ import annotations

import torch

from recon3d.models.loading import filled
from recon3d.models.official import Layout
from recon3d.models.zpressor.anchors import assigned, clustered, farthest_points, supports
from recon3d.models.zpressor.config import ZPressorConfig
from recon3d.models.zpressor.network import (
    CrossBlock,
    SelfBlock,
    ZPressor,
    attention_of_each,
    contexts,
    padded_attention,
    read,
)
from recon3d.models.zpressor.position import with_positions
from recon3d.training.losses import bottleneck_loss
from tests.parity.cases import Case


def run_anchors(case: Case) -> None:
    centers = case.given("centers")
    anchors = farthest_points(centers, case.config["num_anchors"])
    case.check_outputs({"anchors": anchors, "clusters": assigned(centers, anchors)})


def run_kmeans(case: Case) -> None:
    anchors, clusters = clustered(case.given("tokens"), case.config["num_anchors"])
    case.check_outputs({"anchors": anchors, "clusters": clusters})


def cross_block(case: Case) -> CrossBlock:
    block = CrossBlock(case.config["dim"], case.config["num_heads"], case.config["mlp"])
    return filled(block, case.weights, Layout(), case.name)


def run_cross_block(case: Case) -> None:
    case.check_outputs({"x": cross_block(case)(case.given("x"), case.given("context"))})


def run_self_block(case: Case) -> None:
    block = filled(SelfBlock(case.config["dim"], case.config["num_heads"]), case.weights, Layout(), case.name)
    case.check_outputs({"x": block(case.given("x"))})


def run_batched_cross(case: Case) -> None:
    """In the form that its size asks for, and in both others."""
    block, queries, tokens = cross_block(case), case.given("queries"), case.given("tokens")
    members = supports(case.given("anchors")[None], case.given("clusters")[None])
    assert torch.equal(members, case.tensors["mid.members"])
    (context,) = contexts([block], tokens, members)
    case.check_outputs({"x": read(block, queries, context)})
    filled_rows = members[:, 0] >= 0
    for form in (padded_attention, attention_of_each):
        moved = block.read(queries, form(block.queries(queries), context))
        case.check("out.x", torch.where(filled_rows[:, None, None], moved, queries))


def run_zpressor(case: Case) -> None:
    c = case.config
    config = ZPressorConfig(tuple(c["embed_dims"]), c["num_heads"], c["num_layers"], c["self_attention"])
    network = filled(ZPressor(config), case.weights, Layout(), case.name)
    features = [case.given(f"features.{level}") for level in range(len(config.embed_dims))]
    found = network(features, case.given("world_from_camera"), c["num_anchors"])
    assert torch.equal(found.clusters, case.tensors["mid.clusters"])
    case.check_outputs({"anchors": found.anchors} | {f"features.{i}": x for i, x in enumerate(found.features)})


def run_position(case: Case) -> None:
    case.check_outputs({"features": with_positions(case.given("features"), case.config["splits"])})


def run_bottleneck(case: Case) -> None:
    case.check_outputs({"loss": bottleneck_loss(case.given("latent"), case.config["weight"]).reshape(1)})


RUNNERS = {
    "anchors": run_anchors,
    "kmeans_anchors": run_kmeans,
    "cross_block": run_cross_block,
    "self_block": run_self_block,
    "batched_cross": run_batched_cross,
    "zpressor": run_zpressor,
    "position_embedding": run_position,
    "bottleneck_loss": run_bottleneck,
}
