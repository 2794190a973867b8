"""Runs the cases of LingBot-Map: streams, windows, their parts, and the first stage of its training."""

from __future__ import annotations

import math

import torch
from PIL import ImageOps
from torch import Tensor

from recon3d.models.attention import rotary_3d, rotary_angles
from recon3d.models.config import configured, names_of
from recon3d.models.lingbot.config import LingBotConfig, TimeRotation
from recon3d.models.lingbot.flow import mean_flow
from recon3d.models.lingbot.network import LingBot, rotation_in_time, token_positions
from recon3d.models.lingbot.published import LAYOUT
from recon3d.models.lingbot.stream import PASSING_FRAME, Stream, Streamed
from recon3d.models.lingbot.windows import Joined, Windows, joined, stream_in_windows
from recon3d.models.loading import filled
from recon3d.models.meta import on_meta
from recon3d.models.official import Layout
from recon3d.models.pose_encoding import inverse_of, matrices_from_encoding
from recon3d.models.streaming import FrameCache, causal
from recon3d.models.vggt.aggregator import alternating_block
from recon3d.models.vggt.camera_head import CameraHead
from recon3d.models.vggt.config import CameraHeadConfig, VggtConfig
from recon3d.models.vggt.network import Vggt
from recon3d.models.vggt.preprocessing import preprocessed
from tests.parity.cases import Case
from tests.parity.run_vggt import check_pictures, config_of, laid_on_white, points_of


def network_of(case: Case) -> LingBot:
    known = names_of(LingBotConfig)
    config = configured(LingBotConfig, {k: v for k, v in case.config.items() if k in known}, case.name)
    return filled(on_meta(lambda: LingBot(config)), case.weights, LAYOUT, case.name)


def rope_of(case: Case, values: dict | None) -> TimeRotation | None:
    return None if values is None else configured(TimeRotation, values, case.name)


def calls_of(case: Case, frames: int) -> list[int]:
    """Frames of each call: what the case says, or the scale frames together and the others one by one."""
    together = min(case.config["scale_frames"], frames)
    return case.config.get("calls") or [together] + [1] * (frames - together)


def stream(case: Case) -> None:
    network, images = network_of(case), case.given("images")
    state, steps, times, seen, start = Stream(network, frames=images.shape[1]), [], [], [], 0
    for count in calls_of(case, images.shape[1]):
        times.append(state.stored)
        steps.append(state.step(images[:, start : start + count]))
        seen.append(state.layers[0].seen)
        start += count
    case.check("mid.aggregated_last", torch.cat([s.layers[network.config.transformer.depth - 1] for s in steps], 1))
    case.check("mid.time_index", torch.tensor(times))
    case.check("mid.visible_keys", torch.tensor(seen))
    axes = {
        "pose_enc_list": ("pose_encodings", 2), "depth": ("depth", 1), "depth_conf": ("depth_confidence", 1),
        "world_points": ("points_in_world", 1), "world_points_conf": ("points_confidence", 1),
    }  # fmt: skip
    found = {n: [getattr(s, field) for s in steps] for n, (field, _) in axes.items() if f"out.{n}" in case.tensors}
    case.check_outputs({n: torch.cat(values, axes[n][1]) for n, values in found.items()})


def windowed(case: Case) -> None:
    windows = configured(Windows, case.config["windowed"], case.name)
    check_joined(case, stream_in_windows(network_of(case), case.given("images")[0], windows))


def window_merge(case: Case) -> None:
    windows = [streamed(case, i) for i in range(case.config["windows"])]
    check_joined(case, joined(windows, case.config["overlap"]))


def streamed(case: Case, i: int) -> Streamed:
    """Window i of a case, which has a leading axis of one scene; without flags its first frame pairs, as without pairs."""
    given = {n.removeprefix(f"in.{i}."): t[0] for n, t in case.tensors.items() if n.startswith(f"in.{i}.")}
    frames = len(given["pose_enc"])
    kinds = torch.full((frames,), PASSING_FRAME, dtype=torch.uint8)
    if "is_keyframe" in given:
        kinds = torch.where(given["is_keyframe"].bool(), 1, kinds)
    depth = given.get("depth")
    return Streamed(
        given["pose_enc"], given.get("frame_type", kinds), None if depth is None else depth[..., 0],
        given.get("depth_conf"), given.get("world_points"), given.get("world_points_conf"),
    )  # fmt: skip


def check_joined(case: Case, ours: Joined) -> None:
    frames = ours.frames
    found = {
        "pose_enc": frames.encodings, "depth": None if frames.depth is None else frames.depth[..., None],
        "depth_conf": frames.depth_confidence, "world_points": frames.points_in_world,
        "world_points_conf": frames.points_confidence, "frame_type": frames.kinds,
        "is_keyframe": frames.kinds != PASSING_FRAME, "chunk_scales": ours.scales, "chunk_transforms": ours.transforms,
    }  # fmt: skip
    case.check_outputs({name: value[None] for name, value in found.items() if value is not None})


def stage1(case: Case) -> None:
    config = config_of(case)
    network = filled(on_meta(lambda: Vggt(config)), case.weights, LAYOUT, case.name)
    images = case.given("images")
    found = network(images)
    case.check("mid.aggregated_last", found.layers[config.transformer.depth - 1])
    world_from_camera, K = matrices_from_encoding(found.pose_encodings[-1], images.shape[-2:])
    case.check_outputs(
        {
            "pose_enc_list": found.pose_encodings, "depth": found.depth, "depth_conf": found.depth_confidence,
            "world_points": found.points_in_world, "world_points_conf": found.points_confidence,
            "world_from_camera": world_from_camera, "camera_from_world": inverse_of(world_from_camera), "intrinsic": K,
        }
    )  # fmt: skip


