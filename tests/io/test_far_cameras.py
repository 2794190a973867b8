"""Cameras far from zero whose rotations have few digits: every file shows their points where every other one does."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from recon3d.core.cameras import Cameras
from recon3d.core.geometry import Geometry, Tracks
from recon3d.core.known_camera import KnownCamera
from recon3d.core.lens import Lens
from recon3d.core.origin import local_origin, moved_pose
from recon3d.core.scene import Scene
from recon3d.core.synthetic import synthetic_gaussians
from recon3d.core.views import Views
from recon3d.io.cameras_json import read_cameras, write_known
from recon3d.io.colmap_model import read_model
from recon3d.io.metashape_xml import read_metashape
from recon3d.io.transforms_json import OPENCV_FROM_OPENGL, read_transforms
from recon3d.pipeline.outputs import write_cameras_files
from recon3d.sfm.pycolmap import colmap

FAR = np.array([500_000.0, 5_000_000.0, 100.0])
K = np.array([[1000.0, 0, 500], [0, 1000, 400], [0, 0, 1]])
LENS = Lens.pinhole(K, 800, 1000)
NAMES = tuple(f"{i}.jpg" for i in range(6))
AGREE = 1e-3  # pixels


def noisy(seed: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """[6,4,4] camera_from_world far away with rotations off by `noise`, and [6,20,3] points that each of them sees."""
    generator = np.random.default_rng(seed)
    true = Rotation.from_quat(generator.normal(size=(6, 4))).as_matrix()
    centers = FAR + generator.uniform(-20, 20, (6, 3))
    camera_from_world = np.tile(np.eye(4), (6, 1, 1))
    camera_from_world[:, :3, :3] = true + generator.uniform(-noise, noise, (6, 3, 3))
    camera_from_world[:, :3, 3] = -(camera_from_world[:, :3, :3] @ centers[..., None])[..., 0]
    seen = generator.uniform((-2, -2, 4), (2, 2, 12), (6, 20, 3))
    return camera_from_world, centers[:, None] + np.einsum("nji,npj->npi", true, seen)


def pixels(poses, points: np.ndarray) -> np.ndarray:
    """[6,20,2] of camera_from_world by the file's own numbers, about the first camera so that float64 has digits for it."""
    poses = np.asarray(poses, np.float64)
    in_camera = np.einsum("nij,npj->npi", poses[:, :3, :3], points - FAR)
    in_camera += (poses[:, :3, :3] @ FAR + poses[:, :3, 3])[:, None]
    on_plane = in_camera @ K.T
    return on_plane[..., :2] / on_plane[..., 2:]


def put_cameras(path: Path, poses: np.ndarray) -> Path:
    images = [
        {"name": n, "width": 1000, "height": 800, "K": K.tolist(), "camera_from_world": p.tolist(), "distortion": None}
        for n, p in zip(NAMES, poses, strict=True)
    ]
    path.write_text(json.dumps({"version": 1, "convention": "opencv", "unit": "metre", "images": images}))
    return path


def put_transforms(path: Path, poses: np.ndarray) -> Path:
    frames = [
        {"file_path": n, "transform_matrix": (np.linalg.inv(p) @ OPENCV_FROM_OPENGL).tolist()}
        for n, p in zip(NAMES, poses, strict=True)
    ]
    path.write_text(json.dumps({"frames": frames}))
    return path


def put_metashape(path: Path, poses: np.ndarray) -> Path:
    def words(values: np.ndarray) -> str:
        return " ".join(repr(float(v)) for v in values.ravel())

    rows = [
        f'<camera id="{i}" sensor_id="0" label="{n}"><transform>{words(np.linalg.inv(p))}</transform></camera>'
        for i, (n, p) in enumerate(zip(NAMES, poses, strict=True))
    ]
    calibration = '<calibration type="frame" class="adjusted"><f>1000</f></calibration>'
    sensor = f'<sensor id="0" type="frame"><resolution width="1000" height="800"/>{calibration}</sensor>'
    chunk = f"<chunk><sensors>{sensor}</sensors><cameras>{''.join(rows)}</cameras></chunk>"
    path.write_text(f'<?xml version="1.0"?>\n<document version="2.0.0">{chunk}</document>')
    return path


def scene_of(known: tuple[KnownCamera, ...]) -> Scene:
    """As a run makes it of these cameras: about an origin."""
    poses = np.stack([camera.camera_from_world for camera in known if camera.camera_from_world is not None])
    about = local_origin(-np.linalg.solve(poses[:, :3, :3], poses[:, :3, 3:])[..., 0])
    local = torch.from_numpy(moved_pose(poses, -about))
    sizes, index = torch.tensor([[800, 1000]] * len(known)), torch.zeros(len(known), dtype=torch.int64)
    cameras = Cameras(local, torch.from_numpy(K).repeat(len(known), 1, 1), sizes, index)
    images = (torch.zeros(3, 8, 10, dtype=torch.uint8),) * len(known)
    views = Views(
        NAMES, images, None, torch.eye(3, dtype=torch.float64).repeat(len(known), 1, 1), sizes, index, index.bool(),
        (None,) * len(known), (LENS,) * len(known), (None,) * len(known),
    )  # fmt: skip
    none = torch.zeros(0, 3, dtype=torch.float64)
    tracks = Tracks(index[:0], index[:0], none[:, :2])
    geometry = Geometry(cameras, none, none.byte(), none[:, 0], tracks)
    return Scene(synthetic_gaussians(3), geometry, views, tuple(about.tolist()))


