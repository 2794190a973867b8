"""COLMAP's models against pycolmap both ways, the text form, and files that lie."""

import contextlib
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recon3d.core.lens import MODELS, Lens
from recon3d.core.synthetic import Synthetic, synthetic_geometry
from recon3d.errors import InputError
from recon3d.io.colmap_model import read_model, write_model
from recon3d.io.colmap_records import OTHER_MODELS
from recon3d.sfm.pycolmap import colmap
from tests.io.input_files import cuts
from tests.shared_folder import shared

QUICK = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
NAMES = ("a.jpg", "b/ä 1.jpg", "c.png", "d.jpg", "e.jpg")
LENSES = (
    Lens("PINHOLE", (300.0, 301.0, 160.5, 119.0), 240, 320),
    Lens("SIMPLE_RADIAL", (280.0, 160.0, 120.0, -0.02), 240, 320),
)


def arrays():
    """The arguments of write_model after the folder: five views, two cameras, 60 points, noisy tracks."""
    geometry = synthetic_geometry(Synthetic(views=5, points=60, pixel_noise=0.7, missing=0.2))
    index = np.array([0, 0, 1, 0, 1])
    assert geometry.tracks is not None
    return {
        "names": NAMES,
        "lenses": [LENSES[i] for i in index],
        "camera_index": index,
        "camera_from_world": geometry.cameras.camera_from_world.numpy(),
        "points": geometry.points.numpy(),
        "colors": geometry.colors.numpy(),
        "errors": geometry.errors.numpy(),
        "track_view": geometry.tracks.view.numpy(),
        "track_point": geometry.tracks.point.numpy(),
        "track_xy": geometry.tracks.xy.numpy(),
    }


def observations(view, point, xy) -> set:
    return {(int(v), int(p), float(x), float(y)) for v, p, (x, y) in zip(view, point, xy, strict=True)}


def test_pycolmap_reads_poses_lenses_points_and_tracks_as_they_were_written(tmp_path):
    given = arrays()
    write_model(tmp_path, **given)
    model = colmap.Reconstruction(tmp_path)
    assert (model.num_images(), model.num_cameras(), model.num_points3D()) == (5, 2, 60)
    seen = set()
    for number, image in model.images.items():
        i = number - 1
        assert image.name == NAMES[i]
        camera = model.cameras[image.camera_id]
        lens = given["lenses"][i]
        assert (camera.model.name, camera.height, camera.width) == (lens.model, lens.height, lens.width)
        assert tuple(camera.params) == lens.params
        np.testing.assert_allclose(camera.calibration_matrix(), lens.K, rtol=0, atol=0)
        pose = image.cam_from_world().matrix()
        np.testing.assert_allclose(pose, given["camera_from_world"][i, :3], rtol=0, atol=1e-14)
        seen |= {(i, p.point3D_id - 1, *p.xy) for p in image.points2D if p.has_point3D()}
    assert seen == observations(given["track_view"], given["track_point"], given["track_xy"])
    for number, point in model.points3D.items():
        p = number - 1
        assert (point.xyz == given["points"][p]).all() and (point.color == given["colors"][p]).all()
        assert point.error == given["errors"][p]
        assert point.track.length() == (given["track_point"] == p).sum()
        for step in point.track.elements:
            assert model.images[step.image_id].points2D[step.point2D_idx].point3D_id == number


def test_images_of_one_camera_share_it(tmp_path):
    write_model(tmp_path, **arrays())
    model = colmap.Reconstruction(tmp_path)
    assert [model.images[i + 1].camera_id for i in range(5)] == [1, 1, 2, 1, 2]


def assert_models_agree(folder: Path, given: dict) -> None:
    model = read_model(folder)
    order = np.argsort(given["names"])
    assert [c.name for c in model.cameras] == [given["names"][i] for i in order]
    for camera, i in zip(model.cameras, order, strict=True):
        assert camera.lens == given["lenses"][i]
        np.testing.assert_allclose(camera.camera_from_world, given["camera_from_world"][i], rtol=0, atol=1e-14)
    np.testing.assert_array_equal(model.points, given["points"])
    np.testing.assert_array_equal(model.colors, given["colors"])
    np.testing.assert_allclose(model.errors, given["errors"], rtol=1e-15)
    mine = observations(order[model.track_view], model.track_point, model.track_xy)
    assert mine == observations(given["track_view"], given["track_point"], given["track_xy"])


