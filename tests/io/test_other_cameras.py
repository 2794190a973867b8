"""Cameras of Metashape, RealityScan and OpenSfM against their manuals' formulas, written down here once more by hand."""

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from recon3d.errors import InputError
from recon3d.io.detect import cameras_kind, detect
from recon3d.io.given_cameras import READERS, read_given
from recon3d.io.load import load_views
from tests.io.input_files import save

POINT = np.array([0.4, -0.3, 2.0])  # in the camera
SENSOR = "<f>3000</f><cx>12</cx><cy>-7</cy><b1>4</b1><k1>-0.1</k1><k2>0.02</k2><k3>-0.003</k3><p1>0.001</p1><p2>-0.002</p2>"
TURN = Rotation.from_rotvec([0.3, -1.1, 0.5]).as_matrix()  # chunk_from_camera
WORLD = Rotation.from_rotvec([1.0, 0.2, -0.4]).as_matrix()


def metashape(calibration: str = SENSOR, kind: str = "frame", label: str = "IMG_1") -> str:
    def words(values: np.ndarray) -> str:
        return " ".join(repr(float(v)) for v in values.ravel())

    transform = words(np.block([[TURN, np.array([[1.0], [2], [3]])], [np.zeros((1, 3)), np.ones((1, 1))]]))
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<document version="2.0.0"><chunk label="Chunk 1" enabled="true">
 <sensors next_id="1"><sensor id="0" label="unknown" type="{kind}"><resolution width="4000" height="3000"/>
  <calibration type="{kind}" class="initial"><resolution width="4000" height="3000"/><f>1</f></calibration>
  <calibration type="{kind}" class="adjusted"><resolution width="4000" height="3000"/>{calibration}</calibration>
 </sensor></sensors>
 <components next_id="1" active_id="0"><component id="0" label="Component 1"><transform>
  <rotation locked="true">{words(WORLD)}</rotation><translation locked="true">500000 4650000 100</translation>
  <scale locked="true">2.5</scale></transform></component></components>
 <cameras next_id="3" next_group_id="1">
  <group id="0" label="flight" type="folder">
   <camera id="0" sensor_id="0" component_id="0" label="{label}"><transform>{transform}</transform></camera></group>
  <camera id="1" sensor_id="0" component_id="0" label="IMG_2"/>
 </cameras></chunk></document>"""


def opensfm(**camera: object) -> list[dict]:
    lens = {"projection_type": "brown", "width": 4000, "height": 3000, "focal_x": 0.8, "focal_y": 0.81, "c_x": 0.01,
            "c_y": -0.02, "k1": -0.1, "k2": 0.02, "p1": 0.001, "p2": -0.002, "k3": -0.003, **camera}  # fmt: skip
    shot = {"rotation": [0.3, -1.1, 0.5], "translation": [1.0, 2.0, 3.0], "camera": "v2 a"}
    part = {"cameras": {"v2 a": lens}, "shots": {"a.jpg": shot, "b.jpg": shot}, "points": {}}
    return [{**part, "shots": {"c.jpg": shot}}, part]


def written(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_a_metashape_camera_projects_by_the_formulas_of_its_manual(tmp_path):
    first, second = read_given(written(tmp_path / "cameras.xml", metashape()))
    assert (first.name, second.name) == ("IMG_1", "IMG_2")
    assert second.camera_from_world is None and second.lens == first.lens and first.lens is not None
    in_chunk = TURN @ POINT + [1, 2, 3]
    in_world = 2.5 * WORLD @ in_chunk + [500000, 4650000, 100]
    assert first.camera_from_world is not None
    in_camera = first.camera_from_world[:3] @ [*in_world, 1]
    assert np.abs(in_camera - 2.5 * POINT).max() < 1e-8
    x, y = POINT[:2] / POINT[2]
    r2 = x * x + y * y
    radial = 1 - 0.1 * r2 + 0.02 * r2**2 - 0.003 * r2**3
    bent_x = x * radial + 0.001 * (r2 + 2 * x * x) + 2 * -0.002 * x * y
    bent_y = y * radial + -0.002 * (r2 + 2 * y * y) + 2 * 0.001 * x * y
    expected = [4000 * 0.5 + 12 + bent_x * 3000 + bent_x * 4, 3000 * 0.5 - 7 + bent_y * 3000]
    assert np.abs(first.lens.pixels_of_rays(in_camera[:2] / in_camera[2]) - expected).max() < 1e-6


def test_a_metashape_fisheye_is_the_equidistant_one(tmp_path):
    lens = "<f>1000</f><k1>0.05</k1><k2>-0.01</k2><k4>0.001</k4>"
    camera = read_given(written(tmp_path / "cameras.xml", metashape(lens, "fisheye")))[0]
    assert camera.lens is not None
    r = np.hypot(1.2, 0.9)
    theta = np.arctan(r)
    bent = theta * (1 + 0.05 * theta**2 - 0.01 * theta**4 + 0.001 * theta**8)
    expected = [2000 + 1000 * bent * 1.2 / r, 1500 + 1000 * bent * 0.9 / r]
    assert np.abs(camera.lens.pixels_of_rays(np.array([1.2, 0.9])) - expected).max() < 1e-9


HEADER = "#name,x,y,alt,heading,pitch,roll,f,px,py,k1,k2,k3,k4,t1,t2\n"
CSV = HEADER + "a,0,0,0,0,0,0,18,0,0,0,0,0,0,0,0\n"


def test_a_realityscan_camera_looks_where_its_angles_say(tmp_path):
    """Heading 90 is east, pitch 90 the horizon: north is left, up is up."""
    save(tmp_path / "images" / "a.jpg")  # 64 x 48
    row = "a.jpg,500010,4650020,3,90,90,0,18,0.01,-0.02,-0.1,0.02,-0.003,0,0.001,-0.002\n"
    file = written(tmp_path / "r.csv", HEADER + row + row.replace("a.jpg", "down.jpg").replace("90,90", "0,0"))
    east, down = read_given(file)
    assert east.camera_from_world is not None and down.camera_from_world is not None
    for point, seen in (((5, 0, 0), (0, 0, 5)), ((5, 1, 0), (-1, 0, 5)), ((5, 0, 1), (0, -1, 5))):
        in_world = np.array(point) + [500010, 4650020, 3]
        assert np.abs(east.camera_from_world[:3] @ [*in_world, 1] - seen).max() < 1e-8
    assert np.abs(down.camera_from_world[:3] @ [500011, 4650020, 1, 1] - [1, 0, 2]).max() < 1e-8  # east is right
    views = load_views(detect([tmp_path / "images"]), cameras=file).views
    lens = views.lenses[0]
    assert lens is not None and (lens.width, lens.height) == (64, 48)
    x, y = 0.3, -0.2
    r2 = x * x + y * y
    radial = 1 - 0.1 * r2 + 0.02 * r2**2 - 0.003 * r2**3
    bent = [x * radial + 2 * 0.001 * x * y - 0.002 * (r2 + 2 * x * x), y * radial - 2 * 0.002 * x * y + 0.001 * (r2 + 2 * y * y)]
    expected = [32 + 64 * 0.01 + 32 * bent[0], 24 - 64 * 0.02 + 32 * bent[1]]
    assert np.abs(lens.pixels_of_rays(np.array([x, y])) - expected).max() < 1e-9


def test_omega_phi_kappa_are_photogrammetrys(tmp_path):
    """Looking down with kappa 90, the picture's right is north; omega 90 looks north, phi -90 east."""
    rows = "a.jpg,0,0,0,0,0,90\nb.jpg,0,0,0,90,0,0\nc.jpg,0,0,0,0,-90,0\n"
    cameras = read_given(written(tmp_path / "o.csv", "#name,x,y,z,omega,phi,kappa\n" + rows))
    axes = [np.round(c.camera_from_world[:3, :3]).tolist() for c in cameras if c.camera_from_world is not None]
    assert axes[0][0] == [0, 1, 0] and axes[0][2] == [0, 0, -1]
    assert axes[1][2] == [0, 1, 0] and axes[1][1] == [0, 0, -1]
    assert axes[2][2] == [1, 0, 0]
    assert all(camera.lens is None and camera.unit_lens is None for camera in cameras)


