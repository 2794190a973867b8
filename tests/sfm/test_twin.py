"""Rivals, as the twin of long lenses: they lose against the right model, win against a wrong one, and tie where they must."""

import numpy as np
import pytest
import torch

from recon3d.core.lens import Lens
from recon3d.metrics.poses import pair_errors
from recon3d.sfm import twin
from recon3d.sfm.adjustment import adjusted, at_minimum, distances
from recon3d.sfm.features import Camera
from recon3d.sfm.twin import CLEARLY, HOPELESS, depth_reversed, farther, is_reversed, rival
from tests.sfm.synthetic_matches import Capture, captured
from tests.sfm.true_models import true_model

START = Lens("SIMPLE_RADIAL", (1536.0, 640.0, 480.0, 0.0), 960, 1280)


def one_camera(views: int, known: bool = False) -> tuple[Camera, ...]:
    return (Camera(tuple(range(views)), START, known, known),)


@pytest.mark.parametrize(("focal", "seed"), [(1.2, 0), (3.0, 1), (6.0, 2)])
def test_the_right_model_of_long_lenses_fits_clearly_better_than_its_twin(focal, seed):
    truth = true_model(captured(Capture((focal,) * 4, arc=20.0, points=150, shared=True, seed=seed)))
    found = rival(truth, one_camera(4), distortion=False)
    assert found is None or found.lead > CLEARLY


@pytest.mark.parametrize(("depth", "arc", "seed"), [(1.0, 37.0, 2), (1.0, 30.0, 5), (0.1, 50.0, 2)])
def test_twins_that_trail_far_with_their_lenses_held_are_compared_no_further(monkeypatch, depth, arc, seed):
    """And the whole search says the same of them. The last is so flat that other planes are looked for all the same."""
    truth = true_model(captured(Capture((1.5,) * 4, arc=arc, points=900, depth=depth, shared=True, seed=seed)))
    whole = []
    freed = twin.with_its_lenses
    monkeypatch.setattr(twin, "with_its_lenses", lambda *given: whole.append(freed(*given)) or whole[-1])
    soon = rival(truth, one_camera(4), distortion=False)
    assert soon is not None and soon.lead > HOPELESS and not whole
    monkeypatch.setattr(twin, "HOPELESS", np.inf)
    found = rival(truth, one_camera(4), distortion=False)
    assert whole and found is not None and found.lead > 3 * CLEARLY


@pytest.mark.parametrize(
    ("focal", "arc", "points", "seed"), [(3.0, 16.0, 150, 1), (6.0, 20.0, 150, 3), (1.5, 37.0, 700, 2), (2.2, 28.0, 700, 11)]
)
def test_the_twin_of_a_depth_reversed_model_fits_clearly_better_and_is_right(focal, arc, points, seed):
    truth = true_model(captured(Capture((focal,) * 4, arc=arc, points=points, shared=True, seed=seed)))
    wrong = depth_reversed(truth, 2.0, [0, 1, 2, 3])
    found = rival(wrong, one_camera(4), distortion=False)
    assert found is not None and found.lead < -CLEARLY
    errors = pair_errors(*(torch.from_numpy(m.camera_from_world) for m in (found.model, truth)))
    assert float(errors.rotation.max()) < 0.5


def test_another_plane_that_shorter_lenses_see_from_nearer_trails_the_right_one():
    """Six cameras of their own: with other focal lengths all views agree with the plane, up to 17 degrees off."""
    focals = np.random.default_rng(7).permutation(np.geomspace(0.7, 6.0, 6)).tolist()
    truth = true_model(captured(Capture(focals, arc=30.0, points=150, depth=0.0, seed=7)))
    own = tuple(Camera((view,), START, False, False) for view in range(6))
    nearer = farther(truth, np.median(truth.points, 0), np.full(6, 0.3), list(range(6)))
    wrong = at_minimum(adjusted(nearer, own, refine_focal=False, iterations=30), own, False)
    assert len(wrong.view) == len(truth.view) and distances(wrong).max() < 4.0
    found = rival(wrong, own, distortion=False)
    assert found is not None and found.lead < -CLEARLY
    of_wrong, of_found = (
        float(pair_errors(*(torch.from_numpy(m.camera_from_world) for m in (model, truth))).rotation.max())
        for model in (wrong, found.model)
    )
    assert of_wrong > 10.0 and of_found < 2.0
    back = rival(found.model, own, distortion=False)
    assert back is None or back.lead > CLEARLY


def test_of_parallel_rays_neither_fits_clearly_better():
    truth = true_model(captured(Capture((60.0,) * 4, arc=20.0, points=150)))
    held = tuple(Camera((i,), lens, True, True) for i, lens in enumerate(truth.lenses))
    found = rival(truth, held, distortion=False)
    assert found is not None and abs(found.lead) < CLEARLY


def test_parallel_rays_see_the_mirrored_points_where_the_points_were():
    truth = true_model(captured(Capture((1000.0,) * 3, arc=30.0, points=50, noise=0.0)))
    mirrored = depth_reversed(truth, 1.0, [])
    assert np.linalg.det(mirrored.camera_from_world[:, :3, :3]) == pytest.approx([1, 1, 1])
    assert distances(mirrored).max() < 0.5 and is_reversed(truth, mirrored) and not is_reversed(truth, truth)
