"""A network's answer carried back to photos: cameras, depth and colour land on the pixels that they belong to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from recon3d.core.geometry import Geometry
from recon3d.core.views import Views
from recon3d.io.detect import detect
from recon3d.io.load import load_views
from recon3d.models.dust3r.preprocessing import preprocessed as for_dust3r
from recon3d.models.pictures import Answer, NetworkPictures, geometry_in_network
from recon3d.models.vggt.preprocessing import preprocessed as for_vggt
from recon3d.reconstruction.lift import lift
from recon3d.reconstruction.network_views import depth_at, in_photos
from recon3d.rendering.render import render

NORMAL = torch.tensor([0.1, -0.2, 1.0], dtype=torch.float64)  # of the plane n·X = 4 in the first camera's world
DISTANCE = 4.0
SIZES = ((150, 200), (200, 130))  # height, width: a landscape and a portrait


@pytest.fixture
def views(tmp_path: Path) -> Views:
    generator = np.random.default_rng(0)
    for i, (height, width) in enumerate(SIZES):
        smooth = Image.fromarray(generator.integers(0, 255, (6, 8, 3), np.uint8)).resize((width, height), Image.BICUBIC)
        smooth.save(tmp_path / f"{i}.png")
    return load_views(detect((tmp_path,)), max_size=120).views


def answered(pictures: NetworkPictures, focal: float) -> Answer:
    """What a perfect network would say: both cameras look at the same plane; the photo's focal length is given."""
    world = torch.eye(4, dtype=torch.float64).repeat(len(pictures), 1, 1)
    world[1, 0, 3] = 0.5
    height, width = pictures.size
    K_of_photo = [torch.tensor([[focal, 0, w / 2], [0, focal, h / 2], [0, 0, 1]], dtype=torch.float64) for h, w in SIZES]
    K = pictures.network_from_photo @ torch.stack(K_of_photo)
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    depth = []
    for i in range(len(pictures)):
        rays = torch.stack((x, y, torch.ones_like(x)), -1).double() @ torch.linalg.inv(K[i]).T
        center = -world[i, :3, 3]
        depth.append((DISTANCE - NORMAL @ center) / (rays @ NORMAL))
    known = geometry_in_network(world[:, :3], K, torch.stack(depth), torch.ones(len(depth), height, width), "test")
    return Answer(known, pictures.network_from_photo, pictures.photo_rects)


def photos_of(views: Views) -> list[np.ndarray]:
    return [np.asarray(Image.open(source.path).convert("RGB")) for source in views.sources]


@pytest.mark.parametrize("mode", ["crop", "pad", "square"])
def test_points_lie_on_the_plane_that_the_network_saw_and_K_is_the_photos(views, mode):
    pictures = for_vggt(photos_of(views), mode, target=112)
    flat, geometry = in_photos(answered(pictures, focal=180.0), views, max_size=120)
    assert geometry.depth is not None
    for i, (height, width) in enumerate(SIZES):
        lens = flat.lenses[i]
        assert lens is not None and (lens.height, lens.width) == (height, width)
        np.testing.assert_allclose(lens.params, (180, 180, width / 2, height / 2), rtol=1e-9)
        points, known = geometry.cameras.unproject(i, geometry.depth[i])
        assert 0.5 < float(known.double().mean()) <= 1
        inner = known.clone()
        inner[[0, -1]], inner[:, [0, -1]] = False, False  # half a pixel of a border is extrapolated
        off = (points[inner] @ NORMAL - DISTANCE).abs().max()
        assert float(off) < 0.03, f"{mode} view {i}: off by {float(off):.3g}"
    assert (geometry.points @ NORMAL - DISTANCE).abs().median() < 0.01