def test_an_opensfm_shot_of_the_largest_reconstruction_projects_by_its_documentation(tmp_path):
    cameras = read_given(written(tmp_path / "reconstruction.json", opensfm()))
    assert [camera.name for camera in cameras] == ["a.jpg", "b.jpg"]
    lens, pose = cameras[0].lens, cameras[0].camera_from_world
    assert lens is not None and pose is not None
    in_world = TURN.T @ (POINT - [1, 2, 3])
    assert np.abs(pose[:3] @ [*in_world, 1] - POINT).max() < 1e-12
    x, y = POINT[:2] / POINT[2]
    r2 = x * x + y * y
    radial = 1 - 0.1 * r2 + 0.02 * r2**2 - 0.003 * r2**3
    u = 0.8 * (x * radial + 2 * 0.001 * x * y - 0.002 * (r2 + 2 * x * x)) + 0.01
    v = 0.81 * (y * radial - 2 * 0.002 * x * y + 0.001 * (r2 + 2 * y * y)) - 0.02
    expected = [u * 4000 + (4000 - 1) / 2 + 0.5, v * 4000 + (3000 - 1) / 2 + 0.5]  # OpenSfM's first pixel centre is at 0
    assert np.abs(lens.pixels_of_rays(np.array([x, y])) - expected).max() < 1e-9


@pytest.mark.parametrize(
    ("kind", "model"),
    [("perspective", "RADIAL"), ("fisheye", "RADIAL_FISHEYE"), ("radial", "OPENCV"), ("simple_radial", "OPENCV")],
)
def test_opensfms_lenses_become_colmaps(tmp_path, kind, model):
    given = {"projection_type": kind, "width": 400, "height": 300, "k1": -0.1}
    given |= {"focal": 0.5} if kind in ("perspective", "fisheye") else {"focal_x": 0.5, "focal_y": 0.6}
    part = opensfm()[0] | {"cameras": {"v2 a": given}}
    camera = read_given(written(tmp_path / "reconstruction.json", [part]))[0]
    assert camera.lens is not None and camera.lens.model == model
    assert (camera.lens.param("fx"), camera.lens.param("cx"), camera.lens.param("k1")) == (200, 200, -0.1)


