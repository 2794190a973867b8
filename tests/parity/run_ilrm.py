"""Golden cases of iLRM (arXiv 2507.23277): tokens, blocks, whole passes, and the ways in."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from recon3d.models.ilrm.config import IlrmConfig
from recon3d.models.ilrm.network import Ilrm, ReadBlock, SelfBlock, over_views, token_maps
from recon3d.models.ilrm.normalisation import normalised, normalised_from_world, reference_camera
from recon3d.models.ilrm.preprocessing import preprocessed
from recon3d.models.ilrm.published import LAYOUT
from recon3d.models.ilrm.rays import patches
from recon3d.models.loading import filled
from tests.parity.cases import Case


def config(case: Case) -> IlrmConfig:
    c = case.config
    return IlrmConfig(
        c["variant"], c.get("viewpoint_factor", 1), c.get("patch_size", 8), c.get("dim", 768), c.get("head_dim", 8),
        c.get("num_layers", 0),
    )  # fmt: skip


def given_views(case: Case) -> tuple[Tensor, Tensor, Tensor]:
    return case.given("image"), case.given("K"), case.given("world_from_camera")


def check_mid(case: Case, name: str, ours: Tensor) -> None:
    """Intermediate values have no gates of their own: those of float32, ten times over."""
    if f"mid.{name}" in case.tensors:
        golden = case.tensors[f"mid.{name}"]
        torch.testing.assert_close(ours.reshape(golden.shape), golden, atol=2e-4 * float(golden.abs().max()), rtol=1e-3)


def run_tokens(case: Case) -> None:
    """The tokenisers alone: a network without blocks has no decoder in the case's weights."""
    network = Ilrm(config(case))
    parts = nn.ModuleDict({"scene_tokens": network.scene_tokens, "image_tokens": network.image_tokens})
    filled(parts, case.weights, LAYOUT, case.name)
    maps = token_maps(*given_views(case), network.config)
    for name, found in zip(("scene", "image"), maps, strict=True):
        check_mid(case, f"{name}_patches", patches(found, network.config.patch_size))
    scene, image = network.tokens(*given_views(case))
    case.check_outputs({"scene_tokens": scene.flatten(1, 2), "image_tokens": image.flatten(1, 2)})


def block_of(case: Case, block: nn.Module) -> nn.Module:
    prefix = case.config["prefix"]
    filled(block, {name.removeprefix(prefix): x for name, x in case.weights.items()}, LAYOUT, case.name)
    return block


def run_read_block(case: Case) -> None:
    sizes, views = config(case), case.config["views"]
    block = block_of(case, ReadBlock(sizes.dim, sizes.head_dim, sizes.uplift))
    scene, images = (case.given(name).unflatten(1, (views, -1)) for name in ("scene_tokens", "image_tokens"))
    case.check_outputs({"scene_tokens": block(scene, images).flatten(1, 2)})


def run_self_block(case: Case) -> None:
    sizes = config(case)
    block = block_of(case, SelfBlock(sizes.dim, sizes.head_dim))
    case.check_outputs({"scene_tokens": block(case.given("scene_tokens"))})


def run_forward(case: Case) -> None:
    network = filled(Ilrm(config(case)), case.weights, LAYOUT, case.name)
    images, K, world_from_camera = given_views(case)
    found = network(images, K, world_from_camera)
    case.check_outputs({name: getattr(found, name) for name in ("means", "quats", "scales", "opacities", "sh")})
    scene, pictures = network.tokens(images, K, world_from_camera)
    for i, block in enumerate(network.blocks):
        scene = block(scene, pictures) if isinstance(block, ReadBlock) else over_views(block, scene)
        check_mid(case, f"block{i}", scene)


def run_normalise(case: Case) -> None:
    inputs, targets = case.given("world_from_camera"), case.given("target_world_from_camera")
    check_mid(case, "reference_pose", reference_camera(inputs))
    similarity = normalised_from_world(inputs, config(case))
    ours = {"scale": similarity.scale.reshape(1), "world_from_camera": normalised(inputs, similarity)}
    case.check_outputs(ours | {"target_world_from_camera": normalised(targets, similarity)})


def run_preprocess(case: Case) -> None:
    """The released code keeps a principal point at its share of the picture, ours moves it by the crop: the same in the
    middle, where all cases have it."""
    from PIL import Image

    photo = np.asarray(Image.open(case.folder / "image.png").convert("RGB"))
    sizes = config(case)
    if "multiple" in case.config:
        sizes = IlrmConfig(sizes.variant, 2, case.config["multiple"] // 2)
    height, width = case.config["size"]
    pictures = preprocessed([photo], (height, width), sizes)
    K = pictures.network_from_photo[0] @ case.given("K").double()
    case.check_outputs({"image": pictures.images[0], "K": K})


RUNNERS = {
    "ilrm_tokens": run_tokens,
    "ilrm_read_block": run_read_block,
    "ilrm_self_block": run_self_block,
    "ilrm_forward": run_forward,
    "ilrm_normalise": run_normalise,
    "ilrm_preprocess": run_preprocess,
}
