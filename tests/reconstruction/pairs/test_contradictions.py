"""A wall that two cameras see, and pixels of one camera that stand before it in the air."""

from dataclasses import replace

import pytest
import torch

from recon3d.core.cameras import Cameras
from recon3d.core.geometry import Geometry
from recon3d.reconstruction.pairs.contradictions import distrust_contradicted

WALL = 4.0


def two_views_of_a_wall(confidences: tuple[float, float]) -> Geometry:
    """Two cameras side by side, both looking along z at a wall; the first has one pixel half way in front of it."""
    K = torch.tensor([[20.0, 0, 10], [0, 20, 8], [0, 0, 1]], dtype=torch.float64).repeat(2, 1, 1)
    poses = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1)
    poses[1, 0, 3] = -0.2
    cameras = Cameras(poses, K, torch.tensor([[16, 20], [16, 20]]), torch.arange(2))
    depth = torch.full((2, 16, 20), WALL)
    depth[0, 8, 10] = WALL / 2
    none = torch.zeros(0, 3, dtype=torch.float64)
    confidence = tuple(torch.full((16, 20), c) for c in confidences)
    return Geometry(cameras, none, none.to(torch.uint8), none[:, 0], depth=tuple(depth), confidence=confidence)


def test_a_point_in_the_air_loses_its_confidence_where_the_other_picture_is_surer():
    given = two_views_of_a_wall((0.4, 0.6))
    of_first, of_second = distrust_contradicted(given).confidence or ()
    assert of_first[8, 10] == 0 and int((of_first == 0).sum()) == 1
    assert torch.equal(of_second, torch.full((16, 20), 0.6))
    assert given.confidence is not None and given.confidence[0][8, 10] == pytest.approx(0.4)


def test_a_point_in_the_air_stays_where_the_other_picture_is_less_sure():
    given = two_views_of_a_wall((0.6, 0.4))
    assert (distrust_contradicted(given).confidence or ())[0].min() == pytest.approx(0.6)


def test_unknown_depth_contradicts_nothing_and_is_contradicted_by_nothing():
    given = two_views_of_a_wall((0.4, 0.6))
    assert given.depth is not None
    unknown = replace(given, depth=(given.depth[0], torch.zeros(16, 20)))
    assert (distrust_contradicted(unknown).confidence or ())[0].min() == pytest.approx(0.4)
    behind = replace(given, depth=(torch.zeros(16, 20), given.depth[1]))
    assert (distrust_contradicted(behind).confidence or ())[0].min() == pytest.approx(0.4)


def test_geometry_without_depth_is_refused():
    with pytest.raises(ValueError, match="lacks"):
        distrust_contradicted(replace(two_views_of_a_wall((0.4, 0.6)), depth=None))
