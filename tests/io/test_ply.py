"""The PLY of splats against plyfile both ways, files of another writer, round trips, and files that lie."""

import contextlib
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plyfile import PlyData, PlyElement

from recon3d.core.gaussians import Gaussians
from recon3d.core.synthetic import Synthetic, arc_of_cameras, synthetic_gaussians
from recon3d.errors import InputError
from recon3d.io import ply
from recon3d.io.ply import column_names
from recon3d.rendering.render import render
from tests.io.input_files import cuts
from tests.shared_folder import shared

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read_ply(path: Path, note=None) -> Gaussians:
    return Gaussians.of(ply.read_ply(path, note))


def write_ply(path: Path, gaussians: Gaussians) -> None:
    ply.write_ply(path, gaussians.splats())


def plain(path: Path) -> dict[str, np.ndarray]:
    """Columns of a PLY by plyfile."""
    vertex = PlyData.read(path)["vertex"]
    return {p.name: np.asarray(vertex[p.name], np.float64) for p in vertex.properties}


def meaning(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the columns of 3DGS mean, written out from its definition, in float64."""
    rest = sum(n.startswith("f_rest_") for n in columns) // 3
    sh = np.zeros((len(columns["x"]), 1 + rest, 3))
    for channel in range(3):
        sh[:, 0, channel] = columns[f"f_dc_{channel}"]
        for k in range(rest):
            sh[:, 1 + k, channel] = columns[f"f_rest_{channel * rest + k}"]
    quats = np.stack([columns[f"rot_{i}"] for i in range(4)], -1)
    return {
        "means": np.stack([columns[n] for n in "xyz"], -1),
        "quats": quats / np.linalg.norm(quats, axis=1, keepdims=True),
        "scales": np.exp(np.stack([columns[f"scale_{i}"] for i in range(3)], -1)),
        "opacities": 1 / (1 + np.exp(-columns["opacity"])),
        "sh": sh,
    }


def assert_means_the_same(gaussians: Gaussians, columns: dict[str, np.ndarray]) -> None:
    for name, expected in meaning(columns).items():
        np.testing.assert_allclose(getattr(gaussians, name).numpy(), expected, rtol=3e-7, atol=1e-7, err_msg=name)


def assert_same(a: Gaussians, b: Gaussians) -> None:
    assert a.mode == b.mode
    torch.testing.assert_close(a.means, b.means, rtol=0, atol=0)
    torch.testing.assert_close(a.sh, b.sh, rtol=0, atol=0)
    torch.testing.assert_close(a.quats, b.quats, rtol=0, atol=3e-7)
    torch.testing.assert_close(a.opacities, b.opacities, rtol=2e-6, atol=1e-7)
    torch.testing.assert_close(a.scales, b.scales, rtol=4e-6, atol=0)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_plyfile_reads_what_we_write_with_the_columns_and_meaning_of_3dgs(tmp_path, degree):
    gaussians = synthetic_gaussians(50, degree)
    write_ply(tmp_path / "a.ply", gaussians)
    columns = plain(tmp_path / "a.ply")
    rest = (degree + 1) ** 2 - 1
    assert list(columns) == column_names(rest)
    assert list(columns)[:9] == ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"]
    assert list(columns)[-8:-3] == ["opacity", "scale_0", "scale_1", "scale_2", "rot_0"]
    assert not columns["nx"].any() and not columns["nz"].any()
    assert_means_the_same(gaussians, columns)


@pytest.mark.parametrize("form", ["<", ">", "ascii"])
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_we_read_what_plyfile_writes_in_every_form_with_columns_shuffled(tmp_path, form, kind):
    rng = np.random.default_rng(3)
    names = [n for n in column_names(8) if n not in ("nx", "ny", "nz")]
    rng.shuffle(names)
    rows = np.zeros(40, [*[(n, kind) for n in names], ("segment", "u1")])
    for name in names:
        rows[name] = rng.normal(size=40)
    around = PlyElement.describe(np.zeros(3, [("q", "i2"), ("r", "f8")]), "sensor")
    after = PlyElement.describe(np.zeros(2, [("z", "i4")]), "tail")
    splats = PlyElement.describe(rows, "vertex")
    data = PlyData([around, splats, after], text=form == "ascii", byte_order="<" if form == "ascii" else form)
    data.write(tmp_path / "a.ply")
    assert_means_the_same(read_ply(tmp_path / "a.ply"), plain(tmp_path / "a.ply"))


def test_windows_line_ends_and_comments_in_the_header_are_read(tmp_path):
    write_ply(tmp_path / "a.ply", synthetic_gaussians(5, 1))
    head, data = (tmp_path / "a.ply").read_bytes().split(b"end_header\n")
    head = head.replace(b"element", b"comment made by a program\nobj_info 1 2\nelement").replace(b"\n", b"\r\n")
    (tmp_path / "b.ply").write_bytes(head + b"end_header\r\n" + data)
    assert_same(read_ply(tmp_path / "a.ply"), read_ply(tmp_path / "b.ply"))


@pytest.mark.parametrize("name", ["layout_ascii", "layout_big_endian", "layout_double_extra_no_normals"])
def test_shared_layouts_read_as_plyfile_reads_them(name):
    path = shared(f"formats/{name}.ply")
    assert_means_the_same(read_ply(path), plain(path))


@pytest.mark.parametrize("name", ["random_degree0", "random_degree1", "random_degree3"])
def test_another_programs_reading_of_its_own_file_is_read_likewise(name):
    """Columns in another order, no normals, an infinite logit: what splat-transform wrote after reading SOG."""
    for path in (shared(f"formats/{name}.ply"), shared(f"formats/{name}.sog.read.ply")):
        assert_means_the_same(read_ply(path), plain(path))


def test_the_render_mode_is_read_in_the_spellings_of_three_programs():
    assert read_ply(shared("formats/mode_mip.ply")).mode == "antialiased"
    assert read_ply(shared("formats/mode_postshot.ply")).mode == "antialiased"
    surfels = read_ply(shared("formats/surfels_no_scale_2.ply"))
    assert surfels.mode == "2dgs"
    assert torch.equal(surfels.scales.argmin(1), torch.full((len(surfels),), 2))


def test_degree_four_is_cut_to_three_and_said():
    notes = []
    path = shared("formats/degree4.ply")
    gaussians = read_ply(path, notes.append)
    columns = plain(path)
    assert gaussians.degree == 3 and any("degree 4" in n for n in notes)
    np.testing.assert_array_equal(gaussians.sh[:, 15, 2].numpy(), columns["f_rest_62"].astype(np.float32))


def test_infinite_logits_are_read_as_zero_and_one_and_said():
    notes = []
    gaussians = read_ply(shared("formats/random_degree0.v3.read.ply"), notes.append)
    assert torch.isfinite(gaussians.opacities).all() and "1 opacities" in notes[0]


floats = st.floats(-1e6, 1e6, width=32)


@QUICK
@given(
    degree=st.integers(0, 3),
    mode=st.sampled_from(["default", "antialiased", "2dgs"]),
    means=st.lists(floats, min_size=3, max_size=3),
    log_scale=st.floats(-60, 60),
    opacity=st.floats(0, 1, width=32),
    seed=st.integers(0, 1000),
)
def test_what_is_written_is_read_back(tmp_path, degree, mode, means, log_scale, opacity, seed):
    gaussians = replace(synthetic_gaussians(4, degree, seed), mode=mode)
    gaussians.means[0] = torch.tensor(means)
    gaussians.scales[1] = float(np.exp(log_scale))
    gaussians.opacities[2] = opacity
    write_ply(tmp_path / "a.ply", gaussians)
    assert_same(read_ply(tmp_path / "a.ply"), gaussians)


def test_opacities_that_look_like_unmended_ones_come_back_as_they_were(tmp_path):
    """All between 0.5 and 0.73, as a head's may be: their logits are within 0 to 1."""
    gaussians = synthetic_gaussians(64)
    opacities = torch.linspace(0.51, 0.72, 64)
    write_ply(tmp_path / "a.ply", replace(gaussians, opacities=opacities))
    torch.testing.assert_close(read_ply(tmp_path / "a.ply").opacities, opacities, atol=1e-6, rtol=0)
    write_ply(tmp_path / "b.ply", replace(gaussians, opacities=torch.linspace(0.1, 0.9, 64)))
    assert b"logit" not in (tmp_path / "b.ply").read_bytes()[:2000]


def test_opacities_of_exactly_zero_and_one_get_finite_logits_and_come_back(tmp_path):
    gaussians = replace(synthetic_gaussians(3), opacities=torch.tensor([0.0, 1.0, 0.5]))
    write_ply(tmp_path / "a.ply", gaussians)
    assert np.isfinite(plain(tmp_path / "a.ply")["opacity"]).all()
    torch.testing.assert_close(read_ply(tmp_path / "a.ply").opacities, gaussians.opacities, rtol=0, atol=1e-15)


@pytest.mark.parametrize("degree", [0, 3])
def test_splats_read_back_render_to_80_db_of_those_in_memory(tmp_path, degree):
    """Measured: 120 dB at the worst, with opacities of exactly 0 and 1 among them."""
    gaussians = synthetic_gaussians(1000, degree, size=0.1)
    gaussians.opacities[:50], gaussians.opacities[50:60] = 1, 0
    write_ply(tmp_path / "a.ply", gaussians)
    cameras = arc_of_cameras(Synthetic(views=2, height=120, width=160))
    a, b = (render(g, cameras, device="cpu").rgb.double() for g in (gaussians, read_ply(tmp_path / "a.ply")))
    assert a.max() > 0.5
    assert -10 * float(torch.log10((a - b).square().mean().clamp_min(1e-30))) >= 80


def test_the_bytes_depend_on_the_values_only(tmp_path):
    write_ply(tmp_path / "a.ply", synthetic_gaussians(30, 2))
    (tmp_path / "elsewhere").mkdir()
    write_ply(tmp_path / "elsewhere" / "b.ply", synthetic_gaussians(30, 2))
    data = (tmp_path / "a.ply").read_bytes()
    assert data == (tmp_path / "elsewhere" / "b.ply").read_bytes()
    assert b"comment" not in data.split(b"end_header")[0]


def test_values_that_cannot_be_rendered_are_not_written(tmp_path):
    gaussians = synthetic_gaussians(3)
    gaussians.means[1, 1] = float("nan")
    with pytest.raises(ValueError, match="means of Gaussian 1"):
        write_ply(tmp_path / "a.ply", gaussians)
    assert list(tmp_path.iterdir()) == []


def test_a_file_cut_off_is_one_input_error(tmp_path):
    write_ply(tmp_path / "a.ply", synthetic_gaussians(3, 0))
    data = (tmp_path / "a.ply").read_bytes()
    for length in cuts(len(data)):
        (tmp_path / "b.ply").write_bytes(data[:length])
        with pytest.raises(InputError, match=r"b\.ply: "):
            read_ply(tmp_path / "b.ply")


def test_an_ascii_file_cut_before_its_last_value_is_one_input_error(tmp_path):
    rows = np.zeros(3, [(n, "f4") for n in column_names(0)])
    rows["rot_0"] = 1
    PlyData([PlyElement.describe(rows, "vertex")], text=True).write(tmp_path / "a.ply")
    data = (tmp_path / "a.ply").read_bytes()
    assert len(read_ply(tmp_path / "a.ply")) == 3
    for length in cuts(data.rstrip().rfind(b" ") + 1):
        (tmp_path / "b.ply").write_bytes(data[:length])
        with pytest.raises(InputError):
            read_ply(tmp_path / "b.ply")


@pytest.mark.parametrize("count", ["-1", str(2**40), str(2**63), "9" * 5000, "3.5", "1e9", "many", "", "²"])
@pytest.mark.parametrize("form", ["binary_little_endian", "ascii"])
def test_a_count_that_lies_is_refused_before_anything_is_allocated(tmp_path, count, form):
    header = f"ply\nformat {form} 1.0\nelement vertex {count}\n"
    header += "".join(f"property float {n}\n" for n in column_names(0)) + "end_header\n"
    (tmp_path / "a.ply").write_bytes(header.encode() + b"0" * 400)
    with pytest.raises(InputError):
        read_ply(tmp_path / "a.ply")


@pytest.mark.parametrize("column", ["x", "f_dc_1", "opacity", "scale_2", "rot_3"])
@pytest.mark.parametrize("text", [False, True])
def test_a_nan_is_an_error_that_names_file_and_count(tmp_path, column, text):
    rows = np.ones(7, [(n, "f4") for n in column_names(0)])
    rows[column][2:4] = np.nan
    PlyData([PlyElement.describe(rows, "vertex")], text=text).write(tmp_path / "a.ply")
    with pytest.raises(InputError, match=r"a\.ply: 2 of its 7 splats cannot be rendered"):
        read_ply(tmp_path / "a.ply")


def test_what_is_no_splat_ply_is_said_in_a_line(tmp_path):
    path = tmp_path / "a.ply"
    cases = {
        b"": "not a PLY", b"PNG" * 10: "not a PLY", b"ply\n" + b"comment x\n" * 90000: "no end",
        b"ply\nformat ascii 1.0\nelement face 0\nend_header\n": "no element named vertex",
        b"ply\nelement vertex 1\nproperty float x\nend_header\n0\n": "names no format",
        b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n0\n": "holds no splats",
        b"ply\nformat ascii 1.0\nelement vertex 1\nproperty half x\nend_header\n0\n": "makes no sense",
        b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty int x\nend_header\n0\n": "of one name",
    }  # fmt: skip
    for data, words in cases.items():
        path.write_bytes(data)
        with pytest.raises(InputError, match=words):
            read_ply(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_ply(tmp_path / "absent.ply")
    with pytest.raises(InputError, match="cannot be read"):
        read_ply(tmp_path)


def test_a_point_cloud_a_list_property_and_a_zero_quaternion_are_refused(tmp_path):
    path = tmp_path / "a.ply"
    rows = np.ones(2, [(n, "f4") for n in column_names(0)])
    for i in range(4):
        rows[f"rot_{i}"][1] = 0
    PlyData([PlyElement.describe(rows, "vertex")]).write(path)
    with pytest.raises(InputError, match=r"1 of its 2 splats cannot be rendered .1 by their rotations of 0, 0, 0, 0"):
        read_ply(path)
    head = "".join(f"property float {n}\n" for n in column_names(0))
    lists = "property list uchar int i\n"
    for place in (f"element face 1\n{lists}element vertex 1\n", f"element vertex 1\n{lists}"):
        path.write_bytes(f"ply\nformat ascii 1.0\n{place}{head}end_header\n".encode() + b"1 " * 60)
        with pytest.raises(InputError, match="list property"):
            read_ply(path)


def _two_splats() -> bytes:
    rows = np.ones(2, [(n, "f4") for n in column_names(0)])
    file = io.BytesIO()
    PlyData([PlyElement.describe(rows, "vertex")]).write(file)
    return file.getvalue()


@QUICK
@given(changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_file_with_any_bytes_changed_gives_splats_or_one_input_error(tmp_path, changes):
    data = bytearray(_two_splats())
    for at, value in changes:
        data[at % len(data)] = value
    (tmp_path / "a.ply").write_bytes(data)
    with contextlib.suppress(InputError):
        read_ply(tmp_path / "a.ply").check("changed file")


@QUICK
@given(data=st.binary(max_size=300))
def test_random_bytes_after_the_magic_word_are_one_input_error(tmp_path, data):
    (tmp_path / "a.ply").write_bytes(b"ply\n" + data)
    with pytest.raises(InputError):
        read_ply(tmp_path / "a.ply")
