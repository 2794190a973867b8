"""Lists of frames: published indices and our own."""

import gzip
import json
import re

import pytest

from recon3d.data.frames import NO_CHOICE, Choice, read_frames, write_frames
from recon3d.errors import InputError
from tests.shared_folder import shared

ROW = re.compile(r"^\| `(\w+)` \| [^|]*\| [^|]*\| (\d+) \| (\d+) \| (\d+) \| (\d+) \| ([\d–]+) \|", re.MULTILINE)


def test_every_published_index_has_the_counts_that_its_page_states():
    folder = shared("protocol/indices")
    rows = ROW.findall((folder / "README.md").read_text())
    assert len(rows) == len(list(folder.glob("*.json.gz"))) == 27
    for name, entries, null, evaluated, contexts, targets in rows:
        found = read_frames(folder / f"{name}.json.gz")
        assert (len(found.choices) + len(found.skipped), len(found.skipped)) == (int(entries), int(null)), name
        assert len(found.choices) == int(evaluated)
        low, _, high = targets.partition("–")
        assert {len(c.context) for c in found.choices} == {int(contexts)}
        assert {len(c.target) for c in found.choices} <= set(range(int(low), int(high or low) + 1)), name


def test_null_is_a_scene_that_is_skipped_and_says_so(tmp_path):
    path = tmp_path / "index.json"
    path.write_text('{"a": {"context": [0, 5], "target": [1], "overlap": 0.3}, "b": null}')
    found = read_frames(path)
    assert found.choices == (Choice("a", (0, 5), (1,), 0.3),)
    assert found.choices[0].overlap_class == "small" and found.choices[0].frames == (0, 5, 1)
    assert [(s.scene, s.reason) for s in found.skipped] == [("b", NO_CHOICE)]


def test_our_own_list_is_read_as_it_was_written(tmp_path):
    choices = (Choice("a", (0, 5), (1, 2)), Choice("a", (3, 4), (5,), 0.75), Choice("b", (1, 0), (7,)), Choice("c", (2,), ()))
    write_frames(tmp_path / "list.json", choices)
    assert read_frames(tmp_path / "list.json").choices == choices
    (tmp_path / "list.json.gz").write_bytes(gzip.compress((tmp_path / "list.json").read_bytes()))
    assert read_frames(tmp_path / "list.json.gz").choices == choices


@pytest.mark.parametrize(
    ("document", "what"),
    [
        ({"a": {"context": [0, -1], "target": [1]}}, "a: context is no list of frame numbers"),
        ({"a": {"context": [0, True], "target": [1]}}, "a: context is no list"),
        ({"a": {"context": [], "target": [1]}}, "a: context names no frames"),
        ({"a": [1]}, "a: neither frames nor null"),
        ([{"context": [0]}], "neither an index of scenes nor a list"),
        (7, "neither an index"),
    ],
)
def test_what_is_no_list_of_frames_is_one_line(tmp_path, document, what):
    (tmp_path / "index.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=re.escape(what)):
        read_frames(tmp_path / "index.json")


def test_a_cut_or_missing_file_is_one_line(tmp_path):
    whole = gzip.compress(b'{"a": null}' * 100)
    (tmp_path / "cut.json.gz").write_bytes(whole[:-20])
    (tmp_path / "plain.json").write_text("{")
    for name, what in (("cut.json.gz", "cannot be read"), ("plain.json", "not JSON"), ("none.json", "no such file")):
        with pytest.raises(InputError, match=what):
            read_frames(tmp_path / name)
