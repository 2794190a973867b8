"""The steps to a mesh against closed forms: balls whose depth is exact, Gaussians on one ray, triangles of a known plane."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial import KDTree

from recon3d.core.cameras import Cameras
from recon3d.core.gaussians import Gaussians
from recon3d.core.mesh import Mesh
from recon3d.reconstruction.meshing import volume
from recon3d.reconstruction.meshing.collision import closed_about
from recon3d.reconstruction.meshing.seen import seen_by
from recon3d.reconstruction.meshing.subject import end_of_the_near, subject_box
from recon3d.reconstruction.meshing.surface import normals, surface, without_islands
from recon3d.reconstruction.meshing.volume import SIDE, SLAB, Box, fused, triangles
from recon3d.rendering.cpu.triangles import draw_triangles
from tests.reconstruction.meshing.spheres import ball_of_splats, cameras_all_round, exact_view

pytest.importorskip("skimage", reason="needs the extra mesh")
trimesh = pytest.importorskip("trimesh", reason="needs the extra mesh")

ABOUT = np.full(3, -1.2), np.full(3, 1.2)


def exact_views(**ball) -> list:
    cameras = cameras_all_round()
    return [exact_view(cameras, i, **ball) for i in range(len(cameras))]


def test_three_veils_on_one_ray_take_the_quarters_of_its_light():
    """Opacities of 0.4 leave 0.6, 0.36 and 0.216 of the light: 3/4 is passed at the first, 1/2 at the second, 1/4 at the
    third; two such veils leave more than a quarter, so that no far depth is known."""
    K = torch.tensor([[[100.0, 0, 16], [0, 100, 16], [0, 0, 1]]])
    cameras = Cameras(torch.eye(4)[None], K, torch.tensor([[32, 32]]), torch.zeros(1, dtype=torch.int64))
    veils = Gaussians(
        torch.tensor([[0, 0, 2.0], [0, 0, 3.0], [0, 0, 4.0]]), torch.tensor([[1.0, 0, 0, 0]]).repeat(3, 1),
        torch.full((3, 3), 5.0), torch.full((3,), 0.4), torch.zeros(3, 1, 3),
    )  # fmt: skip
    seen = seen_by(veils, cameras, 0)
    np.testing.assert_allclose(seen.depth[10:22, 10:22], 3)
    np.testing.assert_allclose(seen.thickness[10:22, 10:22], 2)
    assert np.isinf(seen_by(veils[[0, 1]], cameras, 0).thickness).all()
    assert not seen_by(veils[[0]], cameras, 0).depth.any()


def test_exact_depth_from_all_round_becomes_a_closed_ball_across_slabs():
    """All vertices within a tenth of a voxel of radius 1, normals outward, no crack where slabs meet."""
    box = Box.around(*ABOUT, 100)
    assert box.blocks[0] > SLAB and box.blocks[0] * SIDE >= 100
    vertices, faces = triangles(fused(exact_views(), box, 4 * box.voxel), 2)
    mesh = Mesh(vertices, faces, np.zeros((len(vertices), 3), np.uint8))
    off = np.abs(np.linalg.norm(vertices, axis=1) - 1)
    assert np.median(off) < 0.05 * box.voxel and np.percentile(off, 99) < 0.5 * box.voxel
    assert (normals(mesh) * vertices).sum(1).min() > 0.7
    assert mesh.closed() and trimesh.Trimesh(vertices, faces, process=True).is_watertight
    assert trimesh.Trimesh(vertices, faces).volume == pytest.approx(4 / 3 * np.pi, rel=0.01)


def test_slabs_make_what_one_piece_makes(monkeypatch):
    box = Box.around(*ABOUT, 100)
    filled = fused(exact_views(), box, 4 * box.voxel)
    many = triangles(filled, 2)
    monkeypatch.setattr(volume, "SLAB", 1000)
    one = triangles(filled, 2)
    assert len(many[0]) == len(one[0]) and len(many[1]) == len(one[1])
    assert KDTree(one[0]).query(many[0])[0].max() < 1e-5


def test_a_small_island_is_left_out_and_its_absence_counted():
    box = trimesh.creation.icosphere(4, 1.0)
    crumb = trimesh.creation.icosphere(1, 0.01)
    crumb.apply_translation((2, 0, 0))
    vertices, faces = np.concatenate([box.vertices, crumb.vertices]), np.concatenate([box.faces, crumb.faces + len(box.vertices)])
    kept, left_out = without_islands(Mesh(vertices, faces.astype(np.int32), np.zeros((len(vertices), 3), np.uint8)))
    assert left_out == 1 and len(kept.faces) == len(box.faces) and kept.vertices[:, 0].max() <= 1 + 1e-9


def test_a_surface_is_believed_where_two_views_have_it():
    """A ball that only one of the views shows leaves no mesh; one view alone is all there is and is believed."""
    cameras = cameras_all_round()
    none = exact_view(cameras, 0)
    blank = replace(none, depth=np.zeros_like(none.depth))
    assert not len(surface([none, blank], *ABOUT, 64).mesh.faces)
    assert len(surface([none], *ABOUT, 64).mesh.faces)


def test_the_box_ends_before_a_backdrop():
    near, far = np.linspace(1, 3, 1000), np.full(300, 9.0)
    assert end_of_the_near(np.concatenate([near, far])) == pytest.approx(3)
    assert end_of_the_near(near) == 3
    cameras = cameras_all_round()
    low, high = subject_box([exact_view(cameras, i) for i in range(len(cameras))])  # type: ignore[misc]
    assert (np.abs(low + 1) < 0.1).all() and (np.abs(high - 1) < 0.1).all()


def test_a_collision_mesh_is_closed_coarse_and_near():
    mesh = surface(exact_views(), *ABOUT, 100).mesh
    half = mesh.kept(mesh.vertices[mesh.faces][:, :, 1].min(1) > 0)  # an open bowl
    for surface_, volume_is in ((mesh, 4 / 3 * np.pi), (half, None)):
        closed, voxel = closed_about(surface_, None)
        found = trimesh.Trimesh(closed.vertices, closed.faces, process=True)
        assert found.is_watertight and found.volume > 0 and 500 < len(closed.faces) <= 6000
        assert np.abs(np.linalg.norm(closed.vertices, axis=1) - 1).max() < voxel
        if volume_is:
            assert found.volume == pytest.approx(volume_is, rel=0.08)


def test_a_drawn_triangle_has_the_depth_of_its_plane():
    """z = 2 + x / 2 in the camera: at the ray (x, y, 1) the depth is 2 / (1 - x / 2)."""
    corners = np.array([[-3, -3, 0.5], [3, -3, 3.5], [3, 3, 3.5], [-3, 3, 0.5]], np.float64)
    depth, which = draw_triangles(corners, np.array([[0, 1, 2], [0, 2, 3]]), np.eye(4), np.array([40.0, 40, 20, 20]), (40, 40))
    x = (np.arange(40) + 0.5 - 20) / 40
    np.testing.assert_allclose(depth, np.broadcast_to(2 / (1 - x / 2), (40, 40)), rtol=1e-6)
    assert set(np.unique(which)) == {0, 1}


def test_of_splats_the_median_depth_lies_on_the_ball():
    cameras = cameras_all_round(4)
    for i in range(4):
        seen, exact = seen_by(ball_of_splats(), cameras, i), exact_view(cameras, i)
        both = (exact.depth > 0) & (seen.depth > 0) & (exact.weight > 0.5)
        assert both.sum() > 3000 and np.median(np.abs(seen.depth - exact.depth)[both]) < 0.02
