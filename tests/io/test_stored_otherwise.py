"""PLY and GLB whose writers store numbers otherwise than the format has them: read as the same splats stored rightly."""

from pathlib import Path

import numpy as np
import pytest
from plyfile import PlyData, PlyElement

from recon3d.core.harmonics import C0
from recon3d.core.splats import FIELDS, Splats
from recon3d.errors import InputError
from recon3d.io.glb import read_glb, write_glb
from recon3d.io.ply import column_names, logits_of, read_ply, write_ply
from tests.io.test_glb import parts_of, write_parts
from tests.io.test_splat_files import assert_alike
from tests.shared_folder import shared


def scene(count: int = 400, size: float = 1.0) -> Splats:
    """Splats as training leaves them: 0.2 to 0.7 of the distance between neighbours wide, some faint, some opaque."""
    rng = np.random.default_rng(7)
    quats = rng.normal(size=(count, 4))
    fields = (
        rng.uniform(-1, 1, (count, 3)) * size, quats / np.linalg.norm(quats, axis=1, keepdims=True),
        0.13 * size * np.exp(rng.uniform(-1, 0, (count, 3))), rng.uniform(0.01, 0.99, count), rng.normal(0, 0.5, (count, 1, 3)),
    )  # fmt: skip
    return Splats(*(field.astype(np.float32) for field in fields))


def columns_of(splats: Splats) -> dict[str, np.ndarray]:
    """The columns of 3DGS, by its definition."""
    values = [splats.means, splats.sh[:, 0], logits_of(splats.opacities)[:, None], np.log(splats.scales), splats.quats]
    names = [name for name in column_names(0) if name not in ("nx", "ny", "nz")]
    return dict(zip(names, np.concatenate(values, 1).astype(np.float32).T, strict=True))


def written(path: Path, columns: dict[str, np.ndarray], comments: tuple[str, ...] = (), text: bool = False) -> Path:
    rows = np.zeros(len(columns["x"]), [(name, column.dtype.str) for name, column in columns.items()])
    for name, column in columns.items():
        rows[name] = column
    PlyData([PlyElement.describe(rows, "vertex")], text=text, comments=list(comments)).write(path)
    return path


def assert_same(found: Splats, meant: Splats, rtol: float = 2e-6) -> None:
    for name in FIELDS:
        np.testing.assert_allclose(getattr(found, name), getattr(meant, name), rtol=rtol, atol=2e-6, err_msg=name)


def plain_scales(splats: Splats) -> dict[str, np.ndarray]:
    return {f"scale_{i}": splats.scales[:, i] for i in range(3)}


@pytest.mark.parametrize("size", [0.01, 1.0, 100.0, 1000.0])
def test_scales_without_the_logarithm_are_recognised_beside_the_distances_of_neighbours(tmp_path, size):
    meant, notes = scene(size=size), []
    path = written(tmp_path / "a.ply", columns_of(meant) | plain_scales(meant))
    assert_same(read_ply(path, notes.append), meant)
    assert len(notes) == 1 and "without the logarithm" in notes[0] and "--scales as-is" in notes[0]
    if size <= 1:
        np.testing.assert_allclose(read_ply(path, scales_as_is=True).scales, np.exp(meant.scales), rtol=1e-5)
    rightly = read_ply(written(tmp_path / "b.ply", columns_of(meant)), notes.append)
    assert_same(rightly, meant)
    assert len(notes) == 1


def test_a_file_of_activated_values_is_mended_whole(tmp_path):
    meant, notes = scene(), []
    path = written(tmp_path / "a.ply", columns_of(meant) | plain_scales(meant) | {"opacity": meant.opacities})
    assert_same(read_ply(path, notes.append), meant)
    assert "logit" in notes[0] and "logarithm" in notes[1] and len(notes) == 2


def test_few_splats_and_scales_that_are_wide_on_purpose_are_left_as_they_are(tmp_path):
    """Our own file says that it holds logarithms, where its splats are as wide as fog."""
    few = scene(20)
    assert not np.allclose(read_ply(written(tmp_path / "a.ply", columns_of(few) | plain_scales(few))).scales, few.scales)
    wide = scene()
    wide = Splats(wide.means, wide.quats, wide.scales * 60, wide.opacities, wide.sh)
    write_ply(tmp_path / "b.ply", wide)
    assert_same(read_ply(tmp_path / "b.ply"), wide)


def test_the_filter_of_mip_splatting_widens_scales_and_thins_opacities(tmp_path):
    meant, notes = scene(), []
    filters = np.linspace(0.01, 0.3, len(meant), dtype=np.float32)
    path = written(tmp_path / "a.ply", columns_of(meant) | {"filter_3D": filters})
    found = read_ply(path, notes.append)
    squares = meant.scales.astype(float) ** 2
    wide = squares + filters[:, None].astype(float) ** 2
    np.testing.assert_allclose(found.scales, np.sqrt(wide), rtol=2e-6)
    ratio = np.sqrt(squares.prod(1) / wide.prod(1))
    np.testing.assert_allclose(found.opacities, meant.opacities * ratio, rtol=2e-5)
    assert "filter_3D" in notes[0]


