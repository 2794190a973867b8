"""Tracks in VGGT's answer: what its head gives for corners of some views, in pixels of the photos."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from recon3d.models.checkpoints import checkpoint, network, with_matches
from recon3d.models.pictures import NetworkPictures, Pass
from recon3d.models.vggt import answer as answer_module
from recon3d.models.vggt import tracks
from recon3d.models.vggt.answer import answer, cost
from recon3d.models.vggt.config import VGGT_1B_GEOMETRY, TrackHeadConfig
from recon3d.models.vggt.network import Vggt
from recon3d.models.vggt.preprocessing import preprocessed
from recon3d.models.vggt.published import WEIGHTS
from recon3d.models.vggt.tracks import SHARED, TRACKED, corners_of, runs, starts
from recon3d.progress import Progress
from tests.models.tiny import TINY_VGGT

HEAD = TrackHeadConfig(
    8, (8, 8, 8, 8), (0, 1, 2, 3), corr_levels=2, corr_radius=1, hidden_size=16, num_heads=2, virtual_tracks=4, depth=1,
    iterations=2, max_scale=56,
)  # fmt: skip
WITH_HEAD = replace(TINY_VGGT, track_head=HEAD)


def tiny() -> Vggt:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        made = Vggt(WITH_HEAD).eval().requires_grad_(False)
        for parameter in made.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        made.get_parameter("track_head.tracker.conf_predictor.0.bias").fill_(9.0)
    return made


def photos(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 255, (90, 120, 3), np.uint8) for _ in range(count)]


def test_the_answers_tracks_are_the_heads_of_corners_in_each_view_that_they_start_in(monkeypatch):
    """Against the forward pass that golden tensors prove, which knows points of its first view only."""
    monkeypatch.setattr(tracks, "CORNERS", 12)
    made, given = tiny(), photos(3)
    assert made.track_head is not None
    pictures = preprocessed(given, "crop", 56, 14)
    layers, _ = made.aggregator(pictures.images[None], keep=HEAD.layers)
    direct = []
    for first in range(3):
        order = [first, *(view for view in range(3) if view != first)]
        its = [layers[i][:, order, made.config.special_tokens :] for i in HEAD.layers]
        corners = corners_of(pictures, first)
        ours, visible, sure = made.track_head(its, (3, 4), corners[None])
        direct.append((order, corners, ours[-1, 0], visible[0], sure[0]))
    likely = float(torch.cat([visible[1:].flatten() for *_, visible, _ in direct]).median())  # random ones are all alike
    monkeypatch.setattr(tracks, "LIKELY", likely)
    found = answer(made, given, Pass(matches=True)).matches
    assert found is not None and found.source == "vggt" and found.longest == 56
    expected, unlikely = [], 0
    for order, corners, ours, visible, sure in direct:
        for k, corner in enumerate(corners):
            seen = [(order[0], corner)]
            for row, view in enumerate(order[1:], 1):
                inside = bool(((ours[row, k] + 0.5 >= 0) & (ours[row, k] + 0.5 <= torch.tensor([56, 42]))).all())
                shown = bool(visible[row, k] > likely and sure[row, k] > likely)
                seen += [(view, ours[row, k])] if inside and shown else []
                unlikely += not shown
            if len(seen) > 1:
                expected.append(seen)
    assert unlikely > 10 and len(found.track.unique()) == len(expected) > 10
    for track, seen in zip(found.track.unique(), expected, strict=True):
        mine = found.track == track
        assert found.view[mine].tolist() == [view for view, _ in seen]
        in_photo = (torch.stack([xy for _, xy in seen]).double() + 0.5) * torch.tensor([120 / 56, 90 / 42])
        torch.testing.assert_close(found.xy[mine], in_photo, rtol=0, atol=2e-3)


def test_a_pass_that_asks_for_no_tracks_gives_the_same_bits_with_and_without_the_head():
    made, given = tiny(), photos(3)
    bare = Vggt(TINY_VGGT).eval()
    bare.load_state_dict({k: v for k, v in made.state_dict().items() if not k.startswith("track_head.")})
    plain, asked, without = answer(made, given, Pass()), answer(made, given, Pass(matches=True)), answer(bare, given, Pass())
    assert plain.matches is None and without.matches is None and asked.matches is not None
    for other in (asked, without):
        assert torch.equal(plain.geometry.cameras.camera_from_world, other.geometry.cameras.camera_from_world)
        assert plain.geometry.depth is not None and other.geometry.depth is not None
        assert all(torch.equal(a, b) for a, b in zip(plain.geometry.depth, other.geometry.depth, strict=True))


@pytest.mark.parametrize("count", [1, 2, 8, 24, 25, 40, 41, 60, 200])
def test_runs_hold_every_view_and_share_some_with_the_next(count):
    found = runs(count)
    assert sorted({view for some in found for view in some}) == list(range(count))
    assert all(len(some) == min(count, TRACKED) for some in found)
    assert all(len(set(a) & set(b)) >= SHARED for a, b in pairwise(found))
    assert starts(count) == sorted(set(starts(count))) and set(starts(count)) <= set(range(count))


def test_corners_are_marks_in_the_photo_and_spread_over_it():
    """Squares of one pixel on grey, beside padding, whose border is no corner."""
    image = torch.full((3, 60, 80), 0.5)
    marks = [(x, y) for x in range(24, 76, 10) for y in range(5, 56, 10)]
    for x, y in marks:
        image[:, y, x] = 1.0
    image[:, :, :16] = 1.0
    rect = torch.tensor([[16.0, 0, 80, 60]], dtype=torch.float64)
    pictures = NetworkPictures(image[None], torch.eye(3, dtype=torch.float64)[None], rect)
    found = {tuple(xy) for xy in corners_of(pictures, 0).round().int().tolist()}
    assert all(any(abs(x - u) <= 1 and abs(y - v) <= 1 for u, v in found) for x, y in marks)
    assert min(x for x, _ in found) >= 16
    assert len(corners_of(replace(pictures, images=torch.full((1, 3, 60, 80), 0.5)), 0)) == 0


def test_tracks_come_from_files_with_all_of_the_head_and_of_the_published_size(tmp_path, monkeypatch):
    """A head of another size, or a part of one, is left alone as it was before, and so is a file without one."""
    monkeypatch.setattr(answer_module, "TrackHeadConfig", lambda: HEAD)
    row = replace(WEIGHTS["vggt-1b"], config=TINY_VGGT)
    whole = {name: tensor.contiguous() for name, tensor in tiny().state_dict().items()}
    of_head = {name for name in whole if name.startswith("track_head.")}
    some = min(of_head)
    files = {
        "bare": {name: x for name, x in whole.items() if name not in of_head},
        "part": {name: x for name, x in whole.items() if name != some},
        "other": whole | {some: torch.zeros(3, *whole[some].shape)},
        "whole": whole,
        "wrapped": {f"module.{name}": x for name, x in whole.items()},
    }
    found = {}
    for name, tensors in files.items():
        save_file(tensors, tmp_path / f"{name}.safetensors")
        found[name] = with_matches(checkpoint("vggt-1b", row, str(tmp_path / f"{name}.safetensors"), Progress()))
    assert {name for name, source in found.items() if source is not None} == {"whole", "wrapped"}
    assert found["wrapped"] is not None and network(found["wrapped"], 0, None).track_head is not None
    assert with_matches(checkpoint("vggt-1b", row, "random", Progress())) is None
    other = replace(checkpoint("vggt-1b", row, str(tmp_path / "whole.safetensors"), Progress()), config=VGGT_1B_GEOMETRY)
    assert with_matches(other) is None


def test_what_a_pass_takes_counts_the_maps_of_the_views_that_are_followed_together():
    plain, head = cost(VGGT_1B_GEOMETRY, 1), cost(replace(VGGT_1B_GEOMETRY, track_head=TrackHeadConfig()), 1)
    few, many = (head.bytes(n, 518, 4 / 3, 1, 4) - plain.bytes(n, 518, 4 / 3, 1, 4) for n in (12, 200))
    assert few > 0 and many == 0  # of many the blocks take more than their maps do, one after the other


def test_what_the_head_says_has_a_gradient():
    network_with_head = tiny().requires_grad_(True)
    images, points = torch.rand(1, 2, 3, 56, 56), torch.tensor([[[20.0, 30.0]]])
    said = network_with_head(images, query_points=points)
    said.tracks[-1].sum().backward()
    assert network_with_head.track_head.tracker.fmap_norm.weight.grad.abs().sum() > 0
