"""SPZ, SOG and compressed PLY of another writer against what its own reader made of them, round trips, and files that lie."""

import contextlib
import gzip
import json
import struct
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from plyfile import PlyData
from scipy.spatial.transform import Rotation

from recon3d.core.splats import Splats
from recon3d.core.synthetic import synthetic_gaussians
from recon3d.errors import InputError
from recon3d.io.compressed_ply import write_compressed_ply
from recon3d.io.ply import read_ply
from recon3d.io.sog import read_sog, write_sog
from recon3d.io.splat_files import read_splats
from recon3d.io.spz import read_spz, write_spz
from tests.shared_folder import shared


def covariances(splats: Splats) -> np.ndarray:
    axes = Rotation.from_quat(splats.quats[:, [1, 2, 3, 0]]).as_matrix() * splats.scales[:, None]
    return axes @ axes.transpose(0, 2, 1)


def turns(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angles in radians between rotations as quaternions; by their difference, which small angles do not round away."""
    a, b = (q.astype(float) / np.linalg.norm(q.astype(float), axis=1, keepdims=True) for q in (a, b))
    apart = np.minimum(np.linalg.norm(a - b, axis=1), np.linalg.norm(a + b, axis=1))
    return 4 * np.arcsin(apart / 2)


def turn_of_three(error: float) -> float:
    """The greatest turn where three parts of a unit quaternion are off by `error` each and the largest follows from them.

    The three, a vector v, are at most sqrt(3)/2 long, since the largest part is no less than a half; their error is at most
    sqrt(3) times `error` long. The quaternion lies on a sphere above v, where it moves by asin(|v + e|) - asin(|v|) if the
    error points outward, the more the longer v is. So all four parts are a half at the worst, where the sphere is as steep
    that the error counts twice: a quaternion moves by 2 sqrt(3) errors, and the rotation turns by twice that.
    """
    return 2 * float(np.arcsin(np.sqrt(3) * (0.5 + error)) - np.arcsin(np.sqrt(3) / 2))


def assert_alike(ours: Splats, theirs: Splats, shape: float = 2e-5) -> None:
    """Row by row; rotations by what they make of the scales, for a half turn about an axis of the ellipsoid is none."""
    np.testing.assert_allclose(ours.means, theirs.means, atol=2e-6 * float(np.abs(theirs.means).max()))
    np.testing.assert_allclose(ours.scales, theirs.scales, rtol=1e-5)
    np.testing.assert_allclose(ours.opacities, theirs.opacities, atol=2e-6)
    np.testing.assert_allclose(ours.sh, theirs.sh, atol=2e-6)
    size = np.square(theirs.scales).max(1)[:, None, None]
    np.testing.assert_allclose(covariances(ours) / size, covariances(theirs) / size, atol=shape)


@pytest.mark.parametrize("name", [f"random_degree{d}.v{v}" for d in (0, 1, 3) for v in (3, 4)])
def test_an_unmarked_spz_is_read_as_its_writer_reads_it_turned_to_our_axes(name):
    splats, why = read_spz(shared(f"formats/{name}.spz"))
    assert_alike(splats, read_ply(shared(f"formats/{name}.read.ply")))
    assert "RUB" in why


@pytest.mark.parametrize("system", [6, 9, 12])
def test_a_coordinate_record_is_followed_as_the_library_does(tmp_path, system):
    splats, _ = read_spz(shared(f"formats/random_degree3.ext{system}.v4.spz"))
    theirs = PlyData.read(shared(f"formats/random_degree3.ext{system}.v4.read.ply"))
    opacity = theirs["vertex"]["opacity"]
    assert np.isnan(opacity).sum() == 1  # the library's logit of an opacity of 1
    opacity[np.isnan(opacity)] = np.inf
    theirs.write(tmp_path / "theirs.ply")
    assert_alike(splats, read_ply(tmp_path / "theirs.ply"))


def test_an_spz_of_raw_numbers_is_read_where_the_axes_are_given():
    splats, _ = read_spz(shared("formats/random_degree1.rdf.v4.spz"), axes="rdf")
    assert_alike(splats, read_ply(shared("formats/random_degree1.rdf.v4.read.ply")))


@pytest.mark.parametrize("degree", [0, 1, 3])
def test_a_sog_is_read_as_its_writer_reads_it(degree):
    ours = read_sog(shared(f"formats/random_degree{degree}.sog"))
    assert_alike(ours, read_ply(shared(f"formats/random_degree{degree}.sog.read.ply")))


@pytest.mark.parametrize("version", [1, 2])
def test_old_spz_of_known_bytes_is_read(tmp_path, version):
    """Made here by the format's description: three-byte rotations; positions in float16, then in 24 bits."""
    head = struct.pack("<4sIIBBBx", b"NGSP", version, 2, 0, 12, 0)
    if version == 1:
        positions = np.array([[1.5, -2, 0.25], [0, 4, -8]], "<f2").tobytes()
    else:
        positions = b"".join(int(x * 4096).to_bytes(3, "little", signed=True) for x in (1.5, -2, 0.25, 0, 4, -8))
    alphas, colors, scales = bytes([255, 51]), bytes([255, 0, 128] * 2), bytes([160, 144, 160] * 2)
    rotations = bytes([255, 127, 127, 128, 128, 128])  # half a turn about x; nearly none
    (tmp_path / "a.spz").write_bytes(gzip.compress(head + positions + alphas + colors + scales + rotations))
    splats, _ = read_spz(tmp_path / "a.spz", axes="rdf")
    np.testing.assert_allclose(splats.means, [[1.5, -2, 0.25], [0, 4, -8]])
    np.testing.assert_allclose(splats.opacities, [1, 0.2])
    np.testing.assert_allclose(splats.sh[0, 0], [127.5 / 38.25, -127.5 / 38.25, 0.5 / 38.25], rtol=1e-6)
    np.testing.assert_allclose(splats.scales[0], [1, np.exp(-1), 1], rtol=1e-6)
    np.testing.assert_allclose(splats.quats, [[0, 1, 0, 0], [1, 0, 0, 0]], atol=0.01)


def test_a_sog_of_version_1_of_known_bytes_is_read(tmp_path):
    """Made here by the format's description: bytes lie on a line from min to max; opacity is a fourth channel, a logit."""

    def picture(name: str, rows: list[list[int]]) -> bytes:
        Image.fromarray(np.array([rows], np.uint8)).save(tmp_path / name, "WEBP", lossless=True, exact=True)
        return (tmp_path / name).read_bytes()

    pictures = {
        "low.webp": picture("low.webp", [[0, 255, 0, 255], [255, 0, 255, 255]]),
        "high.webp": picture("high.webp", [[0, 255, 0, 255], [255, 0, 255, 255]]),
        "scales.webp": picture("scales.webp", [[0, 51, 255, 255], [255, 51, 0, 255]]),
        "quats.webp": picture("quats.webp", [[255, 128, 128, 252], [128, 128, 128, 255]]),
        "sh0.webp": picture("sh0.webp", [[0, 51, 255, 0], [255, 51, 0, 255]]),
    }
    meta = {
        "means": {"shape": [2, 3], "mins": [-1, 0, 0], "maxs": [1, 1, 2], "files": ["low.webp", "high.webp"]},
        "scales": {"mins": [-5] * 3, "maxs": [0] * 3, "files": ["scales.webp"]},
        "quats": {"files": ["quats.webp"]},
        "sh0": {"mins": [-1, -1, -1, -2], "maxs": [1, 1, 1, 2], "files": ["sh0.webp"]},
    }
    with zipfile.ZipFile(tmp_path / "a.sog", "w") as archive:
        for name, data in {"meta.json": json.dumps(meta).encode(), **pictures}.items():
            archive.writestr(name, data)
    splats = read_sog(tmp_path / "a.sog")
    e = np.expm1
    np.testing.assert_allclose(splats.means, [[-e(1), e(1), 0], [e(1), 0, e(2)]], rtol=1e-6)
    np.testing.assert_allclose(np.log(splats.scales), [[-5, -4, 0], [0, -4, -5]], atol=1e-6)
    np.testing.assert_allclose(splats.sh[:, 0], [[-1, -0.6, 1], [1, -0.6, -1]], atol=1e-6)
    np.testing.assert_allclose(splats.opacities, 1 / (1 + np.exp([2, -2])), rtol=1e-6)
    half = np.sqrt(0.5)  # x is the largest byte, so that w and x share the turn: a quarter about x; the second is all z
    np.testing.assert_allclose(splats.quats, [[half, half, 0, 0], [0, 0, 0, 1]], atol=0.01)


@pytest.mark.parametrize("scale", [0.01, 1.0, 1000.0])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("axes", ["rdf", "rub"])
def test_an_spz_keeps_a_scene_within_its_steps(tmp_path, scale, degree, version, axes):
    scene = synthetic_gaussians(300, degree, size=0.05).splats().moved(np.eye(3), scale)
    write_spz(tmp_path / "a.spz", scene, version=version, axes=axes)
    back, _ = read_spz(tmp_path / "a.spz", axes=axes)
    reach = float(np.abs(scene.means).max())
    np.testing.assert_allclose(back.means, scene.means, atol=max(reach / 2**21, 2**-24))  # half of the coarsest step
    widest = np.exp(-10), np.exp(5.94)
    np.testing.assert_allclose(np.log(back.scales), np.log(scene.scales.clip(*widest)), atol=1 / 32 + 1e-4)
    np.testing.assert_allclose(back.opacities, scene.opacities, atol=0.5 / 255 + 1e-6)
    np.testing.assert_allclose(back.sh[:, 0], scene.sh[:, 0], atol=0.5 / 255 / 0.15 + 1e-5)
    np.testing.assert_allclose(back.sh[:, 1:], scene.sh[:, 1:].clip(-1, 127 / 128), atol=0.5 / 128 + 1e-6)
    assert turns(back.quats, scene.quats).max() < turn_of_three(0.5 * np.sqrt(0.5) / 511) + 1e-4


@pytest.mark.parametrize("scale", [0.01, 1.0, 1000.0])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_a_sog_keeps_a_scene_within_its_steps_in_another_order(tmp_path, scale, degree):
    scene = synthetic_gaussians(300, degree, size=0.05).splats().moved(np.eye(3), scale)
    write_sog(tmp_path / "a.sog", scene)
    back = read_sog(tmp_path / "a.sog")
    # A step is the 65535th part of the range of sign(x) ln(1 + |x|), which grows by 1 + |x|.
    reach = float(np.abs(scene.means).max())
    step = 2 * np.log1p(reach) / 65535 * (1 + reach)
    distance = np.linalg.norm(back.means[:, None] - scene.means[None], axis=2)
    order = distance.argmin(1)
    assert sorted(order.tolist()) == list(range(300)) and distance.min(1).max() < step
    np.testing.assert_allclose(back.opacities, scene.opacities[order], atol=0.5 / 255 + 1e-6)
    assert turns(back.quats, scene.quats[order]).max() < turn_of_three(0.5 * np.sqrt(2) / 255) + 1e-4
    assert float(np.abs(np.log(back.scales) - np.log(scene.scales[order])).mean()) < 0.02


@pytest.mark.parametrize(
    ("suffix", "error"),
    [(".sog", np.sqrt(2) / 510), (".spz", np.sqrt(0.5) / 1022), (".compressed.ply", np.sqrt(2) / 2046)],
)
def test_rotations_turn_by_no_more_than_their_bytes_allow_and_nearly_as_much(tmp_path, suffix, error):
    """Rotations all over, and near the worst one, whose four parts are a half."""
    rng = np.random.default_rng(0)
    worst = np.full((2000, 4), 0.5) * rng.choice([-1, 1], (2000, 4)) + rng.uniform(-0.01, 0.01, (2000, 4))
    quats = np.concatenate([rng.normal(size=(2000, 4)), worst])
    quats = (quats / np.linalg.norm(quats, axis=1, keepdims=True)).astype(np.float32)
    grid = np.stack(np.meshgrid(*[np.arange(16)] * 3), -1).reshape(-1, 3)[:4000].astype(np.float32)
    sh, ones = np.zeros((4000, 1, 3), np.float32), np.ones(4000, np.float32)
    path = tmp_path / f"a{suffix}"
    {".sog": write_sog, ".spz": write_spz, ".compressed.ply": write_compressed_ply}[suffix](
        path, Splats(grid, quats, np.ones((4000, 3), np.float32), ones, sh)
    )
    back = read_splats(path).splats
    moved = turns(back.quats, quats[np.rint(back.means).astype(int) @ [16, 256, 1]])
    assert 0.8 * turn_of_three(error) < moved.max() < turn_of_three(error) + 1e-5


def test_the_mode_survives_spz_and_sog(tmp_path):
    scene = replace(synthetic_gaussians(40, 1).splats(), mode="antialiased")
    write_spz(tmp_path / "a.spz", scene)
    write_sog(tmp_path / "a.sog", scene)
    assert read_spz(tmp_path / "a.spz")[0].mode == read_sog(tmp_path / "a.sog").mode == "antialiased"


def test_the_same_scene_gives_the_same_bytes(tmp_path):
    scene = synthetic_gaussians(200, 3).splats()
    for name, write in (("spz", write_spz), ("sog", write_sog)):
        write(tmp_path / f"a.{name}", scene)
        write(tmp_path / f"b.{name}", scene)
        assert (tmp_path / f"a.{name}").read_bytes() == (tmp_path / f"b.{name}").read_bytes()


@pytest.mark.parametrize("name", ["random_degree3.v3.spz", "random_degree3.v4.spz", "random_degree3.sog"])
def test_a_file_cut_anywhere_or_with_a_wrong_byte_is_one_line_or_splats(tmp_path, name):
    data = shared(f"formats/{name}").read_bytes()
    path = tmp_path / Path(name).name
    for end in sorted({*range(0, 64, 5), *np.linspace(64, len(data) - 1, 30).astype(int).tolist()}):
        path.write_bytes(data[:end])
        with pytest.raises(InputError):
            read_splats(path)
    rng = np.random.default_rng(0)
    tracemalloc.start()
    for place in [*range(40), *rng.integers(40, len(data), 60)]:
        path.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        with contextlib.suppress(InputError):  # any other exception is a defect
            read_splats(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6