def read_back(scene: Scene, folder: Path, origin) -> dict[str, list]:
    """What the three files of a run say, each by its own reader and the model also as text and by pycolmap, in the world."""
    assert scene.geometry is not None
    folder.mkdir()
    write_cameras_files(scene, scene.geometry.cameras, NAMES, folder, origin)
    model = colmap.Reconstruction(folder / "sparse" / "0")
    (folder / "text").mkdir()
    model.write_text(folder / "text")
    shift = np.array(scene.origin) if origin == "local" else np.zeros(3)
    of_pycolmap = [KnownCamera("", None, np.vstack([model.image(i + 1).cam_from_world().matrix(), [0, 0, 0, 1]]))
                   for i in range(len(NAMES))]  # fmt: skip
    found = {
        "cameras.json": read_cameras(folder / "cameras.json"),
        "transforms.json": read_transforms(folder / "transforms.json"),
        "sparse/0": [c.moved(shift) for c in read_model(folder / "sparse" / "0").cameras],
        "text": [c.moved(shift) for c in read_model(folder / "text").cameras],
        "pycolmap": [c.moved(shift) for c in of_pycolmap],
    }
    return {name: [c.camera_from_world for c in cameras] for name, cameras in found.items()}


@pytest.mark.parametrize("origin", ["keep", "local"])
@pytest.mark.parametrize("noise", [0, 1e-7, 1e-6, 1e-4, 3e-3])
@pytest.mark.parametrize("seed", range(3))
def test_the_files_of_a_run_agree_though_given_rotations_have_few_digits(tmp_path, seed, noise, origin):
    poses, points = noisy(seed, noise)
    given = read_cameras(put_cameras(tmp_path / "given.json", poses))
    expected = pixels([camera.camera_from_world for camera in given], points)
    assert np.abs(expected - pixels(poses, points)).max() < AGREE + 5000 * noise  # as given, but for what is no rotation
    for name, found in read_back(scene_of(given), tmp_path / "run", origin).items():
        assert np.abs(pixels(found, points) - expected).max() < AGREE, name


@pytest.mark.parametrize("origin", ["keep", "local"])
def test_cameras_of_single_precision_that_a_run_moved_stay_in_their_places(tmp_path, origin):
    """Their rotations come from networks or refinement, not from a reader: whatever is not exact in them goes into files."""
    poses, points = noisy(5, 0)
    scene = scene_of(tuple(KnownCamera(n, LENS, p) for n, p in zip(NAMES, poses, strict=True)))
    assert scene.geometry is not None
    cameras = replace(
        scene.geometry.cameras, camera_from_world=scene.geometry.cameras.camera_from_world.float().double()
    )
    scene = replace(scene, geometry=replace(scene.geometry, cameras=cameras))
    expected = pixels([KnownCamera("", None, p.numpy()).moved(np.array(scene.origin)).camera_from_world
                       for p in cameras.camera_from_world], points)  # fmt: skip
    for name, found in read_back(scene, tmp_path / "run", origin).items():
        assert np.abs(pixels(found, points) - expected).max() < AGREE, name


@pytest.mark.parametrize(
    ("put", "read"),
    [
        (put_cameras, read_cameras),
        (put_transforms, read_transforms),
        (put_metashape, read_metashape),
    ],
)
@pytest.mark.parametrize("noise", [0, 1e-6, 1e-4, 3e-3])
def test_a_camera_stands_where_its_file_says_and_its_rotation_is_one(tmp_path, put, read, noise):
    poses, _ = noisy(7, noise)
    suffix = ".xml" if read is read_metashape else ".json"
    found = np.stack([camera.camera_from_world for camera in read(put(tmp_path / f"given{suffix}", poses))])
    rotations = found[:, :3, :3]
    assert np.abs(rotations @ rotations.transpose(0, 2, 1) - np.eye(3)).max() < 1e-12
    true = -np.linalg.solve(poses[:, :3, :3], poses[:, :3, 3:])
    assert np.abs(-rotations.transpose(0, 2, 1) @ found[:, :3, 3:] - true).max() < 1e-7
    if noise == 0 and read is read_cameras:
        assert (found == poses).all()


def test_a_matrix_of_single_precision_keeps_its_bits(tmp_path):
    """Data sets are kept so, and converted back and forth; its translation has no digits that its rotation lacks."""
    poses, _ = noisy(11, 0)
    poses[:, :3, 3] -= poses[:, :3, :3] @ -FAR
    single = poses.astype(np.float32).astype(np.float64)
    read = read_cameras(put_cameras(tmp_path / "given.json", single))
    found = np.stack([camera.camera_from_world for camera in read if camera.camera_from_world is not None])
    assert (found == single).all()


@pytest.mark.parametrize("about", [np.zeros(3), np.round(FAR)])
def test_located_photos_are_written_where_they_stand(tmp_path, about):
    poses, points = noisy(9, 1e-8)
    known = [KnownCamera(n, LENS, p) for n, p in zip(NAMES, poses, strict=True)]
    write_known(tmp_path / "located.json", known, unit="metres", source="x", origin=about)
    found = [camera.camera_from_world for camera in read_cameras(tmp_path / "located.json")]
    assert np.abs(pixels(found, points) - pixels(poses, points)).max() < AGREE
