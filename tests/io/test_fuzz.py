"""Files of every reader with bytes changed or cut off: splats that can be rendered or places on the Earth, or one line, and no
memory for lies."""

import contextlib
import gzip
import os
import shutil
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recon3d.errors import InputError
from recon3d.io import camm, gpmf
from recon3d.io.compressed_ply import write_compressed_ply
from recon3d.io.glb import write_glb
from recon3d.io.gps_track import frame_places
from recon3d.io.ply import write_ply
from recon3d.io.sog import write_sog
from recon3d.io.splat import write_splat
from recon3d.io.splat_files import read_splats
from recon3d.io.spz import write_spz
from recon3d.io.video import choose_frames
from tests.io import gps_videos
from tests.io.test_stored_otherwise import columns_of, plain_scales, scene, with_scales, written
from tests.io.test_wrapped import legacy_spz, spz_glb

TIMES = int(os.environ.get("RECON3D_FUZZ", 30))  # changed files of each kind; a few hundred take minutes
SPLATS = scene(60)


def activated(path: Path) -> None:
    written(path, columns_of(SPLATS) | plain_scales(SPLATS) | {"opacity": SPLATS.opacities})


def filtered_rgb(path: Path) -> None:
    columns = {name: column for name, column in columns_of(SPLATS).items() if not name.startswith("f_dc")}
    columns["filter_3D"] = np.full(60, 0.1, np.float32)
    columns |= dict.fromkeys(("red", "green", "blue"), np.arange(60, dtype=np.uint8))
    written(path, columns, ("Vertical Axis: z",), text=True)


def zipped(path: Path) -> None:
    write_ply(path.with_suffix(".ply"), SPLATS)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path.with_suffix(".ply"), "a.ply")


def in_members(path: Path) -> None:
    raw = legacy_spz(path.parent)
    path.write_bytes(gzip.compress(raw[:900]) + gzip.compress(raw[900:]) + bytes(40))


def loose_sog(path: Path) -> None:
    write_sog(path.with_suffix(".sog"), SPLATS)
    shutil.unpack_archive(path.with_suffix(".sog"), path.parent, "zip")


KINDS: dict[str, Callable[[Path], object]] = {
    "plain.ply": lambda path: write_ply(path, SPLATS),
    "activated.ply": activated,
    "filtered_rgb.ply": filtered_rgb,
    "a.compressed.ply": lambda path: write_compressed_ply(path, SPLATS),
    "a.glb": lambda path: write_glb(path, SPLATS),
    "logarithms.glb": lambda path: with_scales(path, SPLATS, np.log(SPLATS.scales)),
    "spz.glb": lambda path: spz_glb(path, gzip.compress(legacy_spz(path.parent))),
    "a.spz": lambda path: write_spz(path, SPLATS),
    "members.spz": in_members,
    "bare.spz": lambda path: path.write_bytes(legacy_spz(path.parent)),
    "a.sog": lambda path: write_sog(path, SPLATS),
    "meta.json": loose_sog,
    "a.splat": lambda path: write_splat(path, SPLATS),
    "a.zip": zipped,
}


def changed(data: bytes, rng: np.random.Generator, turn: int) -> bytes:
    """Cut off, or with bytes changed: one or several, every other time near the front, where counts and sizes stand."""
    if turn % 5 == 0:
        return data[: rng.integers(len(data))]
    bad = bytearray(data)
    reach = len(bad) if turn % 2 else min(len(bad), 200)
    for at in rng.integers(0, reach, rng.integers(1, 4)):
        bad[at] = rng.choice([0, 255, bad[at] ^ 1, rng.integers(256)])
    return bytes(bad)


@pytest.mark.parametrize("name", KINDS)
def test_a_changed_file_gives_splats_that_can_be_rendered_or_one_line(tmp_path, name):
    path = tmp_path / name
    KINDS[name](path)
    read_splats(path).splats.check("as it was written")
    data, rng = path.read_bytes(), np.random.default_rng(0)
    tracemalloc.start()
    for turn in range(TIMES):
        path.write_bytes(changed(data, rng, turn))
        with contextlib.suppress(InputError):  # any other exception is a defect
            read_splats(path).splats.check(f"{name}, turn {turn}")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6


PACKETS = {
    "GPS5": (gpmf, gps_videos.gps5([gps_videos.straight(i) for i in range(18)])),
    "GPS9": (gpmf, gps_videos.gps9([gps_videos.straight(i) for i in range(10)])),
    "CAMM 5": (camm, gps_videos.camm5(gps_videos.straight(0))),
    "CAMM 6": (camm, gps_videos.camm6(gps_videos.straight(0))),
}


@pytest.mark.parametrize("name", PACKETS)
def test_a_changed_packet_of_telemetry_gives_places_on_the_earth_or_is_malformed(name):
    reader, packet = PACKETS[name]
    rng = np.random.default_rng(0)
    for turn in range(20 * TIMES):
        with contextlib.suppress(ValueError):  # any other exception is a defect
            for places in reader.fixes(changed(packet, rng, turn)).values():
                assert all(p is None or (abs(p.latitude) <= 90 and abs(p.longitude) <= 180) for p in places)


VIDEOS = {"a.mp4": gps_videos.gopro, "camm.mp4": gps_videos.street_view, "text.mp4": gps_videos.drone}


@pytest.mark.parametrize("name", VIDEOS)
def test_a_video_with_a_changed_gps_track_gives_places_on_the_earth_or_one_line(name, tmp_path):
    """Changed in the track's samples and in the boxes behind them, which tell where these lie."""
    path = VIDEOS[name](tmp_path / name, seconds=2)
    data, frames, rng = path.read_bytes(), choose_frames(path, 20).frames, np.random.default_rng(0)
    assert all(frame_places(path, frames).places)
    at = data.rindex(b"mdat")
    tracemalloc.start()
    for turn in range(TIMES):
        path.write_bytes(data[:at] + changed(data[at:], rng, turn))
        with contextlib.suppress(InputError):
            found = frame_places(path, frames)
            assert all(p is None or (abs(p.latitude) <= 90 and abs(p.longitude) <= 180) for p in found.places)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6
