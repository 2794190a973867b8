"""Runs the cases of VGGT: each kind with the part that it is about."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from recon3d.models.config import configured, names_of
from recon3d.models.loading import filled
from recon3d.models.meta import on_meta
from recon3d.models.official import Layout
from recon3d.models.pictures import NetworkPictures
from recon3d.models.pose_encoding import encoding_from_matrices, inverse_of, matrices_from_encoding
from recon3d.models.vggt.aggregator import Aggregator, Dino
from recon3d.models.vggt.camera_head import CameraHead
from recon3d.models.vggt.config import VggtConfig
from recon3d.models.vggt.dense_head import DenseHead
from recon3d.models.vggt.network import Vggt
from recon3d.models.vggt.preprocessing import preprocessed
from recon3d.models.vggt.published import LAYOUT
from recon3d.models.vggt.track_head import TrackHead
from recon3d.models.vit import normalised
from recon3d.training.losses import Truth, camera_loss, dense_loss, truth_encodings
from recon3d.training.losses import normalised as normalised_truth
from tests.parity.cases import Case


def config_of(case: Case) -> VggtConfig:
    known = names_of(VggtConfig)
    return configured(VggtConfig, {k: v for k, v in case.config.items() if k in known}, case.name)


def part(case: Case, build, prefix: str) -> torch.nn.Module:
    """A part of the network with the case's weights, whose published names begin with `prefix`."""
    holder = on_meta(lambda: torch.nn.ModuleDict({prefix: build()}) if "." not in prefix else nested(prefix, build()))
    network = filled(holder, case.weights, Layout(LAYOUT.renamed, LAYOUT.dropped), case.name)
    return network.get_submodule(prefix)


def nested(prefix: str, module: torch.nn.Module) -> torch.nn.Module:
    for name in reversed(prefix.split(".")):
        module = torch.nn.ModuleDict({name: module})
    return module


def patch_layers(case: Case, layers) -> list[Tensor]:
    special = config_of(case).special_tokens
    return [case.given(f"layer_{i}")[:, :, special:] for i in layers]


def grid(case: Case) -> tuple[int, int]:
    height, width = case.size()
    patch = config_of(case).transformer.patch_size
    return height // patch, width // patch


def forward(case: Case) -> None:
    network = filled(on_meta(lambda: Vggt(config_of(case))), case.weights, LAYOUT, case.name)
    ours = network(case.given("images"), case.tensors.get("in.query_points"))
    case.check("mid.aggregated_last", ours.layers[network.config.transformer.depth - 1])
    case.check_outputs(
        {
            "pose_enc_list": ours.pose_encodings, "depth": ours.depth, "depth_conf": ours.depth_confidence,
            "world_points": ours.points_in_world, "world_points_conf": ours.points_confidence,
            "track_list": ours.tracks, "track_vis": ours.visibility, "track_conf": ours.track_confidence,
        }
    )  # fmt: skip


def aggregator(case: Case) -> None:
    config = config_of(case)
    layers, _ = part(case, lambda: Aggregator(config), "aggregator")(case.given("images"), keep=range(config.transformer.depth))
    case.check_outputs({f"layer_{i}": x for i, x in layers.items()})


def patch_embed(case: Case) -> None:
    config = config_of(case)
    dino = part(case, lambda: Dino(config.transformer, config.aggregator), "aggregator.patch_embed")
    for name in [n for n in case.tensors if n.startswith("in.images_")]:
        i = name.rsplit("_", 1)[1]
        images = normalised(case.tensors[name])
        case.check(f"mid.embedded_{i}", dino.embedded(images))
        case.check(f"out.tokens_{i}", dino(images))


def camera_head(case: Case) -> None:
    config = config_of(case)
    head = part(case, lambda: CameraHead(2 * config.transformer.embed_dim, config.camera_head), "camera_head")
    case.check_outputs({"pose_enc_list": head(case.given("tokens"))})


def dpt_head(case: Case) -> None:
    config, name = config_of(case), case.config["head"]
    sizes = getattr(config, name)
    head = part(case, lambda: DenseHead(2 * config.transformer.embed_dim, config.transformer.patch_size, sizes), name)
    value, confidence = head(patch_layers(case, sizes.layers), grid(case))
    case.check_outputs({"pred": value, "conf": confidence})


def track_head(case: Case) -> None:
    config = config_of(case)
    sizes = config.track_head
    head = part(case, lambda: TrackHead(2 * config.transformer.embed_dim, config.transformer.patch_size, sizes), "track_head")
    layers = patch_layers(case, sizes.layers)
    case.check("mid.feature_maps", head.feature_extractor(layers, grid(case)))
    tracks, visibility, confidence = head(layers, grid(case), case.given("query_points"))
    case.check_outputs({"track_list": tracks, "track_vis": visibility, "track_conf": confidence})


