"""What other programs write: every format from a writer of a few lines, the same camera in all of them, every refusal."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from evo.tools import file_interface
from PIL import Image

from recon3d.errors import InputError
from recon3d.evaluation.photo_names import number_in, photos_of_timestamps
from recon3d.evaluation.predictions import Prediction, prediction
from recon3d.io.splat_files import read_splats
from tests.shared_folder import shared

PHOTOS = ("images/a.jpg", "images/b.jpg", "images/c.d.png")
SIZE = (20, 24)
HALF = 0.5**0.5
# It stands at (1, 2, 3) and looks along x of the world, with y of the world downward: its right is -z of the world.
CAMERA = np.array([[0, 0, -1, 3], [0, 1, 0, -2], [1, 0, 0, -1], [0, 0, 0, 1.0]])
OPENGL = [[0, 0, -1, 1], [0, -1, 0, 2], [-1, 0, 0, 3], [0, 0, 0, 1]]  # right, up, back, where it stands
TUM = f"1 2 3 0 {HALF:.12f} 0 {HALF:.12f}"


def put(path: Path, content: str | bytes = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def of(folder: Path, photos=PHOTOS, views: int | None = None) -> Prediction:
    found = prediction(folder, "garden", views, photos)
    assert found is not None
    return found


def refusal(ask: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        ask()
    return str(caught.value)


# Cameras


ROWS = CAMERA[:3].tolist()


def write_cameras_json(scene: Path, names=("a.png",), matrix=ROWS) -> None:
    image = {"width": 24, "height": 20, "K": [[30, 0, 12], [0, 31, 10], [0, 0, 1]], "camera_from_world": matrix}
    head = {"version": 1, "convention": "opencv", "unit": "arbitrary", "source": "by hand"}
    put(scene / "cameras.json", json.dumps(head | {"images": [image | {"name": name} for name in names]}))


def write_transforms_json(scene: Path, names=("./rgb/a.png",)) -> None:
    head = {"w": 24, "h": 20, "fl_x": 30, "fl_y": 31, "cx": 12, "cy": 10}
    frames = [{"file_path": name, "transform_matrix": OPENGL} for name in names]
    put(scene / "transforms.json", json.dumps(head | {"frames": frames}))


def write_colmap_text(scene: Path) -> None:
    put(scene / "sparse/0/cameras.txt", "7 PINHOLE 24 20 30 31 12 10\n")
    put(scene / "sparse/0/images.txt", f"1 {HALF} 0 {-HALF} 0 3 -2 -1 7 a.jpg\n\n")


@pytest.mark.parametrize("write", [write_cameras_json, write_transforms_json, write_colmap_text])
def test_one_camera_is_the_same_from_every_file(tmp_path, write):
    write(tmp_path / "garden")
    cameras = of(tmp_path).cameras
    assert cameras is not None and list(cameras) == ["images/a.jpg"]
    lens = cameras["images/a.jpg"].lens
    assert lens is not None and lens.params == (30, 31, 12, 10) and (lens.height, lens.width) == SIZE
    np.testing.assert_allclose(cameras["images/a.jpg"].camera_from_world, CAMERA, atol=1e-12)
    assert (CAMERA @ [5, 2, 3, 1]).tolist() == [0, 0, 4, 1]  # four ahead on its axis


def test_a_trajectory_gives_the_same_camera_without_a_lens_and_is_evos(tmp_path):
    path = put(tmp_path / "garden/cameras.tum", f"# a comment\n12 {TUM}\n7.25 -4 0.5 6 0.5 -0.5 0.5 0.5\n")
    cameras = of(tmp_path, ("f_12.png", "7.25.png", "f_13.png")).cameras
    assert cameras is not None and list(cameras) == ["f_12.png", "7.25.png"]
    assert cameras["f_12.png"].lens is None
    np.testing.assert_allclose(cameras["f_12.png"].camera_from_world, CAMERA, atol=1e-11)
    for camera, world_from_camera in zip(
        cameras.values(), file_interface.read_tum_trajectory_file(path).poses_se3, strict=True
    ):
        np.testing.assert_allclose(camera.camera_from_world @ world_from_camera, np.eye(4), atol=1e-9)


def test_views_without_a_pose_are_left_out(tmp_path):
    write_cameras_json(tmp_path / "garden", matrix=None)
    assert of(tmp_path).cameras == {}


def test_of_two_folders_the_one_for_the_number_of_views_wins(tmp_path):
    put(tmp_path / "garden@3/trajectory.txt", f"1 {TUM}")
    write_cameras_json(tmp_path / "garden")
    assert of(tmp_path, ("1.png",), views=3).folder.name == "garden@3"
    assert of(tmp_path, views=2).folder.name == "garden"
    assert of(tmp_path).folder.name == "garden"


def test_a_scene_without_a_folder_or_with_an_empty_one_has_no_prediction(tmp_path):
    assert prediction(tmp_path, "garden", 3, PHOTOS) is None
    put(tmp_path / "garden/.keep")
    assert prediction(tmp_path, "garden", 3, PHOTOS) is None


# Timestamps


@pytest.mark.parametrize(
    ("timestamps", "photos", "expected"),
    [
        ([3, 1], ["f_1.png", "f_2.png", "f_3.png"], ["f_3.png", "f_1.png"]),
        ([1305031102.1753], ["1305031102.175304.png", "1305031102.211214.png"], ["1305031102.175304.png"]),
        ([0.0, 0.04], ["b_7.png", "a_5.png"], ["a_5.png", "b_7.png"]),
        ([0.5, 0.7], ["right.png", "left.png"], ["left.png", "right.png"]),
    ],
)
def test_timestamps_are_numbers_of_photos_or_else_their_order(timestamps, photos, expected):
    assert photos_of_timestamps(np.array(timestamps, float), photos, Path("t")) == tuple(expected)


@pytest.mark.parametrize(
    ("timestamps", "photos", "what"),
    [
        ([0, 1, 2], ["f_1.png", "f_2.png", "f_3.png"], "the timestamp 0 is in no photo's name, though 2 of 3 are"),
        ([7], ["left_7.png", "right_7.png"], "the timestamp 7 is the number of left_7.png and of right_7.png"),
        ([7, 7.00001], ["f_7.png", "f_8.png"], "two timestamps are the number of f_7.png"),
        ([50, 51], ["f_1.png", "f_2.png", "f_3.png"], "there are 2 for 3 photos"),
        ([51, 50], ["a.png", "b.png"], "do not rise"),
        ([50, 51], ["f_9.png", "f_10.png"], "another order by name than by number"),
    ],
)
def test_timestamps_that_may_mean_two_photos_are_refused(timestamps, photos, what):
    line = refusal(lambda: photos_of_timestamps(np.array(timestamps, float), photos, Path("t.tum")))
    assert line.startswith("t.tum: ") and what in line


def test_the_number_of_a_photo_is_its_whole_stem_or_the_digits_at_its_end():
    numbers = {"0012.png": 12, "a/12.50.jpg": 12.5, "v2_frame.0012.png": 12, "left.png": None, "3d.png": None}
    assert {name: number_in(name) for name in numbers} == numbers


# Depth

DEPTH = np.random.default_rng(0).integers(1, 2**11, SIZE).astype(np.float32) / 64  # exact in float16
DEPTH[3:5] = 0


def save_exr(path: Path, values: np.ndarray, compression: str, kind: str, format: str = "grayf32le") -> None:
    """By FFmpeg."""
    from fractions import Fraction

    import av

    codec = av.CodecContext.create("exr", "w")
    codec.height, codec.width = values.shape
    codec.pix_fmt, codec.time_base = format, Fraction(1, 25)
    codec.options = {"compression": compression, "format": kind}
    frame = av.VideoFrame(codec.width, codec.height, format)
    for plane in frame.planes:
        rows = np.zeros((codec.height, plane.line_size // 4), np.float32)
        rows[:, : codec.width] = values
        plane.update(rows)
    put(path, b"".join(bytes(packet) for packet in codec.encode(frame)))


def as_png(path: Path) -> None:
    Image.fromarray((DEPTH * 64).astype(np.uint16)).save(path)
    put(path.parent / "scale.txt", "0.015625\n")


DEPTH_WRITERS = {
    "a.npy": lambda path: np.save(path, DEPTH),
    "columns/a.npy": lambda path: np.save(path, np.asfortranarray(DEPTH.astype(">f8"))),
    "half/a.npy": lambda path: np.save(path, DEPTH[None, ..., None][0].astype(np.float16)),
    "one/a.npz": lambda path: np.savez_compressed(path, anything=DEPTH),
    "several/a.npz": lambda path: np.savez(path, confidence=DEPTH * 0, depth=DEPTH),
    "png/a.png": as_png,
    **{
        f"{compression}.{kind}/a.exr": lambda path, c=compression, k=kind: save_exr(path, DEPTH, c, k)
        for compression in ("none", "zip1", "zip16")
        for kind in ("float", "half")
    },
}


@pytest.mark.parametrize("case", DEPTH_WRITERS)
def test_depth_of_every_format_is_what_was_written(tmp_path, case):
    path = tmp_path / "garden/depth" / Path(case).name
    path.parent.mkdir(parents=True)
    DEPTH_WRITERS[case](path)
    depth = of(tmp_path).depth("images/a.jpg", SIZE)
    assert depth.dtype == np.float32
    np.testing.assert_array_equal(depth, DEPTH)


def test_integers_of_a_png_are_depth_themselves_where_no_scale_is_told(tmp_path):
    (tmp_path / "garden/depth").mkdir(parents=True)
    Image.fromarray((DEPTH * 64).astype(np.uint16)).save(tmp_path / "garden/depth/c.d.png")
    np.testing.assert_array_equal(of(tmp_path).depth("images/c.d.png", SIZE), DEPTH * 64)


def test_depth_that_is_not_finite_or_not_positive_is_unknown(tmp_path):
    values = np.full(SIZE, 2.0)
    values[0, :4] = np.nan, np.inf, -1, 1e300
    np.save(put(tmp_path / "garden/depth/b.npy"), values)
    depth = of(tmp_path).depth("images/b.jpg", SIZE)
    assert depth[0, :5].tolist() == [0, 0, 0, 0, 2]


def saved(values: np.ndarray, **options) -> Callable[[Path], None]:
    return lambda path: np.save(path, values, **options)


def cut(write: Callable[[Path], object]) -> Callable[[Path], None]:
    def write_cut(path: Path) -> None:
        write(path)
        put(path, path.read_bytes()[:-30])

    return write_cut


@pytest.mark.parametrize(
    ("name", "write", "what"),
    [
        ("a.npy", saved(DEPTH.T), "it is 20x24, but its photo has 24x20 pixels"),
        ("a.npy", saved(np.stack([DEPTH, DEPTH])), "has the shape [2, 20, 24], not [height, width]"),
        ("a.npy", saved(DEPTH * 0), "no pixel of it has a depth"),
        ("a.npy", saved(DEPTH.astype(str)), "are of the type <U"),
        ("a.npy", saved(DEPTH.astype(object), allow_pickle=True), "are of the type object"),
        ("a.npy", cut(saved(DEPTH)), "its array needs 1920 bytes"),
        ("a.npy", lambda path: put(path, "depth"), "it holds no array of numpy"),
        ("a.npz", lambda path: np.savez(path, x=DEPTH, y=DEPTH), "it holds 2 arrays (x, y), none of them named depth"),
        ("a.npz", cut(lambda path: np.savez(path, x=DEPTH)), "it is no .npz, or damaged"),
        ("a.npz", lambda path: np.savez(path, x=DEPTH[1:]), "it is 24x19, but its photo has 24x20 pixels"),
        ("a.png", lambda path: Image.fromarray(DEPTH.astype(np.uint8)).save(path), "no PNG of one channel with 16 bits"),
        ("a.png", lambda path: Image.new("I;16", (30, 20)).save(path), "it is 30x20, but its photo"),
        ("a.png", cut(as_png), "truncated"),
        ("a.exr", lambda path: save_exr(path, DEPTH[2:], "zip1", "float"), "it is 24x18, but its photo"),
        ("a.exr", lambda path: save_exr(path, DEPTH, "rle", "float"), "its compression is RLE"),
        ("a.exr", lambda path: save_exr(path, DEPTH, "none", "float", "gbrpf32le"), "it has 3 channels (B, G, R)"),
        ("a.exr", cut(lambda path: save_exr(path, DEPTH, "zip16", "float")), "cut off or damaged"),
        ("a.exr", lambda path: put(path, b"v/1\x01"), "cut off or damaged"),
        ("a.exr", lambda path: put(path), "it is no EXR picture"),
    ],
)
def test_bad_depth_is_refused_with_its_file(tmp_path, name, write, what):
    path = tmp_path / "garden/depth" / name
    path.parent.mkdir(parents=True)
    write(path)
    found = of(tmp_path)
    line = refusal(lambda: found.depth("images/a.jpg", SIZE))
    assert line.startswith(f"{path}: ") and what in line


@pytest.mark.parametrize("case", ["a.npy", "several/a.npz", "png/a.png", "zip16.half/a.exr"])
def test_any_cut_or_changed_byte_of_depth_ends_in_a_picture_or_one_error(tmp_path, case):
    path = tmp_path / "garden/depth" / Path(case).name
    path.parent.mkdir(parents=True)
    DEPTH_WRITERS[case](path)
    whole, found = path.read_bytes(), of(tmp_path)
    rng = np.random.default_rng(1)
    for i in range(60):
        bad = bytearray(whole[: rng.integers(1, len(whole))] if i % 4 == 0 else whole)
        for at in rng.integers(0, min(len(bad), 160), 2):  # most of what can lie stands at the beginning
            bad[at] = rng.integers(256)
        path.write_bytes(bad)
        with contextlib.suppress(InputError):
            assert found.depth("images/a.jpg", SIZE).shape == SIZE


@pytest.mark.parametrize(
    ("shape", "kind"), [("(20, 24", "<f4"), ("(020, 24)", "<f4"), ("(20, 24)", "<q9"), ("(-20, -24)", "<f4")]
)
def test_a_header_of_numpy_that_is_no_literal_or_no_array_is_refused(tmp_path, shape, kind):
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    data = b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + DEPTH.tobytes()
    put(tmp_path / "garden/depth/a.npy", data)
    found = of(tmp_path)
    assert "a.npy: " in refusal(lambda: found.depth("images/a.jpg", SIZE))


# Points, renders, splats


def test_points_are_read_with_and_without_colours(tmp_path):
    points = np.random.default_rng(2).normal(size=(5, 3)).astype(np.float32)
    text = "\n".join(" ".join(map(repr, row)) + " 3 1" for row in points.tolist())
    head = "ply\nformat ascii 1.0\nelement vertex 5\n" + "".join(f"property float {n}\n" for n in "xyz")
    put(tmp_path / "garden/points.ply", f"{head}property uchar red\nproperty float quality\nend_header\n{text}\n")
    np.testing.assert_array_equal(of(tmp_path).points(), points)
    binary = head.replace("ascii", "binary_little_endian") + "end_header\n"
    put(tmp_path / "garden/points.ply", binary.encode() + points.tobytes())
    np.testing.assert_array_equal(of(tmp_path).points(), points)
    put(tmp_path / "garden/points.ply", binary.encode() + np.where(points > 1, np.nan, points).tobytes())
    assert "of its 5 points are not finite" in refusal(of(tmp_path).points)
    put(tmp_path / "garden/points.ply", binary.encode() + points.tobytes()[:-1])
    assert "declares 5 rows" in refusal(of(tmp_path).points)


def test_renders_are_read_one_by_one_and_only_at_sizes_that_are_measured(tmp_path):
    pixels = np.random.default_rng(3).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(put(tmp_path / "garden/renders/c.d.PNG"))
    put(tmp_path / "garden/renders/b.jpg", "no picture")
    found = of(tmp_path)
    assert sorted(found.render_files) == ["images/b.jpg", "images/c.d.png"]
    np.testing.assert_array_equal(found.render("images/c.d.png", [(30, 24), SIZE]), pixels)
    told = refusal(lambda: found.render("images/c.d.png", [(30, 24), (60, 48)]))
    assert "it is 24x20, and c.d.png is measured at 24x30 or 48x60 pixels" in told
    assert "b.jpg: not an image" in refusal(lambda: found.render("images/b.jpg", [SIZE]))


@pytest.mark.parametrize("suffix", ["ply", "compressed.ply", "v4.spz", "sog", "glb"])
def test_splats_are_the_only_file_of_such_a_format(tmp_path, suffix):
    path = put(tmp_path / "garden" / f"scene.{suffix}", shared(f"formats/random_degree1.{suffix}").read_bytes())
    put(tmp_path / "garden/points.ply")
    splats = of(tmp_path).splats_file
    assert splats == path and len(read_splats(splats).splats) == 300


def test_of_several_files_splats_are_those_of_that_name_and_else_none_is_guessed(tmp_path):
    put(tmp_path / "garden/input.ply")
    put(tmp_path / "garden/scene.spz")
    assert "it holds splats twice: input.ply and scene.spz" in refusal(lambda: of(tmp_path))
    named = put(tmp_path / "garden/splats.sog")
    assert of(tmp_path).splats_file == named


# Refusals of whole folders


@pytest.mark.parametrize(
    ("files", "what"),
    [
        ({"results.txt": ""}, "it holds nothing that is read as a prediction"),
        ({"depth/z.npy": ""}, "z.npy belongs to no photo of this scene"),
        ({"depth/A.npy": ""}, "A.npy belongs to no photo of this scene"),
        ({"depth/a.npy": "", "depth/a.exr": ""}, "a.exr and a.npy both belong to images/a.jpg"),
        ({"depth/a.tiff": ""}, "a.tiff is not read there"),
        ({"depth/a.png": "", "depth/scale.txt": "0"}, "it is not one positive number"),
        ({"depth/a.png": "", "depth/scale.txt": "millimetres"}, "it is not one positive number"),
        ({"renders/a/b.png": ""}, "a is not read there"),
        ({"renders/a.npy": ""}, "a.npy is not read there"),
        ({"cameras.json": "{"}, "it is not JSON"),
        ({"transforms.json": '{"frames": [{"file_path": "a"}, {'}, "it is not JSON"),
        ({"sparse/0/cameras.bin": ""}, "it holds no COLMAP model"),
        ({"sparse/0/cameras.bin": "", "sparse/0/images.bin": ""}, "cameras.bin: "),
        ({"cameras.tum": f"1 {TUM}", "trajectory.txt": f"1 {TUM}"}, "tells cameras twice: cameras.tum and trajectory.txt"),
        ({"cameras.tum": ""}, "it holds no cameras"),
        ({"cameras.tum": f"1 {TUM}\n2 1 2 3"}, "line 2 is not eight finite numbers: '2 1 2 3'"),
        ({"cameras.tum": "1 nan 2 3 0 0 0 1"}, "line 1 is not eight finite numbers"),
        ({"cameras.tum": "1 0 0 0 1 2 3 1"}, "has no length of 1"),
        ({"cameras.tum": f"1 {TUM}\n1.0 {TUM}"}, "the timestamp 1 stands twice"),
    ],
)
def test_bad_folders_are_refused_with_what_is_wrong(tmp_path, files, what):
    for name, content in files.items():
        put(tmp_path / "garden" / name, content)
    line = refusal(lambda: of(tmp_path))
    assert line.startswith(str(tmp_path / "garden")) and what in line


def test_a_camera_that_is_not_finite_is_refused_with_its_photo(tmp_path):
    write_cameras_json(tmp_path / "garden", matrix=[[float("nan")] * 4] * 3)
    assert "cameras.json: a.png: camera_from_world holds something that is not a finite" in refusal(lambda: of(tmp_path))


def test_cameras_of_other_photos_or_of_one_photo_twice_are_refused(tmp_path):
    write_cameras_json(tmp_path / "garden", ["z.png"])
    assert "z.png belongs to no photo" in refusal(lambda: of(tmp_path))
    write_cameras_json(tmp_path / "garden", ["a.png", "left/a.png"])
    assert "a.png and left/a.png both belong to images/a.jpg" in refusal(lambda: of(tmp_path))
    write_cameras_json(tmp_path / "garden", ["a.png"])
    assert "may belong to l/a.jpg or to r/a.jpg" in refusal(lambda: of(tmp_path, ("l/a.jpg", "r/a.jpg")))


def test_a_missing_folder_of_predictions_is_an_error_and_no_failed_scene(tmp_path):
    assert "there is no such file or folder" in refusal(lambda: of(tmp_path / "predictions"))
    put(tmp_path / "garden")
    assert "it is no folder" in refusal(lambda: of(tmp_path))
