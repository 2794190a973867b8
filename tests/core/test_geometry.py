"""Views, geometry and splats: indexing keeps what belongs together, checks name the culprit."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recon3d.core.cameras import as_index, fitted_size
from recon3d.core.geometry import Geometry
from recon3d.core.rotations import rotation_from_vector
from recon3d.core.scene import Scene
from recon3d.core.similarity import Similarity
from recon3d.core.synthetic import Synthetic, synthetic_gaussians, synthetic_geometry
from recon3d.core.views import Views


def geometry() -> Geometry:
    return synthetic_geometry(Synthetic(views=6, points=80, pixel_noise=0.5, missing=0.6, outliers=0.05))


def views(n: int = 4) -> Views:
    return Views(
        names=tuple(f"{i}.jpg" for i in range(n)),
        images=tuple(torch.full((3, 4 + i, 6), i, dtype=torch.uint8) for i in range(n)),
        masks=tuple(None if i % 2 else torch.full((4 + i, 6), True) for i in range(n)),
        pixel_from_photo=torch.eye(3, dtype=torch.float64).repeat(n, 1, 1),
        photo_sizes=torch.tensor([[4 + i, 6] for i in range(n)]),
        camera_index=torch.arange(n),
        held_out=torch.arange(n) == 1,
        sources=tuple(range(n)),
        lenses=(None,) * n,
        focal_priors=tuple(float(i) for i in range(n)),
        known_camera_from_world=torch.eye(4, dtype=torch.float64).repeat(n, 1, 1),
    )


def test_views_are_indexed_with_everything_that_is_theirs():
    chosen = views()[[3, 0]]
    assert chosen.names == ("3.jpg", "0.jpg") and chosen.sources == (3, 0) and chosen.focal_priors == (3.0, 0.0)
    assert chosen.images[0].shape == (3, 7, 6) and chosen.photo_sizes.tolist() == [[7, 6], [4, 6]]
    assert chosen.mask(0) is None and chosen.mask(1) is not None
    assert chosen.camera_index.tolist() == [3, 0] and chosen.held_out.tolist() == [False, False]
    assert views()[~views().held_out].names == ("0.jpg", "2.jpg", "3.jpg")
    assert views()[1:3].names == ("1.jpg", "2.jpg") and len(views()[[]]) == 0
    with pytest.raises(TypeError, match=r"views\[\[i\]\]"):
        views()[2]


def test_a_view_without_a_pose_is_told_by_nan():
    some = views()
    assert some.known_camera_from_world is not None
    some.known_camera_from_world[2] = float("nan")
    assert some.pose_known.tolist() == [True, True, False, True]
    assert replace(some, known_camera_from_world=None).pose_known.tolist() == [False] * 4


def test_pictures_are_shown_from_zero_to_one():
    assert views().rgb(3).unique().tolist() == pytest.approx([3 / 255])


def test_lists_of_views_must_have_one_length():
    with pytest.raises(ValueError, match=r"Views.lenses has 1 entries for 4 images"):
        replace(views(), lenses=(None,))


def test_a_chosen_geometry_keeps_points_that_two_of_its_views_see_and_those_that_no_view_is_said_to():
    whole = geometry()
    rows = [4, 1, 2]
    part = whole[rows]
    assert whole.tracks is not None and part.tracks is not None
    view, point, xy = (x.numpy() for x in (whole.tracks.view, whole.tracks.point, whole.tracks.xy))
    kept = [p for p in range(80) if sum(((view == r) & (point == p)).sum() for r in rows) >= 2 or p not in point]
    assert 5 < len(kept) < 80 and len(set(point.tolist())) < 80
    np.testing.assert_array_equal(part.points.numpy(), whole.points.numpy()[kept])
    np.testing.assert_array_equal(part.colors.numpy(), whole.colors.numpy()[kept])
    expected = {
        (rows.index(v), kept.index(p), *c)
        for v, p, c in zip(view.tolist(), point.tolist(), xy.tolist(), strict=True)
        if v in rows and p in kept
    }
    theirs = zip(part.tracks.view.tolist(), part.tracks.point.tolist(), part.tracks.xy.tolist(), strict=True)
    assert {(v, p, *c) for v, p, c in theirs} == expected
    torch.testing.assert_close(part.cameras.K, whole.cameras.K[rows])


def test_points_left_out_take_their_observations_with_them():
    whole = geometry()
    keep = torch.arange(80) % 3 == 0
    part = whole.with_points(keep)
    assert part.tracks is not None and whole.tracks is not None
    assert len(part.points) == 27 and len(part.tracks) == int(keep[whole.tracks.point].sum())
    exact, _ = part.cameras.project(part.points)
    before, _ = whole.cameras.project(whole.points)
    stays = keep[whole.tracks.point]
    torch.testing.assert_close(
        exact[part.tracks.view, part.tracks.point],
        before[whole.tracks.view[stays], whole.tracks.point[stays]],
    )


def test_a_moved_geometry_projects_to_the_same_pixels_and_scales_its_depth():
    move = Similarity.of(3.0, rotation_from_vector(torch.tensor([0.2, -1.0, 0.4]).double()), torch.tensor([1.0, 2, 3]))
    whole = replace(geometry(), depth=tuple(torch.full((2, 2), 5.0) for _ in range(6)))
    moved = whole.transformed(move)
    torch.testing.assert_close(moved.cameras.project(moved.points)[0], whole.cameras.project(whole.points)[0])
    assert moved.depth is not None and moved.depth[0].tolist() == [[15, 15], [15, 15]]
    scene = Scene(synthetic_gaussians(5), whole).transformed(move)
    assert scene.geometry is not None
    torch.testing.assert_close(scene.geometry.points, moved.points)
    torch.testing.assert_close(scene.gaussians.scales, 3 * synthetic_gaussians(5).scales)


def test_checks_name_the_stage_the_view_and_the_number():
    whole = geometry()
    whole.check("geometry")
    cameras = whole.cameras
    for change, words in (
        (cameras.K * torch.tensor([-1.0, 1, 1])[:, None], "tell: the focal length of view 0 is -"),
        (cameras.K * torch.nan, "tell: the camera of view 0 is not finite"),
    ):
        with pytest.raises(ValueError, match=words):
            replace(cameras, K=change).check("tell")
    for i, factor in ((2, torch.tensor([1.0, 1, -1, 1])), (5, torch.tensor([1.01, 1, 1, 1]))):
        poses = cameras.camera_from_world.clone()
        poses[i] *= factor
        with pytest.raises(ValueError, match=f"tell: the rotation of view {i} is not orthonormal"):
            replace(cameras, camera_from_world=poses).check("tell")
    for name, value, words in (
        ("points", whole.points * torch.nan, "80 points are not finite"),
        ("depth", tuple(torch.full((2, 2), -1.0) for _ in range(6)), "depth of view 0"),
        ("confidence", tuple(torch.full((2, 2), 1.5) for _ in range(6)), "confidence of view 0"),
    ):
        with pytest.raises(ValueError, match=words):
            replace(whole, **{name: value}).check("tell")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("means", float("inf"), "means of Gaussian 3 are not finite"),
        ("quats", 2.0, "the quaternion of Gaussian 3 has length 4"),
        ("scales", 0.0, "a scale of Gaussian 3 is 0"),
        ("opacities", 1.5, "opacities reach from"),
    ],
)
def test_a_check_of_splats_names_the_gaussian_and_the_number(name, value, words):
    gaussians = synthetic_gaussians(5)
    gaussians.check("tell")
    getattr(gaussians, name)[3] = value
    with pytest.raises(ValueError, match=f"tell: {words}"):
        gaussians.check("tell")


def test_splats_have_whole_degrees_and_are_indexed_together():
    gaussians = synthetic_gaussians(5, 2)
    assert gaussians.degree == 2 and len(gaussians[[1, 4]]) == 2
    assert torch.equal(gaussians[gaussians.opacities > 2].means, torch.zeros(0, 3))
    assert torch.equal(gaussians[[4]].sh[0], gaussians.sh[4])
    with pytest.raises(ValueError, match="expected 1, 4, 9 or 16"):
        replace(gaussians, sh=gaussians.sh[:, :5])


def test_indices_of_every_form_are_numbers_of_rows():
    for index in ([0, 2], torch.tensor([0, 2]), torch.tensor([True, False, True]), slice(0, 3, 2), np.array([0, 2])):
        assert as_index(index, 3).tolist() == [0, 2]


def test_pictures_are_fitted_by_their_longest_side_and_never_enlarged():
    assert fitted_size(480, 640, 320) == (240, 320)
    assert fitted_size(640, 480, 320) == (320, 240)
    assert fitted_size(100, 50, 320) == (100, 50)
    assert fitted_size(1, 5000, 100) == (1, 100)
