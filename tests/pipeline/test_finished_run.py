"""The folder of a network's run as an input: the depth and the points that it was written from come back."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from recon3d.cli.main import outcome
from recon3d.core.geometry import Geometry
from recon3d.core.lens import Lens
from recon3d.core.views import Views
from recon3d.errors import InputError
from recon3d.io.cameras_json import write_cameras
from recon3d.io.colmap_model import write_model
from recon3d.io.depth_files import read_written, write_depth
from recon3d.io.detect import detect
from recon3d.io.load import load_views
from recon3d.io.pictures import write_picture
from recon3d.pipeline.choices import GEOMETRY
from recon3d.pipeline.finished_run import UNTOLD
from recon3d.pipeline.request import Request, plan
from recon3d.pipeline.sources import Asked, Sourced, sourced
from recon3d.progress import Progress
from tools.benchmarks.known_cameras import true_scene

POINTS = 50


@pytest.fixture(scope="module")
def truth() -> tuple[Views, Geometry]:
    return true_scene(3, 3)


@pytest.fixture
def folder(truth, tmp_path: Path) -> Path:
    """A run of a network that was right: pictures, cameras, depth (unknown in the first row, unsure in the second) and
    points without tracks, blue ones."""
    views, known = truth
    assert known.depth is not None
    run, names = tmp_path / "run", [f"{i}.png" for i in range(len(views))]
    (run / "sparse" / "0").mkdir(parents=True)
    for i, name in enumerate(names):
        write_picture(run / "images" / name, views.images[i].permute(1, 2, 0).numpy())
        depth, confidence = known.depth[i].numpy().copy(), np.full(known.depth[i].shape, 0.5)
        depth[0], confidence[:2] = 0, 0
        write_depth(run / "depth" / f"{i}.npz", depth, confidence, known.cameras.K[i].numpy())
    lenses = [Lens.pinhole(K.numpy(), 96, 128) for K in known.cameras.K]
    points = known.cameras.unproject(0, known.depth[0])[0].reshape(-1, 3)[::97][:POINTS].numpy()
    none, blue = np.zeros(0, np.int64), np.tile(np.array([0, 0, 255], np.uint8), (len(points), 1))
    write_model(
        run / "sparse" / "0", names, lenses, known.cameras.camera_index.numpy(), known.cameras.camera_from_world.numpy(),
        points, blue, np.full(len(points), -1.0), none, none, np.zeros((0, 2)),
    )  # fmt: skip
    write_cameras(run / "cameras.json", names, known.cameras, source="recon3d-small")
    (run / "report.json").write_text("{}")
    return run


def given_back(folder: Path, **words) -> Sourced:
    request = Request(**words)
    found = detect([folder])
    chosen = plan(request, has_depth=found.depth is not None)
    loaded = load_views(found, max_size=chosen.max_size, max_images=request.max_images, masks=request.masks)
    return sourced(loaded.views, Asked(request, chosen, loaded, str(folder), None, Progress()))


def test_depth_and_confidence_come_back_as_they_were_written(truth, folder):
    found = given_back(folder)
    assert found.geometry.depth is not None and found.geometry.confidence is not None
    for i, true in enumerate(truth[1].depth):
        depth, sure = found.geometry.depth[i], found.geometry.confidence[i]
        assert torch.equal(depth[1:], true[1:]) and not depth[0].any()
        assert not sure[:2].any() and bool((sure[2:][true[2:] > 0] == 0.5).all())
    assert len(found.geometry.points) > POINTS  # of the depth, as the first run made them
    assert "depth was read" in found.report.why


def test_another_working_size_shows_the_same_surfaces(truth, folder):
    found = given_back(folder, max_size=80)
    assert found.geometry.depth is not None and found.geometry.depth[0].shape == (60, 80)
    for i in range(3):
        points = found.geometry.cameras.unproject(i, found.geometry.depth[i])[0][found.geometry.depth[i] > 0]
        (xy,), (z,) = truth[1].cameras[[i]].project(points)
        column, row = xy.floor().long().T
        assert float((z / truth[1].depth[i][row, column] - 1).abs().quantile(0.9)) < 0.02


def test_masks_and_left_out_photos_are_followed(folder, tmp_path):
    mask = np.full((96, 128), 255, np.uint8)
    mask[:, :64] = 0
    for i in range(3):
        write_picture(tmp_path / "masks" / f"{i}.png", mask)
    (folder / "images" / "1.png").unlink()
    (folder / "depth" / "2.npz").unlink()
    found = given_back(folder, masks=tmp_path / "masks")
    assert found.views.names == ("0.png", "2.png")
    assert found.geometry.depth is not None and found.geometry.confidence is not None
    assert not found.geometry.depth[0][:, :64].any() and bool(found.geometry.depth[0][1:, 64:].any())
    assert not found.geometry.confidence[0][:, :64].any() and not found.geometry.depth[1].any()


def test_points_without_tracks_stay_with_their_colours_where_there_is_no_depth(folder):
    shutil.rmtree(folder / "depth")
    found = given_back(folder)
    assert found.geometry.depth is None
    some = found.geometry[[0, 2]]
    assert len(some.points) == POINTS and some.colors.unique(dim=0).tolist() == [[0, 0, 255]]


def test_the_depth_of_a_run_of_a_runs_folder_is_its_own(truth, folder, tmp_path):
    arguments = ["--quality", "preview", "--refine", "0", "--seed", "0"]
    assert outcome(["run", str(folder), "--out", str(tmp_path / "again"), *arguments]) == 0
    report = json.loads((tmp_path / "again" / "report.json").read_text())
    assert report["splats"]["row"] == "lift"
    for i in range(3):
        first, second = (read_written(run / "depth" / f"{i}.npz", (96, 128)) for run in (folder, tmp_path / "again"))
        assert np.allclose(first.depth, second.depth, rtol=1e-3) and np.allclose(first.K, second.K)


def test_depth_that_is_read_is_what_flags_on_depth_are_about(folder):
    found = given_back(folder, max_points=100, splats="lift")
    assert found.geometry.depth is not None and 50 < len(found.geometry.points) <= 100
    assert found.report.points == len(found.geometry.points)
    with pytest.raises(InputError, match=r"^--keep-sky: the input is a finished run"):
        given_back(folder, keep_sky=True)
    for words in ({"max_points": 100}, {"splats": "lift"}):
        with pytest.raises(InputError, match="colmap gives no depth"):  # other cameras: the run's depth is not read
            given_back(folder, cameras=folder / "cameras.json", **words)
    shutil.rmtree(folder / "depth")
    for words in ({"max_points": 100}, {"splats": "lift"}, {"keep_sky": True}):
        with pytest.raises(InputError, match="colmap gives no depth"):
            given_back(folder, **words)


def test_the_command_takes_flags_on_the_depth_of_a_run(folder, tmp_path, capsys):
    arguments = ["run", str(folder), "--out", str(tmp_path / "again.ply"), "--quality", "preview", "--refine", "0"]
    assert outcome([*arguments, "--keep-sky"]) == 2
    assert "--keep-sky: the input is a finished run" in capsys.readouterr().err
    assert outcome([*arguments, "--splats", "lift", "--max-points", "100"]) == 0
    report = json.loads((tmp_path / "again.report.json").read_text())
    assert report["splats"]["row"] == "lift" and report["geometry"]["points"] <= 100


def test_depth_of_other_pictures_is_not_said_to_be_read(folder):
    for i in range(3):
        (folder / "depth" / f"{i}.npz").rename(folder / "depth" / f"other{i}.npz")
    found = given_back(folder)
    assert found.geometry.depth is None
    assert found.report.why == "the input is a finished model: nothing was matched"


def named(folder: Path, report: object, source: object) -> None:
    """What the run's two files say made it."""
    (folder / "report.json").write_text(json.dumps(report))
    cameras = json.loads((folder / "cameras.json").read_text())
    (folder / "cameras.json").write_text(json.dumps(cameras | {"source": source}))


