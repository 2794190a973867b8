"""Data sets: recognised, joined with lists of frames, checked, converted."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from recon3d.cli.main import outcome
from recon3d.core.cameras import Cameras
from recon3d.data.dataset import all_splits, chosen, opened
from recon3d.data.frames import Choice, FrameList
from recon3d.data.posed_scene import Skipped
from recon3d.data.rules import RULES
from recon3d.errors import InputError
from recon3d.io.cameras_json import write_cameras
from tests.data.made_scenes import chunk_folder, entry, jpeg
from tests.data.test_scene_folders import write_dl3dv
from tests.shared_folder import shared

SAMPLES = {"re10k": "chunks", "acid/test": "chunks", "dl3dv": "chunks", "dl3dv_folder": "dl3dv", "colmap": "posed"}


@pytest.mark.parametrize("sample", SAMPLES)
def test_what_lies_at_a_root_is_recognised(sample):
    found = opened(shared(f"protocol/samples/{sample}"))
    assert found.kind == SAMPLES[sample]
    assert not any(isinstance(scene, Skipped) for scene in found.scenes())


def test_one_scene_of_a_kind_is_a_data_set_too(tmp_path):
    assert opened(write_dl3dv(tmp_path / "a")).kind == "dl3dv"
    assert [scene.name for scene in opened(shared("data/flower")).scenes()] == ["flower"]


def test_splits_are_found_and_test_is_the_first(tmp_path):
    chunk_folder(tmp_path / "train", entry("a"))
    assert list(all_splits(tmp_path)) == ["train"]
    chunk_folder(tmp_path / "test", entry("b"))
    assert list(all_splits(tmp_path)) == ["test", "train"]
    assert [scene.name for scene in opened(tmp_path).scenes()] == ["b"]
    assert [scene.name for scene in opened(tmp_path, "train").scenes()] == ["a"]


def test_nothing_that_is_read_is_one_line(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    for root in (tmp_path, tmp_path / "notes.txt", tmp_path / "gone"):
        with pytest.raises(InputError, match="What is read: chunks"):
            opened(root)


def test_every_entry_of_a_list_is_evaluated_or_skipped_with_a_reason(tmp_path):
    broken = entry("broken")
    broken["timestamps"] = broken["timestamps"][:2]
    chunk_folder(tmp_path / "test", entry("a"), broken, entry("unlisted"), entry("a"))
    frames = FrameList(
        tuple(Choice(name, (0, 2), (1,)) for name in ("gone", "broken", "a"))
        + (Choice("a", (0, 9), (1,)), Choice("a", (1, 3), (2,))),
        (Skipped("null", "no frames"),),
    )
    found = list(chosen(opened(tmp_path), frames, RULES["none"]))
    used = [item[1].context for item in found if not isinstance(item, Skipped)]
    reasons = [(item.scene, item.reason) for item in found if isinstance(item, Skipped)]
    assert used == [(0, 2), (1, 3)]
    assert reasons == [
        ("null", "no frames"),
        ("broken", "it has 4 pictures, 4 cameras and 2 timestamps"),
        ("a", "frame 9 is asked for, and it has 4"),
        ("gone", "it is not in the data set"),
    ]


def checked(root, capfd) -> tuple[int, dict]:
    code = outcome_of(["data", "check", str(root), "--json"])
    return code, json.loads(capfd.readouterr().out)


def outcome_of(arguments: list[str]) -> int:
    try:
        return outcome(arguments)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1


def test_a_whole_data_set_is_checked_and_found_whole(tmp_path, capfd):
    chunk_folder(tmp_path / "test", entry("a"), entry("b", 3))
    code, found = checked(tmp_path, capfd)
    assert code == 0 and found["whole"]
    (split,) = found["splits"]
    assert (split["kind"], split["scenes"], split["views"], split["sizes"]) == ("chunks", 2, 7, {"64x36": 7})
    assert outcome_of(["data", "check", str(tmp_path)]) == 0
    assert "pixelsplat" in capfd.readouterr().out


def test_what_is_wrong_is_told_scene_by_scene_with_exit_code_2(tmp_path, capfd):
    cut, other, camera = entry("cut"), entry("other"), entry("camera")
    cut["images"][2] = jpeg(2)[:-400]
    other["images"][1] = jpeg(1, (48, 64))
    camera["cameras"][3, 6:9] = 0
    folder = chunk_folder(tmp_path / "test", cut, other, camera, entry("good"))
    index = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps(index | {"gone": "000077.torch"}))
    code, found = checked(tmp_path, capfd)
    wrong = {row["scene"]: row["problems"] for row in found["splits"][0]["wrong"]}
    assert code == 2 and found["splits"][0]["scenes"] == 4 and set(wrong) == {"cut", "other", "camera", "gone"}
    assert wrong["cut"] == ["frame 2: truncated: the file ends before the picture does"]
    assert wrong["other"] == ["frame 1: it has 64x48 pixels, its camera 64x36"]
    assert wrong["camera"] == ["frame 3: the rotation is not orthonormal (off by inf)"]
    assert "no such file" in wrong["gone"][0]
    assert outcome_of(["data", "check", str(tmp_path)]) == 2
    assert "frame 2: truncated" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("form", "name"), [("nerfstudio", "transforms.json"), ("folders", "transforms.json"), ("given", "cameras.json")]
)
def test_damaged_cameras_and_depth_are_told_and_the_rest_is_read(tmp_path, capfd, form, name):
    """With all of the files that `recon3d synth` writes, with a transforms.json alone, and with a cameras.json alone."""
    root = tmp_path / "made"
    made = {"given": "folders"}.get(form, form)
    words = ["--scenes", "3", "--views", "2", "--width", "64", "--height", "48", "--samples", "1", "--format", made]
    assert outcome(["synth", str(root), *words]) == 0
    if form == "given":
        for scene in root.iterdir():
            (scene / "transforms.json").unlink()
    (root / "000001" / name).write_text("{")
    expected = {"000001": [f"{name}: it is not JSON"]}
    if made == "folders":
        depth = root / "000002" / "depth" / "01.npy"
        depth.write_bytes(depth.read_bytes()[:100])
        expected["000002"] = ["frame 1: depth/01.npy: it holds no array of numpy"]
    capfd.readouterr()
    code, found = checked(root, capfd)
    wrong = {row["scene"]: [problem.split(" (")[0] for problem in row["problems"]] for row in found["splits"][0]["wrong"]}
    assert code == 2 and wrong == expected and found["splits"][0]["scenes"] == 2
    assert [at.name for at in opened(root).located()] == ["000000", "000001", "000002"]


def test_an_empty_data_set_is_wrong(tmp_path, capfd):
    (tmp_path / "index.json").write_text("{}")
    code, found = checked(tmp_path, capfd)
    assert code == 2 and not found["whole"] and found["splits"][0]["scenes"] == 0


def test_chunks_to_folders_and_back_keep_bytes_and_cameras(tmp_path):
    source = chunk_folder(tmp_path / "source" / "test", entry("a"), entry("b", 3))
    assert outcome_of(["data", "convert", str(tmp_path / "source"), str(tmp_path / "folders"), "--to", "folders"]) == 0
    assert outcome_of(["data", "convert", str(tmp_path / "folders"), str(tmp_path / "back"), "--to", "chunks"]) == 0
    before = [scene for file in sorted(source.glob("*.torch")) for scene in torch.load(file, weights_only=True)]
    after = torch.load(tmp_path / "back" / "test" / "000000.torch", weights_only=True)
    for a, b in zip(before, after, strict=True):
        assert a["key"] == b["key"] and torch.equal(a["cameras"], b["cameras"])
        assert torch.equal(a["timestamps"], b["timestamps"])
        assert all(torch.equal(x, y) for x, y in zip(a["images"], b["images"], strict=True))


def test_dl3dv_folders_become_chunks_whose_pictures_are_the_files(tmp_path, capfd):
    folder = write_dl3dv(tmp_path / "set" / "a")
    broken = write_dl3dv(tmp_path / "set" / "b")
    (broken / "images_8" / "frame_00001.png").write_bytes(b"")
    assert outcome_of(["data", "convert", str(tmp_path / "set"), str(tmp_path / "made"), "--to", "chunks"]) == 0
    assert "b: frame 1: empty file. Left out" in capfd.readouterr().err
    (scene,) = torch.load(tmp_path / "made" / "test" / "000000.torch", weights_only=True)
    assert scene["timestamps"].tolist() == [2, 1, 3]
    assert scene["images"][0].numpy().tobytes() == (folder / "images_8" / "frame_00002.png").read_bytes()
    np.testing.assert_allclose(scene["cameras"][0, :4], [500 / 512, 510 / 384, 250 / 512, 190 / 384], rtol=1e-6)


def test_a_photo_that_its_tag_turns_is_written_as_its_camera_sees_it(tmp_path):
    """A 180 degrees tag: loaders of chunks do not follow it."""
    pixels = np.random.default_rng(0).integers(0, 255, (36, 64, 3)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 3
    (tmp_path / "set" / "images").mkdir(parents=True)
    Image.fromarray(pixels[::-1, ::-1]).save(tmp_path / "set" / "images" / "a.png", exif=exif)
    K, size = torch.tensor([[[50.0, 0, 32], [0, 50, 18], [0, 0, 1]]]).double(), torch.tensor([[36, 64]])
    cameras = Cameras(torch.eye(4).double()[None], K, size, torch.zeros(1, dtype=torch.int64))
    write_cameras(tmp_path / "set" / "cameras.json", ["a.png"], cameras)
    assert outcome_of(["data", "convert", str(tmp_path / "set"), str(tmp_path / "made"), "--to", "chunks"]) == 0
    (scene,) = torch.load(tmp_path / "made" / "test" / "000000.torch", weights_only=True)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(scene["images"][0].numpy().tobytes()))), pixels)


def test_what_cannot_be_converted_is_one_line_and_nothing_is_written(tmp_path, capfd):
    bad = entry("a")
    bad["images"][1] = jpeg(1)[:-400]
    chunk_folder(tmp_path / "test", bad)
    assert outcome_of(["data", "convert", str(tmp_path), str(tmp_path / "made"), "--to", "folders"]) == 2
    lines = [line for line in capfd.readouterr().err.splitlines() if "error" in line]
    assert len(lines) == 1 and "a: frame 1: truncated" in lines[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["test"]
