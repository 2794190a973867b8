"""GLB and .splat: another writer's file, closed forms of nodes and bytes, and files that lie."""

import contextlib
import json
import struct
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from plyfile import PlyData
from scipy.spatial.transform import Rotation

from recon3d.core.harmonics import C0, basis
from recon3d.core.splats import Splats
from recon3d.core.synthetic import synthetic_gaussians
from recon3d.errors import InputError
from recon3d.io.glb import read_glb, write_glb
from recon3d.io.ply import read_ply
from recon3d.io.point_cloud import points_of, read_points, write_points
from recon3d.io.splat import read_splat, write_splat
from recon3d.io.splat_files import read_splats
from tests.io.test_splat_files import assert_alike, covariances
from tests.shared_folder import shared


def scene(count: int = 60, degree: int = 3) -> Splats:
    return synthetic_gaussians(count, degree, size=0.05).splats()


def parts_of(path: Path) -> tuple[dict, bytes]:
    data = path.read_bytes()
    (length,) = struct.unpack_from("<I", data, 12)
    return json.loads(data[20 : 20 + length]), data[28 + length :]


def write_parts(path: Path, content: object, numbers: bytes) -> None:
    text = json.dumps(content).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(numbers), b"BIN\0") + numbers
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)


@pytest.mark.parametrize("degree", [0, 1, 3])
def test_another_writers_glb_is_the_ply_that_it_was_made_of(degree):
    splats, why = read_glb(shared(f"formats/random_degree{degree}.glb"))
    assert_alike(splats, read_ply(shared(f"formats/random_degree{degree}.ply")))
    assert why.startswith("LUF")


def test_what_is_written_is_read_as_it_was_and_stands_y_up_in_the_file(tmp_path):
    for mode in ("default", "antialiased", "2dgs"):
        write_glb(tmp_path / "a.glb", replace(scene(), mode=mode))
        splats, _ = read_glb(tmp_path / "a.glb")
        assert splats.mode == mode
        assert_alike(splats, scene())
    content, numbers = parts_of(tmp_path / "a.glb")
    view = content["bufferViews"][content["meshes"][0]["primitives"][0]["attributes"]["POSITION"]]
    stored = np.frombuffer(numbers, "<f4", 3 * 60, view["byteOffset"]).reshape(-1, 3)
    np.testing.assert_array_equal(stored, scene().means * [1, -1, -1])


def test_point_viewers_get_the_mean_colour_as_light(tmp_path):
    mid = replace(scene(4, 0), sh=np.zeros((4, 1, 3), np.float32), opacities=np.full(4, 0.25, np.float32))
    write_glb(tmp_path / "a.glb", mid)
    content, numbers = parts_of(tmp_path / "a.glb")
    view = content["bufferViews"][content["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"]]
    color = np.frombuffer(numbers, "<u2", 4, view["byteOffset"]) / 65535
    np.testing.assert_allclose(color, [0.21404, 0.21404, 0.21404, 0.25], atol=1e-4)  # sRGB 0.5 is 21.4 % of the light


def with_node(path: Path, splats: Splats, nodes: list[dict]) -> None:
    write_glb(path, splats)
    content, numbers = parts_of(path)
    content["nodes"] = nodes
    write_parts(path, content, numbers)


def test_nodes_move_splats_with_their_harmonics(tmp_path):
    """Colours of 50 directions and covariances against the closed form, in the file's own axes (RUB)."""
    quarter = [0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5)]  # xyzw, about z
    nodes = [
        {"children": [1], "translation": [1, 2, 3], "scale": [2, 2, 2]},
        {"mesh": 0, "rotation": quarter},
    ]
    with_node(tmp_path / "a.glb", scene(), nodes)
    moved, _ = read_glb(tmp_path / "a.glb")
    half = np.diag([1.0, -1, -1])
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])
    ours = half @ turn @ half  # of our axes
    np.testing.assert_allclose(moved.means, 2 * scene().means @ ours.T + [1, -2, -3], atol=1e-5)
    np.testing.assert_allclose(covariances(moved), 4 * ours @ covariances(scene()) @ ours.T, atol=1e-6)
    d = np.random.default_rng(0).normal(size=(50, 3))
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    before = np.einsum("ds,gsc->gdc", np.stack(basis(*d.T, 3), 1), scene().sh)
    after = np.einsum("ds,gsc->gdc", np.stack(basis(*(d @ ours.T).T, 3), 1), moved.sh)
    np.testing.assert_allclose(after, before, atol=1e-4)


