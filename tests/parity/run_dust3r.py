"""Runs the cases of DUSt3R and MASt3R that are about the networks, what goes in, and their losses."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from recon3d.models.dust3r.config import config_from
from recon3d.models.dust3r.matching import reciprocal_matches
from recon3d.models.dust3r.network import Dust3r
from recon3d.models.dust3r.network import normalised as normalised_images
from recon3d.models.dust3r.pair_graphs import pairs_of
from recon3d.models.dust3r.preprocessing import preprocessed
from recon3d.models.dust3r.published import LAYOUT
from recon3d.models.loading import filled
from recon3d.models.meta import on_meta
from recon3d.training import pair_losses
from recon3d.training.pair_losses import TwoMaps
from tests.parity.cases import Case

MAPS = ("pts3d", "conf", "desc", "desc_conf")  # names in the cases of the fields of a PointMap


def forward(case: Case) -> None:
    config = config_from(case.config, case.name)
    network = filled(on_meta(lambda: Dust3r(config)), case.weights, LAYOUT, case.name)
    found: dict[str, list[Tensor]] = {}
    for images, turned in in_native_orientation(case):
        encoded = network.encode(images[0]), network.encode(images[1])
        blocks = network.layers(*encoded, keep=(1, config.dec_depth))
        for side, point_map in enumerate(network.decode(*encoded)):
            named = {
                f"mid.enc{side + 1}": encoded[side].tokens, f"mid.dec{side + 1}_block0": blocks[side][1],
                f"mid.dec{side + 1}_norm": blocks[side][config.dec_depth],
            }  # fmt: skip
            for name, value in zip(MAPS, astuple(point_map), strict=True):
                if value is not None:
                    named[f"out.{name}{side + 1}"] = value.transpose(1, 2) if turned[side] else value
            for name, value in named.items():
                found.setdefault(name, []).append(value)
    ours = {name: torch.cat(values) for name, values in found.items()}
    for name in [name for name in case.tensors if name.startswith("mid.")]:
        case.check(name, ours[name])
    case.check_outputs({name.removeprefix("out."): value for name, value in ours.items()})


def in_native_orientation(case: Case) -> list[tuple[list[Tensor], list[bool]]]:
    """Both images of pairs that go through the network together, and which of them are stored turned.

    With `landscape_only` the reference stores portraits with rows and columns swapped, as its training batches need it: each
    pair then goes by itself, as the photos stand.
    """
    images = [case.given("img1"), case.given("img2")]
    if not case.config.get("landscape_only", False):
        return [(images, [False, False])]
    shapes = [case.given("true_shape1").tolist(), case.given("true_shape2").tolist()]
    batches = []
    for k in range(len(images[0])):
        turned = [height > width for height, width in (shapes[0][k], shapes[1][k])]
        own = [x[k : k + 1].transpose(2, 3) if turn else x[k : k + 1] for x, turn in zip(images, turned, strict=True)]
        batches.append((own, turned))
    return batches


def preprocess(case: Case) -> None:
    config = case.config
    with Image.open(case.folder / "image.png") as file:
        photo = np.array(ImageOps.exif_transpose(file).convert("RGB"))  # alpha is dropped
    (ours,) = preprocessed([photo], config["size"], config["patch_size"], config["square_ok"])
    with Image.open(case.folder / "expected.png") as file:
        golden = torch.from_numpy(np.array(file.convert("RGB"))).permute(2, 0, 1)
    case.check("expected.png", (ours.images[0] * 255).round(), golden)
    height, width = photo.shape[:2]
    (affine,) = ours.network_from_photo
    stride = config["sample_stride"]
    case.check_outputs(
        {
            "img_sampled": normalised_images(ours.images[0])[:, ::stride, ::stride],
            "true_shape": torch.tensor(ours.size), "original_hw": torch.tensor([height, width]),
            "resized_wh": (affine.diagonal()[:2] * torch.tensor([width, height])).round(), "crop_lt": -affine[:2, 2],
        }
    )  # fmt: skip


def pairs(case: Case) -> None:
    for i, graph in enumerate(case.config["graphs"]):
        golden = [tuple(pair) for pair in case.tensors[f"out.pairs.{i}"].tolist()]
        found = pairs_of(graph["n"], graph["scene_graph"], graph["prefilter"], graph["symmetrize"])
        ours = [tuple(pair) for pair in found.tolist()]
        assert len(set(ours)) == len(ours), f"{case.name} {graph}: a pair comes twice"
        if graph["scene_graph"].startswith(("complete", "oneref")):
            assert ours == golden, f"{case.name} {graph}"
        assert set(ours) == set(golden), f"{case.name} {graph}"


def reciprocal(case: Case) -> None:
    assert case.config["dist"] == "dot"
    xy1, xy2 = reciprocal_matches(
        case.given("desc1"), case.given("desc2"), case.config["subsample"], case.config["max_iter"]
    )
    ours = {tuple(match) for match in torch.cat((xy1, xy2), 1).tolist()}
    golden = {tuple(match) for match in torch.cat((case.tensors["out.xy1"], case.tensors["out.xy2"]), 1).tolist()}
    share = len(ours & golden) / max(len(ours | golden), 1)
    assert share >= case.facts["gates"]["matches"]["min_jaccard"], f"{case.name}: {share:.3f} of the matches agree"


def loss(case: Case) -> None:
    config = case.config
    assert (config["loss"], config["norm_mode"], config["criterion"]) == ("conf_regr3d", "avg_dis", "L21")
    predictions = {
        f"{name}{side}": case.given(f"pred{side}.{name}").requires_grad_() for name in MAPS[:2] for side in (1, 2)
    }
    valid = case.given("gt1.valid_mask"), case.given("gt2.valid_mask")
    in_world = TwoMaps(case.given("gt1.pts3d"), case.given("gt2.pts3d"), *valid)
    truth = pair_losses.in_first_camera(in_world, case.given("gt1.camera_pose"))
    predicted = TwoMaps(predictions["pts3d1"], predictions["pts3d2"], *valid)
    confidences = (predictions["conf1"], predictions["conf2"])
    total = pair_losses.pointmap_loss(predicted, confidences, truth, config["alpha"])
    total.backward()

    ones = {"pred": pair_losses.at_mean_distance_one(predicted), "gt": pair_losses.at_mean_distance_one(truth)}
    for name, maps in ones.items():
        case.check(f"mid.{name}1_normalised", maps.points1.detach())
        case.check(f"mid.{name}2_normalised", maps.points2.detach())
    found = {f"grad.{name}": prediction.grad for name, prediction in predictions.items()}
    for side, distance in enumerate(pair_losses.distances(ones["pred"], ones["gt"])):
        weights = confidences[side][valid[side]]
        found[f"regr_{side + 1}"] = distance.mean()[None]
        found[f"conf_loss_{side + 1}"] = pair_losses.confidence_loss(distance, weights, config["alpha"])[None]
    found["conf_loss"] = total[None]
    found["test_loss_scale_shift_inv_gt_scale"] = pair_losses.scale_and_shift_free_distance(predicted, truth)[None]
    case.check_outputs({name: value.detach() for name, value in found.items() if value is not None})


def matching_loss(case: Case) -> None:
    config = case.config
    assert config["confmode"] == "mean"
    valid, pixels = case.given("valid"), (case.given("xy1"), case.given("xy2"))
    descriptors = [pair_losses.at_pixels(case.given(f"desc{side + 1}"), pixels[side]) for side in (0, 1)]
    confidences = [pair_losses.at_pixels(case.given(f"desc_conf{side + 1}"), pixels[side]) for side in (0, 1)]
    kinds: tuple[pair_losses.Kind, ...] = ("proper", "all", "dual")
    losses = {
        kind: pair_losses.info_nce(*descriptors, kind, config["temperature"], config["blocksize"], config["eps"])
        for kind in kinds
    }
    found = {f"infonce_{kind}": value[valid].mean()[None] for kind, value in losses.items()}
    weighted = pair_losses.confidence_weighted_matching(losses["proper"], *confidences, valid, config["alpha"])
    case.check_outputs({**found, "conf_matching": weighted[None]})


RUNNERS = {
    "forward": forward,
    "preprocess": preprocess,
    "pairs": pairs,
    "reciprocal": reciprocal,
    "loss": loss,
    "matching_loss": matching_loss,
}
