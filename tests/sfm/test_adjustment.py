"""Models brought to the minimum of their observations, against the truth and against what the truth itself is adjusted to."""

from dataclasses import replace

import numpy as np
import torch

from recon3d.metrics.poses import pair_errors
from recon3d.progress import Progress
from recon3d.sfm.adjustment import at_minimum, distances
from recon3d.sfm.attempts import attempt
from recon3d.sfm.features import cameras_of
from recon3d.sfm.models import Model
from recon3d.sfm.settings import DEFAULT
from tests.sfm.synthetic_matches import Capture, captured, captured_scene, synthetic_views
from tests.sfm.true_models import true_model

PLATE = Capture((0.8, 1.5, 3.0, 1.2, 2.0), arc=40.0, points=200, depth=0.05)


def own_cameras():
    views = replace(synthetic_views(captured(PLATE), lens_known=False), camera_index=torch.arange(len(PLATE.focals)))
    return cameras_of(views, 2000)


def apart(model: Model, other: Model) -> float:
    """Degrees: the largest difference of the rotation between two views."""
    return float(pair_errors(*(torch.from_numpy(m.camera_from_world) for m in (model, other))).rotation.max())


def test_wrong_focal_lengths_are_brought_to_where_the_truth_is_adjusted_to():
    truth = true_model(captured(PLATE))
    lenses = zip(truth.lenses, (0.8, 1.2, 1.2, 0.9, 1.0), strict=True)
    wrong = replace(truth, lenses=tuple(replace(lens, params=(lens.params[0] * f, *lens.params[1:])) for lens, f in lenses))
    from_truth, from_wrong = (at_minimum(model, own_cameras(), False) for model in (truth, wrong))
    assert apart(from_truth, from_wrong) < 0.01
    assert apart(from_wrong, truth) < 1.0
    assert (distances(from_wrong) ** 2).sum() < (distances(truth) ** 2).sum()


def test_an_observation_that_lies_off_at_the_minimum_is_left_out():
    truth = true_model(captured(PLATE))
    xy = truth.xy.copy()
    xy[7] += 6.0
    found = at_minimum(replace(truth, xy=xy), own_cameras(), False)
    assert not (np.abs(found.xy - xy[7]) < 1e-9).all(1).any()
    assert len(found.view) == len(truth.view) - 1 and distances(found).max() < 4.0
    mean = np.bincount(found.point, distances(found)) / np.bincount(found.point)
    assert np.allclose(found.errors, mean)


def test_cameras_of_a_plane_are_found_where_the_mapper_stops_in_a_valley_before_them(tmp_path):
    """COLMAP's mapper ends 1.8 degrees off in the median, at a gradient that is small."""
    focals = np.random.default_rng(4).permutation(np.geomspace(0.7, 6.0, 10)).tolist()
    database, views, truth = captured_scene(tmp_path, Capture(focals, arc=40.0, points=200, depth=0.0, seed=4))
    found = attempt(database, views, DEFAULT, 1, 0, Progress()).model
    assert found is not None and len(found.views) >= 7
    errors = pair_errors(torch.from_numpy(found.camera_from_world), truth.cameras.camera_from_world[list(found.views)])
    assert float(errors.rotation.max()) < 1.0