def test_a_label_without_a_suffix_belongs_to_its_photo_and_a_project_is_an_input(tmp_path):
    save(tmp_path / "photos" / "flight" / "IMG_1.JPG", np.zeros((30, 40, 3), np.uint8))
    small = metashape().replace('width="4000" height="3000"', 'width="40" height="30"')
    file = written(tmp_path / "cameras.xml", small.replace("<f>3000</f>", "<f>30</f>"))
    loaded = load_views(detect([tmp_path / "photos"]), cameras=file)
    assert loaded.views.pose_known.tolist() == [True] and loaded.unmatched_cameras == ("IMG_2",)
    save(tmp_path / "project" / "images" / "a.jpg", np.zeros((30, 40, 3), np.uint8))
    written(tmp_path / "project" / "reconstruction.json", opensfm(width=40, height=30))
    found = detect([tmp_path / "project"])
    assert found.kind == "cameras" and load_views(found).views.pose_known.all()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.xml", metashape(SENSOR + "<k4>0.1</k4>"), r"IMG_1: a frame lens with k4 is not one that others have\. Export undist"),
        ("a.xml", metashape(SENSOR + "<b2>0.1</b2>"), "IMG_1: a frame lens with b2"),
        ("a.xml", metashape(kind="spherical"), "a sensor of the type spherical is not read"),
        ("a.xml", metashape("<fx>1</fx>"), "PhotoScan before 1.2"),
        ("a.xml", metashape(label="IMG_2"), "two cameras labelled IMG_2"),
        ("a.xml", metashape()[:900], "it is not XML"),
        ("a.xml", '<!DOCTYPE x [<!ENTITY y "z">]>' + metashape().partition("?>")[2], "it declares entities"),
        ("a.xml", metashape("<f>one</f>"), "IMG_1: its f is not 1 finite numbers"),
        ("a.csv", HEADER + "a.jpg,0,0,0,0,0,0,18,0,0,-0.1,0.1,0,0.1,0,0", r"a\.jpg: a Brown lens with k4 is not read"),
        ("a.csv", HEADER + "a.jpg,0,0,0,0,0,0,18,0,0,-0.1,0,0,0,0,0", "a lens with k1 alone"),
        ("a.csv", HEADER + "a.jpg,0,0,0,0,0,nan,18,0,0,0,0,0,0,0,0", r"a\.jpg: roll is not a finite number"),
        ("a.csv", HEADER + "a.jpg,0,0", "line 2 has 3 values for 16 columns"),
        ("a.csv", "#name,x,y\na.jpg,0,0\n", "it lacks columns of name, x, y, alt and three angles"),
        ("a.json", opensfm(projection_type="spherical"), "its projection_type 'spherical' is not read"),
        ("a.json", opensfm(projection_type="fisheye_opencv"), "a fisheye_opencv lens with p1, p2 is not read"),
        ("a.json", opensfm(focal_x=None), "it has no focal length"),
        ("a.json", [{"shots": {}, "cameras": {}}], "it holds no shots"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_exactly_is_refused_by_name(tmp_path, name, content, words):
    with pytest.raises(InputError, match=words):
        read_given(written(tmp_path / name, content))


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        (("keyframes/images", "keyframes/cameras"), r"a capture of Polycam.*Give keyframes/images .* transforms\.json"),
        (("rgb", "depth", "metadata"), "a capture of Record3D.*Give rgb for the photos alone"),
    ],
)
def test_captures_of_phones_are_known_by_name_with_what_to_do(tmp_path, folders, words):
    for folder in folders:
        save(tmp_path / folder / "1.jpg")
    for take in (lambda: read_given(tmp_path), lambda: detect([tmp_path])):
        with pytest.raises(InputError, match=words):
            take()


def test_every_kind_of_file_has_a_reader(tmp_path):
    files = {"a.xml": metashape(), "b.csv": CSV, "c.json": opensfm()}
    assert [cameras_kind(written(tmp_path / n, c)) for n, c in files.items()] == ["metashape", "realityscan", "opensfm"]
    assert cameras_kind(written(tmp_path / "d.csv", "time,x\n")) is None
    assert all(len(reader.partition(":")[2]) > 0 for reader in READERS.values())


@pytest.mark.parametrize(("name", "content"), [("a.xml", metashape()), ("a.json", opensfm()), ("a.csv", CSV)])
def test_a_file_with_a_broken_byte_gives_cameras_or_one_input_error(tmp_path, name, content):
    data = bytearray((content if isinstance(content, str) else json.dumps(content)).encode())
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(data), 150):
        broken = data.copy()
        broken[at] = rng.integers(0, 256)
        (tmp_path / name).write_bytes(broken[: at + 1] if at % 5 == 0 else broken)
        with contextlib.suppress(InputError):
            assert read_given(tmp_path / name)
