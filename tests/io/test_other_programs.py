"""Other programs read what we write: gsply (PLY, SPZ), PlayCanvas' splat-transform 3.7, and Khronos' glTF validator.

The last two run in Node: RECON3D_NODE_MODULES names a folder that holds their packages
(`npm install @playcanvas/splat-transform@3.7.0 gltf-validator`); without it their tests are skipped.
"""

import json
import os
import subprocess
from pathlib import Path

import gsply
import numpy as np
import pytest

from recon3d.core.splats import Splats
from recon3d.core.synthetic import synthetic_gaussians
from recon3d.io.glb import write_glb
from recon3d.io.ply import read_ply, write_ply
from recon3d.io.point_cloud import points_of, write_points
from recon3d.io.sog import write_sog
from recon3d.io.splat import write_splat
from recon3d.io.splat_files import read_splats
from recon3d.io.spz import write_spz
from tests.io.test_splat_files import assert_alike

VALIDATE = """
const { validateBytes } = require("gltf-validator");
validateBytes(new Uint8Array(require("fs").readFileSync(process.argv[1]))).then((r) => console.log(JSON.stringify(r)));
"""


def scene(degree: int = 3) -> Splats:
    return synthetic_gaussians(200, degree, size=0.05).splats()


def node_modules() -> Path:
    folder = os.environ.get("RECON3D_NODE_MODULES")
    if not folder:
        pytest.skip("RECON3D_NODE_MODULES names no folder with splat-transform and gltf-validator")
    return Path(folder)


def gsply_splats(read: gsply.GSData) -> Splats:
    sh = np.concatenate([read.sh0.reshape(-1, 1, 3), read.shN.reshape(len(read.means), -1, 3)], 1)
    quats = read.quats / np.linalg.norm(read.quats, axis=1, keepdims=True)
    opacities = 1 / (1 + np.exp(-read.opacities.reshape(-1).astype(float)))
    return Splats(read.means, quats, np.exp(read.scales), opacities.astype(np.float32), sh)


@pytest.mark.parametrize("degree", [0, 1, 3])
def test_gsply_reads_our_ply(tmp_path, degree):
    write_ply(tmp_path / "a.ply", scene(degree))
    assert_alike(gsply_splats(gsply.plyread(tmp_path / "a.ply")), scene(degree))


@pytest.mark.parametrize("version", [3, 4])
def test_gsply_reads_our_spz_as_we_do(tmp_path, version):
    write_spz(tmp_path / "a.spz", scene(), version=version)
    ours = read_splats(tmp_path / "a.spz", axes="rdf").splats
    assert_alike(gsply_splats(gsply.read_spz(tmp_path / "a.spz")), ours)


@pytest.mark.parametrize("name", ["a.ply", "a.v3.spz", "a.v4.spz", "a.sog", "a.splat"])
def test_splat_transform_reads_our_files_as_we_do(tmp_path, name):
    program = node_modules() / ".bin" / "splat-transform"
    path = tmp_path / name
    if path.suffix == ".spz":
        write_spz(path, scene(), version=3 if "v3" in name else 4)
    else:
        write = {".ply": write_ply, ".sog": write_sog, ".splat": write_splat}[path.suffix]
        write(path, scene(0 if path.suffix == ".splat" else 3))
    subprocess.run([program, path, tmp_path / "theirs.ply"], check=True, capture_output=True, timeout=120)
    theirs, ours = read_ply(tmp_path / "theirs.ply"), read_splats(path, "rdf" if path.suffix == ".spz" else None).splats
    # It takes the rotation bytes of .splat as u / 255 * 2 - 1, where we write and read (u - 128) / 128.
    assert_alike(in_order(ours), in_order(theirs), shape=0.02 if path.suffix == ".splat" else 2e-5)


def in_order(splats: Splats) -> Splats:
    return splats[np.lexsort(np.round(splats.means, 4).T)]


def issues(path: Path) -> list[dict]:
    """What the validator finds wrong, without what it says of every extension that it does not know."""
    told = subprocess.run(
        ["node", "-e", VALIDATE, path], check=True, capture_output=True, timeout=120, cwd=node_modules().parent
    )
    found = json.loads(told.stdout)["issues"]["messages"]
    return [
        message
        for message in found
        if message["code"] != "UNSUPPORTED_EXTENSION"
        and not (message["code"] == "MESH_PRIMITIVE_INVALID_ATTRIBUTE" and "/KHR_gaussian_splatting:" in message["pointer"])
    ]


def test_the_validator_finds_nothing_in_our_glb(tmp_path):
    write_glb(tmp_path / "a.glb", scene())
    write_points(tmp_path / "p.glb", *points_of(scene()))
    assert issues(tmp_path / "a.glb") == issues(tmp_path / "p.glb") == []
    data = (tmp_path / "a.glb").read_bytes()
    (tmp_path / "a.glb").write_bytes(data.replace(b'"count":200', b'"count":999'))
    assert issues(tmp_path / "a.glb")