def test_what_a_crop_left_out_has_no_depth(views):
    """A portrait of 200x130, cropped to a square by VGGT's rule: the top and the bottom are not in its picture."""
    pictures = for_vggt(photos_of(views)[1:], "crop", target=112)
    answer = answered(NetworkPictures(*(torch.cat((x, x)) for x in vars(pictures).values())), 180.0)
    both = views[[1, 1]]
    _, geometry = in_photos(answer, both, max_size=120)
    depth = geometry.depth[0]
    rows = (depth > 0).any(1)
    share = 112 / (round(200 * 112 / 130 / 14) * 14)
    assert float(rows.double().mean()) == pytest.approx(share, abs=0.03)
    assert not rows[0] and not rows[-1] and rows[len(rows) // 2]


def test_no_depth_is_made_between_a_near_and_a_far_pixel():
    depth = torch.tensor([[1.0, 1.0, 9.0, 9.0]]).repeat(4, 1)
    at = torch.tensor([[[1.9, 2.0], [2.1, 2.0], [1.0, 2.0]]], dtype=torch.float64)
    assert depth_at(depth, at).tolist() == [[1.0, 9.0, 1.0]]


def test_pictures_of_several_sizes_come_back_too(views):
    pictures = for_dust3r(photos_of(views), size=112)
    for i, picture in enumerate(pictures):
        corner = torch.tensor([SIZES[i][1] / 2, SIZES[i][0] / 2, 1], dtype=torch.float64)
        middle = picture.network_from_photo[0] @ corner
        assert torch.allclose(middle[:2], torch.tensor(picture.size).flip(0).double() / 2, atol=1.0)


@pytest.mark.parametrize("mode", ["crop", "pad"])
def test_features_lie_over_the_working_picture_as_they_lay_over_the_networks(views, mode):
    """Of a network whose features are the place in its picture that they belong to."""
    pictures = for_vggt(photos_of(views), mode, target=112)
    height, width = pictures.size
    rows, columns = height // 14, width // 14
    y, x = torch.meshgrid(14 * (torch.arange(rows) + 0.5), 14 * (torch.arange(columns) + 0.5), indexing="ij")
    answer = replace(answered(pictures, focal=180.0), features=torch.stack((x, y)).repeat(2, 1, 1, 1))
    flat, geometry = in_photos(answer, views, max_size=120)
    assert geometry.features is not None
    for i in range(2):
        size = torch.tensor(flat.images[i].shape[1:]).double()
        row, column = rows // 2, columns // 2
        cell = torch.tensor([(column + 0.5) * size[1] / columns, (row + 0.5) * size[0] / rows, 1]).double()
        expected = pictures.network_from_photo[i] @ torch.linalg.inv(flat.pixel_from_photo[i]) @ cell
        torch.testing.assert_close(geometry.features[i, :, row, column].double(), expected[:2], atol=0.01, rtol=0)
    assert geometry[[1]].features is not None and torch.equal(geometry[[1]].features[0], geometry.features[1])


def test_lifted_depth_renders_as_the_photo_that_it_came_from(views):
    pictures = for_vggt(photos_of(views), "pad", target=112)
    flat, geometry = in_photos(answered(pictures, focal=180.0), views, max_size=120)
    gaussians = lift(flat[[0]], geometry[[0]], max_gaussians=100_000)
    (rgb,) = render(gaussians, geometry.cameras[[0]]).rgb
    inside = (slice(None), slice(8, -8), slice(8, -8))
    error = (rgb - flat.rgb(0))[inside].square().mean()
    assert -10 * torch.log10(error) > 25
    few = lift(flat, geometry, max_gaussians=500)
    assert 200 < len(few) <= 500


def known_of(views: Views, **answered_with) -> tuple[Views, Geometry]:
    pictures = for_vggt(photos_of(views), "pad", target=112)
    answer = replace(answered(pictures, focal=180.0), **answered_with)
    return in_photos(answer, views, max_size=120)


def test_what_is_masked_has_no_depth_and_no_confidence_and_makes_no_gaussian(views):
    masks = tuple(torch.ones(image.shape[1:], dtype=torch.bool) for image in views.images)
    for mask in masks:
        mask[:, : mask.shape[1] // 2] = False
    flat, geometry = known_of(replace(views, masks=masks))
    assert geometry.depth is not None and geometry.confidence is not None and flat.masks is not None
    for depth, confidence, mask in zip(geometry.depth, geometry.confidence, flat.masks, strict=True):
        assert mask is not None and (depth[~mask] == 0).all() and (confidence[~mask] == 0).all()
        assert (depth[mask] > 0).double().mean() > 0.95 and (confidence[depth > 0] > 0).all()
    gaussians = lift(flat[[0]], geometry[[0]], 10**6)
    (pixels,), _ = geometry.cameras[[0]].project(gaussians.means.double())
    assert len(gaussians) > 1000 and pixels[:, 0].min() > flat.images[0].shape[2] // 2


def test_what_the_network_calls_sky_is_known_but_makes_neither_points_nor_gaussians(views):
    sky = torch.zeros(2, 112, 112, dtype=torch.bool)
    sky[:, :56] = True
    flat, geometry = known_of(views, sky=tuple(sky))
    assert geometry.depth is not None and geometry.confidence is not None
    middle = flat.images[0].shape[1] // 2
    assert (geometry.depth[0] > 0).double().mean() > 0.95
    assert (geometry.confidence[0][: middle - 1] == 0).all() and (geometry.confidence[0][middle + 1 : -1] > 0).all()
    gaussians = lift(flat[[0]], geometry[[0]], 10**6)
    (pixels,), _ = geometry.cameras[[0]].project(gaussians.means.double())
    assert len(gaussians) > 1000 and pixels[:, 1].min() > middle - 1
    pictures = for_vggt(photos_of(views), "pad", target=112)
    _, kept = in_photos(replace(answered(pictures, 180.0), sky=tuple(sky)), views, 120, keep_sky=True)
    assert kept.confidence is not None and (kept.confidence[0][1:-1] > 0).all()


def test_the_cloud_of_points_has_no_more_than_was_asked_for(views):
    pictures = for_vggt(photos_of(views), "pad", target=112)
    counts = []
    for most in (3, 200, 5000):
        _, geometry = in_photos(answered(pictures, focal=180.0), views, 120, max_points=most)
        assert len(geometry.points) == len(geometry.colors) == len(geometry.errors) <= most
        counts.append(len(geometry.points))
    assert 1 <= counts[0] < 0.9 * counts[1] < counts[2] / 5
