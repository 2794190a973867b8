"""--metric: what it may say, what is refused before cameras are found, and the world that it leaves."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from recon3d.cli.main import outcome
from recon3d.core.synthetic import Synthetic, arc_of_cameras
from recon3d.errors import InputError
from recon3d.io.gps import Place
from recon3d.io.load import Loaded
from recon3d.io.photos import Source
from recon3d.io.video import choose_frames
from recon3d.pipeline.metric import checked, in_metres
from recon3d.pipeline.metric_request import parse_metric, two_of
from recon3d.pipeline.request import Request, plan
from recon3d.pipeline.sources import Asked
from recon3d.progress import Progress
from tests.io import gps_videos
from tests.io.input_files import picture, save
from tests.reconstruction.scenes import bare_geometry, views_of

NAMES = ("a/1.jpg", "a/2.jpg", "b/1.jpg", "b/x,y.jpg")
FIRST = (46.8426, -91.9946, 200.0)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("metres", "'metres' does not say where metres come from"),
        ("2.5", "'2.5' does not say where"),
        ("2.5:only.jpg", "'2.5:only.jpg' does not say where"),
        ("nan:a,b", "'nan' is no length"),
        ("-1:a,b", "'-1' is no length"),
        ("0:a,b", "'0' is no length"),
        ("inf:a,b", "'inf' is no length"),
        (":a,b", "'' is no length"),
        ("long:a,b", "'long' is no length"),
    ],
)
def test_words_that_say_no_way_are_refused(text, what):
    with pytest.raises(InputError, match=f"^--metric: {what}"):
        parse_metric(text, None)


def test_weights_without_a_network_are_refused():
    with pytest.raises(InputError, match=r"^--metric-weights: --metric gps runs no network"):
        parse_metric("gps", "random")


def test_two_photos_are_meant_by_whole_names_or_their_last_part():
    assert two_of(NAMES, "a/1.jpg,b/1.jpg") == (0, 2)
    assert two_of(NAMES, " 2.jpg , b/1.jpg") == (1, 2)
    assert two_of(NAMES, "b/x,y.jpg,2.jpg") == (3, 1)


@pytest.mark.parametrize(
    ("photos", "what"),
    [
        ("a/1.jpg,c.jpg", "no photo that is used is called 'c.jpg'"),
        ("1.jpg,2.jpg", "'1.jpg' means several photos"),
        ("2.jpg,a/2.jpg", "both names are those of a/2.jpg"),
    ],
)
def test_names_that_mean_no_two_photos_are_refused(photos, what):
    with pytest.raises(InputError, match=what):
        two_of(NAMES, photos)


def save_tagged(path: Path, east: float, north: float, seed: int) -> Path:
    """A photo so many metres from FIRST."""
    exif = Image.Exif()
    latitude, longitude = FIRST[0] + north / 111_155, FIRST[1] + east / 76_270  # metres for a degree there
    gps = {1: "N", 2: (latitude, 0.0, 0.0), 3: "W", 4: (-longitude, 0.0, 0.0), 5: b"\0", 6: FIRST[2]}
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(gps)
    return save(path, picture(seed=seed), exif=exif.tobytes())


def asked_for(folder: Path, centers: torch.Tensor, unit: float):
    """Photos tagged at `centers` (x east, y down, z north of FIRST, in metres) whose geometry has units of `unit` metres."""
    count = len(centers)
    cameras = arc_of_cameras(Synthetic(views=count, height=48, width=64))
    poses = cameras.camera_from_world.clone()
    poses[:, :3, 3] = -(poses[:, :3, :3] @ (centers / unit)[..., None])[..., 0]
    files = [save_tagged(folder / f"{i}.jpg", float(c[0]), float(c[2]), i) for i, c in enumerate(centers)]
    views = views_of(torch.zeros(count, 3, 48, 64))
    views = replace(views, names=tuple(f.name for f in files), sources=tuple(map(Source, files)))
    geometry = bare_geometry(replace(cameras, camera_from_world=poses))
    loaded = Loaded(views, (), False, None, (), False)
    request = Request(metric="gps")
    return views, geometry, Asked(request, plan(request), loaded, "photos", None, Progress())


def on_a_circle(count: int, radius: float) -> torch.Tensor:
    angles = torch.linspace(0, 3, count, dtype=torch.float64)
    return radius * torch.stack([angles.cos(), torch.zeros(count), angles.sin()], 1)


def test_the_tags_of_photos_bring_their_cameras_to_metres(tmp_path):
    centers = on_a_circle(8, 15.0)
    views, geometry, asked = asked_for(tmp_path, centers, unit=4.0)
    gps = parse_metric("gps", None)
    asked = checked(gps, asked)
    moved, report = in_metres(gps, views, geometry, asked=asked)
    assert report.taken and report.metres_per_unit == pytest.approx(4.0, rel=1e-3)
    assert torch.allclose(moved.cameras.centers_in_world, centers, atol=0.02)
    assert (moved.scale, moved.scale_source) == ("metres", "GPS of 8 photos")
    assert report.gps is not None
    first = report.gps.first
    assert first.photo == "0.jpg" and first.latitude == pytest.approx(FIRST[0], abs=1e-9)
    enu = np.array(report.gps.east_north_up_from_world)
    at = moved.cameras.centers_in_world.numpy() @ enu[:3, :3].T + enu[:3, 3]
    away = (centers - centers[0]).numpy()
    assert np.allclose(at, np.stack([away[:, 0], away[:, 2], -away[:, 1]], 1), atol=0.05)


def test_tags_that_are_too_uncertain_are_told_and_not_taken(tmp_path):
    """Half a metre across: a tag is known to metres."""
    views, geometry, asked = asked_for(tmp_path, on_a_circle(8, 0.25), unit=1.0)
    gps = parse_metric("gps", None)
    found, report = in_metres(gps, views, geometry, asked=checked(gps, asked))
    assert found is geometry and not report.taken
    assert (report.deviation or 0) > 0.1 and "standard deviation" in (report.why or "")
    assert len(asked.progress.notes) == 1 and "was not taken" in asked.progress.notes[0]


def test_given_cameras_in_metres_stay_and_what_was_measured_is_told(tmp_path):
    views, geometry, asked = asked_for(tmp_path, on_a_circle(8, 15.0), unit=4.0)
    geometry = replace(geometry, scale="metres", scale_source="given poses")
    found, report = in_metres(parse_metric("2.5:0.jpg,7.jpg", None), views, geometry, asked=asked)
    assert found is geometry and not report.taken and report.metres_per_unit > 0
    assert report.why == "the given cameras are in metres, and stay as they are"


def test_a_length_is_exact_and_equal_centres_are_refused(tmp_path):
    centers = on_a_circle(8, 15.0)
    centers[5] = centers[2]
    views, geometry, asked = asked_for(tmp_path, centers, unit=4.0)
    moved, _ = in_metres(parse_metric("2.5:1.jpg,6.jpg", None), views, geometry, asked=asked)
    between = moved.cameras.centers_in_world[1] - moved.cameras.centers_in_world[6]
    assert float(between.norm()) == pytest.approx(2.5, rel=1e-12)
    with pytest.raises(InputError, match=r"2\.jpg and 5\.jpg: the two cameras stand at one place"):
        in_metres(parse_metric("2.5:2.jpg,5.jpg", None), views, geometry, asked=asked)
    with pytest.raises(InputError, match=r"no camera was found for 6\.jpg"):
        in_metres(parse_metric("2.5:1.jpg,6.jpg", None), views[:6], geometry[:6], asked=asked)


EAST = torch.tensor([[1.0, 0, 0]], dtype=torch.float64)
REFUSED = {
    "no tags": (torch.zeros(4, 3), [], "gps: 0 of 4 photos tell where they were taken"),
    "one tag": (torch.zeros(4, 3), [2], "gps: 1 of 4 photos tell where they were taken"),
    "one place": (torch.zeros(4, 3), range(4), "gps: all 4 photos tell the same place"),
    "on a line": (torch.arange(4)[:, None] * EAST, range(4), "gps: the places of the 4 photos lie on one line"),
}


@pytest.mark.parametrize(("centers", "with_tags", "said"), REFUSED.values(), ids=REFUSED)
def test_tags_that_cannot_give_a_scale_are_refused_before_anything_is_matched(centers, with_tags, said, tmp_path, capsys):
    for i, center in enumerate(centers.tolist()):
        if i in with_tags:
            save_tagged(tmp_path / "photos" / f"{i}.jpg", center[0], center[2], i)
        else:
            save(tmp_path / "photos" / f"{i}.jpg", picture(seed=i))
    arguments = [str(tmp_path / "photos"), "--metric", "gps", "--out", str(tmp_path / "scene.ply")]
    assert outcome(["run", *arguments]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"recon3d: error: --metric: {said}")
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


@pytest.mark.parametrize(
    ("metric", "said"),
    [("2.5:0.jpg,9.jpg", "no photo that is used is called '9.jpg'"), ("poses", "the cameras of 0 of 4 photos are given")],
)
def test_photos_and_poses_that_are_not_there_are_refused_before_anything_is_matched(metric, said, tmp_path, capsys):
    for i in range(4):
        save(tmp_path / "photos" / f"{i}.jpg", picture(seed=i))
    assert outcome(["run", str(tmp_path / "photos"), "--metric", metric, "--out", str(tmp_path / "scene.ply")]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"recon3d: error: --metric: {said}")


def offset(seconds: float) -> tuple[float, float, float]:
    """Metres east, north and up of FIRST: a third of a circle of 15 m in 4 seconds, going up and down."""
    return 15 * np.cos(0.5 * seconds), 15 * np.sin(0.5 * seconds), 2 * np.sin(1.5 * seconds)


def around(seconds: float) -> Place:
    east, north, up = offset(seconds)
    return Place(FIRST[0] + north / 111_155, FIRST[1] + east / 76_270, FIRST[2] + up)


def of_video(video: Path, unit: float):
    """Frames of a video that moves as `around` says, whose geometry has units of `unit` metres."""
    frames = choose_frames(video, 20).frames
    away = torch.tensor([offset(frame.index / gps_videos.RATE) for frame in frames], dtype=torch.float64)
    centers = torch.stack([away[:, 0], -away[:, 2], away[:, 1]], 1)
    cameras = arc_of_cameras(Synthetic(views=len(frames), height=48, width=64))
    poses = cameras.camera_from_world.clone()
    poses[:, :3, 3] = -(poses[:, :3, :3] @ (centers / unit)[..., None])[..., 0]
    views = views_of(torch.zeros(len(frames), 3, 48, 64))
    names = tuple(f"frame_{frame.index:05d}.png" for frame in frames)
    views = replace(views, names=names, sources=tuple(Source(video, frame) for frame in frames))
    request = Request(metric="gps")
    asked = Asked(request, plan(request), Loaded(views, (), True, None, (), False), "video", None, Progress())
    return views, bare_geometry(replace(cameras, camera_from_world=poses)), asked, centers


@pytest.mark.parametrize(
    ("kind", "write"),
    [("GPS5", gps_videos.gopro), ("CAMM 6", gps_videos.street_view), ("subtitles", gps_videos.drone_with_file)],
)
def test_the_track_of_a_video_brings_its_cameras_to_metres(kind, write, tmp_path):
    views, geometry, asked, centers = of_video(write(tmp_path / "a.mp4", around), unit=4.0)
    gps = parse_metric("gps", None)
    asked = checked(gps, asked)
    moved, report = in_metres(gps, views, geometry, asked=asked)
    assert report.taken and report.metres_per_unit == pytest.approx(4.0, rel=2e-3)
    assert torch.allclose(moved.cameras.centers_in_world, centers, atol=0.03)
    assert moved.scale_source == f"GPS of 20 frames ({kind})"
    assert report.gps is not None and report.gps.first.photo == views.names[0] and report.gps.rms_metres < 0.1
    assert asked.progress.notes == []


def test_a_track_of_a_few_metres_is_too_uncertain_and_not_taken(tmp_path):
    def small(seconds: float) -> Place:
        place = around(seconds)
        return Place(FIRST[0] + (place.latitude - FIRST[0]) / 60, FIRST[1] + (place.longitude - FIRST[1]) / 60, FIRST[2])

    views, geometry, asked, _ = of_video(gps_videos.gopro(tmp_path / "a.mp4", small), unit=1.0)
    gps = parse_metric("gps", None)
    found, report = in_metres(gps, views, geometry, asked=checked(gps, asked))
    assert found is geometry and not report.taken and "standard deviation" in (report.why or "")


def test_a_damaged_track_is_one_note_and_what_is_left_gives_the_scale(tmp_path):
    payloads = [gps_videos.gps5([around(s + i / 18) for i in range(18)]) for s in range(4)]
    payloads[2] = payloads[2][:-30]
    video = gps_videos.add_track(gps_videos.plain_video(tmp_path / "a.mp4"), b"gpmd", payloads, [1000] * 4)
    views, geometry, asked, _ = of_video(video, unit=4.0)
    gps = parse_metric("gps", None)
    asked = checked(gps, asked)
    _, report = in_metres(gps, views, geometry, asked=asked)
    assert report.taken and report.metres_per_unit == pytest.approx(4.0, rel=0.02)
    assert asked.progress.notes == [f"{video}: what cannot be read of its GPMF track (1 packets) is left out"]


def still(seconds: float) -> Place:
    return around(0)


def without_fix(places):
    return gps_videos.gps5(places, fix=0)


REFUSED_VIDEOS = {
    "no track": (gps_videos.plain_video, "0 of 8 frames tell where they were taken (the video has no GPS track)"),
    "one place": (
        lambda path: gps_videos.add_place(gps_videos.plain_video(path)),
        "0 of 8 frames tell where they were taken (the video tells one place only, which gives no scale)",
    ),
    "no fix": (
        lambda path: gps_videos.gopro(path, around, payload=without_fix),
        "0 of 8 frames tell where they were taken (none of the 72 samples of the video's GPS5 track has a good fix)",
    ),
    "too few": (
        lambda path: gps_videos.add_track(
            gps_videos.plain_video(path), b"gpmd", [gps_videos.gps5([around(i / 18) for i in range(9)])], [500]
        ),
        "2 of 8 frames tell where they were taken (the good samples of the video's GPS5 track stand from 0.0 to 0.4 s)",
    ),
    "standing still": (lambda path: gps_videos.gopro(path, still), "all 8 frames tell the same place"),
    "damaged": (
        lambda path: gps_videos.add_track(gps_videos.plain_video(path), b"gpmd", [b"DEVC\0\4\xff\xff" + bytes(9)], [500]),
        "0 of 8 frames tell where they were taken (the video's GPMF track cannot be read)",
    ),
}


@pytest.mark.parametrize(("write", "said"), REFUSED_VIDEOS.values(), ids=REFUSED_VIDEOS)
def test_a_video_that_gives_no_scale_is_refused_in_one_line_before_anything_is_matched(write, said, tmp_path, capsys):
    write(tmp_path / "clip.mp4")
    arguments = [str(tmp_path / "clip.mp4"), "--max-images", "8", "--metric", "gps", "--out", str(tmp_path / "scene.ply")]
    assert outcome(["run", *arguments]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"recon3d: error: --metric: gps: {said}")
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
