"""Where a camera was while it filmed: the GPS track of a video, and its places at the times of frames. Loads no torch.

Read from packets of telemetry (gpmf.py, camm.py) and of subtitles (dji_subtitles.py), as PyAV hands them out. PyAV does not
tell the sample entry of a data stream, so a track is known by what its packets begin with.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from recon3d.io import camm, gpmf
from recon3d.io.dji_subtitles import UNNAMED, file_beside, fixes, text_of
from recon3d.io.gps import Place
from recon3d.io.video import Frame, opened_video

SUBTITLES = "subtitles"
KINDS = ("GPS9", "GPS5", "CAMM 6", "CAMM 5", SUBTITLES)  # of samples; of several the first is taken: it tells of its fix
READERS = {"GPMF track": gpmf, "CAMM track": camm}
TEXT_CODECS = ("mov_text", "subrip", "srt", "text")  # decoders; FFmpeg has two for SubRip
LOCATION = "location"  # keys of ©xyz and of com.apple.quicktime.location.ISO6709 hold it (ISO 6709, annex H)
MOST_BYTES = 1 << 24  # of a packet: all that one key of GPMF can hold; those of cameras take some 10 kB
MOST_SAMPLES = 1 << 19  # of a track: eight hours at 18 Hz
# Seconds between samples over which a place is believed to move evenly: at 2 m/s² it strays from that by 1.6 m, which is less
# than a sample is off itself.
MOST_GAP = 2.5
BEYOND = 0.5  # seconds before the first sample and after the last in which the movement beside them is continued
PACE = 1.5  # seconds over which that movement is measured: some samples at 18 Hz, two at 1 Hz


@dataclass(frozen=True)
class GpsTrack:
    """The good samples of a track, in order."""

    kind: str
    seconds: Annotated[np.ndarray, "M"]  # on the clock of the video's time stamps
    places: Annotated[np.ndarray, "M 3"]  # latitude and longitude in degrees, altitude in metres, NaN: not said

    def at(self, seconds: Annotated[np.ndarray, "F"]) -> Annotated[np.ndarray, "F 3"]:
        """The places at some times, linear between samples; NaN where no two samples near enough stand around them."""
        clock, places = self.extended()
        after = np.searchsorted(clock, seconds).clip(1, len(clock) - 1)
        between = (clock[after] - clock[after - 1] > MOST_GAP) & (seconds != clock[after])
        unknown = (seconds < clock[0]) | (seconds > clock[-1]) | between
        found = np.stack([np.interp(seconds, clock, column) for column in places.T], 1)
        found[:, 1] = (found[:, 1] + 180) % 360 - 180
        found[unknown] = np.nan
        return found

    def extended(self) -> tuple[Annotated[np.ndarray, "M+2"], Annotated[np.ndarray, "M+2 3"]]:
        """With a sample BEYOND each end; longitudes without the step at 180 degrees."""
        places = self.places.copy()
        places[:, 1] = np.unwrap(places[:, 1], period=360)
        ends = []
        for end, away in ((0, self.seconds - self.seconds[0]), (-1, self.seconds[-1] - self.seconds)):
            near = np.flatnonzero(away <= PACE)
            other = near[-1] if end == 0 else near[0]
            pace = (places[end] - places[other]) / away[other] if away[other] > 0 else np.zeros(3)
            ends.append(places[end] + BEYOND * pace)
        clock = np.concatenate([[self.seconds[0] - BEYOND], self.seconds, [self.seconds[-1] + BEYOND]])
        return clock, np.concatenate([ends[0][None], places, ends[1][None]])


@dataclass(frozen=True)
class FramePlaces:
    """What a video says of where its frames were taken."""

    places: tuple[Place | None, ...]
    kind: str  # of the samples; empty without a track
    why: str  # why frames have no place
    note: str | None = None  # what of the track cannot be read


@dataclass
class Samples:
    """What was read so far, by kind."""

    good: dict[str, list[tuple[float, float, float, float]]] = field(default_factory=lambda: defaultdict(list))
    poor: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    broken: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # packets, by reader
    unnamed: bool = False  # subtitles tell a place whose numbers nobody can name

    def add(self, kind: str, start: float, duration: float, places: Sequence[Place | None]) -> None:
        for i, place in enumerate(places):
            if place is None or len(self.good[kind]) >= MOST_SAMPLES:
                self.poor[kind] += 1  # beyond MOST_SAMPLES nothing is kept, whatever it says
                continue
            altitude = math.nan if place.altitude is None else place.altitude
            self.good[kind].append((start + duration * i / len(places), place.latitude, place.longitude, altitude))


def frame_places(path: Path, frames: Sequence[Frame]) -> FramePlaces:
    """Where the frames of a video were taken, by its container or the .srt file beside it. Raises InputError where it is no
    video. A malformed track raises nothing: what of it can be read is used, and the note tells the rest."""
    samples, has_location = Samples(), False
    with opened_video(path) as (container, stream):
        unit, start = float(stream.time_base or 0), float((stream.start_time or 0) * (stream.time_base or 0))
        has_location = any(LOCATION in key for key in container.metadata)
        read_container(container, samples)
    beside = file_beside(path)
    if beside is not None and not any(samples.good.values()):
        read_file_beside(beside, start, samples)
    track, note = track_of(samples), None
    if samples.broken:
        count, names = sum(samples.broken.values()), " and ".join(samples.broken)
        note = f"{path}: what cannot be read of its {names} ({count} packets) is left out"
    if track is None:
        return FramePlaces((None,) * len(frames), "", without_track(samples, has_location), note)
    stamps = [frame.stamp for frame in frames]
    seconds = np.array([math.nan if stamp is None else stamp * unit for stamp in stamps])
    why = f"the good samples of the video's {track.kind} track stand from {track.seconds[0]:.1f} to {track.seconds[-1]:.1f} s"
    return FramePlaces(
        tuple(None if math.isnan(row[0]) else place_of_row(row) for row in track.at(seconds).tolist()), track.kind,
        "the video has no time stamps" if None in stamps else why, note,
    )  # fmt: skip


def place_of_row(row: Sequence[float]) -> Place:
    return Place(row[0], row[1], None if math.isnan(row[2]) else row[2])


def read_container(container: Any, samples: Samples) -> None:
    """The samples of all telemetry and subtitles of an opened container, in one pass."""
    telemetry, texts = list(container.streams.data), list(container.streams.subtitles)
    if not telemetry and not texts:
        return
    readers: dict[int, str] = {}
    for packet in container.demux(*telemetry, *texts):
        stream = packet.stream
        if not 0 < packet.size <= MOST_BYTES or packet.pts is None or stream.time_base is None:
            continue
        content, begin = bytes(packet), float(packet.pts * stream.time_base)
        if stream.type == "subtitle":
            read_text(content, stream.codec_context, begin, samples)
            continue
        name = readers.get(stream.index) or next((n for n, reader in READERS.items() if reader.begins(content)), None)
        if name is None:
            continue
        try:
            found = READERS[name].fixes(content)
        except ValueError:
            # Two bytes of zero begin packets of other telemetry too: until one was read whole, nothing says that it is CAMM.
            if stream.index in readers or READERS[name] is gpmf:
                samples.broken[name] += 1
            continue
        readers[stream.index] = name
        for kind, places in found.items():
            samples.add(kind, begin, float((packet.duration or 0) * stream.time_base), places)


def read_text(content: bytes, codec: Any, begin: float, samples: Samples) -> None:
    """The sample of a subtitle, where it tells a place."""
    if codec is None or codec.name not in TEXT_CODECS:
        return
    text = text_of(content, codec.name)
    samples.unnamed = samples.unnamed or UNNAMED.search(text) is not None
    samples.add(SUBTITLES, begin, 0, fixes(text))


def read_file_beside(path: Path, start: float, samples: Samples) -> None:
    """The samples of a .srt file, whose clock begins with the video's first frame, at `start` seconds."""
    import av
    from av.error import FFmpegError

    try:
        with av.open(str(path), format="srt") as container:
            for packet in container.demux(subtitles=0):
                if packet.size and packet.pts is not None and packet.time_base is not None:
                    begin = start + float(packet.pts * packet.time_base)
                    read_text(bytes(packet), packet.stream.codec_context, begin, samples)
    except FFmpegError:
        samples.broken[path.name] += 1


def track_of(samples: Samples) -> GpsTrack | None:
    """The track of the first kind that has good samples. Of 2D and 3D fixes those count that are more; times are told once."""
    kind = next((kind for kind in KINDS if samples.good.get(kind)), None)
    if kind is None:
        return None
    rows = np.array(samples.good[kind])
    high = np.isfinite(rows[:, 3])
    rows = rows[high] if 2 * high.sum() >= len(rows) else rows[~high]
    seconds, first = np.unique(rows[:, 0], return_index=True)
    return GpsTrack(kind, seconds, rows[first, 1:])


def without_track(samples: Samples, has_location: bool) -> str:
    """Why no frame has a place."""
    kind = next((kind for kind in KINDS if samples.poor.get(kind)), None)
    if kind is not None:
        return f"none of the {samples.poor[kind]} samples of the video's {kind} track has a good fix"
    if samples.broken:
        return f"the video's {' and '.join(samples.broken)} cannot be read"
    if samples.unnamed:
        return "the video's subtitles tell GPS(...), whose numbers have no names"
    return "the video tells one place only, which gives no scale" if has_location else "the video has no GPS track"