def test_what_is_written_is_read_back(tmp_path):
    given = arrays()
    write_model(tmp_path, **given)
    assert_models_agree(tmp_path, given)


@pytest.mark.parametrize("text", [False, True])
def test_we_read_what_pycolmap_writes(tmp_path, text):
    """Its newer files too: rigs and frames lie beside."""
    given = arrays()
    (tmp_path / "ours").mkdir()
    (tmp_path / "theirs").mkdir()
    write_model(tmp_path / "ours", **given)
    model = colmap.Reconstruction(tmp_path / "ours")
    model.write_text(tmp_path / "theirs") if text else model.write_binary(tmp_path / "theirs")
    assert_models_agree(tmp_path / "theirs", given)


@pytest.mark.parametrize("name", MODELS)
def test_every_lens_survives_both_programs(tmp_path, name):
    rng = np.random.default_rng(1)
    lens = Lens(name, tuple(rng.uniform(50, 100, len(MODELS[name][1])).tolist()), 240, 320)
    write_model(tmp_path, **{**arrays(), "lenses": [lens] * 5})
    camera = colmap.Reconstruction(tmp_path).cameras[1]
    assert (camera.model.name, tuple(camera.params)) == (name, lens.params)
    assert read_model(tmp_path).cameras[0].lens == lens


def test_the_numbers_of_models_are_pycolmaps():
    theirs = {m.name: int(m) for m in colmap.CameraModelId.__members__.values() if int(m) >= 0}
    ours = {name: number for name, (number, _) in MODELS.items()} | {v: k for k, v in OTHER_MODELS.items()}
    assert {name: ours.get(name) for name in theirs} == theirs


def test_a_model_without_points_or_tracks_is_read_by_both(tmp_path):
    given = arrays()
    none = {"points": np.zeros((0, 3)), "colors": np.zeros((0, 3), np.uint8), "errors": np.zeros(0)}
    given |= none | {"track_view": np.zeros(0, int), "track_point": np.zeros(0, int), "track_xy": np.zeros((0, 2))}
    write_model(tmp_path, **given)
    assert colmap.Reconstruction(tmp_path).num_images() == 5
    assert_models_agree(tmp_path, given)
    (tmp_path / "points3D.bin").unlink()
    assert_models_agree(tmp_path, given)


def test_the_shared_text_model_reprojects_its_tracks():
    model = read_model(shared("protocol/samples/colmap/sparse/0"))
    poses = np.stack([c.camera_from_world for c in model.cameras])[model.track_view]
    in_camera = np.einsum("mij,mj->mi", poses[:, :3, :3], model.points[model.track_point]) + poses[:, :3, 3]
    assert model.cameras[0].lens is not None
    pixels = model.cameras[0].lens.pixels_of_rays(in_camera[:, :2] / in_camera[:, 2:])
    assert len(pixels) > 30 and np.abs(pixels - model.track_xy).max() < 1e-6


def test_a_text_model_made_by_hand_needs_no_points_and_no_blank_last_line(tmp_path):
    (tmp_path / "cameras.txt").write_text("7 SIMPLE_PINHOLE 64 48 50 32 24")
    (tmp_path / "images.txt").write_text("# hand made\n3 1 0 0 0 1 2 3 7 b c.jpg\n\n1 2 0 0 0 0 0 0 7 a.jpg")
    model = read_model(tmp_path)
    assert [c.name for c in model.cameras] == ["a.jpg", "b c.jpg"]
    assert model.cameras[1].camera_from_world is not None
    assert model.cameras[1].camera_from_world[:, 3].tolist() == [1, 2, 3, 1]
    assert model.points.shape == (0, 3) and model.track_xy.shape == (0, 2)


def test_observations_of_points_that_are_not_there_are_left_out(tmp_path):
    given = arrays()
    write_model(tmp_path, **given)
    (tmp_path / "points3D.bin").write_bytes(struct.pack("<Q", 0))
    assert len(read_model(tmp_path).track_view) == 0


@pytest.mark.parametrize("name", ["cameras", "images", "points3D"])
def test_a_file_cut_off_is_one_input_error(tmp_path, name):
    given = arrays()
    few = given["track_point"] < 3
    given |= {key: given[key][:3] for key in ("points", "colors", "errors")}
    given |= {key: given[key][few] for key in ("track_view", "track_point", "track_xy")}
    write_model(tmp_path, **given)
    data = (tmp_path / f"{name}.bin").read_bytes()
    for length in cuts(len(data)):
        (tmp_path / f"{name}.bin").write_bytes(data[:length])
        with pytest.raises(InputError, match=rf"{name}\.bin: it ends"):
            read_model(tmp_path)


