"""Given cameras on synthetic matches: held to the bit, extended to other views, and told where they are mistaken."""

import numpy as np
import pytest
import torch

from recon3d.core.rotations import rotation_from_vector
from recon3d.core.synthetic import synthetic_geometry
from recon3d.errors import InputError
from recon3d.metrics.poses import pair_errors
from recon3d.progress import Progress
from recon3d.sfm.camera_axes import matrix, mistakes, without
from recon3d.sfm.features import cameras_of
from recon3d.sfm.given_cameras import epipolar_errors, given_poses, register_to_given
from recon3d.sfm.held_back import view_matches
from recon3d.sfm.matching import read_keypoints, read_matches
from tests.sfm.synthetic_matches import SCENE, synthetic_scene

FLIP = np.diag([1.0, -1, -1, 1])
HALF_TURN_Y = np.diag([-1.0, 1, -1, 1])
UNITY = np.diag([1.0, -1, 1, 1])  # y up, and so left-handed, of cameras and world
FORWARD_LEFT_UP = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])  # a robot's, of OpenCV's axes


def given(change=lambda poses: poses, unknown: tuple[int, ...] = ()) -> np.ndarray:
    """The true camera_from_world of SCENE in another frame and unit, changed, NaN where unknown."""
    poses = synthetic_geometry(SCENE).cameras.camera_from_world.numpy().copy()
    poses[:, :3, 3] *= 7.3
    poses = change(poses)
    poses[list(unknown)] = np.nan
    return poses


def registered(folder, poses, **options):
    database, views, truth = synthetic_scene(folder, poses=poses, **options)
    progress = Progress()
    return *register_to_given(database, views, 2000, 1, 0, "cameras.json", progress), views, truth, progress


def test_given_poses_and_lenses_come_out_to_the_bit_with_points_in_their_frame(tmp_path):
    poses = given()
    model, disagreement, views, truth, _ = registered(tmp_path, poses)
    assert model.camera_from_world.tobytes() == poses.tobytes()
    assert model.lenses == views.lenses
    nearest = torch.cdist(torch.from_numpy(model.points), 7.3 * truth.points).min(1).values
    assert len(model.points) > 380 and float(nearest.median()) < 0.02 * 7.3
    assert disagreement["explanation"] is None and not disagreement["disagrees"]
    assert disagreement["agreeing"] > 0.99


def test_photos_without_a_pose_are_registered_to_the_given_ones_which_stay_exact(tmp_path):
    poses = given(unknown=(1, 4))
    model, _, _, truth, _ = registered(tmp_path, poses)
    assert model.views == (0, 1, 2, 3, 4)
    known = [0, 2, 3]
    assert model.camera_from_world[known].tobytes() == poses[known].tobytes()
    errors = pair_errors(torch.from_numpy(model.camera_from_world), truth.cameras.camera_from_world)
    assert float(errors.worst.max()) < 0.5
    centers = [-np.linalg.inv(p[:3, :3]) @ p[:3, 3] for p in (model.camera_from_world[4], given()[4])]
    assert np.linalg.norm(centers[0] - centers[1]) < 0.02 * 7.3 * 4  # the given frame and unit, not only the angles


def test_an_unknown_lens_is_found_from_given_poses(tmp_path):
    model, disagreement, _, truth, _ = registered(tmp_path, given(), lens_known=False)
    assert model.lenses[0].param("fx") == pytest.approx(float(truth.cameras.K[0, 0, 0]), rel=0.01)
    assert not disagreement["disagrees"]


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        (np.linalg.inv, "the matrices are inverse: they map cameras into the world"),
        (lambda p: FLIP @ p, "the y and z axes of the cameras are flipped: half a turn about x, as between OpenGL and OpenCV"),
        (lambda p: np.linalg.inv(FLIP @ p), "the matrices are inverse: .*; and the y and z axes of the cameras are flipped"),
        (lambda p: HALF_TURN_Y @ p, "the cameras look the other way: half a turn about their y axis"),
        (lambda p: FORWARD_LEFT_UP @ p, "what should be right, down and forward is forward, left and up in the photos"),
        (lambda p: UNITY @ p @ UNITY, r"the cameras are mirrored, as where .* left-handed .* is right, up and forward"),
    ],
)
def test_a_usual_mistake_in_given_cameras_is_named(tmp_path, mistake, words):
    with pytest.raises(InputError, match=rf"^cameras\.json: only \d+% of the matches can be .*{words}.* would leave 0\.\d"):
        registered(tmp_path, given(mistake))


