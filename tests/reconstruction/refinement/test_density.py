"""How many Gaussians photos bear, from scenes whose cameras and points are known."""

from dataclasses import replace

import pytest
import torch

from recon3d.core.synthetic import Synthetic, arc_of_cameras
from recon3d.reconstruction.refinement.density import LEAST, MOST, bearable
from tests.reconstruction.scenes import bare_geometry


def shown_by(views: int):
    """Points in the middle of an arc of cameras, all of which have them in their pictures."""
    geometry = bare_geometry(arc_of_cameras(Synthetic(views=views, height=64, width=64)))
    points = 0.1 * torch.randn(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return replace(geometry, points=points, colors=torch.zeros(50, 3, dtype=torch.uint8), errors=torch.zeros(50).double())


@pytest.mark.parametrize(("views", "expected"), [(4, LEAST), (7, LEAST), (10, (10 / 7) ** 2 * LEAST), (18, MOST)])
def test_density_grows_with_the_square_of_the_photos_that_show_a_place(views: int, expected: float) -> None:
    """From seven photos on; and never beyond MOST."""
    assert bearable(shown_by(views)) == pytest.approx(expected)


def test_points_that_half_of_the_photos_show_bear_what_half_of_them_would() -> None:
    geometry = shown_by(20)
    behind = geometry.cameras.camera_from_world.clone()
    behind[::2, :3, 3] = torch.tensor([0.0, 0, -50], dtype=torch.float64)  # all points lie at their back
    turned = replace(geometry, cameras=replace(geometry.cameras, camera_from_world=behind))
    assert bearable(turned) == pytest.approx(bearable(shown_by(10)))


def test_depth_speaks_where_there_are_no_points_and_nothing_means_the_least() -> None:
    geometry = bare_geometry(arc_of_cameras(Synthetic(views=9, height=64, width=64, arc=4)))
    assert bearable(geometry) == LEAST
    depth = tuple(torch.full((64, 64), 4.0) for _ in range(9))
    assert 1.1 * LEAST < bearable(replace(geometry, depth=depth, confidence=depth)) <= (9 / 7) ** 2 * LEAST