@pytest.mark.parametrize(
    ("report", "source", "row"),
    [
        ({"geometry": {"row": "vggt-1b"}}, "vggt-1b", "vggt-1b"),
        ({"geometry": {"row": "vggt-1b"}}, "da3-small", "vggt-1b"),
        ({}, "vggt-1b", "vggt-1b"),
        ({"geometry": {"row": "colmap"}}, "da3-large", "da3-large"),  # COLMAP made no depth
        ({"geometry": {"row": "da3-small"}}, None, "da3-small"),
        ({"geometry": {"row": ["vggt-1b"]}}, 3, "unknown"),
        ([], "a network <b>of mine</b>", "unknown"),
        ({"geometry": "vggt-1b"}, "colmap", "unknown"),
    ],
)
def test_the_licence_of_depth_is_that_of_what_made_it(folder, report, source, row):
    named(folder, report, source)
    found = given_back(folder)
    made = GEOMETRY.get(row)
    assert found.report.row == found.geometry.source == row
    assert found.report.licence == (UNTOLD if made is None else made.licence)
    if made is not None and made.commercial:
        assert given_back(folder, commercial_only=True).report.row == row
        return
    with pytest.raises(InputError, match="--commercial-only refuses") as refused:
        given_back(folder, commercial_only=True)
    assert "of mine" not in str(refused.value)