def test_a_mistake_is_named_where_the_lens_is_unknown_too(tmp_path):
    with pytest.raises(InputError, match="the cameras look the other way: half a turn about their y axis would leave 0"):
        registered(tmp_path, given(lambda poses: HALF_TURN_Y @ poses), lens_known=False)


def test_a_turned_world_is_no_mistake(tmp_path):
    """Matches agree with relative poses, which do not know how the world's axes are turned."""
    turn = np.eye(4)
    turn[:3, :3] = rotation_from_vector(torch.tensor([0.3, -2.0, 1.1], dtype=torch.float64)).numpy()
    _, disagreement, *_ = registered(tmp_path, given(lambda poses: poses @ turn))
    assert not disagreement["disagrees"] and disagreement["agreeing"] > 0.99


def test_each_mistake_is_undone_by_its_own_axes():
    poses = given()[0]
    assert len(set(mistakes())) == 96 and mistakes()[0].words == ""
    for mistake in mistakes():
        made = np.eye(4)
        made[:3, :3] = np.linalg.inv(matrix(mistake.axes))
        made = made @ poses
        assert np.allclose(without(mistake, np.linalg.inv(made) if mistake.inverted else made), poses)
        assert ("mirrored" in mistake.words) == (np.linalg.det(matrix(mistake.axes)) < 0)


def test_cameras_of_other_photos_are_refused_without_an_explanation(tmp_path):
    def others(poses):
        """Every camera turned its own way on the spot."""
        generator = torch.Generator().manual_seed(0)
        turns = rotation_from_vector(torch.randn(len(poses), 3, generator=generator, dtype=torch.float64)).numpy()
        poses[:, :3] = turns @ poses[:, :3]
        return poses

    with pytest.raises(InputError, match=r"how the world's axes are turned does not matter\)\. Check that they belong"):
        registered(tmp_path, given(others))


def test_slightly_wrong_cameras_are_followed_and_the_note_says_how_far_they_are(tmp_path):
    def nudged(poses):
        poses[:, :3, 3] += 0.025 * 7.3 * np.random.default_rng(0).normal(size=(len(poses), 3))
        return poses

    poses = given(nudged)
    model, disagreement, _, _, progress = registered(tmp_path, poses)
    assert model.camera_from_world.tobytes() == poses.tobytes()
    assert disagreement["disagrees"] and disagreement["explanation"] is None
    assert progress.notes == [
        f"the given cameras are {disagreement['median_pixels']:.1f} pixels (median) from what the photos show; "
        "no turned, mirrored or inverse camera axes explain it (how the world's axes are turned does not matter)"
    ]


def test_cameras_that_leave_hardly_a_point_are_refused_and_the_error_says_how_far_they_are(tmp_path):
    def nudged(poses):
        poses[:, :3, 3] += 0.04 * 7.3 * np.random.default_rng(0).normal(size=(len(poses), 3))
        return poses

    with pytest.raises(InputError, match=r"only \d+ points can be triangulated with the 5 given cameras: .* pixels \(median\)"):
        registered(tmp_path, given(nudged))


def test_epipolar_errors_of_true_cameras_are_those_of_the_noise(tmp_path):
    """The Sampson distance of isotropic noise of s pixels in both views is a normal with standard deviation s."""
    database, views, _ = synthetic_scene(tmp_path, poses=given())
    matches = view_matches(read_matches(database), read_keypoints(database, len(views)))
    errors, rows = epipolar_errors(matches, cameras_of(views, 2000), given_poses(views))
    assert len(rows) == len(matches)
    assert np.sqrt((errors**2).mean()) == pytest.approx(SCENE.pixel_noise, rel=0.05)


def test_a_single_given_pose_is_refused(tmp_path):
    with pytest.raises(InputError, match="1 of 5 photos has a given pose, and points need two"):
        registered(tmp_path, given(unknown=(1, 2, 3, 4)))
