"""Runs the cases of Depth Anything 3: each kind with the part that it is about."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from recon3d.models.config import configured
from recon3d.models.da3.backbone import Backbone, Embedding, Encoded
from recon3d.models.da3.cameras import CameraDecoder, CameraEncoder, cameras_from_encoding, encoding_from_cameras
from recon3d.models.da3.config import Da3Config, HeadConfig, NestedConfig
from recon3d.models.da3.dense_heads import DualHead
from recon3d.models.da3.known_cameras import align_poses, normalise_poses, square
from recon3d.models.da3.mono import Da3Mono
from recon3d.models.da3.nested import Da3Nested
from recon3d.models.da3.network import Da3, Wanted
from recon3d.models.da3.preprocessing import preprocessed
from recon3d.models.da3.published import LAYOUT
from recon3d.models.da3.ray_cameras import cameras_from_rays
from recon3d.models.da3.reference_view import order_of, reference_view, reordered
from recon3d.models.loading import filled
from recon3d.models.meta import on_meta
from recon3d.models.sizes import TransformerConfig, TrunkConfig
from recon3d.models.vit import normalised
from tests.parity.cases import Case
from tests.parity.run_vggt import nested

PATCH = 14


def config_of(case: Case) -> Da3Config:
    return configured(Da3Config, case.config, case.name)


def part(case: Case, build, prefix: str) -> torch.nn.Module:
    """A part of the network with the case's weights, which the whole network would have under `prefix`."""
    return filled(on_meta(lambda: nested(prefix, build())), case.weights, LAYOUT, case.name).get_submodule(prefix)


def grid(case: Case) -> tuple[int, int]:
    height, width = case.size()
    return height // PATCH, width // PATCH


def check_middle(case: Case, ours: Mapping[str, object]) -> None:
    """The tensors on the way that the case has."""
    for name in [n for n in ours if f"mid.{n}" in case.tensors]:
        case.check(f"mid.{name}", ours[name])


def middle_of(case: Case, backbone: Backbone, encoded: Encoded) -> dict[str, object]:
    images = case.given("images")
    embedded = backbone.embed(images.flatten(0, 1)).unflatten(0, images.shape[:2])
    patches = {f"patch_{i}": x for i, x in zip(backbone.config.layers, encoded.patches, strict=True)}
    return {
        "embedded": embedded, "camera_token": encoded.camera_tokens, "reference_view": encoded.reference, **patches
    }  # fmt: skip


def known_cameras(case: Case) -> tuple[torch.Tensor, torch.Tensor] | None:
    """The given cameras; the reference leaves K alone out of account."""
    return (case.given("extrinsics"), case.given("intrinsics")) if "in.extrinsics" in case.tensors else None


def forward(case: Case) -> None:
    network = filled(on_meta(lambda: Da3(config_of(case))), case.weights, LAYOUT, case.name)
    images, known = case.given("images"), known_cameras(case)
    encoded = network.encode(images, known)
    check_middle(case, middle_of(case, network.backbone, encoded))
    if known is not None:
        check_middle(case, {"camera_condition": network.condition(*known, (images.shape[-2], images.shape[-1]))})
    ours = network(images, known, Wanted(rays=True, gaussians=network.gs_head is not None))
    features = ours.features
    if encoded.reference is not None:  # the reference leaves these in the order that its blocks see
        order = order_of(encoded.reference, ours.depth.shape[1])
        start = network.config.alt_start - 1
        features = {i: reordered(x, order) if i >= start else x for i, x in features.items()}
    outputs = {
        "depth": ours.depth, "depth_conf": ours.depth_confidence, "ray": ours.rays, "ray_conf": ours.ray_confidence,
        "pose_enc": ours.pose_encodings, "extrinsics": ours.camera_from_world, "intrinsics": ours.K,
        **{f"feature_{i}": x for i, x in features.items()},
    }  # fmt: skip
    if ours.gaussians is not None:
        g = ours.gaussians
        outputs |= {
            "gs_means": g.means, "gs_scales": g.scales, "gs_rotations": g.quats, "gs_opacities": g.opacities,
            "gs_harmonics": g.harmonics,
        }  # fmt: skip
    case.check_outputs(outputs)


def mono(case: Case) -> None:
    network = filled(on_meta(lambda: Da3Mono(config_of(case))), case.weights, LAYOUT, case.name)
    check_middle(case, middle_of(case, network.backbone, network.backbone(case.given("images"))))
    ours = network(case.given("images"))
    check_middle(case, {"depth_raw": ours.depth_raw})
    case.check_outputs({"depth": ours.depth, "sky": ours.sky})


def nested_pair(case: Case) -> None:
    config = configured(NestedConfig, case.config, case.name)
    network = filled(on_meta(lambda: Da3Nested(config)), case.weights, LAYOUT, case.name)
    ours = network(case.given("images"), known_cameras(case))
    plain, metric = ours.plain, ours.mono
    middle = {"depth": plain.depth, "depth_conf": plain.depth_confidence, "extrinsics": plain.camera_from_world}
    check_middle(case, {**middle, "metric_depth": metric.depth, "sky": metric.sky})
    case.check_outputs(
        {
            "depth": ours.metric.depth, "depth_conf": ours.metric.depth_confidence, "intrinsics": ours.metric.K,
            "extrinsics": ours.metric.camera_from_world, "scale_factor": ours.scale[None],
        }
    )  # fmt: skip


