"""Runs the cases of StreamVGGT: the whole sequence at once, and view by view with both kinds of camera caches."""

from __future__ import annotations

import torch

from recon3d.models.loading import filled
from recon3d.models.meta import on_meta
from recon3d.models.stream_vggt.stream import Stream, forward_causal
from recon3d.models.vggt.network import Vggt
from recon3d.models.vggt.published import LAYOUT
from tests.parity.cases import Case
from tests.parity.run_vggt import config_of

# Where the outputs of a prediction stand in a case, and the axis of the views.
MAPS = {
    "depth": "depth", "depth_conf": "depth_confidence", "world_points": "points_in_world",
    "world_points_conf": "points_confidence",
}  # fmt: skip


def forward(case: Case) -> None:
    network = filled(on_meta(lambda: Vggt(config_of(case))), case.weights, LAYOUT, case.name)
    images, last = case.given("images"), network.config.transformer.depth - 1
    full = forward_causal(network, images)
    case.check("mid.full.aggregated_last", full.layers[last])
    ours = {"full.pose_enc_list": full.pose_encodings}
    ours |= {f"full.{name}": getattr(full, field) for name, field in MAPS.items()}
    for kind in ("consistent", "released"):
        # A window of all views, so that nothing is evicted.
        stream = Stream(network, max(images.shape[1], 2), images.shape[1], kind)
        steps = [stream.step(images[:, i : i + 1]) for i in range(images.shape[1])]
        ours[f"step_{kind}.pose_enc_list"] = torch.cat([s.pose_encodings for s in steps], 2)
        golden = case.tensors["mid.full.aggregated_last"]
        case.check("mid.full.aggregated_last", torch.cat([s.layers[last] for s in steps], 1), golden)
        for name, field in MAPS.items():
            if f"out.full.{name}" in case.tensors:
                case.check(f"out.full.{name}", torch.cat([getattr(s, field) for s in steps], 1))
    case.check("out.full.pose_enc_list", ours["step_consistent.pose_enc_list"])
    case.check_outputs(ours)


RUNNERS = {"stream_forward": forward}