@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
@pytest.mark.parametrize("text", [False, True])
def test_colours_as_red_green_and_blue_are_those_of_f_dc(tmp_path, kind, text):
    meant = scene()
    shown = np.clip(0.5 + C0 * meant.sh[:, 0].astype(float), 0, 1)
    most = np.iinfo(kind).max if kind != "f4" else 1
    columns = {name: column for name, column in columns_of(meant).items() if not name.startswith("f_dc")}
    colors = (np.rint(shown * most) if kind != "f4" else shown).astype(kind)
    columns |= dict(zip(("red", "green", "blue"), colors.T, strict=True))
    found = read_ply(written(tmp_path / "a.ply", columns, text=text))
    np.testing.assert_allclose(found.sh[:, 0], (colors / most - 0.5) / C0, atol=1e-5)


def test_a_few_bad_rows_are_left_out_with_their_count_and_many_refuse_the_file(tmp_path):
    meant, notes = scene(), []
    columns = columns_of(meant)
    columns["x"][3], columns["scale_1"][4], columns["f_dc_2"][3] = np.nan, np.inf, -np.inf
    for i in range(4):
        columns[f"rot_{i}"][[5, 6]] = 0
    found = read_ply(written(tmp_path / "a.ply", columns), notes.append)
    assert_same(found, meant[np.r_[0:3, 7:400]])
    what = "1 by their means, 1 by their scales, 1 by their colours, 2 by their rotations of 0, 0, 0, 0"
    assert notes[0].endswith(f"4 of its 400 splats cannot be rendered ({what}) and were left out")
    columns["y"][7:60] = np.nan
    with pytest.raises(InputError, match="57 of its 400 splats cannot be rendered"):
        read_ply(written(tmp_path / "a.ply", columns))


def test_bad_rows_of_a_far_ply_in_double_precision_change_neither_its_origin_nor_what_is_mended(tmp_path):
    """Beside the positions of UTM in float32, scales stored without the logarithm would not be recognised."""
    meant, notes = scene(), []
    columns = columns_of(meant) | plain_scales(meant)
    utm = dict(zip("xyz", (500000.123456, 0.0, 4650000.654321), strict=True))
    columns |= {name: columns[name].astype(float) + x for name, x in utm.items()}
    columns["x"][3], columns["y"][4], columns["z"][5] = np.nan, np.inf, 1e300
    found = read_ply(written(tmp_path / "a.ply", columns), notes.append)
    kept = meant[np.r_[0:3, 6:400]]
    assert np.abs(found.positions - kept.positions - list(utm.values())).max() < 1e-6
    np.testing.assert_allclose(found.scales, kept.scales, rtol=1e-6)
    assert [n.split(": ", 1)[1][:30] for n in notes] == [
        "scales are stored without the ", "3 of its 400 splats cannot be ", "its positions in double precis"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "count", "scale", "opacity"),
    [
        ("activated", 600, 0.0398, 0.357), ("linear_scales", 400, 0.0837, 0.540), ("filter_3d", 1721, 0.0483, 0.100),
        ("nan_rows", 397, 0.0837, 0.540), ("zero_rotations", 398, 0.0837, 0.540), ("rgb_colors", 400, 0.0837, 0.540),
    ],
)  # fmt: skip
def test_the_shared_cases_have_the_medians_of_the_scenes_they_were_made_of(name, count, scale, opacity):
    found = read_ply(shared(f"cases/{name}.ply"))
    assert len(found) == count
    assert float(np.median(found.scales)) == pytest.approx(scale, rel=0.01)
    assert float(np.median(found.opacities)) == pytest.approx(opacity, rel=0.01)


def with_scales(path: Path, splats: Splats, scales: np.ndarray) -> Path:
    """A GLB of the splats with other numbers in the place of its scales."""
    write_glb(path, splats)
    content, numbers = parts_of(path)
    index = content["meshes"][0]["primitives"][0]["attributes"]["KHR_gaussian_splatting:SCALE"]
    start = content["bufferViews"][content["accessors"][index]["bufferView"]]["byteOffset"]
    data = scales.astype("<f4").tobytes()
    write_parts(path, content, numbers[:start] + data + numbers[start + len(data) :])
    return path


@pytest.mark.parametrize("size", [0.01, 1.0, 20.0])
def test_a_glb_with_logarithms_for_scales_is_recognised_by_negative_ones(tmp_path, size):
    """At a size of 20 only a few of them are negative: the rest fits the distances of neighbours as logarithms."""
    meant, notes = scene(size=size), []
    found, _ = read_glb(with_scales(tmp_path / "a.glb", meant, np.log(meant.scales)), notes.append)
    assert_alike(found, meant)
    assert len(notes) == 1 and "logarithms" in notes[0]


def test_a_few_negative_scales_among_scales_that_fit_are_bad_splats_and_no_logarithms(tmp_path):
    meant, notes = scene(), []
    scales = meant.scales.copy()
    scales[:3] *= -1
    found, _ = read_glb(with_scales(tmp_path / "a.glb", meant, scales), notes.append)
    assert_alike(found, meant[3:])
    assert notes[0].endswith("3 of its 400 splats cannot be rendered (3 by their scales) and were left out")
