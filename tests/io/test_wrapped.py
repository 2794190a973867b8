"""Splats within other files: SPZ in GLB, in gzip members or none, a zip, a folder; and which way is up in them."""

import gzip
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recon3d.core.splats import Splats
from recon3d.core.synthetic import synthetic_gaussians
from recon3d.errors import InputError
from recon3d.io.compressed_ply import write_compressed_ply
from recon3d.io.glb import read_glb, write_glb
from recon3d.io.ply import write_ply
from recon3d.io.sog import write_sog
from recon3d.io.splat import write_splat
from recon3d.io.splat_files import format_to_write, read_splats
from recon3d.io.spz import read_spz, write_spz
from tests.io.test_glb import parts_of, write_parts
from tests.io.test_splat_files import assert_alike, covariances
from tests.shared_folder import shared

NAME, SPZ = "KHR_gaussian_splatting", "KHR_gaussian_splatting_compression_spz_2"


def scene(count: int = 200, degree: int = 1) -> Splats:
    return synthetic_gaussians(count, degree, size=0.05).splats()


def legacy_spz(folder: Path) -> bytes:
    """What stands in the gzip of an SPZ of version 3, y up."""
    write_spz(folder / "plain.spz", scene(), version=3, axes="rub")
    return gzip.decompress((folder / "plain.spz").read_bytes())


def spz_glb(path: Path, spz: bytes, extension: dict | None = None) -> Path:
    """A GLB as Cesium writes it: attributes without data, and an SPZ in a buffer view."""
    accessors = [{"componentType": 5126, "count": 200, "type": kind} for kind in ("VEC3", "VEC4")]
    primitive = {
        "mode": 0, "attributes": {"POSITION": 0, "COLOR_0": 1},
        "extensions": extension or {NAME: {"extensions": {SPZ: {"bufferView": 0}}}},
    }  # fmt: skip
    content = {
        "asset": {"version": "2.0"}, "nodes": [{"mesh": 0}], "meshes": [{"primitives": [primitive]}],
        "accessors": accessors, "buffers": [{"byteLength": len(spz)}],
        "bufferViews": [{"buffer": 0, "byteLength": len(spz)}],
    }  # fmt: skip
    write_parts(path, content, spz + b"\0" * (-len(spz) % 4))
    return path


def test_an_spz_without_gzip_in_several_members_or_with_zeros_behind_is_the_same_file(tmp_path):
    raw = legacy_spz(tmp_path)
    meant, _ = read_spz(tmp_path / "plain.spz")
    forms = {
        "none": raw, "none padded": raw + b"\0" * 100, "members": gzip.compress(raw[:999]) + gzip.compress(raw[999:]),
        "padded": gzip.compress(raw) + b"\0" * 512, "an empty member": gzip.compress(b"") + gzip.compress(raw),
    }  # fmt: skip
    for form in forms.values():
        (tmp_path / "a.spz").write_bytes(form)
        assert_alike(read_splats(tmp_path / "a.spz").splats, meant)
    for broken in (forms["none"][:-1], forms["members"][:-30], gzip.compress(raw) + b"abc", raw + b"\0a"):
        (tmp_path / "a.spz").write_bytes(broken)
        with pytest.raises(InputError):
            read_splats(tmp_path / "a.spz")


def test_a_version_that_is_not_read_is_named_beside_those_that_are(tmp_path):
    raw = bytearray(legacy_spz(tmp_path))
    raw[4] = 7
    (tmp_path / "a.spz").write_bytes(gzip.compress(bytes(raw)))
    with pytest.raises(InputError, match="states the version 7 of SPZ, and 1 to 4 are read"):
        read_splats(tmp_path / "a.spz")
    write_spz(tmp_path / "b.spz", scene())
    (tmp_path / "b.spz").write_bytes(gzip.compress((tmp_path / "b.spz").read_bytes()))
    with pytest.raises(InputError, match=r"version 4 within gzip.*gunzip"):
        read_splats(tmp_path / "b.spz")
    write_sog(tmp_path / "a.sog", scene())
    with zipfile.ZipFile(tmp_path / "a.sog") as archive, zipfile.ZipFile(tmp_path / "b.sog", "w") as other:
        for name in archive.namelist():
            other.writestr(name, archive.read(name).replace(b'"version":2', b'"version":3'))
    with pytest.raises(InputError, match="states the version 3, and 1 and 2 are read"):
        read_splats(tmp_path / "b.sog")


@pytest.mark.parametrize("node", [{}, {"translation": [1, 2, 3]}, {"scale": [1, 2, 3]}])
def test_a_glb_of_an_spz_keeps_the_origin_that_the_spz_tells(tmp_path, node):
    far = replace(scene(), origin=np.array([500000.25, 0, 4650000.5]))
    write_spz(tmp_path / "a.spz", far, axes="rub")
    spz_glb(tmp_path / "a.glb", (tmp_path / "a.spz").read_bytes())
    content, numbers = parts_of(tmp_path / "a.glb")
    content["nodes"][0] |= node
    write_parts(tmp_path / "a.glb", content, numbers)
    axes = np.array([1, -1, -1])  # of a file that is y up
    meant = far.positions * axes * node.get("scale", 1) + node.get("translation", 0)
    assert np.abs(read_glb(tmp_path / "a.glb")[0].positions * axes - meant).max() < 1e-5


