"""DUSt3R and MASt3R: the way into the network and back, pairs of a scene, and matches."""

import itertools
import math

import numpy as np
import pytest
import torch

from recon3d.errors import InputError
from recon3d.models.dust3r.config import Mode
from recon3d.models.dust3r.matching import matches_both_ways, reciprocal_matches
from recon3d.models.dust3r.network import Dust3r, confidence_of, normalised, points_of
from recon3d.models.dust3r.pair_graphs import pairs_of
from recon3d.models.dust3r.pairs import pairs
from recon3d.models.dust3r.preprocessing import preprocessed
from recon3d.models.dust3r.published import LAYOUT
from recon3d.models.loading import filled
from recon3d.models.meta import on_meta
from recon3d.models.pictures import NetworkPictures
from tests.models.dust3r_files import DENSE, LINEAR, MATCHING, published, tiny, tiny_config


def pictures(*sizes: tuple[int, int]) -> list[NetworkPictures]:
    """One of each (height, width)."""
    generator = torch.Generator().manual_seed(1)
    unmoved, rect = torch.eye(3, dtype=torch.float64)[None], torch.zeros(1, 4, dtype=torch.float64)
    return [NetworkPictures(torch.rand(1, 3, *size, generator=generator), unmoved, rect) for size in sizes]