def camera_head(case: Case) -> None:
    config, tokens = case.config, case.given("tokens")
    known = names_of(CameraHeadConfig)
    sizes = configured(CameraHeadConfig, {k: v for k, v in config.items() if k in known}, case.name)
    head = filled(on_meta(lambda: CameraHead(config["dim"], sizes)), case.weights, Layout(), case.name)
    rope, together, frames = rope_of(case, config["rope3d"]), config["scale_frames"], tokens.shape[1]

    def rotation(first: int, count: int):
        return None if rope is None else rotation_in_time(rope, first, count, 1, (0, 0), tokens.device)

    in_order = causal(1, together)
    full = head(tokens, lambda iteration, block: in_order, rotate=rotation(0, frames))
    every = [(i, block) for i in range(sizes.iterations) for block in range(sizes.trunk.trunk_depth)]
    caches = {key: FrameCache(1, together, window=1, kept=1) for key in every}
    steps, start = [], 0
    for count in calls_of(case, frames):
        part = tokens[:, start : start + count]
        steps.append(head(part, lambda i, block: caches[i, block].attend, rotate=rotation(start, count)))
        start += count
    case.check_outputs({"full.pose_enc_list": full, "step.pose_enc_list": torch.cat(steps, 2)})


def global_block(case: Case) -> None:
    config, tokens = case.config, case.given("tokens")
    shared = ("embed_dim", "num_heads", "mlp_ratio", "qk_norm")
    sizes = configured(VggtConfig, {name: config[name] for name in shared}, case.name)
    block = filled(on_meta(lambda: alternating_block(sizes.transformer, sizes.aggregator)), case.weights, Layout(), case.name)
    grid, special, rope = tuple(config["grid"]), config["num_register_tokens"] + 2, rope_of(case, config["rope3d"])
    in_frame = special + math.prod(grid)
    cache = FrameCache(in_frame, config["cache"]["scale_frames"], config["cache"]["window"], special)
    parts, seen, start = [], [], 0
    for count in calls_of(case, tokens.shape[1] // in_frame):
        part = tokens[:, start * in_frame : (start + count) * in_frame]
        parts.append(block(part, rotation_in_time(rope, start, count, special, grid, tokens.device), cache.attend))
        seen.append(cache.seen)
        start += count
    case.check("mid.visible_keys", torch.tensor(seen))
    case.check_outputs({"tokens": torch.cat(parts, 1)})


def rope3d(case: Case) -> None:
    config = case.config
    grid = tuple(config["grid"])
    positions = token_positions(config["first_time"], config["frames"], config["num_special_tokens"], grid)
    angles, golden = rotary_angles(positions, config["dims"], config["theta"]), case.tensors["mid.angles"]
    turns = ((angles - golden) / (2 * math.pi)).round()
    case.check("mid.angles", angles - 2 * math.pi * turns)
    case.check_outputs({"rotated": rotary_3d(positions, config["dims"], config["theta"])(case.given("x"))})


def pose_decode(case: Case) -> None:
    world_from_camera, K = matrices_from_encoding(case.given("pose_enc"), case.size())
    points = points_of(case.given("depth")[..., 0], K[0], world_from_camera[0])
    case.check_outputs(
        {
            "world_from_camera": world_from_camera, "camera_from_world": inverse_of(world_from_camera), "intrinsic": K,
            "world_points": points,
        }
    )  # fmt: skip


def flow(case: Case) -> None:
    depth = case.given("depth")[..., 0]
    ours = mean_flow(case.given("pose_enc"), depth, case.given("keyframe_pose_enc"), case.config["stride"])
    case.check_outputs({"flow": ours[:, 0]})


def sky(case: Case) -> None:
    """The reference's rule, which takes every pixel for sky that is not the least likely one: for these cases only."""
    score, confidence = case.given("score").float(), case.given("conf")
    least, most = score.amin((1, 2), keepdim=True), score.amax((1, 2), keepdim=True)
    levels = (255 * (score - least) / (most - least).clamp_min(1e-8)).floor().to(torch.uint8)
    mask = 1 - resized_by_opencv(levels, case.size()).clamp(0, 1).float()
    case.check_outputs({"mask": mask, "conf": confidence * (mask > 0.1)})


def resized_by_opencv(levels: Tensor, size: tuple[int, int]) -> Tensor:
    import cv2

    return torch.stack([torch.from_numpy(cv2.resize(level.numpy(), (size[1], size[0]))) for level in levels])


def preprocess(case: Case) -> None:
    """As VGGT's, of photos that were turned upright as their EXIF orientation says."""
    upright = [ImageOps.exif_transpose(p) for p in case.pictures("inputs")]
    config = case.config
    photos = [laid_on_white(p) for p in upright]
    check_pictures(case, photos, preprocessed(photos, config["mode"], config["target_size"], config["patch_size"]))


RUNNERS = {
    "lingbot_stream": stream,
    "lingbot_chunks": stream,
    "lingbot_windowed": windowed,
    "lingbot_window_merge": window_merge,
    "lingbot_stage1": stage1,
    "lingbot_camera_head": camera_head,
    "lingbot_global_block": global_block,
    "lingbot_rope3d": rope3d,
    "lingbot_pose_decode": pose_decode,
    "lingbot_flow": flow,
    "lingbot_sky": sky,
    "preprocess": preprocess,
}
