"""The cameras of a run for the photos that it was made of, and for its own pictures: each with its own lens."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from recon3d.core.cameras import Cameras
from recon3d.core.geometry import Geometry, Tracks
from recon3d.core.lens import Lens
from recon3d.core.scene import Scene
from recon3d.core.synthetic import synthetic_gaussians
from recon3d.errors import InputError
from recon3d.io.colmap_model import read_model, write_model
from recon3d.io.detect import detect
from recon3d.io.load import Loaded, load_views
from recon3d.io.pictures import write_picture
from recon3d.io.undistortion import undistorted_photo
from recon3d.pipeline.artefacts import fingerprint
from recon3d.pipeline.outputs import full_size_cameras, output_names, write_cameras_files
from recon3d.pipeline.request import Request
from recon3d.pipeline.run import files_read
from recon3d.progress import Progress
from tests.io.input_files import picture, save, turned

LENS = Lens("OPENCV", (60, 62, 33, 24, -0.15, 0.02, 0.001, -0.002), 48, 64)
CAMERAS = ["cameras.json", ".", "sparse/0", "sparse", "sparse/0/images.bin", "transforms.json"]


def load(*paths: Path, **options) -> tuple[Loaded, list[str]]:
    progress = Progress()
    return load_views(detect(paths), progress=progress, **options), progress.notes


def photos_in(folder: Path, suffix: str = ".png") -> Path:
    for i in range(3):
        save(folder / f"{i}{suffix}", picture(seed=i))
    return folder


def run_of(photos: Path, out: Path, lens: Lens = LENS, world: tuple[float, float, float] = (0, 0, 0)) -> Path:
    """What a run of --origin local writes of photos that this lens took, but splats and renders."""
    views = load(photos)[0].views
    count = len(views)
    views = replace(views, lenses=(lens,) * count)
    index = torch.zeros(count, dtype=torch.int64)
    poses = torch.from_numpy(np.stack([turned(i) for i in range(count)]))
    none = torch.zeros(0, 3, dtype=torch.float64)
    cameras = Cameras(poses, torch.eye(3, dtype=torch.float64).repeat(count, 1, 1), views.photo_sizes, index)
    geometry = Geometry(cameras, none, none.byte(), none[:, 0], Tracks(index[:0], index[:0], none[:, :2]))
    scene, names = Scene(synthetic_gaussians(3), geometry, views, world), output_names(views.names)
    for i, name in enumerate(names):
        write_picture(out / "images" / name, undistorted_photo(views, i))
    write_cameras_files(scene, full_size_cameras(scene), names, out, "local")
    (out / "report.json").write_text("{}")
    return out


def pictures(loaded: Loaded) -> list[np.ndarray]:
    return [undistorted_photo(loaded.views, i) for i in range(len(loaded.views))]


@pytest.mark.parametrize("cameras", CAMERAS)
def test_the_photos_of_a_run_give_its_pictures_again_with_its_cameras(tmp_path, cameras):
    photos = photos_in(tmp_path / "photos")
    out = run_of(photos, tmp_path / "out")
    loaded, notes = load(photos, cameras=out / cameras)
    assert set(loaded.views.lenses) == {LENS} and not loaded.unmatched_cameras
    for name, found in zip(loaded.views.names, pictures(loaded), strict=True):
        expected = np.asarray(Image.open(out / "images" / name)).astype(int)
        assert np.abs(found - expected).max() <= 1
    assert len(notes) == 1 and "0.png is none of them (nor are 2 others): used is the lens that cameras.json" in notes[0]
    poses = loaded.views.known_camera_from_world
    assert poses is not None and np.abs(poses.numpy() - np.stack([turned(i) for i in range(3)])).max() < 1e-12


@pytest.mark.parametrize("cameras", CAMERAS)
@pytest.mark.parametrize("copied", [False, True])
def test_the_pictures_of_a_run_themselves_are_bent_no_second_time(tmp_path, cameras, copied):
    out = run_of(photos_in(tmp_path / "photos"), tmp_path / "out")
    place = Path(shutil.copytree(out / "images", tmp_path / "copies")) if copied else out / "images"
    loaded, notes = load(place, cameras=out / cameras)
    assert all(lens is not None and lens.is_pinhole for lens in loaded.views.lenses) and not notes
    for name, found in zip(loaded.views.names, pictures(loaded), strict=True):
        assert (found == np.asarray(Image.open(out / "images" / name))).all()
    (place / "1.png").write_bytes((tmp_path / "photos" / "1.png").read_bytes())  # one photo among pictures
    lenses = load(place, cameras=out / cameras)[0].views.lenses
    if copied:
        assert [lens == LENS for lens in lenses] == [False, True, False]


def test_photos_whose_pictures_have_another_name_are_found_by_their_own(tmp_path):
    photos = photos_in(tmp_path / "photos", ".tif")
    out = run_of(photos, tmp_path / "out")
    assert (out / "images" / "0.tif.jpg").is_file()
    for cameras in ("cameras.json", "sparse/0"):
        loaded, _ = load(photos, cameras=out / cameras)
        assert set(loaded.views.lenses) == {LENS} and not loaded.unmatched_cameras
        assert bool(loaded.views.pose_known.all())


def test_a_cameras_json_beside_the_photos_that_it_was_made_of_bends_them(tmp_path):
    photos = photos_in(tmp_path / "photos")
    shutil.copy(run_of(photos, tmp_path / "out") / "cameras.json", photos)
    loaded, notes = load(photos)
    assert set(loaded.views.lenses) == {LENS} and len(notes) == 1


@pytest.mark.parametrize(("lens", "refused"), [(LENS, True), (Lens.pinhole(LENS.K, 48, 64), False)])
def test_cameras_of_a_run_that_somebody_changed_are_those_of_its_pictures(tmp_path, lens, refused):
    photos = photos_in(tmp_path / "photos")
    out = run_of(photos, tmp_path / "out", lens)
    model = read_model(out / "sparse" / "0")
    other = Lens.pinhole(LENS.K * [[1.1], [1.1], [1]], 48, 64)
    poses = np.stack([turned(i) for i in range(3)])
    write_model(
        out / "sparse" / "0", [c.name for c in model.cameras], [other] * 3, np.zeros(3), poses, model.points,
        model.colors, model.errors, model.track_view, model.track_point, model.track_xy,
    )  # fmt: skip
    assert set(load(out / "images", cameras=out / "sparse" / "0")[0].views.lenses) == {other}
    if not refused:
        assert set(load(photos, cameras=out / "sparse" / "0")[0].views.lenses) == {other}
        return
    with pytest.raises(InputError, match=r"0\.png is that of a picture in .*, and 0\.png is not that picture"):
        load(photos, cameras=out / "sparse" / "0")


def test_cameras_from_elsewhere_bend_the_pictures_of_a_run_no_second_time(tmp_path):
    photos = photos_in(tmp_path / "photos")
    out = run_of(photos, tmp_path / "out")
    elsewhere = Path(shutil.copy(out / "cameras.json", tmp_path))
    written = {camera.name: camera.lens for camera in read_model(out / "sparse" / "0").cameras}
    links = tmp_path / "links"
    links.mkdir()
    for name in written:
        (links / name).symlink_to(out / "images" / name)
    for place in (out, out / "images", links):
        loaded, notes = load(place, cameras=elsewhere)
        assert not notes and all(written[n] == lens for n, lens in zip(loaded.views.names, loaded.views.lenses, strict=True))
    other = run_of(photos_in(tmp_path / "photos"), tmp_path / "other", replace(LENS, params=(*LENS.params[:4], -0.1, 0, 0, 0)))
    loaded, notes = load(out, cameras=other)
    assert {lens.model for lens in loaded.views.lenses if lens} == {"PINHOLE"}
    assert len(notes) == 1 and "0.png is no picture of its run but one of another run" in notes[0]


def test_where_no_picture_can_be_compared_the_note_says_so_and_its_remedy_helps(tmp_path):
    out = run_of(photos_in(tmp_path / "photos"), tmp_path / "out")
    copies, elsewhere = shutil.copytree(out / "images", tmp_path / "copies"), Path(shutil.copy(out / "cameras.json", tmp_path))
    loaded, notes = load(copies, cameras=elsewhere)
    assert set(loaded.views.lenses) == {LENS} and len(notes) == 1
    assert f"there is no {tmp_path / 'images'} to compare 0.png and 2 others with" in notes[0]
    assert "give the cameras.json in the folder of their run, or take `original` out of this one" in notes[0]
    document = json.loads(elsewhere.read_text())
    for image in document["images"]:
        del image["original"]
    elsewhere.write_text(json.dumps(document))
    for cameras in (elsewhere, out / "cameras.json"):
        loaded, notes = load(copies, cameras=cameras)
        assert not notes and {lens.model for lens in loaded.views.lenses if lens} == {"PINHOLE"}


@pytest.mark.parametrize("cameras", CAMERAS)
def test_photos_in_a_folder_images_among_others_are_told_from_their_pictures(tmp_path, cameras):
    photos = photos_in(tmp_path / "photos" / "images").parent
    save(photos / "other" / "0.png", picture(seed=9))
    out = run_of(photos, tmp_path / "out")
    assert (out / "images" / "images" / "0.png").is_file()
    for place in (out / "images", Path(shutil.copytree(out / "images", tmp_path / "copies"))):
        loaded, notes = load(place, cameras=out / cameras)
        assert not notes and {lens.model for lens in loaded.views.lenses if lens} == {"PINHOLE"}
    loaded, notes = load(photos, cameras=out / cameras)
    assert set(loaded.views.lenses) == {LENS} and len(notes) == 1 and not loaded.without_camera


@pytest.mark.parametrize("cameras", CAMERAS)
def test_the_cameras_of_a_local_run_stand_in_its_world(tmp_path, cameras):
    world = (500000.0, 5000000.0, 100.0)
    out = run_of(photos_in(tmp_path / "photos"), tmp_path / "out", world=world)
    local = np.stack([turned(i) for i in range(3)])
    poses = load(tmp_path / "photos", cameras=out / cameras)[0].views.known_camera_from_world
    assert poses is not None
    centers, expected = (-(p[:, :3, :3].swapaxes(1, 2) @ p[:, :3, 3:])[..., 0] for p in (poses.numpy(), local))
    assert np.abs(expected).max() < 10 and np.abs(centers - expected - world).max() < 1e-6


@pytest.mark.parametrize("cameras", ["sparse/0", "transforms.json", "cameras.json"])
@pytest.mark.parametrize("changed", ["cameras.json", "images/0.png"])
def test_what_a_run_is_resumed_from_counts_the_files_beside_its_cameras(tmp_path, cameras, changed):
    photos = photos_in(tmp_path / "photos")
    out = run_of(photos, tmp_path / "out")
    request = Request(cameras=out / cameras)
    before = fingerprint(request, files_read(request, detect([photos])))
    assert fingerprint(request, files_read(request, detect([photos]))) == before
    (out / changed).write_bytes((out / changed).read_bytes() + b"\n")
    assert fingerprint(request, files_read(request, detect([photos]))) != before


def test_names_that_say_the_folder_of_the_pictures_too_are_those_of_the_pictures(tmp_path):
    photos = photos_in(tmp_path / "photos")
    out = run_of(photos, tmp_path / "out")
    document = json.loads((out / "cameras.json").read_text())
    for image in document["images"]:
        image |= {"name": f"images/{image['name']}", "original": {**image["original"], "name": image["name"]}}
    (out / "cameras.json").write_text(json.dumps(document))
    copies = Path(shutil.copytree(out / "images", tmp_path / "copies"))
    assert {lens.model for lens in load(copies, cameras=out)[0].views.lenses if lens} == {"PINHOLE"}
    assert set(load(photos, cameras=out)[0].views.lenses) == {LENS}


def test_the_camera_of_a_photo_that_cannot_be_read_belongs_to_it(tmp_path):
    photos = photos_in(tmp_path / "photos")
    out = run_of(photos, tmp_path / "out")
    (photos / "1.png").write_bytes(b"broken")
    loaded, notes = load(photos, cameras=out / "cameras.json")
    assert loaded.unmatched_cameras == () and loaded.left_out == (("1.png", "not an image"),)
    assert not any("names must match" in note for note in notes) and "0.png is none of them (nor is 1 other)" in notes[0]
    (photos / "1.png").unlink()
    save(photos / "x.png", picture(seed=7))
    loaded, notes = load(photos, cameras=out / "cameras.json")
    assert loaded.unmatched_cameras == ("1.png",)
    said = "1 of its cameras belongs to no photo (1.png), and 1 of the 3 photos has no camera in it (x.png); names must match"
    assert notes[-1] == f"{out / 'cameras.json'}: {said}"