def pose_encoding(case: Case) -> None:
    extrinsic, intrinsic = matrices_from_encoding(case.given("pose_enc"), case.size())
    encoding = encoding_from_matrices(case.given("extrinsic"), case.given("intrinsic"), case.size())
    case.check_outputs({"extrinsic": extrinsic, "intrinsic": intrinsic, "pose_enc": encoding})


def unproject(case: Case) -> None:
    points = points_of(case.given("depth")[..., 0], case.given("intrinsic"), inverse_of(case.given("extrinsic")))
    case.check_outputs({"world_points": points})


def points_of(depth: Tensor, K: Tensor, world_from_camera: Tensor) -> Tensor:
    """Points [S, H, W, 3] of integer pixels, as the reference has them; ours lie at pixel centres (docs/conventions.md)."""
    height, width = depth.shape[-2:]
    v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    rays = torch.stack((u, v, torch.ones_like(u)), -1).to(depth)
    in_camera = depth[..., None] * torch.einsum("sij,hwj->shwi", torch.linalg.inv(K), rays)
    turned = torch.einsum("sij,shwj->shwi", world_from_camera[..., :3], in_camera)
    return turned + world_from_camera[:, None, None, :, 3]


def preprocess(case: Case) -> None:
    photos, config = [laid_on_white(p) for p in case.pictures("inputs")], case.config
    check_pictures(case, photos, preprocessed(photos, config["mode"], config["target_size"], config["patch_size"]))


def check_pictures(case: Case, photos: list[np.ndarray], ours: NetworkPictures) -> None:
    """The pictures against the files of the case, and the way back against its tensors."""
    golden = [torch.from_numpy(np.array(p.convert("RGB"))).permute(2, 0, 1) / 255 for p in case.pictures("outputs")]
    case.check("out.images", ours.images, torch.stack(golden))
    scale_and_offset = ours.network_from_photo[:, [0, 1, 0, 1], [0, 1, 2, 2]]
    sizes = torch.tensor([(p.shape[1], p.shape[0]) for p in photos])  # width, height
    found = {
        "shape": torch.tensor(ours.images.shape), "affine": scale_and_offset, "photo_rect": ours.photo_rects,
        "coords": torch.cat((ours.photo_rects, sizes), 1),
    }  # fmt: skip
    case.check_outputs(found)


def laid_on_white(picture: Image.Image) -> np.ndarray:
    """As the reference opens files: RGBA over white, the alpha of every other mode dropped."""
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, (255, 255, 255, 255)), picture)
    return np.array(picture.convert("RGB"))


def losses(case: Case) -> None:
    names = ("extrinsics", "cam_points", "world_points", "depths")
    valid, config = case.given("point_masks").bool(), case.config
    truth = normalised_truth(Truth(*(case.given(f"raw.{n}") for n in names)), valid)
    encodings = truth_encodings(truth, case.given("intrinsics"))
    case.check("mid.gt_pose_enc", encodings)
    predicted = {name.removeprefix("in."): case.tensors[name].clone() for name in case.tensors if name.startswith("in.")}
    asked = {n: x.requires_grad_() for n, x in predicted.items() if f"out.grad.{n}" in case.tensors}
    passes = [predicted[f"pose_enc_{i}"] for i in range(sum(n.startswith("pose_enc_") for n in predicted))]
    ours, total = {}, torch.zeros(())
    if config["camera"] is not None:
        camera = camera_loss(passes, encodings, valid, config["camera"]["loss_type"])
        ours = {"loss_camera": camera.total, "loss_T": camera.translation, "loss_R": camera.rotation}
        ours |= {"loss_FL": camera.field_of_view}
        total = config["camera"]["weight"] * camera.total
    dense = (("depth", "depth", truth.depth[..., None]), ("point", "world_points", truth.points_in_world))
    for term, name, wanted in dense:
        if config[term] is None:
            continue
        value, confidence = predicted[name], predicted[f"{name}_conf"]
        options = config[term]
        loss = dense_loss(value, confidence, wanted, valid, options.get("gradient_loss_fn"), options.get("valid_range", 0))
        ours |= {f"loss_conf_{term}": loss.confidence, f"loss_reg_{term}": loss.regression}
        ours |= {f"loss_grad_{term}": loss.gradient}
        total = total + options["weight"] * loss.total
    gradients = torch.autograd.grad(total, list(asked.values()))
    ours = {name: value.detach().reshape(1) for name, value in (ours | {"objective": total}).items()}
    ours |= {f"grad.{name}": gradient for name, gradient in zip(asked, gradients, strict=True)}
    found = (truth.camera_from_world, truth.points_in_camera, truth.points_in_world, truth.depth)
    case.check_outputs(ours | {f"norm.{name}": x for name, x in zip(names, found, strict=True)})


RUNNERS = {
    "losses": losses,
    "preprocess": preprocess,
    "vggt_forward": forward,
    "aggregator": aggregator,
    "patch_embed": patch_embed,
    "camera_head": camera_head,
    "dpt_head": dpt_head,
    "track_head": track_head,
    "pose_encoding": pose_encoding,
    "unproject": unproject,
}