def test_a_node_that_scales_axes_apart_shears_the_ellipsoids(tmp_path):
    nodes = [{"mesh": 0, "matrix": np.diag([1.0, 2, 0.5, 1]).T.ravel().tolist()}]
    with_node(tmp_path / "a.glb", scene(), nodes)
    moved, _ = read_glb(tmp_path / "a.glb")
    stretch = np.diag([1.0, 2, 0.5])
    np.testing.assert_allclose(moved.means, scene().means @ stretch, atol=1e-5)
    np.testing.assert_allclose(covariances(moved), stretch @ covariances(scene()) @ stretch, atol=1e-6)
    moved.check("read")


@pytest.mark.parametrize("matrix", [np.diag([-1.0, 1, 1, 1]), np.diag([1.0, 1, 0, 1]), np.eye(4) + np.eye(4, k=1)])
def test_nodes_that_mirror_flatten_or_skew_are_refused(tmp_path, matrix):
    matrix[3] = 0, 0, 0, 1
    with_node(tmp_path / "a.glb", scene(), [{"mesh": 0, "matrix": matrix.T.ravel().tolist()}])
    with pytest.raises(InputError):
        read_glb(tmp_path / "a.glb")


def test_bytes_and_shorts_are_read_as_their_fractions(tmp_path):
    """Rotation in signed shorts, scale in plain bytes, opacity in bytes, interleaved: as the extension allows."""
    row = np.dtype([("p", "<f4", 3), ("q", "<i2", 4), ("s", "u1", 4), ("o", "u1", 4), ("c", "<f4", 3)])
    rows = np.zeros(2, row)
    rows["p"] = [[1, 2, 3], [4, 5, 6]]
    rows["q"] = [[0, 0, 0, 32767], [32767, 0, 0, 0]]
    rows["s"][:, :3] = [[1, 2, 3], [4, 5, 6]]
    rows["o"][:, 0] = [255, 51]
    names = [
        "POSITION",
        *(f"KHR_gaussian_splatting:{n}" for n in ("ROTATION", "SCALE", "OPACITY", "SH_DEGREE_0_COEF_0")),
    ]
    kinds = [
        (5126, "VEC3", False),
        (5122, "VEC4", True),
        (5121, "VEC3", False),
        (5121, "SCALAR", True),
        (5126, "VEC3", False),
    ]
    accessors = [
        {
            "bufferView": 0,
            "byteOffset": row.fields[field][1],
            "componentType": c,
            "type": t,
            "normalized": n,
            "count": 2,
        }
        for field, (c, t, n) in zip("pqsoc", kinds, strict=True)
    ]
    extension = {"KHR_gaussian_splatting": {"kernel": "ellipse", "colorSpace": "lin_rec709_display"}}
    primitive = {"mode": 0, "attributes": {n: i for i, n in enumerate(names)}, "extensions": extension}
    content = {
        "asset": {"version": "2.0"}, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}], "accessors": accessors,
        "meshes": [{"primitives": [primitive]}], "buffers": [{"byteLength": rows.nbytes}],
        "bufferViews": [{"buffer": 0, "byteLength": rows.nbytes, "byteStride": row.itemsize}],
    }  # fmt: skip
    write_parts(tmp_path / "a.glb", content, rows.tobytes())
    notes: list[str] = []
    splats, why = read_glb(tmp_path / "a.glb", notes.append)
    assert why.startswith("RUB") and "linear" in notes[0]
    np.testing.assert_allclose(splats.means, rows["p"] * [1, -1, -1])
    np.testing.assert_allclose(splats.scales, rows["s"][:, :3])
    np.testing.assert_allclose(splats.opacities, [1, 0.2], rtol=1e-6)
    # Half of the light is the display's 0.735 (IEC 61966-2-1).
    np.testing.assert_allclose(0.5 + C0 * splats.sh[:, 0], 0.7354, atol=1e-4)