def test_a_run_of_a_run_tells_the_same_licence(folder, tmp_path):
    named(folder, {"geometry": {"row": "vggt-1b"}}, "vggt-1b")
    arguments = ["--quality", "preview", "--refine", "0"]
    assert outcome(["run", str(folder), "--out", str(tmp_path / "again"), *arguments]) == 0
    report = json.loads((tmp_path / "again" / "report.json").read_text())
    assert (report["geometry"]["row"], report["geometry"]["licence"]) == ("vggt-1b", GEOMETRY["vggt-1b"].licence)
    assert json.loads((tmp_path / "again" / "cameras.json").read_text())["source"] == "vggt-1b"
    assert outcome(["run", str(tmp_path / "again"), "--out", str(tmp_path / "third"), "--commercial-only"]) == 2


def test_cameras_of_a_run_of_colmap_are_free(folder):
    shutil.rmtree(folder / "depth")
    named(folder, {"geometry": {"row": "colmap"}}, "colmap")
    found = given_back(folder, commercial_only=True)
    assert (found.report.row, found.report.licence) == ("colmap", GEOMETRY["colmap"].licence)


def resaved(file: Path, **changed) -> None:
    with np.load(file) as stored:
        arrays = dict(stored) | changed
    np.savez(file, **{name: array for name, array in arrays.items() if array is not None})


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"K": None}, "it holds no K"),
        ({"K": np.diag([500.0, 500, 1])}, "camera with focal length 500"),
        ({"K": np.full((3, 3), np.nan)}, "camera with focal length nan"),
        ({"depth": np.ones((96, 96), np.float32)}, "it is 96x96, which no picture of a photo of 128x96"),
        ({"depth": np.ones((192, 256), np.float32)}, "it is 256x192"),
        ({"confidence": np.ones((9, 9), np.float32)}, "it is 9x9"),
        ({"depth": np.full((96, 128), "a")}, "not numbers"),
    ],
)
def test_depth_of_something_else_is_refused_in_one_line(folder, changed, what):
    resaved(folder / "depth" / "1.npz", **changed)
    with pytest.raises(InputError, match=what):
        given_back(folder)


def test_changed_bytes_give_depth_or_one_line(folder):
    file, random = folder / "depth" / "1.npz", np.random.default_rng(0)
    content = file.read_bytes()
    refused = 0
    for _ in range(60):
        changed = bytearray(content[: random.integers(1, len(content) + 1)] if random.random() < 0.3 else content)
        changed[random.integers(len(changed))] = random.integers(256)
        file.write_bytes(changed)
        try:
            found = read_written(file, (96, 128))
        except InputError:
            refused += 1
            continue
        assert np.isfinite(found.depth).all() and (found.depth >= 0).all()
        assert ((found.confidence >= 0) & (found.confidence <= 1)).all()
    assert refused > 10


def test_a_file_of_impossible_numbers_is_unknown_there(folder):
    depth = np.ones((96, 128), np.float32)
    depth[0, :3] = [np.nan, np.inf, -1]
    resaved(folder / "depth" / "1.npz", depth=depth, confidence=np.full((96, 128), 7.0))
    found = read_written(folder / "depth" / "1.npz", (96, 128))
    assert found.depth[0, :4].tolist() == [0, 0, 0, 1] and float(found.confidence.max()) == 1
