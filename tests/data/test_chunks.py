"""Chunks: what good ones hold, and what becomes of bad ones."""

import json
import pickle
import zipfile

import numpy as np
import pytest
import torch

from recon3d.data.chunks import read_chunk, rows_of, scenes, write_chunks
from recon3d.data.posed_scene import PosedScene, Skipped, decoded
from recon3d.errors import InputError
from tests.data.made_scenes import SIZE, chunk_folder, entry
from tests.shared_folder import shared


def sorted_out(found) -> tuple[dict[str, PosedScene], dict[str, str]]:
    """Scenes by name, and the reasons of what was skipped."""
    found = list(found)
    good = {scene.name: scene for scene in found if isinstance(scene, PosedScene)}
    return good, {scene.scene: scene.reason for scene in found if isinstance(scene, Skipped)}


@pytest.mark.parametrize("name", ["re10k", "acid", "dl3dv"])
def test_sample_chunks_give_the_cameras_of_an_independent_parse(name):
    folder = shared(f"protocol/samples/{name}/test")
    good, skipped = sorted_out(scenes(folder))
    assert not skipped
    for stored in torch.load(folder / "000000.torch", weights_only=True):
        scene = good[stored["key"]]
        picture = decoded(scene, 1)
        height, width = picture.shape[:2]
        for i, row in enumerate(stored["cameras"].double().numpy()):
            K = np.array([[row[0] * width, 0, row[2] * width], [0, row[1] * height, row[3] * height], [0, 0, 1]])
            np.testing.assert_allclose(scene.cameras.K[i], K, rtol=1e-12)
            np.testing.assert_allclose(scene.cameras.camera_from_world[i, :3], row[6:].reshape(3, 4), rtol=1e-12)
            assert scene.cameras.size(i) == (height, width)
        assert torch.equal(rows_of(scene.cameras), stored["cameras"])
        assert scene.timestamps == tuple(stored["timestamps"].tolist())


def test_the_first_sample_has_the_cameras_of_its_text_file():
    """RealEstate10K's own format, whose frames are the chunk's."""
    folder = shared("protocol/samples/re10k")
    rows = [line.split() for line in (folder / "00000000000001f4.txt").read_text().splitlines()[1:]]
    scene = sorted_out(scenes(folder / "test"))[0]["00000000000001f4"]
    assert scene.timestamps == tuple(int(row[0]) for row in rows)
    np.testing.assert_allclose(rows_of(scene.cameras), np.array(rows, float)[:, 1:], atol=1e-6)


def test_chunks_close_at_their_size_and_only_those_that_are_wanted_are_read(tmp_path):
    folder = chunk_folder(tmp_path / "test", entry("a"), entry("b"), entry("c"), most=15_000)
    index = json.loads((folder / "index.json").read_text())
    assert index == {"a": "000000.torch", "b": "000000.torch", "c": "000001.torch"}
    (folder / "000000.torch").write_bytes(b"")
    good, skipped = sorted_out(scenes(folder, {"c"}))
    assert set(good) == {"c"} and not skipped
    assert set(sorted_out(scenes(folder))[1]) == {"a", "b"}


def test_without_an_index_all_chunks_are_read(tmp_path):
    folder = chunk_folder(tmp_path / "test", entry("a"), entry("b"))
    (folder / "index.json").unlink()
    assert set(sorted_out(scenes(folder))[0]) == {"a", "b"}


def spoiled(key: str, **fields) -> dict:
    return {**entry(key), **fields}


BAD = {
    "no_frames": (spoiled("no_frames", images=[], cameras=torch.zeros(0, 18)), "no frames"),
    "lengths": (spoiled("lengths", timestamps=torch.arange(3)), "4 pictures, 4 cameras and 3 timestamps"),
    "table": (spoiled("table", cameras=torch.zeros(4, 17)), "18 numbers"),
    "doubles": (spoiled("doubles", cameras=torch.zeros(4, 18).double()), "18 numbers"),
    "endless": (spoiled("endless", images=[torch.zeros(1, dtype=torch.uint8).expand(1 << 40)] * 4), "encoded pictures"),
    "sparse": (spoiled("sparse", cameras=torch.zeros(4, 18).to_sparse()), "18 numbers"),
    "texts": (spoiled("texts", images=["a", "b"]), "encoded pictures"),
    "noise": (spoiled("noise", images=[torch.zeros(50, dtype=torch.uint8)] * 4), "not an image"),
    "chunk.torch[0]": ({"url": ""}, "no name of a scene"),
    "chunk.torch[1]": (spoiled("../outside"), "no name of a scene"),
    "chunk.torch[2]": ([1, 2], "no name of a scene"),
}