def test_a_glb_that_lies_is_one_line_and_takes_no_memory(tmp_path):
    path = tmp_path / "a.glb"
    write_glb(path, scene(300))
    content, numbers = parts_of(path)
    whole = path.read_bytes()
    lies = {
        "accessors": [{**content["accessors"][0], "count": 1 << 40}, *content["accessors"][1:]],
        "bufferViews": [{**content["bufferViews"][0], "byteLength": -5}, *content["bufferViews"][1:]],
        "nodes": [{"mesh": 0, "children": [0]}],
        "meshes": content["meshes"] * 0,
        "scenes": 7,
        "buffers": [{"uri": "https://example.org/a.bin", "byteLength": 8}],
    }
    tracemalloc.start()
    for key, lie in lies.items():
        write_parts(path, {**content, key: lie}, numbers)
        with pytest.raises(InputError):
            read_splats(path)
    many = {**content, "nodes": [{"mesh": 0}] * 10_000, "scenes": [{"nodes": list(range(10_000))}]}
    write_parts(path, many, numbers)
    with pytest.raises(InputError, match="more splats"):
        read_splats(path)
    rng = np.random.default_rng(0)
    for place in [*range(28), *rng.integers(28, len(whole), 60)]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with contextlib.suppress(InputError):  # any other exception is a defect
            read_splats(path)
    for end in (0, 3, 11, 15, 19, 200, len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(InputError):
            read_splats(path)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


def test_splat_bytes_are_those_of_the_layout(tmp_path):
    one = Splats(
        np.array([[1, 2, 3]], np.float32), np.array([[0.5, -0.5, 0.5, 0.5]], np.float32),
        np.array([[0.1, 0.2, 0.3]], np.float32), np.array([0.6], np.float32),
        np.array([[[0.5 / C0, 0, -0.5 / C0]]], np.float32),
    )  # fmt: skip
    write_splat(tmp_path / "a.splat", one)
    expected = struct.pack("<6f8B", 1, 2, 3, 0.1, 0.2, 0.3, 255, 128, 0, 153, 192, 64, 192, 192)
    assert (tmp_path / "a.splat").read_bytes() == expected


def test_a_splat_has_its_weightiest_first_and_no_harmonics(tmp_path):
    with pytest.raises(ValueError, match="no harmonics"):
        write_splat(tmp_path / "a.splat", scene())
    write_splat(tmp_path / "a.splat", scene(degree=0))
    back = read_splat(tmp_path / "a.splat")
    weights = back.opacities * np.sort(back.scales, 1)[:, 1:].prod(1)
    assert (np.diff(weights) <= 0.01 * weights[:-1]).all() and back.degree == 0


def test_a_splat_of_another_length_or_with_no_numbers_is_one_line(tmp_path):
    write_splat(tmp_path / "a.splat", scene(degree=0))
    data = (tmp_path / "a.splat").read_bytes()
    for bad in (b"", data[:-1], struct.pack("<6f8B", np.nan, *[1.0] * 5, *[9] * 8), data[:24] + b"\x80" * 8):
        (tmp_path / "a.splat").write_bytes(bad)
        with pytest.raises(InputError):
            read_splats(tmp_path / "a.splat")


@pytest.mark.parametrize("suffix", [".ply", ".glb"])
def test_points_are_read_back_to_the_bit(tmp_path, suffix):
    points, colors = points_of(scene())
    write_points(tmp_path / f"a{suffix}", points, colors)
    read = read_points(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(read[0], points)
    np.testing.assert_array_equal(read[1], colors)
    if suffix == ".ply":
        theirs = PlyData.read(tmp_path / "a.ply")["vertex"]
        np.testing.assert_array_equal(np.stack([theirs[n] for n in ("red", "green", "blue")], 1), colors)
        shown = 0.5 + C0 * scene().sh[:, 0]
        np.testing.assert_allclose(colors, (shown * 255).clip(0, 255), atol=0.51)


def test_rotations_of_a_glb_are_xyzw(tmp_path):
    write_glb(tmp_path / "a.glb", scene())
    content, numbers = parts_of(tmp_path / "a.glb")
    index = content["meshes"][0]["primitives"][0]["attributes"]["KHR_gaussian_splatting:ROTATION"]
    stored = np.frombuffer(numbers, "<f4", 240, content["bufferViews"][index]["byteOffset"]).reshape(-1, 4)
    half = np.diag([1.0, -1, -1])
    expected = half @ Rotation.from_quat(scene().quats[:, [1, 2, 3, 0]]).as_matrix()
    np.testing.assert_allclose(Rotation.from_quat(stored).as_matrix(), expected, atol=1e-5)