@pytest.mark.parametrize("name", ["cameras", "images", "points3D"])
@pytest.mark.parametrize("count", [2**40, 2**63, 2**64 - 1])
def test_a_count_that_lies_is_refused_before_anything_is_allocated(tmp_path, name, count):
    write_model(tmp_path, **arrays())
    data = (tmp_path / f"{name}.bin").read_bytes()
    (tmp_path / f"{name}.bin").write_bytes(struct.pack("<Q", count) + data[8:])
    with pytest.raises(InputError, match=f"{count} items are declared"):
        read_model(tmp_path)


@pytest.mark.parametrize("number", [*OTHER_MODELS, -1, 99])
def test_a_lens_that_is_not_read_is_named(tmp_path, number):
    write_model(tmp_path, **arrays())
    data = (tmp_path / "cameras.bin").read_bytes()
    (tmp_path / "cameras.bin").write_bytes(data[:12] + struct.pack("<i", number) + data[16:])
    with pytest.raises(InputError, match=f"{OTHER_MODELS.get(number, number)}, which is not read"):
        read_model(tmp_path)


def test_impossible_numbers_are_refused(tmp_path):
    given = arrays()
    for change in (
        {"points": np.full((60, 3), np.nan)},
        {"camera_from_world": given["camera_from_world"] + [0, 0, 0, np.inf]},
        {"lenses": [replace(LENSES[0], params=(float("nan"), 1.0, 1.0, 1.0))] * 5},
        {"lenses": [replace(LENSES[0], params=(-3.0, 1.0, 1.0, 1.0))] * 5},
        {"lenses": [replace(LENSES[0], width=0)] * 5},
        {"names": ("a", "a", "b", "c", "d")},
    ):
        write_model(tmp_path, **{**given, **change})
        with pytest.raises(InputError):
            read_model(tmp_path)
    with pytest.raises(InputError, match="no COLMAP model"):
        read_model(tmp_path / "nowhere")


def test_an_image_of_no_camera_is_refused(tmp_path):
    write_model(tmp_path, **arrays())
    (tmp_path / "cameras.bin").write_bytes(struct.pack("<Q", 0))
    with pytest.raises(InputError, match=r"a\.jpg was taken by camera 1"):
        read_model(tmp_path)


@QUICK
@given(
    name=st.sampled_from(["cameras", "images", "points3D"]),
    changes=st.lists(st.tuples(st.integers(0, 100_000), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_files_with_any_bytes_changed_give_a_model_or_one_input_error(tmp_path, name, changes):
    write_model(tmp_path, **arrays())
    data = bytearray((tmp_path / f"{name}.bin").read_bytes())
    for at, value in changes:
        data[at % min(len(data), 400)] = value
    (tmp_path / f"{name}.bin").write_bytes(data)
    with contextlib.suppress(InputError):
        consistent(read_model(tmp_path))


def consistent(model) -> None:
    """Everything is finite, and observations are of cameras and points that there are."""
    assert all(c.camera_from_world is not None and np.isfinite(c.camera_from_world).all() for c in model.cameras)
    assert np.isfinite(model.points).all() and np.isfinite(model.track_xy).all()
    assert ((model.track_view >= 0) & (model.track_view < len(model.cameras))).all()
    assert ((model.track_point >= 0) & (model.track_point < len(model.points))).all()


LINE = st.lists(st.sampled_from(["1", "-1", "nan", "1e999", "PINHOLE", "640", "a.jpg", "9" * 30, "0.5", "#"]), max_size=12)


@QUICK
@given(cameras=st.lists(LINE, max_size=3), images=st.lists(LINE, max_size=4), points=st.lists(LINE, max_size=3))
def test_any_words_in_text_files_give_a_model_or_one_input_error(tmp_path, cameras, images, points):
    for name, lines in (("cameras", cameras), ("images", images), ("points3D", points)):
        (tmp_path / f"{name}.txt").write_text("\n".join(" ".join(line) for line in lines))
    with contextlib.suppress(InputError):
        consistent(read_model(tmp_path))
