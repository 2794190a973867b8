"""Compressed PLY against what its own writer reads back, and files that lie."""

import contextlib
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recon3d.errors import InputError
from recon3d.io.compressed_ply import read_compressed_ply
from recon3d.io.ply import read_ply
from tests.io.input_files import cuts
from tests.shared_folder import shared

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
BOUNDS = [f"{end}_{kind}{axis}" for kind in ("", "scale_") for end in ("min", "max") for axis in "xyz"]
COLORS = ["min_r", "min_g", "min_b", "max_r", "max_g", "max_b"]
PACKED = ["packed_position", "packed_rotation", "packed_scale", "packed_color"]


def compressed(
    path: Path, packed: np.ndarray, bounds: dict[str, float], rest: np.ndarray | None = None, order: str = "<", **lies
) -> Path:
    """A file of the packed values, all chunks with the same bounds; `lies` replace the counts of the header."""
    counts = {"chunk": -(-len(packed) // 256), "vertex": len(packed), "sh": len(packed)}
    kind = {"<": "little", ">": "big"}[order]
    said = {**counts, **lies}
    header = f"ply\nformat binary_{kind}_endian 1.0\nelement chunk {said['chunk']}\n"
    header += "".join(f"property float {n}\n" for n in bounds)
    header += f"element vertex {said['vertex']}\n" + "".join(f"property uint {n}\n" for n in PACKED)
    data = np.tile(np.array(list(bounds.values()), f"{order}f4"), (counts["chunk"], 1)).tobytes()
    data += packed.astype(f"{order}u4").tobytes()
    if rest is not None:
        header += f"element sh {said['sh']}\n" + "".join(f"property uchar f_rest_{i}\n" for i in range(rest.shape[1]))
        data += rest.astype("u1").tobytes()
    path.write_bytes(header.encode() + b"end_header\n" + data)
    return path


def bounds(**changed: float) -> dict[str, float]:
    return {**{n: (0.0 if n.startswith("min") else 1.0) for n in BOUNDS}, **changed}


def random_packed(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 1 << 32, (count, 4), dtype=np.uint64)


@pytest.mark.parametrize("degree", [0, 1, 3])
def test_it_is_read_as_the_program_that_wrote_it_reads_it(degree):
    ours = read_compressed_ply(shared(f"formats/random_degree{degree}.compressed.ply"))
    theirs = read_ply(shared(f"formats/random_degree{degree}.compressed.read.ply"))
    assert ours.degree == theirs.degree == degree and len(ours) == 300
    np.testing.assert_allclose(ours.means, theirs.means, rtol=3e-7, atol=3e-7)
    np.testing.assert_allclose(np.abs((ours.quats * theirs.quats).sum(1)), 1, atol=3e-7)
    np.testing.assert_allclose(ours.scales, theirs.scales, rtol=2e-6)
    np.testing.assert_allclose(ours.opacities, theirs.opacities, atol=2e-6)
    np.testing.assert_allclose(ours.sh, theirs.sh, rtol=3e-7, atol=2e-6)


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_bits_mean_what_the_format_says(tmp_path, order):
    """All numbers written out by hand: the ends of every field, and a rotation of a third of a turn about (1, 1, 1)."""
    half = round((0.5 / np.sqrt(2) + 0.5) * 1023)
    packed = np.array(
        [
            [2047 << 21, 2 << 30 | half << 20 | half << 10 | half, 1023 << 11, 255 << 24 | 51],
            [2047, 511 << 20 | 512 << 10 | 512, 0, 0xFFFFFFFF],
        ]
    )
    rest = np.array([[0, 255, 128] * 3, [127] * 9])
    chunk = bounds(min_x=-2, max_x=3, max_z=7, max_scale_y=2, min_scale_x=-1)
    splats = read_compressed_ply(compressed(tmp_path / "a.ply", packed, chunk, rest, order))
    np.testing.assert_allclose(splats.means, [[3, 0, 0], [-2, 0, 7]])
    np.testing.assert_allclose(splats.quats[0], 0.5, atol=1e-3)
    np.testing.assert_allclose(splats.quats[1], [1, 0, 0, 0], atol=1e-3)
    np.testing.assert_allclose(splats.scales, np.exp([[-1, 2, 0], [-1, 0, 0]]), rtol=1e-6)
    np.testing.assert_allclose(splats.opacities, [0.2, 1], rtol=1e-6)
    np.testing.assert_allclose(splats.sh[0, 0] * 0.2820947918 + 0.5, [1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(splats.sh[0, 1:, 0], [-4, 4, 0.5 / 256 * 8], rtol=1e-6)
    np.testing.assert_allclose(splats.sh[1, 1:], -0.5 / 256 * 8, rtol=1e-6)


def test_bounds_of_colour_stretch_it_and_a_second_chunk_has_its_own(tmp_path):
    path = compressed(tmp_path / "a.ply", random_packed(257), bounds(**dict.fromkeys(COLORS, 0.5)))
    data = bytearray(path.read_bytes())
    second = data.index(b"end_header\n") + 11 + 4 * 18
    data[second : second + 24] = np.array([5] * 6, "<f4").tobytes()
    path.write_bytes(data)
    splats = read_compressed_ply(path)
    assert not splats.sh.any()
    assert splats.means[:256].max() <= 1 and (splats.means[256] == 5).all()


def test_any_bits_are_splats_that_can_be_rendered(tmp_path):
    splats = read_compressed_ply(compressed(tmp_path / "a.ply", random_packed(70_000), bounds()))
    splats.check("random bits")
    assert len(splats) == 70_000


@pytest.mark.parametrize(
    ("lies", "words"),
    [
        ({"vertex": 2**40, "sh": 2**40, "chunk": 2**32}, "bytes, and holds"),
        ({"vertex": 5}, "harmonics of 4 splats"),
        ({"sh": 2**33}, "harmonics of 8589934592 splats"),
        ({"vertex": 257, "sh": 257}, "1 chunks of 256"),
        ({"vertex": 0}, "a count of 0"),
        ({"chunk": 2**50}, "bytes, and holds"),
    ],
)
def test_counts_that_lie_are_refused_before_anything_is_allocated(tmp_path, lies, words):
    path = compressed(tmp_path / "a.ply", random_packed(4), bounds(), np.zeros((4, 9)), **lies)
    tracemalloc.start()
    with pytest.raises(InputError, match=words):
        read_compressed_ply(path)
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


def test_what_is_no_compressed_ply_or_holds_no_numbers_is_said_in_a_line(tmp_path):
    path = tmp_path / "a.ply"
    packed = random_packed(3)
    cases = {
        "3 of its 3 splats cannot be rendered .3 by their means": bounds(min_y=float("nan")),
        "3 by their scales": bounds(min_scale_x=1e3, max_scale_x=1e3),
        "no max_scale_z": {n: v for n, v in bounds().items() if n != "max_scale_z"},
    }
    for words, chunk in cases.items():
        with pytest.raises(InputError, match=words):
            read_compressed_ply(compressed(path, packed, chunk))
    with pytest.raises(InputError, match="10 properties"):
        read_compressed_ply(compressed(path, packed, bounds(), np.zeros((3, 10))))
    with pytest.raises(InputError, match="no compressed splats"):
        read_compressed_ply(shared("formats/random_degree0.ply"))
    with pytest.raises(InputError, match="cannot be read"):
        read_compressed_ply(tmp_path)


def test_a_file_cut_off_is_one_input_error(tmp_path):
    data = compressed(tmp_path / "a.ply", random_packed(2), bounds(), np.zeros((2, 9))).read_bytes()
    for length in cuts(len(data)):
        (tmp_path / "b.ply").write_bytes(data[:length])
        with pytest.raises(InputError, match=r"b\.ply: "):
            read_compressed_ply(tmp_path / "b.ply")


@QUICK
@given(changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_file_with_any_bytes_changed_gives_splats_or_one_input_error(tmp_path, changes):
    data = bytearray(compressed(tmp_path / "a.ply", random_packed(2), bounds(), np.zeros((2, 9))).read_bytes())
    for at, value in changes:
        data[at % len(data)] = value
    (tmp_path / "a.ply").write_bytes(data)
    with contextlib.suppress(InputError):
        read_compressed_ply(tmp_path / "a.ply").check("changed file")
