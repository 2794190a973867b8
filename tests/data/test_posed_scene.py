"""Posed scenes: pictures and cameras fit each other after every reader, crop and conversion."""

import io

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from recon3d.core.cameras import Cameras
from recon3d.data.chunks import entry_of, scene_of
from recon3d.data.posed import scene_of as posed_scene
from recon3d.data.posed_scene import cropped_cameras, decoded, views, with_unit_baseline
from recon3d.errors import InputError
from recon3d.io.covered import covered
from recon3d.io.photos import pictures
from tests.data.made_scenes import SIZE, entry, jpeg
from tests.shared_folder import shared


def made(**fields):
    return scene_of({**entry("a"), **fields}, "a")


def test_the_crop_is_that_of_the_published_loaders():
    """pixelSplat's rescale and center crop, from 360 x 640 to 256 x 256: 256 x 455, columns 99 to 354."""
    photo = np.random.default_rng(0).integers(0, 255, (360, 640, 3)).astype(np.uint8)
    expected = np.asarray(Image.fromarray(photo).resize((455, 256), Image.Resampling.LANCZOS))[:, 99:355]
    assert np.array_equal(covered(photo, (256, 256))[0], expected)


@pytest.mark.parametrize("size", [(16, 16), (20, 50), (40, 30)])
def test_a_marked_pixel_is_where_the_cropped_camera_says(size):
    """A bright blob at the projection of a world point, off-centre principal point and odd crops included."""
    scene = made()
    point = torch.tensor([[0.1, -0.05, 0.0]], dtype=torch.float64)
    at = scene.cameras.project(point)[0][1, 0].numpy()
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    blob = 200 * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * 2.0**2))
    picture, _ = covered(blob.astype(np.uint8)[..., None].repeat(3, 2), size)
    weight = picture[..., 0].astype(float)
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    expected = cropped_cameras(scene, [1], size).project(point)[0][0, 0].numpy()
    np.testing.assert_allclose([(x * weight).sum() / weight.sum(), (y * weight).sum() / weight.sum()], expected, atol=0.1)


def test_the_published_intrinsics_agree_where_crop_and_principal_point_are_even():
    """They keep the shares of the principal point and scale the focal length's by W'/w."""
    rows = entry("a")["cameras"]
    rows[:, 2:4] = 0.5
    K = cropped_cameras(made(cameras=rows), [0], (18, 18)).K[0]
    np.testing.assert_allclose(K[0, 0] / 18, rows[0, 0] * 32 / 18, rtol=1e-6)
    np.testing.assert_allclose(K[:2, 2], [9, 9], atol=1e-6)


def test_views_are_self_contained():
    """Known cameras, and a picture that is read again as it is: no stage reaches beyond the crop."""
    scene = made()
    found = views(scene, [2, 0], (18, 20))
    cameras = cropped_cameras(scene, [2, 0], (18, 20))
    assert found.names == (scene.names[2], scene.names[0])
    assert found.known_camera_from_world is not None and torch.equal(found.known_camera_from_world, cameras.camera_from_world)
    for i, (lens, image) in enumerate(zip(found.lenses, found.images, strict=True)):
        assert lens is not None and (lens.height, lens.width) == (18, 20) == tuple(image.shape[1:])
        np.testing.assert_allclose(lens.K, cameras.K[i])
        rgb = image.permute(1, 2, 0).numpy()
        assert np.array_equal(pictures(found)(i, 100)[0], cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY))


def test_a_baseline_of_one_scales_the_world():
    scene = with_unit_baseline(made(), (0, 1, 3))
    centers = scene.cameras.centers_in_world
    assert float((centers[0] - centers[3]).norm()) == pytest.approx(1)
    assert torch.equal(scene.cameras.camera_from_world[:, :3, :3], made().cameras.camera_from_world[:, :3, :3])


@pytest.mark.parametrize(
    ("picture", "what"),
    [(jpeg(1)[:1200], "truncated"), (jpeg(1, (40, 64)), "64x40 pixels, its camera 64x36"), (jpeg(1)[2:], "not an image")],
)
def test_a_bad_picture_is_named_when_it_is_needed(picture, what):
    scene = made(images=[jpeg(0), picture, jpeg(2), jpeg(3)])
    views(scene, [0, 2, 3], (18, 18))
    with pytest.raises(InputError, match=f"a/00001_100.*{what}"):
        views(scene, [0, 1], (18, 18))


def epipolar_errors(a: np.ndarray, b: np.ndarray, cameras: Cameras) -> np.ndarray:
    """Pixels between matched SIFT features of two grey pictures and the epipolar lines that the cameras give."""
    sift = cv2.SIFT_create(1500)  # pyright: ignore[reportAttributeAccessIssue]
    (points_a, features_a), (points_b, features_b) = (sift.detectAndCompute(x, None) for x in (a, b))
    pairs = cv2.BFMatcher().knnMatch(features_a, features_b, k=2)
    kept = [m for m, second in pairs if m.distance < 0.7 * second.distance]
    xa, xb = (np.array([[*p[i].pt, 1.0] for i in rows]) + [0.5, 0.5, 0] for p, rows in
              ((points_a, [m.queryIdx for m in kept]), (points_b, [m.trainIdx for m in kept])))  # fmt: skip
    b_from_a = (cameras.camera_from_world[1] @ cameras.world_from_camera[0]).numpy()
    x, y, z = b_from_a[:3, 3]
    essential = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ b_from_a[:3, :3]
    K = np.linalg.inv(cameras.K.numpy())
    lines = xa @ (K[1].T @ essential @ K[0]).T
    assert len(kept) > 60
    return np.abs((lines * xb).sum(1)) / np.linalg.norm(lines[:, :2], axis=1)


def test_matches_of_real_photos_lie_on_the_epipolar_lines_of_a_chunks_cropped_cameras():
    """fountain-P11, reduced, through a chunk and a crop; its reference cameras are good to 0.1 px at 768 px."""
    scene = posed_scene(shared("data/fountain-P11"))
    stored = {**entry_of(scene), "images": [], "key": "fountain"}
    for i in (4, 5, 6):
        small = Image.fromarray(decoded(scene, i)).resize((480, 320), Image.Resampling.LANCZOS)
        stored["images"].append(torch.from_numpy(np.frombuffer(_png(small), np.uint8).copy()))
    stored["cameras"], stored["timestamps"] = stored["cameras"][4:7], stored["timestamps"][4:7]
    chunk = scene_of(stored, "fountain")
    found, cameras = views(chunk, [0, 1, 2], (300, 400)), cropped_cameras(chunk, [0, 1, 2], (300, 400))
    grey = [cv2.cvtColor(image.permute(1, 2, 0).numpy(), cv2.COLOR_RGB2GRAY) for image in found.images]
    for a, b in ((0, 1), (1, 2)):
        errors = epipolar_errors(grey[a], grey[b], cameras[[a, b]])
        assert np.median(errors) < 0.3 and np.percentile(errors, 90) < 1


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()
