"""Which folders below the one that is given are searched for photos."""

import os
from pathlib import Path

import pytest

from recon3d.cli.main import outcome
from recon3d.errors import InputError
from recon3d.io.detect import detect
from recon3d.io.load import load_views
from recon3d.progress import Progress
from tests.io.input_files import save, write_cameras_json, write_colmap_model


def names(*paths: Path) -> list[str]:
    found = detect(paths)
    return [found.name(picture) for picture in found.pictures]


def written_by_a_run(folder: Path) -> Path:
    for picture in ("images/a.png", "renders/a.png", "depth/a.png"):
        save(folder / picture)
    write_colmap_model(folder / "sparse" / "0", ["a.png"])
    write_cameras_json(folder / "cameras.json", ["a.png"])
    (folder / "report.json").write_text("{}")
    return folder


@pytest.mark.parametrize("name", ["scene", "colmap", "1"])
def test_what_a_run_wrote_among_the_photos_is_no_photo(name, tmp_path):
    """A second run took the pictures and renders of the first for photos, or (of the name colmap) went on from its cameras."""
    save(tmp_path / "a.png")
    save(tmp_path / "more" / "b.png")
    run = written_by_a_run(tmp_path / name)
    save(tmp_path / ".other.partial" / "output" / "images" / "a.png")
    assert names(tmp_path) == names(tmp_path / "a.png", tmp_path / "more", run) == ["a.png", "more/b.png"]
    progress = Progress()
    assert load_views(detect([tmp_path]), progress=progress, repeated=True).left_out == ()
    assert [note for note in progress.notes if str(run) in note and "no photos" in note]
    assert detect([run]).kind == "run"


def test_a_folder_of_photos_alone_is_found_beside_what_a_run_wrote(tmp_path):
    save(tmp_path / "images" / "a.png")
    written_by_a_run(tmp_path / "scene")
    assert detect([tmp_path]).root == tmp_path / "images"


def test_a_folder_with_nothing_but_runs_says_so(tmp_path):
    written_by_a_run(tmp_path / "scene")
    with pytest.raises(InputError, match="no images in it but those that runs wrote"):
        detect([tmp_path])


def test_a_run_among_the_photos_can_be_made_again(tmp_path, capsys):
    """--overwrite was refused: the folder "holds the input"."""
    save(tmp_path / "photos" / "a.png")
    run = written_by_a_run(tmp_path / "photos" / "scene")
    assert outcome(["run", str(tmp_path / "photos"), "--out", str(run), "--overwrite"]) == 2
    assert "there is one image only" in capsys.readouterr().err


def test_linked_folders_are_followed_once_and_without_circles(tmp_path):
    photos = tmp_path / "photos"
    save(photos / "z" / "a.png"), save(tmp_path / "card" / "in" / "b.png")
    save(tmp_path / "beside.png")
    links = {"z/up": photos, "z/self": photos / "z", "first": tmp_path / "card", "second": tmp_path / "card",
             "again": photos / "z", "above": tmp_path}  # fmt: skip
    for link, target in links.items():
        os.symlink(target, photos / link)
    os.symlink(photos, tmp_path / "card" / "back")
    assert names(photos) == ["first/in/b.png", "z/a.png"]