def test_a_glb_of_an_spz_is_the_spz_in_the_axes_of_gltf(tmp_path):
    legacy_spz(tmp_path)
    spz = (tmp_path / "plain.spz").read_bytes()
    meant, _ = read_spz(tmp_path / "plain.spz")
    draft = {"KHR_spz_gaussian_splats_compression": {"bufferView": 0}}
    for extension in (None, draft):
        found, why = read_glb(spz_glb(tmp_path / "a.glb", spz, extension))
        assert_alike(found, meant)
        assert why.startswith("RUB")
    other = {NAME: {"extensions": {"EXT_other": {}}}}
    with pytest.raises(InputError, match="compressed by EXT_other"):
        read_glb(spz_glb(tmp_path / "a.glb", spz, other))
    with pytest.raises(InputError):
        read_glb(spz_glb(tmp_path / "a.glb", spz[:-9]))


def test_a_mesh_in_three_nodes_is_shown_three_times_and_a_file_without_scenes_shows_its_roots(tmp_path):
    path = tmp_path / "a.glb"
    write_glb(path, scene())
    content, numbers = parts_of(path)
    nodes = [{"mesh": 0, "translation": [x, 0, 0]} for x in (0, 3, 6)]
    write_parts(path, {**content, "nodes": nodes, "scenes": [{"nodes": [0, 1, 2]}]}, numbers)
    found = read_splats(path).splats
    assert len(found) == 600
    np.testing.assert_allclose(found.means[400:], scene().means + [6, 0, 0], atol=1e-5)
    del content["scenes"], content["scene"]
    write_parts(path, {**content, "nodes": [{"children": [1], "translation": [0, 0, 5]}, {"mesh": 0}]}, numbers)
    np.testing.assert_allclose(read_splats(path).splats.means, scene().means - [0, 0, 5], atol=1e-5)


def test_a_zip_with_one_splat_file_is_that_file_and_its_lines_name_both(tmp_path):
    write_ply(tmp_path / "a.ply", scene())
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("readme.txt", "hello")
        archive.writestr("__MACOSX/._a.ply", "not this one")
        archive.write(tmp_path / "a.ply", "luma/a.ply")
    file = read_splats(path)
    assert_alike(file.splats, scene())
    assert file.format == "ply" and file.notes == (f"{path}: luma/a.ply was read out of the zip",)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("b.spz", b"")
    with pytest.raises(InputError, match="holds 2 splat files"):
        read_splats(path)


@pytest.mark.parametrize(("content", "what"), [(b"ply\nno", "a.zip: x.ply: "), (b"ply\n" + bytes(1 << 25), "unpacks to over")])
def test_a_zip_with_a_broken_file_or_a_bomb_is_one_line(tmp_path, content, what):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.ply", content)
    with pytest.raises(InputError, match=what):
        read_splats(tmp_path / "a.zip")


def test_a_folder_with_a_sogs_files_is_that_sog(tmp_path):
    write_sog(tmp_path / "a.sog", scene())
    shutil.unpack_archive(tmp_path / "a.sog", tmp_path / "folder", "zip")
    assert_alike(read_splats(tmp_path / "folder").splats, read_splats(tmp_path / "a.sog").splats)


def test_a_ksplat_is_one_line_that_says_what_to_do(tmp_path):
    (tmp_path / "a.ksplat").write_bytes(bytes(4096))
    with pytest.raises(InputError, match=r"ksplat.*splat-transform"):
        read_splats(tmp_path / "a.ksplat")


def test_a_vertical_axis_z_stands_upright_and_the_flag_has_the_last_word(tmp_path):
    """Our y points down: what is up (z) in the file is -y here, and the harmonics turn with it."""
    path = tmp_path / "a.ply"
    write_ply(path, scene())
    head, numbers = path.read_bytes().split(b"element vertex", 1)
    for comment in (b"Vertical Axis: z", b"vertical axis: Z"):
        path.write_bytes(head + b"comment " + comment + b"\nelement vertex" + numbers)
        file = read_splats(path)
        np.testing.assert_allclose(file.splats.means, scene().means[:, [0, 2, 1]] * [1, -1, 1], atol=1e-6)
        assert file.axes.startswith("RFU (z up)")
    assert_alike(read_splats(path, axes="rdf").splats, scene())
    path.write_bytes(head + b"comment Vertical axis: y\nelement vertex" + numbers)  # Brush's, of y that points down
    assert_alike(read_splats(path).splats, scene())


@pytest.mark.parametrize("suffix", [".ply", ".compressed.ply", ".sog", ".splat"])
def test_axes_turn_every_format_that_cannot_say_its_own(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write = {".ply": write_ply, ".compressed.ply": write_compressed_ply, ".sog": write_sog, ".splat": write_splat}[suffix]
    write(path, scene(degree=0))
    plain, turned = read_splats(path), read_splats(path, axes="rub")
    half = np.diag([1.0, -1, -1])
    np.testing.assert_allclose(turned.splats.means, plain.splats.means @ half, atol=1e-6)
    np.testing.assert_allclose(covariances(turned.splats), half @ covariances(plain.splats) @ half, atol=1e-6)
    assert turned.axes == "RUB, as --axes says" and plain.axes.startswith("as stored")


def test_a_name_that_ends_in_compressed_ply_asks_for_that_form(tmp_path):
    assert format_to_write(Path("a.compressed.ply")) == "compressed ply"
    assert format_to_write(Path("a.b.PLY")) == format_to_write(Path("compressed.ply")) == "ply"


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("log_scale.glb", 400), ("three_nodes.glb", 1200), ("no_scenes.glb", 400), ("spz_compressed.glb", 400),
        ("no_gzip.v3.spz", 400), ("two_members.v3.spz", 400), ("zero_padded.v3.spz", 400), ("zip_with_ply.zip", 400),
        ("sog_folder", 400), ("vertical_axis_z.ply", 400),
    ],
)  # fmt: skip
def test_the_shared_cases_are_read_whole(name, count):
    splats = read_splats(shared(f"cases/{name}")).splats
    splats.check(name)
    assert len(splats) == count and float(np.median(splats.scales)) == pytest.approx(0.083, rel=0.02)
