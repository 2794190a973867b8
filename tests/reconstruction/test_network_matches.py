"""A network's matches carried to undistorted photos, and joined from windows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from recon3d.core.lens import Lens, undistorted
from recon3d.core.matches import Matches
from recon3d.core.views import Views
from recon3d.models.pictures import Answer, geometry_in_network, pixels_of_photos
from recon3d.reconstruction.network_matches import matches_in_undistorted
from recon3d.reconstruction.network_views import in_photos
from recon3d.reconstruction.windows.answer import answer_in_windows
from tests.reconstruction.test_network_views import views  # noqa: F401
from tests.sfm.shared_views import views_of
from tools.benchmarks.joined_windows import EXACT, InventedNetwork, lap, no_matches

HEIGHT, WIDTH = 200, 300
BENT = Lens("OPENCV", (250.0, 260.0, 140.0, 110.0, -0.15, 0.02, 1e-3, -2e-3), HEIGHT, WIDTH)


def flat_views(lens: Lens, mask: np.ndarray | None = None) -> Views:
    """Two undistorted views at half of the photos' size."""
    small = views_of({f"{i}.png": np.zeros((HEIGHT // 2, WIDTH // 2, 3), np.uint8) for i in range(2)}, lens)
    half = torch.diag(torch.tensor([0.5, 0.5, 1], dtype=torch.float64)).repeat(2, 1, 1)
    masks = None if mask is None else (torch.from_numpy(mask), None)
    return replace(small, photo_sizes=torch.tensor([[HEIGHT, WIDTH]] * 2), pixel_from_photo=half, masks=masks)


def matches_at(xy: np.ndarray, view: int = 0) -> Matches:
    return Matches(torch.full((len(xy),), view), torch.arange(len(xy)), torch.from_numpy(xy), 512, "mast3r")


def test_a_bent_photos_matches_lie_where_its_pinhole_sees_the_same_rays():
    """pycolmap says where the lens and its pinhole see a ray."""
    pycolmap = pytest.importorskip("pycolmap")
    random = np.random.default_rng(0)
    rays = np.column_stack([random.uniform(-0.4, 0.4, 50), random.uniform(-0.3, 0.3, 50), np.ones(50)])
    flat = undistorted(BENT)
    cameras = [
        pycolmap.Camera(model=lens.model, width=WIDTH, height=HEIGHT, params=lens.params) for lens in (BENT, flat)
    ]
    taken, straight = (np.array([camera.img_from_cam(ray) for ray in rays]) for camera in cameras)
    inside = ((straight > 0) & (straight < [WIDTH, HEIGHT])).all(1)
    found = matches_in_undistorted(matches_at(taken), flat_views(BENT))
    assert 30 < inside.sum() < 51 and found.track.tolist() == np.flatnonzero(inside).tolist()
    np.testing.assert_allclose(found.xy.numpy(), straight[inside], atol=1e-6)
    assert np.abs(taken - straight).max() > 1


def test_what_a_mask_covers_has_no_matches():
    mask = np.ones((HEIGHT // 2, WIDTH // 2), bool)
    mask[20:30, 40:50] = False
    xy = np.array([[80.0, 40.0], [79.9, 40.0], [99.9, 59.9], [100.1, 50.0], [-0.1, 5.0], [299.9, 199.9]])
    pinhole = Lens("PINHOLE", (250.0, 250.0, 150.0, 100.0), HEIGHT, WIDTH)
    assert matches_in_undistorted(matches_at(xy), flat_views(pinhole, mask)).track.tolist() == [1, 3, 5]
    assert matches_in_undistorted(matches_at(xy, view=1), flat_views(pinhole, mask)).track.tolist() == [0, 1, 2, 3, 5]


def test_pixels_of_pictures_are_pixels_of_photos_by_the_way_back():
    """A photo of 300 pixels in a picture of 150, padded by 7 on the left and cropped by 3 above: centres stay centres."""
    way = torch.tensor([[0.5, 0, 7], [0, 0.5, -3], [0, 0, 1]], dtype=torch.float64)
    found = pixels_of_photos(torch.tensor([[7.25, -2.75], [82.0, 47.0]]), torch.tensor([1, 1]), torch.stack((way * 9, way)))
    assert found.tolist() == [[0.5, 0.5], [150.0, 100.0]]


def test_matches_of_an_answer_reach_the_geometry_of_its_photos(views):  # noqa: F811
    matches = Matches(torch.tensor([0, 1]), torch.tensor([0, 0]), torch.tensor([[5.5, 6.5], [7.5, 8.5]]).double(), 64, "vggt")
    eye = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1)
    maps, K = torch.ones(2, 30, 40), torch.tensor([[30.0, 0, 20], [0, 30, 15], [0, 0, 1]]).repeat(2, 1, 1)
    known = geometry_in_network(eye[:, :3], K, maps, maps, "vggt")
    way = torch.diag(torch.tensor([0.2, 0.2, 1], dtype=torch.float64)).repeat(2, 1, 1)
    answer = Answer(known, way, torch.tensor([[0.0, 0, 40, 30]] * 2).double(), matches=matches)
    _, geometry = in_photos(answer, views, max_size=120)
    assert geometry.matches is not None and torch.equal(geometry.matches.xy, matches.xy)
    assert geometry.matches.longest == 0.2 * int(views.photo_sizes.max())  # of whole photos, whatever a picture was cut to
    assert in_photos(replace(answer, matches=None), views, max_size=120)[1].matches is None


def test_windows_matches_are_between_the_views_by_their_numbers():
    hall = lap(20)
    network, order = InventedNetwork(hall, EXACT, 0), [*range(10, 20), *range(10)]

    def run(some: tuple[int, ...]) -> Answer:
        """A track through all views of a window, whose places say which view it is."""
        xy = torch.tensor(some, dtype=torch.float64)[:, None].expand(-1, 2)
        view = torch.arange(len(some))
        return replace(network(some), matches=Matches(view, torch.zeros_like(view), xy, 64, "vggt"))

    found = answer_in_windows(run, order, 8, 4, None, no_matches)
    matches = found.answer.matches
    assert matches is not None and torch.equal(matches.view.double(), matches.xy[:, 0])
    assert [matches.view[matches.track == track].tolist() for track in range(len(found.cut))] == [list(c) for c in found.cut]
    assert answer_in_windows(network, order, 8, 4, None, no_matches).answer.matches is None
