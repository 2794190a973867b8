"""What of a file or a run folder the page is given."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recon3d.core.splats import Splats
from recon3d.errors import InputError
from recon3d.io.ply import read_ply, write_ply
from recon3d.viewer.scene_data import framed, open_scene, photo_in, photo_jpeg, read_report, scene_data
from tests.shared_folder import shared
from tests.viewer.small_scene import camera_rows, run_folder, some_splats


def test_a_run_folder_brings_splats_cameras_photos_and_report(tmp_path):
    data, notes = open_scene(run_folder(tmp_path / "my run"))
    message = data.message
    assert notes == () and message.title == "my run"
    assert message.splats and (message.splats.kind, message.splats.count, message.splats.degree) == ("ply", 50, 1)
    assert message.splats.turn and data.splats == tmp_path / "my run" / "scene.ply"
    assert message.splats.bytes == (tmp_path / "my run" / "scene.ply").stat().st_size
    assert [camera.photo for camera in message.cameras] == [True] * 3 and len(data.photos) == 3
    assert message.first_camera == 1  # the middle one of three
    assert [section.title for section in message.report] == ["Input", "Splats"]


def test_a_file_brings_splats_only_and_keeps_its_mode(tmp_path):
    write_ply(tmp_path / "scene.ply", some_splats(mode="antialiased"))
    message = open_scene(tmp_path / "scene.ply")[0].message
    assert message.cameras == () and message.first_camera is None and message.report == ()
    assert message.splats and message.splats.mode == "antialiased"


@pytest.mark.parametrize(
    "name", ["layout_ascii", "layout_big_endian", "layout_double_extra_no_normals", "degree4", "surfels_no_scale_2"]
)
def test_layouts_that_the_page_may_not_read_are_written_anew(name, tmp_path):
    path = shared(f"formats/{name}.ply")
    data, _ = open_scene(path)
    assert isinstance(data.splats, bytes)
    (tmp_path / "again.ply").write_bytes(data.splats)
    again, before = read_ply(tmp_path / "again.ply"), read_ply(path)
    assert np.allclose(again.means, before.means) and np.allclose(again.opacities, before.opacities, atol=1e-6)


def test_the_depth_of_a_camera_is_the_median_depth_of_the_opaque_splats_that_it_sees(tmp_path):
    n = 300
    rng = np.random.default_rng(1)
    means = rng.normal(size=(n, 3)) * 0.1
    means[::3] += [0, 0, 2]  # in view as well, but faint
    means[1::3] += [50, 0, 0]  # opaque, but out of view
    opacities = np.where(np.arange(n) % 3 == 0, 0.1, 0.9)
    quats = np.tile([1.0, 0, 0, 0], (n, 1))
    splats = Splats(
        *(a.astype(np.float32) for a in (means, quats, np.full((n, 3), 0.01), opacities, np.zeros((n, 1, 3))))
    )
    write_ply(run_folder(tmp_path / "out") / "scene.ply", splats)
    camera = open_scene(tmp_path / "out")[0].message.cameras[0]
    assert camera.depth == pytest.approx(5 + float(np.median(means[2::3, 2])), rel=1e-4)


def test_the_frame_does_not_follow_outliers():
    points = np.random.default_rng(0).normal(size=(10_000, 3))
    near = framed(points)
    far = framed(np.concatenate([points, np.full((20, 3), 1e6)]))
    assert far.radius == pytest.approx(near.radius, rel=0.05) and far.center == pytest.approx(near.center, abs=0.05)
    assert max(far.high) < 6


def test_a_frame_of_one_point_or_none_has_a_size():
    assert framed(np.zeros((0, 3))).radius == 1
    one = framed(np.ones((1, 3)))
    assert one.radius > 0 and all(low < high for low, high in zip(one.low, one.high, strict=True))


def test_photos_are_small_jpegs_without_metadata(tmp_path):
    folder = run_folder(tmp_path / "out")
    jpeg = photo_jpeg(folder / "images" / "a.jpg")
    assert jpeg is not None
    image = Image.open(io.BytesIO(jpeg))
    assert image.format == "JPEG" and image.size == (512, 384) and not image.getexif()
    (folder / "images" / "a.jpg").write_bytes(b"no picture")
    assert photo_jpeg(folder / "images" / "a.jpg") is None


@pytest.mark.parametrize(
    "name", ["../../secret.txt", "/etc/hostname", "left/../../../secret.txt", "none.jpg", "", "\0"]
)
def test_names_of_photos_that_lead_out_of_the_folder_are_not_followed(tmp_path, name):
    (tmp_path / "secret.txt").write_text("secret")
    folder = run_folder(tmp_path / "out")
    assert photo_in(folder / "images", name) is None


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    folder = run_folder(tmp_path / "out")
    (folder / "images" / "linked.jpg").symlink_to(tmp_path / "secret.txt")
    assert photo_in(folder / "images", "linked.jpg") is None


def test_cameras_without_a_pose_or_a_lens_are_left_out_with_their_photos(tmp_path):
    rows = camera_rows()
    rows[0]["camera_from_world"] = None
    data, _ = open_scene(run_folder(tmp_path / "out", rows))
    assert [camera.name for camera in data.message.cameras] == ["left/b.png", "c.jpg"]
    assert [path.name for path in data.photos if path] == ["b.png", "c.jpg"]


@pytest.mark.parametrize(
    "content",
    ["", "[1]", "{", "null", '{"splats": 3, "stages": {"a": 1}, "geometry": [], "input": null}', "[" * 100_000],
)
def test_a_report_of_another_form_is_left_out(tmp_path, content):
    folder = run_folder(tmp_path / "out")
    (folder / "report.json").write_text(content)
    assert open_scene(folder)[0].message.report == ()


def test_the_report_of_a_run_is_told_in_rows():
    report = json.loads(
        """{"geometry": {"row": "colmap", "registered": 9, "total": 10, "points": 4832, "reprojection_px": 0.174},
        "stages": [{"name": "geometry", "seconds": 27.1, "peak_mb": 544.6}],
        "holdout": {"views": {"a.jpg": {"psnr": 25.0, "ssim": 0.81}}, "mean": {"psnr": 25.0, "ssim": 0.81}}}"""
    )
    rows = {
        section.title: dict(section.rows) for section in scene_data("t", some_splats(), report=report).message.report
    }
    assert rows["Cameras"]["Placed"] == "9 of 10 photos" and rows["Cameras"]["Points"] == "4,832"
    assert rows["Held-out photos"] == {"Mean": "25.00 dB, SSIM 0.810", "a.jpg": "25.00 dB, SSIM 0.810"}
    assert rows["Time and memory"] == {"Geometry": "27.1 s, 545 MB"}


def test_a_report_too_large_to_be_one_is_not_read(tmp_path):
    with open(tmp_path / "report.json", "wb") as file:
        file.truncate(17 << 20)
    assert read_report(tmp_path / "report.json") is None


@pytest.mark.parametrize("missing", ["nothing", "folder"])
def test_a_path_without_a_scene_is_one_line(tmp_path, missing):
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError) as error:
        open_scene(tmp_path / missing)
    assert "\n" not in str(error.value)


def test_viewing_and_writing_a_page_load_no_torch(tmp_path):
    folder = run_folder(tmp_path / "out")
    script = f"""
import sys
from pathlib import Path
import recon3d.cli.view, recon3d.viewer.live
from recon3d.viewer.page import write_page
from recon3d.viewer.scene_data import open_scene
from recon3d.viewer.server import Finished, Server
data, _ = open_scene(Path({str(folder)!r}))
write_page(Path({str(tmp_path / "scene.html")!r}), data)
Server(Finished(data)).close()
print([name for name in ("torch", "numba", "scipy", "pycolmap") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
    assert Path(tmp_path / "scene.html").stat().st_size > 2e6