def test_bad_scenes_are_named_and_the_rest_is_read(tmp_path):
    ordered = sorted(BAD, key=lambda name: not name.startswith("chunk"))
    torch.save([*(BAD[name][0] for name in ordered), entry("good")], tmp_path / "chunk.torch")
    good, skipped = sorted_out(scenes(tmp_path))
    assert set(good) == {"good"} and set(skipped) == set(BAD)
    for name, (_, reason) in BAD.items():
        assert reason in skipped[name], name


def forged_size(path) -> None:
    """A storage that declares a hundred million elements more than its record has."""
    with zipfile.ZipFile(path) as archive:
        parts = [(part, archive.read(part)) for part in archive.infolist()]
    writer = torch._C.PyTorchFileWriter(str(path))
    for part, content in parts:
        name = part.filename.split("/", 1)[1]
        if name == "data.pkl":
            count = len(entry("a")["images"][0])
            assert content.count(b"M" + count.to_bytes(2, "little")) >= 2
            content = content.replace(b"M" + count.to_bytes(2, "little"), b"J" + (10**8).to_bytes(4, "little"))
        if name == "data.pkl" or name.startswith("data/"):
            writer.write_record(name, content, len(content))
    writer.write_end_of_file()


def packed(path) -> None:
    """A zip that grows a thousandfold when it is unpacked."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", b"\0" * 10_000_000)


DAMAGE = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-3000]),
    "empty": lambda path: path.write_bytes(b""),
    "pickle": lambda path: path.write_bytes(pickle.dumps({"os": print})),
    "code": lambda path: torch.save([print], path),
    "table": lambda path: torch.save({"key": "a"}, path),
    "nothing": lambda path: torch.save([], path),
    "forged": forged_size,
    "packed": packed,
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_bad_chunk_costs_its_scenes_and_no_others(tmp_path, damage):
    folder = chunk_folder(tmp_path / "test", entry("a"), entry("b"))
    DAMAGE[damage](folder / "000000.torch")
    good, skipped = sorted_out(scenes(folder))
    assert set(good) == {"b"} and set(skipped) == {"a"}
    assert skipped["a"].startswith("000000.torch: ") and "\n" not in skipped["a"]
    assert (damage == "code") == ("nothing in it was run" in skipped["a"])


def test_a_chunk_is_refused_by_one_line_that_names_it(tmp_path):
    torch.save([], tmp_path / "x.torch")
    with pytest.raises(InputError, match=r"x\.torch: it holds no scenes"):
        read_chunk(tmp_path / "x.torch")


def test_a_scene_that_the_index_names_and_no_chunk_holds_is_skipped(tmp_path):
    folder = chunk_folder(tmp_path / "test", entry("a"))
    (folder / "index.json").write_text(json.dumps({"a": "000000.torch", "b": "000000.torch", "c": "000009.torch"}))
    good, skipped = sorted_out(scenes(folder))
    assert set(good) == {"a"} and "does not hold it" in skipped["b"] and "no such file" in skipped["c"]


def test_of_two_copies_of_a_scene_the_one_that_the_index_names_is_read(tmp_path):
    folder = chunk_folder(tmp_path / "test", entry("a", 2), entry("a", 3))
    good, skipped = sorted_out(scenes(folder))
    assert len(good["a"]) == 3 and "second copy" in skipped["000000.torch: a"]


@pytest.mark.parametrize("index", [{"a": "../a.torch"}, {"a": 7}, {"a": "a.bin"}, []])
def test_an_index_that_leads_elsewhere_is_refused(tmp_path, index):
    (tmp_path / "index.json").write_text(json.dumps(index))
    with pytest.raises(InputError):
        list(scenes(tmp_path))


def test_a_rotation_that_was_rounded_is_mended_and_a_singular_one_stays(tmp_path):
    rounded, singular = entry("rounded"), entry("singular")
    rounded["cameras"][1, 6] += 1e-3
    singular["cameras"][1, 6:9] = 0
    write_chunks([rounded, singular], tmp_path / "test")
    good, _ = sorted_out(scenes(tmp_path / "test"))
    good["rounded"].cameras.check("mended")
    assert good["singular"].cameras[[1]].camera_from_world[0, 0].abs().max() == 0
    assert good["rounded"].cameras.size(0) == SIZE