@pytest.mark.parametrize("text", [LINEAR, DENSE, MATCHING])
def test_a_scene_of_both_orientations_gives_what_each_pair_gives_alone(text):
    """In whatever chunks; the encoding of a picture does not depend on its partner."""
    network, scene = tiny(tiny_config(text)), pictures((48, 80), (80, 48), (48, 80), (32, 32))
    edges = pairs_of(4)
    one, many = (pairs(network, scene, edges, chunk=chunk) for chunk in (1, 5))
    for e, (i, j) in enumerate(edges.tolist()):
        first, second = network(normalised(scene[i].images), normalised(scene[j].images))
        for ours in (one, many):
            torch.testing.assert_close(ours.points_i[e], first.points[0], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(ours.points_j[e], second.points[0], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(ours.confidence_i[e], first.confidence[0], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(ours.confidence_j[e], second.confidence[0], rtol=1e-4, atol=1e-5)


def test_pairs_can_be_aligned_by_derivatives():
    """torch refuses to derive by what meets a tensor of inference mode."""
    found = pairs(tiny(tiny_config(LINEAR)), pictures((32, 48), (32, 48)), pairs_of(2))
    scale = torch.ones(1, requires_grad=True)
    (found.points_i[0] * scale).sum().backward()
    assert scale.grad is not None


def test_no_pairs_are_no_error_and_progress_counts_every_pair():
    network, made = tiny(tiny_config(LINEAR)), []
    assert len(pairs(network, pictures((32, 48)), pairs_of(1))) == 0
    pairs(network, pictures((32, 48), (48, 32), (32, 48)), pairs_of(3), advance=made.append)
    assert sum(made) == 6


def test_linear_layers_in_bfloat16_stay_near():
    config = tiny_config(DENSE)
    tensors = published(tiny(config))
    exact, low = (
        filled(on_meta(lambda: Dust3r(config)), tensors, LAYOUT, "test", dtype) for dtype in (None, torch.bfloat16)
    )
    assert low.dec_blocks2[0].cross_attn.projk.weight.dtype == torch.bfloat16
    a, b = (pairs(network, pictures((48, 80), (80, 48)), pairs_of(2)) for network in (exact, low))
    assert (a.points_i[0] - b.points_i[0]).norm() < 0.03 * a.points_i[0].norm()


def test_the_hubs_files_keep_one_name_of_a_shared_tensor():
    config = tiny_config(DENSE)
    tensors = published(tiny(config))
    first = {name: tensor for name, tensor in tensors.items() if ".layer_rn." not in name}
    second = {name: tensor for name, tensor in tensors.items() if "_rn.weight" not in name}
    assert len(tensors) - len(first) == len(tensors) - len(second) == 8
    for some in (tensors, first, second):
        filled(on_meta(lambda: Dust3r(config)), some, LAYOUT, "test")
    name = "downstream_head2.dpt.scratch.layer_rn.3.weight"
    with pytest.raises(InputError, match=name):
        filled(on_meta(lambda: Dust3r(config)), {**tensors, name: tensors[name] + 1}, LAYOUT, "test")


def test_a_file_with_one_decoder_gives_both_and_a_torn_one_is_refused():
    config = tiny_config(LINEAR)
    tensors = published(tiny(config))
    one = {name: tensor for name, tensor in tensors.items() if not name.startswith("dec_blocks2")}
    network = filled(on_meta(lambda: Dust3r(config)), one, LAYOUT, "test")
    torch.testing.assert_close(network.dec_blocks2[1].norm_y.weight, tensors["dec_blocks.1.norm_y.weight"])
    torn = {name: tensor for name, tensor in tensors.items() if not name.startswith("dec_blocks2.1.")}
    with pytest.raises(InputError, match=r"nothing fills dec_blocks2\.1\."):
        filled(on_meta(lambda: Dust3r(config)), torn, LAYOUT, "test")


@pytest.mark.parametrize("size", [224, 512, 96])
@pytest.mark.parametrize("shape", [(300, 411), (411, 300), (97, 83), (120, 120)])
def test_a_mark_in_the_photo_is_where_the_way_back_says(shape, size):
    """A disc's centre, in continuous coordinates: half a pixel would show."""
    height, width = shape
    center = torch.tensor([width * 0.45, height * 0.55])
    y, x = np.mgrid[:height, :width] + 0.5
    disc = np.exp(-((x - float(center[0])) ** 2 + (y - float(center[1])) ** 2) / (2 * (min(shape) / 20) ** 2))
    photo = np.repeat((255 * disc).astype(np.uint8)[..., None], 3, 2)
    (picture,) = preprocessed([photo], size)
    weight = picture.images[0, 0].double()
    rows, columns = (torch.arange(side, dtype=torch.float64) + 0.5 for side in picture.size)
    found = torch.stack(((weight.sum(0) * columns).sum(), (weight.sum(1) * rows).sum())) / weight.sum()
    expected = picture.network_from_photo[0, :2, :2] @ center.double() + picture.network_from_photo[0, :2, 2]
    torch.testing.assert_close(found, expected, rtol=0, atol=0.1)


def test_pictures_have_the_sizes_of_training():
    photos = [np.zeros((*size, 3), np.uint8) for size in [(3024, 4032), (4032, 3024), (1080, 1920), (700, 700)]]
    assert [p.size for p in preprocessed(photos)] == [(384, 512), (512, 384), (288, 512), (384, 512)]
    assert {p.size for p in preprocessed(photos, 224)} == {(224, 224)}
    assert [p.photo_rects.tolist() for p in preprocessed(photos[:1])] == [[[0, 0, 512, 384]]]


def test_a_photo_too_narrow_for_a_patch_is_named():
    with pytest.raises(InputError, match="photo 2: it is 2000x20, too narrow"):
        preprocessed([np.zeros((90, 120, 3), np.uint8), np.zeros((20, 2000, 3), np.uint8)])


@pytest.mark.parametrize(
    "graph", ["complete", "swin", "swin-2-noncyclic", "logwin-4", "logwin-9-noncyclic", "oneref-1"]
)
@pytest.mark.parametrize("count", [2, 3, 9])
def test_graphs_have_no_pair_twice_nor_a_picture_with_itself(graph, count):
    edges = [tuple(pair) for pair in pairs_of(count, graph).tolist()]
    assert len(set(edges)) == len(edges)
    assert all(i != j and (j, i) in edges and 0 <= i < count for i, j in edges)


def test_windows_reach_as_far_as_they_say():
    near = {(i, j) for i, j in itertools.product(range(8), repeat=2) if 0 < min((i - j) % 8, (j - i) % 8) <= 2}
    assert {tuple(pair) for pair in pairs_of(8, "swin-2").tolist()} == near
    assert {tuple(pair) for pair in pairs_of(8, "complete", "cyc2").tolist()} == near
    ends = {(i, j) for i, j in itertools.product(range(8), repeat=2) if abs(i - j) in (1, 2, 4)}
    assert {tuple(pair) for pair in pairs_of(8, "logwin-3-noncyclic").tolist()} == ends


@pytest.mark.parametrize("graph", ["", "swin-", "swin-x", "complete-3", "oneref-noncyclic", "oneref-5", "Complete"])
def test_a_wrong_graph_is_refused(graph):
    with pytest.raises(InputError):
        pairs_of(5, graph)


def test_matches_are_each_others_nearest_and_all_of_them_from_a_full_grid():
    generator = torch.Generator().manual_seed(2)
    first, second = torch.randn(12, 10, 5, generator=generator), torch.randn(9, 14, 5, generator=generator)
    scores = first.flatten(0, 1) @ second.flatten(0, 1).T
    ahead, back = scores.argmax(1), scores.argmax(0)
    mutual = {(i, int(j)) for i, j in enumerate(ahead) if back[j] == i}
    xy1, xy2 = reciprocal_matches(first, second, step=1, rounds=50)
    found = {(int(y1) * 10 + int(x1), int(y2) * 14 + int(x2)) for (x1, y1), (x2, y2) in zip(xy1, xy2, strict=True)}
    assert found == mutual and len(found) > 10
    both = matches_both_ways(first, second, step=1)
    assert len(both) == len(mutual)
    assert (both[:, 0] % 1 == 0.5).all() and both[:, 2].max() < 14


def test_matches_of_a_scene_come_with_its_pairs():
    network, scene = tiny(tiny_config(MATCHING)), pictures((32, 48), (48, 32))
    found = pairs(network, scene, pairs_of(2), match_step=4)
    assert found.matches is not None
    for (i, j), matches in zip(found.edges.tolist(), found.matches, strict=True):
        widths = torch.tensor([scene[i].size[1], scene[i].size[0], scene[j].size[1], scene[j].size[0]])
        assert len(matches) and (matches > 0).all() and (matches < widths).all()


def test_values_of_channels_in_closed_form():
    xyz = torch.tensor([[3.0, 0, 4.0], [0, 0, 0]])
    torch.testing.assert_close(points_of(xyz, Mode("exp")), torch.tensor([[0.6, 0, 0.8], [0, 0, 0]]) * math.expm1(5))
    torch.testing.assert_close(points_of(xyz, Mode("square")), 5 * xyz)
    x = torch.tensor([0.0, 2.0])
    torch.testing.assert_close(confidence_of(x, Mode("exp", 1)), torch.tensor([2, 1 + math.exp(2)]))
    torch.testing.assert_close(confidence_of(x, Mode("exp", 1, 3)), torch.tensor([2.0, 3.0]))
    torch.testing.assert_close(confidence_of(x[:1], Mode("sigmoid", -1, 3)), torch.tensor([1.0]))
