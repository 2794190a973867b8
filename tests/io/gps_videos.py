"""Small videos with a GPS track that is written here box by box, since PyAV writes no telemetry.

Sources: ISO/IEC 14496-12 (boxes), the README of gopro/gpmf-parser, Google's Camera Motion Metadata Spec.
"""

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from recon3d.io.gps import Place
from tests.io.input_files import picture, write_video

LATITUDE, LONGITUDE, ALTITUDE = 46.8426, -91.9946, 200.0
RATE = 10  # frames for a second
Route = Callable[[float], Place]


def straight(seconds: float) -> Place:
    """Along a line at an even pace, some 11 m/s."""
    return Place(LATITUDE + 1e-4 * seconds, LONGITUDE - 5e-5 * seconds, ALTITUDE + 0.5 * seconds)


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full_box(kind: bytes, *parts: bytes) -> bytes:
    return box(kind, bytes(4), *parts)


def track_box(tag: bytes, handler: bytes, samples: Sequence[bytes], durations: Sequence[int], offset: int) -> bytes:
    """A trak of samples that lie one after another from `offset` on; durations in milliseconds."""
    lengths = b"".join(struct.pack(">I", len(sample)) for sample in samples)
    table = box(
        b"stbl",
        full_box(b"stsd", struct.pack(">I", 1), box(tag, bytes(6), struct.pack(">H", 1))),
        full_box(b"stts", struct.pack(">I", len(samples)), *(struct.pack(">II", 1, d) for d in durations)),
        full_box(b"stsc", struct.pack(">IIII", 1, 1, len(samples), 1)),
        full_box(b"stsz", struct.pack(">II", 0, len(samples)), lengths),
        full_box(b"stco", struct.pack(">II", 1, offset)),
    )
    here = box(b"dinf", full_box(b"dref", struct.pack(">I", 1), box(b"url ", bytes([0, 0, 0, 1]))))
    head = full_box(b"mdhd", struct.pack(">IIIIHH", 0, 0, 1000, sum(durations), 0x55C4, 0))
    media = box(b"mdia", head, full_box(b"hdlr", b"mhlr", handler, bytes(13)), box(b"minf", full_box(b"nmhd"), here, table))
    upright = struct.pack(">9I", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    return box(b"trak", full_box(b"tkhd", struct.pack(">5I", 0, 0, 2, 0, sum(durations)), bytes(16), upright, bytes(8)), media)


def add_track(video: Path, tag: bytes, samples: Sequence[bytes], durations: Sequence[int], handler: bytes = b"meta") -> Path:
    """Write a track into an MP4 whose last box is its moov."""
    data = video.read_bytes()
    at = data.index(b"moov") - 4
    track = track_box(tag, handler, samples, durations, at + 8)
    video.write_bytes(data[:at] + box(b"mdat", *samples) + box(b"moov", data[at + 8 :], track))
    return video


def add_place(video: Path, text: bytes = b"+46.8426-091.9946+200.000/") -> Path:
    """Write ©xyz (QuickTime File Format, user data; ISO 6709)."""
    data = video.read_bytes()
    at = data.index(b"moov") - 4
    place = box(b"udta", box(b"\xa9xyz", struct.pack(">HH", len(text), 0x15C7), text))
    video.write_bytes(data[:at] + box(b"moov", data[at + 8 :], place))
    return video


def plain_video(path: Path, seconds: float = 4.0) -> Path:
    return write_video(path, [picture(seed=i) for i in range(round(RATE * seconds))], rate=RATE)


def klv(key: str, kind: str, size: int, value: bytes) -> bytes:
    head = struct.pack(">4ssBH", key.encode(), kind.encode(), size, len(value) // size)
    return head + value + bytes(-len(value) % 4)


def nested(key: str, *parts: bytes) -> bytes:
    return klv(key, "\0", 4, b"".join(parts))


def gps5(places: Sequence[Place], fix: int = 3, precision: int = 150) -> bytes:
    """A payload as a HERO5 to HERO10 writes it."""
    scale = (10_000_000, 10_000_000, 1000, 1000, 100)
    rows = [(round(p.latitude * 1e7), round(p.longitude * 1e7), round((p.altitude or 0) * 1e3), 0, 0) for p in places]
    stream = nested(
        "STRM", klv("STNM", "c", 1, b"GPS (Lat., Long., Alt., 2D speed, 3D speed)"), klv("GPSF", "L", 4, struct.pack(">I", fix)),
        klv("GPSU", "U", 16, b"260101120000.000"), klv("GPSP", "S", 2, struct.pack(">H", precision)),
        klv("SCAL", "l", 4, struct.pack(">5i", *scale)), klv("GPS5", "l", 20, np.array(rows, ">i4").tobytes()),
    )  # fmt: skip
    other = nested("STRM", klv("SCAL", "s", 2, struct.pack(">h", 418)), klv("ACCL", "s", 6, bytes(60)))
    return nested("DEVC", klv("DVID", "L", 4, struct.pack(">I", 1)), klv("DVNM", "c", 1, b"Hero"), other, stream)


def gps9(places: Sequence[Place], fix: int = 3, precision: int = 150) -> bytes:
    """A payload as a HERO11 writes it."""
    scale = (10_000_000, 10_000_000, 1000, 1000, 100, 1, 1000, 100, 1)
    rows = [(round(p.latitude * 1e7), round(p.longitude * 1e7), round((p.altitude or 0) * 1e3)) for p in places]
    values = b"".join(struct.pack(">7i2H", *row, 0, 0, 9000, 1000, precision, fix) for row in rows)
    types, scales = klv("TYPE", "c", 1, b"lllllllSS"), klv("SCAL", "l", 4, struct.pack(">9i", *scale))
    return nested("DEVC", nested("STRM", types, scales, klv("GPS9", "?", 32, values)))


def camm5(place: Place) -> bytes:
    return struct.pack("<HHddd", 0, 5, place.latitude, place.longitude, place.altitude)


def camm6(place: Place, fix: int = 3, accuracy: float = 1.5) -> bytes:
    head = struct.pack("<HHdidd", 0, 6, 1.3e9, fix, place.latitude, place.longitude)
    return head + struct.pack("<7f", place.altitude or 0, accuracy, 2.0, 0, 0, 0, 0.1)


def gopro(path: Path, route: Route = straight, seconds: int = 4, payload: Callable = gps5, rate: int = 18) -> Path:
    """A video with a payload for each second."""
    payloads = [payload([route(s + i / rate) for i in range(rate)]) for s in range(seconds)]
    return add_track(plain_video(path, seconds), b"gpmd", payloads, [1000] * seconds)


def street_view(path: Path, route: Route = straight, seconds: int = 4, packet: Callable = camm6) -> Path:
    """A video with a packet of GPS every 200 ms and one of the accelerometer after each."""
    samples = []
    for i in range(5 * seconds):
        samples += [packet(route(i / 5)), struct.pack("<HH3f", 0, 3, 0, 9.8, 0)]
    return add_track(plain_video(path, seconds), b"camm", samples, [100] * len(samples))


def dji_text(place: Place) -> str:
    where = f"[latitude: {place.latitude:.7f}] [longitude: {place.longitude:.7f}] [rel_alt: 1.300 abs_alt: {place.altitude:.3f}]"
    return f'<font size="28">FrameCnt: 1, DiffTime: 33ms\n2026-01-01 12:00:00.000\n[iso: 100] [fnum: 2.8] {where} </font>'


def drone(path: Path, route: Route = straight, seconds: int = 4, say: Callable[[Place], str] = dji_text) -> Path:
    """A video with a subtitle every 100 ms."""
    texts = [say(route(i / 10)).encode() for i in range(10 * seconds)]
    samples = [struct.pack(">H", len(text)) + text for text in texts]
    return add_track(plain_video(path, seconds), b"tx3g", samples, [100] * len(samples), b"sbtl")


def drone_with_file(path: Path, route: Route = straight, seconds: int = 4, suffix: str = ".SRT") -> Path:
    """A video with a file of subtitles beside it."""
    cues = []
    for i in range(10 * seconds):
        times = [f"00:00:{t // 1000:02d},{t % 1000:03d}" for t in (100 * i, 100 * i + 100)]
        cues.append(f"{i + 1}\n{times[0]} --> {times[1]}\n{dji_text(route(i / 10))}\n")
    path.with_suffix(suffix).write_text("\n".join(cues))
    return plain_video(path, seconds)
