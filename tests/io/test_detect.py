"""What an input is taken for, by looking at it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from recon3d.errors import InputError
from recon3d.io.detect import detect
from tests.io.input_files import save, write_cameras_json, write_colmap_model, write_transforms_json
from tests.shared_folder import shared


def names(found) -> list[str]:
    return [found.name(picture) for picture in found.pictures]


def refusal(*paths: Path) -> str:
    with pytest.raises(InputError) as caught:
        detect(paths)
    return str(caught.value)


def test_a_folder_of_photos_is_named_relative_to_it_with_forward_slashes_and_sorted(tmp_path):
    for name in ("b.JPG", "a/z.png", "a/b/c.jpeg", "Z.jpg", ".hidden.jpg", ".trash/x.jpg", "notes.txt", "._b.jpg"):
        save(tmp_path / name, format="PNG")
    found = detect([tmp_path])
    assert found.kind == "photos" and found.root == tmp_path
    assert names(found) == ["Z.jpg", "a/b/c.jpeg", "a/z.png", "b.JPG"]


def test_a_folder_that_holds_only_a_folder_of_photos_stands_for_that(tmp_path):
    save(tmp_path / "images" / "a.png")
    save(tmp_path / "masks" / "a.png")
    found = detect([tmp_path])
    assert found.root == tmp_path / "images" and names(found) == ["a.png"]
    assert found.files == (tmp_path / "images" / "a.png", tmp_path / "masks" / "a.png")


def test_two_folders_of_photos_keep_their_names(tmp_path):
    save(tmp_path / "left" / "a.png")
    save(tmp_path / "right" / "a.png")
    assert names(detect([tmp_path])) == ["left/a.png", "right/a.png"]
    assert names(detect([tmp_path / "left", tmp_path / "right"])) == ["left/a.png", "right/a.png"]


def test_a_list_of_photos_is_named_from_the_folder_they_share(tmp_path):
    a, b = save(tmp_path / "x" / "a.png"), save(tmp_path / "y" / "b.png")
    found = detect([b, a, b])
    assert found.kind == "photos" and found.root == tmp_path and names(found) == ["x/a.png", "y/b.png"]


def test_relative_and_absolute_photos_mix(tmp_path, monkeypatch):
    a, b = save(tmp_path / "x" / "a.png"), save(tmp_path / "y" / "b.png")
    monkeypatch.chdir(tmp_path)
    assert names(detect([a, Path("y") / b.name])) == ["x/a.png", "y/b.png"]
    assert names(detect([Path("x/a.png"), Path("y/b.png")])) == ["x/a.png", "y/b.png"]


def test_photos_of_paths_that_go_up_are_named_below_the_folder_that_they_share(tmp_path, monkeypatch):
    """A name with .. in it would lead out of every folder that a picture of that name is written to."""
    save(tmp_path / "a" / "b" / "images" / "1.png")
    save(tmp_path / "c" / "2.png")
    monkeypatch.chdir(tmp_path / "a" / "b" / "images")
    up = Path("../../../c/2.png")
    for given in ([Path("1.png"), up], [Path("1.png").absolute(), up], [Path("1.png"), Path("../images/1.png"), up]):
        assert names(detect(given)) == ["a/b/images/1.png", "c/2.png"]
    listed = write_transforms_json(tmp_path / "a" / "b" / "transforms.json", ["images/1.png", "../../c/2.png"])
    for path in (listed, Path("..")):
        assert names(detect([path])) == ["a/b/images/1.png", "c/2.png"]


def test_one_photo_is_an_input_of_one(tmp_path):
    found = detect([save(tmp_path / "a.png")])
    assert found.kind == "photos" and names(found) == ["a.png"]


def test_a_single_bad_file_is_refused_at_once():
    for name in ("text.jpg", "empty.jpg", "bomb_header.png", "one_pixel.png"):
        assert refusal(shared(f"data/bad/{name}")).startswith(f"{shared(f'data/bad/{name}')}: ")


def test_missing_and_empty_inputs_are_refused_by_name(tmp_path):
    assert refusal(tmp_path / "no").startswith(f"{tmp_path / 'no'}: there is no such file or folder. ")
    assert refusal(tmp_path).startswith(f"{tmp_path}: no images in it. ")
    (tmp_path / "notes.txt").write_text("x")
    assert "no images in it" in refusal(tmp_path)
    assert "nothing was given" in refusal()


def test_a_video_alone_or_alone_in_a_folder_is_one(tmp_path):
    video = tmp_path / "clip.MP4"
    video.write_bytes(b"x")
    for path in (video, tmp_path):
        found = detect([path])
        assert found.kind == "video" and found.root == video and found.pictures == (video,)
    (tmp_path / "second.mov").write_bytes(b"x")
    assert "2 videos" in refusal(tmp_path)
    save(tmp_path / "a.png")
    assert detect([tmp_path]).kind == "photos"


def test_an_empty_video_and_a_video_among_photos_are_refused(tmp_path):
    video = tmp_path / "clip.mp4"
    video.touch()
    assert refusal(video).startswith(f"{video}: empty file")
    assert refusal(save(tmp_path / "a.png"), video).startswith(f"{video}: it cannot be mixed")


def test_a_colmap_model_is_found_from_project_sparse_folder_model_or_file(tmp_path):
    save(tmp_path / "images" / "a.png")
    model = write_colmap_model(tmp_path / "sparse" / "0", ["a.png"])
    for path in (tmp_path, tmp_path / "sparse", model, model / "images.bin"):
        found = detect([path])
        assert found.kind == "colmap" and found.root == tmp_path / "images" and found.cameras == model
        assert names(found) == ["a.png"] and model / "images.bin" in found.files


def test_of_several_models_the_one_with_most_images_is_taken(tmp_path):
    save(tmp_path / "images" / "a.png")
    write_colmap_model(tmp_path / "sparse" / "0", ["a.png"])
    larger = write_colmap_model(tmp_path / "sparse" / "1", ["a.png", "b.png", "c.png"])
    assert detect([tmp_path]).cameras == larger


def test_a_model_without_photos_is_refused(tmp_path):
    model = write_colmap_model(tmp_path / "a" / "b" / "c" / "sparse" / "0", ["a.png"])
    assert "the photos of this COLMAP model were not found" in refusal(model)


def test_transforms_and_cameras_files_are_told_apart_by_what_they_hold(tmp_path):
    save(tmp_path / "images" / "a.png")
    transforms = write_transforms_json(tmp_path / "x.json", ["images/a.png"])
    cameras = write_cameras_json(tmp_path / "y.json", ["a.png"])
    assert (detect([transforms]).kind, names(detect([transforms]))) == ("transforms", ["a.png"])
    assert (detect([cameras]).kind, names(detect([cameras]))) == ("cameras", ["a.png"])
    (tmp_path / "z.json").write_text("[1, 2]")
    assert "neither a transforms.json" in refusal(tmp_path / "z.json")


def test_a_scene_folder_with_cameras_json_brings_its_cameras():
    found = detect([shared("data/fountain-P11")])
    assert found.kind == "cameras" and found.root.name == "images" and len(found.pictures) == 11
    assert detect([shared("data/fountain-P11/images")]).kind == "photos"


def test_a_foreign_cameras_json_among_photos_is_passed_over(tmp_path):
    save(tmp_path / "a.png")
    (tmp_path / "cameras.json").write_text(json.dumps([{"id": 0, "img_name": "a"}]))
    assert detect([tmp_path]).kind == "photos"


def test_a_finished_run_folder_is_found_before_its_parts(tmp_path):
    save(tmp_path / "images" / "a.png")
    save(tmp_path / "renders" / "a.png")
    write_cameras_json(tmp_path / "cameras.json", ["a.png"])
    write_transforms_json(tmp_path / "transforms.json", ["images/a.png"])
    model = write_colmap_model(tmp_path / "sparse" / "0", ["a.png"])
    (tmp_path / "report.json").write_text("{}")
    found = detect([tmp_path])
    assert found.kind == "run" and names(found) == ["a.png"] and found.cameras == model
    assert all(file.is_file() for file in found.files)


def test_transforms_without_any_of_their_images_are_refused(tmp_path):
    path = write_transforms_json(tmp_path / "transforms.json", ["images/a.png", "images/b.png"])
    assert re.search(r"transforms\.json: none of the 2 images that it names is there, images/a\.png for one", refusal(path))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes, which this system does not have")
def test_a_pipe_among_photos_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    save(tmp_path / "b.png")
    assert names(detect([tmp_path])) == ["b.png"]


def test_looking_at_an_input_loads_no_torch(tmp_path):
    save(tmp_path / "images" / "a.png")
    write_transforms_json(tmp_path / "transforms.json", ["images/a.png"])
    code = f"import sys; from recon3d.io.detect import detect; detect([{str(tmp_path)!r}]); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