def dual_dpt(case: Case) -> None:
    sizes = configured(HeadConfig, case.config["head"], case.name)
    head = part(case, lambda: DualHead(case.config["dim"], PATCH, sizes), "head")
    layers = [case.given(f"layer_{j}") for j in range(4)]
    height, width = case.size()
    levels = head.pyramid([x[0, :1] for x in layers], grid(case), width / height)
    fused = head.output_conv1(head.fusion(levels)), head.ray_conv1(head.ray_fusion(levels))
    check_middle(case, {"fused_depth_first_view": fused[0], "fused_ray_first_view": fused[1]})
    depth, depth_confidence, rays, ray_confidence = head(layers, grid(case), rays=True)
    case.check_outputs({"depth": depth, "depth_conf": depth_confidence, "ray": rays, "ray_conf": ray_confidence})


def camera_decoder(case: Case) -> None:
    encoding = part(case, lambda: CameraDecoder(case.config["dim"]), "cam_dec")(case.given("tokens"))
    camera_from_world, K = cameras_from_encoding(encoding, case.size())
    case.check_outputs({"pose_enc": encoding, "extrinsics": camera_from_world, "intrinsics": K})


def patch_embed(case: Case) -> None:
    sizes = configured(TransformerConfig, case.config, case.name)
    embed = part(case, lambda: Embedding(sizes), "backbone.embed")
    for name in [n for n in case.tensors if n.startswith("in.images_")]:
        images = case.tensors[name]
        ours = embed(images.flatten(0, 1)).unflatten(0, images.shape[:2])
        case.check(name.replace("in.images", "out.embedded"), ours)


def reference_views(case: Case) -> None:
    tokens = case.given("tokens")
    strategies = ("first", "middle", "saddle_balanced", "saddle_sim_range")
    chosen = {strategy: reference_view(tokens[:, :, 0], strategy) for strategy in strategies}
    order = order_of(chosen["saddle_balanced"], tokens.shape[1])
    case.check_outputs({**chosen, "reordered": reordered(tokens, order)})


def pose_encoding(case: Case) -> None:
    camera_from_world, K = cameras_from_encoding(case.given("pose_enc"), case.size())
    given = case.given("extrinsics")[..., :3, :]
    encoding = encoding_from_cameras(given, case.given("intrinsics"), case.size())
    case.check_outputs({"extrinsics": camera_from_world, "intrinsics": K, "pose_enc": encoding})


def preprocess(case: Case) -> None:
    photos = [np.asarray(image.convert("RGB")) for image in case.pictures("inputs")]
    config = case.config
    ours = preprocessed(photos, config["process_res_method"], config["process_res"], config["patch_size"])
    golden = torch.stack([torch.from_numpy(np.array(image.convert("RGB"))) for image in case.pictures("outputs")])
    golden = normalised(golden.permute(0, 3, 1, 2).float() / 255)
    case.check("out.images", normalised(ours.images), golden)
    outputs: dict[str, torch.Tensor] = {"shape": torch.tensor(ours.images.shape)}
    if "in.intrinsics" in case.tensors:
        outputs["intrinsics"] = ours.network_from_photo @ case.given("intrinsics").double()
    case.check_outputs(outputs)


def camera_encoder(case: Case) -> None:
    sizes = configured(TrunkConfig, case.config["cam_enc"], case.name)
    encoder = part(case, lambda: CameraEncoder(case.config["embed_dim"], sizes), "cam_enc")
    given = case.given("extrinsics")[..., :3, :]
    encoding = encoding_from_cameras(given, case.given("intrinsics"), case.size())
    check_middle(case, {"pose_enc": encoding})
    case.check_outputs({"tokens": encoder(encoding)})


def normalised_poses(case: Case) -> None:
    case.check_outputs({"extrinsics": normalise_poses(case.given("extrinsics"))})


def aligned_poses(case: Case) -> None:
    keep_scale = case.config["align_to_input_scale"]
    given = (case.given("pred_extrinsics"), case.given("extrinsics"), case.given("depth"), keep_scale)
    if case.config.get("expect") == "error":
        with pytest.raises(ValueError, match="three points"):
            align_poses(*given)
        return
    ours = align_poses(*given)
    similarity = ours.predicted_from_given
    check_middle(case, {"rotation": similarity.rotation, "translation": similarity.translation})
    # The reference gives the given cameras as [N, 3, 4], moved ones as [N, 4, 4]; and K as it was given.
    cameras = ours.camera_from_world if keep_scale else square(ours.camera_from_world)
    case.check_outputs(
        {
            "scale": similarity.scale[None], "depth": ours.depth, "extrinsics": cameras,
            "intrinsics": case.given("intrinsics"),
        }
    )  # fmt: skip


def ray_pose(case: Case) -> None:
    ours = cameras_from_rays(case.given("ray"), case.given("ray_conf"), case.size())
    case.check_outputs(
        {
            "focal_normalised": ours.focal, "principal_normalised": ours.principal,
            "extrinsics": ours.camera_from_world, "intrinsics": ours.K,
        }
    )  # fmt: skip


RUNNERS = {
    "da3_forward": forward,
    "da3_mono": mono,
    "da3_nested": nested_pair,
    "dual_dpt": dual_dpt,
    "camera_decoder": camera_decoder,
    "patch_embed": patch_embed,
    "reference_view": reference_views,
    "pose_encoding": pose_encoding,
    "preprocess": preprocess,
    "camera_encoder": camera_encoder,
    "normalise_poses": normalised_poses,
    "align_poses": aligned_poses,
    "ray_pose": ray_pose,
}
