"""Records come back as they were, hold no number that is none, and are refused where they are broken."""

import json
import math
from pathlib import Path

import pytest

from recon3d.errors import InputError
from recon3d.evaluation.records import (
    Angles,
    Pictures,
    Record,
    ViewFigures,
    read_record,
    read_records,
    record_path,
    write_record,
)
from tests.evaluation.invented import failed, record


def full(**more) -> Record:
    return record(
        seconds=1.5, figures={"psnr": 24.25, "auc_30": 0.5}, unavailable={"lpips": "no weights"},
        pair_errors=Angles((0.5, 180.0), (1.25, 180.0)), of_views=(ViewFigures("a/b.jpg", {"psnr": 20.0}),),
        pictures=(Pictures("a/b.jpg", "t.png", "r.png", "e.png", 20.0), Pictures("c", "t", "r", "e")), **more,
    )  # fmt: skip


def test_a_record_comes_back_as_it_was_and_nothing_else_is_left_in_the_folder(tmp_path: Path):
    for one in (full(), failed(), record("x", status="skipped", why="no frames", registered=0)):
        path = write_record(tmp_path, one)
        assert read_record(path) == one
        assert [file for file in path.parent.iterdir() if file.name.startswith(".")] == []
    assert len(read_records(tmp_path)) == 2  # the failure took the place of the first


def test_a_number_that_is_none_becomes_null_with_the_reason_and_is_no_figure_when_it_comes_back(tmp_path: Path):
    figures = {"psnr": math.inf, "ssim": math.nan, "lpips": 0.5}
    path = write_record(
        tmp_path, record(figures=figures, seconds=math.nan, unavailable={"ssim": "too small a picture"})
    )
    document = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert document["figures"] == {"psnr": None, "ssim": None, "lpips": 0.5} and document["seconds"] is None
    back = read_record(path)
    assert back.figures == {"lpips": 0.5}
    assert "inf" in back.unavailable["psnr"] and back.unavailable["ssim"] == "too small a picture"


def test_a_scene_of_any_name_gets_a_file_of_its_own_inside_of_the_folder(tmp_path: Path):
    names = ["a", "a/b", "..", "../../x", ".hidden", "é@3", "con|<x>", "l" * 300, "l" * 299 + "m", "\udcff"]
    paths = {write_record(tmp_path, record(name)) for name in names}
    assert len(paths) == len(names) and all(path.is_relative_to(tmp_path / "results") for path in paths)
    assert sorted(one.scene for one in read_records(tmp_path)) == sorted(names)


def test_a_record_that_is_being_written_is_passed_over(tmp_path: Path):
    path = write_record(tmp_path, record())
    (path.parent / ".fern@6.x.partial.json").write_text("{")
    assert read_records(tmp_path) == [record()]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", 2), ("task", "slam"), ("views", -3), ("views", "3"), ("figures", {"psnr": "high"}),
        ("figures", {"psnr": True}), ("pair_errors", {"rotation": [1], "translation": []}),
        ("pair_errors", {"rotation": [-1], "translation": [0]}), ("why", "an ok record has no reason"),
        ("pictures", [{"view": "a"}]), ("of_views", None), pytest.param("seconds", 10**400, id="seconds-too-large"),
    ],
)  # fmt: skip
def test_a_record_with_a_wrong_entry_is_an_input_error_that_names_the_file(tmp_path: Path, key: str, value: object):
    path = write_record(tmp_path, record())
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(InputError, match=r"fern@3\.json"):
        read_records(tmp_path)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"version": NaN}', b"[" * 100_000])
def test_a_file_that_is_no_record_is_an_input_error(tmp_path: Path, content: bytes):
    path = record_path(tmp_path, "nvs", "ilrm", "fern", 3)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"fern@3\.json"):
        read_records(tmp_path)


def test_a_copy_under_another_name_would_count_twice_and_is_refused(tmp_path: Path):
    path = write_record(tmp_path, record())
    path.with_name("fern (copy)@3.json").write_bytes(path.read_bytes())
    with pytest.raises(InputError, match=r"copy\)@3.json: it holds the record of results/nvs/ilrm/fern@3.json"):
        read_records(tmp_path)


def test_errors_of_pairs_are_angles_and_only_what_is_not_ok_has_a_reason():
    with pytest.raises(ValueError, match="0 to 180"):
        Angles((math.nan,), (1.0,))
    with pytest.raises(ValueError, match="why"):
        record(status="failed")
