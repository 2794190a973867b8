"""Standard deviations of focal lengths, against a dense covariance and against the spread of what is found."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from recon3d.sfm.acceptance import MAX_FOCAL_DEVIATION
from recon3d.sfm.focal_deviation import UNDETERMINED, focal_deviations
from tests.sfm.synthetic_matches import Capture, captured
from tests.sfm.true_models import true_model


def deviation(capture: Capture) -> float:
    model = true_model(captured(capture))
    camera = np.zeros(len(model.views), int) if capture.shared else np.arange(len(model.views))
    return float(focal_deviations(model, camera, distortion=False).max())


@pytest.mark.parametrize("focal", [1.2, 3.0, 6.0])
@pytest.mark.parametrize("depth", [1.0, 0.05])
def test_a_focal_length_is_determined_by_views_from_far_apart_and_not_by_a_narrow_scene(focal, depth):
    """Of four views within 6 degrees the best found focal length was 8 to 70 % off over three seeds, within 20 degrees 1 to
    12 %, whether the lens was long or not."""
    wide, narrow = (deviation(Capture((focal,) * 4, arc, depth=depth, shared=True)) for arc in (20.0, 6.0))
    assert wide < MAX_FOCAL_DEVIATION < narrow


def test_a_plane_seen_from_the_front_determines_no_focal_length():
    model = true_model(captured(Capture((1.2,) * 3, arc=0.0, depth=0.0, shared=True)))
    assert focal_deviations(model, np.zeros(3, int), distortion=False).min() > 0.5


def test_a_deviation_is_that_of_the_dense_normal_equations():
    """The same by differences of projections in all unknowns at once, and by a pseudo-inverse in place of a reduced system.
    The weak prior of one focal length acts on the others, which is left out here."""
    model = true_model(captured(Capture((0.8, 1.5, 3.0), arc=40.0, points=25)))
    found = focal_deviations(model, np.arange(3), distortion=True)
    assert found == pytest.approx((dense_deviations(model) ** -2 + UNDETERMINED**-2) ** -0.5, rel=0.02)


def dense_deviations(model) -> np.ndarray:
    def off(x: np.ndarray) -> np.ndarray:
        views, points = x[: 8 * 3].reshape(3, 8), model.points + x[24:].reshape(-1, 3)
        found = []
        for i, (step, lens) in enumerate(zip(views, model.lenses, strict=True)):
            mine = model.view == i
            camera = model.camera_from_world[i]
            seen = points[model.point[mine]] @ camera[:3, :3].T + camera[:3, 3]
            seen = seen @ Rotation.from_rotvec(step[:3]).as_matrix().T + step[3:6]
            rays = seen[:, :2] / seen[:, 2:]
            rays = rays * (1 + step[7] * (rays**2).sum(1, keepdims=True))
            K = lens.K
            found.append(rays * K[0, 0] * np.exp(step[6]) + K[:2, 2] - model.xy[mine])
        return np.concatenate(found).ravel()

    unknowns = 24 + model.points.size
    step = 1e-5
    J = np.stack([(off(e) - off(-e)) / (2 * step) for e in step * np.eye(unknowns)], 1)
    rows, squares = model.view[np.argsort(model.view, kind="stable")].repeat(2), off(np.zeros(unknowns)) ** 2
    J /= np.sqrt(np.bincount(rows, squares) / np.bincount(rows) * len(J) / (len(J) - unknowns))[rows, None]
    normal = J.T @ J
    scale = np.sqrt(np.diag(normal))
    covariance = np.linalg.pinv(normal / np.outer(scale, scale), rcond=1e-9) / np.outer(scale, scale)
    return np.sqrt(np.diag(covariance))[[6, 14, 22]]
