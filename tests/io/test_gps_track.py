"""GPS tracks of videos: the places of frames against the route that was written, and tracks that say little or lie."""

import struct
from functools import partial

import numpy as np
import pytest

from recon3d.io import camm, gpmf
from recon3d.io.detect import detect
from recon3d.io.dji_subtitles import fixes
from recon3d.io.gps import Place
from recon3d.io.gps_track import GpsTrack, frame_places
from recon3d.io.video import Frame, choose_frames
from tests.io import gps_videos as videos
from tests.io.gps_videos import LATITUDE, LONGITUDE, straight

WRITERS = {
    "GPS5": ("GPS5", videos.gopro),
    "GPS9": ("GPS9", partial(videos.gopro, payload=videos.gps9, rate=10)),
    "GPS9 beside GPS5": ("GPS9", partial(videos.gopro, payload=lambda places: videos.gps5(places, fix=0) + videos.gps9(places))),
    "CAMM 6": ("CAMM 6", videos.street_view),
    "CAMM 5": ("CAMM 5", partial(videos.street_view, packet=videos.camm5)),
    "subtitles": ("subtitles", videos.drone),
    "a .SRT file": ("subtitles", videos.drone_with_file),
    "a .srt file": ("subtitles", partial(videos.drone_with_file, suffix=".srt")),
}


def assert_straight(found, frames) -> None:
    """Every frame stands where the route was at its time: 1e-6 degrees, a millimetre of altitude more than the format has."""
    for place, frame in zip(found.places, frames, strict=True):
        true = straight(frame.index / videos.RATE)
        assert place is not None
        assert place.latitude == pytest.approx(true.latitude, abs=1e-6)
        assert place.longitude == pytest.approx(true.longitude, abs=1e-6)
        assert place.altitude == pytest.approx(true.altitude, abs=5e-3)


@pytest.mark.parametrize(("kind", "write"), WRITERS.values(), ids=WRITERS)
def test_frames_stand_where_the_track_was_at_their_times(kind, write, tmp_path):
    path = write(tmp_path / "a.mp4")
    frames = choose_frames(path, 40).frames
    found = frame_places(path, frames)
    assert found.kind == kind and found.note is None and len(frames) == 40
    assert_straight(found, frames)


def test_subtitles_of_matroska_are_read(tmp_path):
    import av

    path, plain = tmp_path / "a.mkv", videos.drone_with_file(tmp_path / "b.mp4")
    with av.open(str(plain)) as video, av.open(str(plain.with_suffix(".SRT"))) as text, av.open(str(path), "w") as container:
        streams = [container.add_stream_from_template(source.streams[0]) for source in (video, text)]
        for source, stream in zip((video, text), streams, strict=True):
            for packet in source.demux(source.streams[0]):
                if packet.dts is not None:
                    packet.stream = stream
                    container.mux(packet)
    frames = choose_frames(path, 40).frames
    assert_straight(frame_places(path, frames), frames)


def test_between_samples_a_second_apart_places_are_linear(tmp_path):
    path = videos.gopro(tmp_path / "a.mp4", payload=lambda places: videos.gps5(places[:1]))
    frames = choose_frames(path, 40).frames
    found = frame_places(path, [f for f in frames if f.index <= 35])
    assert_straight(found, frames[:36])
    assert frame_places(path, frames).places[36:] == (None,) * 4  # samples stand at 0, 1, 2 and 3 seconds


def test_places_go_on_evenly_for_half_a_second_and_no_further():
    seconds = np.array([2.0, 2.5, 3.0, 3.5])
    track = GpsTrack("GPS5", seconds, np.stack([seconds, 2 * seconds, 3 * seconds], 1))
    times = np.array([1.4, 1.5, 1.6, 2.7, 3.9, 4.0, 4.1])
    found = track.at(times)
    assert np.isnan(found[[0, -1]]).all()
    assert np.allclose(found[1:-1], times[1:-1, None] * [1, 2, 3], atol=1e-12)


def test_nothing_is_said_of_a_long_gap_and_a_single_sample_reaches_half_a_second():
    track = GpsTrack("GPS5", np.array([0.0, 4.0]), np.array([[1.0, 2, 3], [2.0, 3, 4]]))
    assert np.isnan(track.at(np.array([1.0, 2.0, 3.0]))).all()
    single = GpsTrack("GPS5", np.array([1.0]), np.array([[1.0, 2, 3]]))
    assert np.allclose(single.at(np.array([0.6, 1.4])), [1, 2, 3]) and np.isnan(single.at(np.array([0.4, 1.6]))).all()


def test_a_frame_at_a_sample_beside_a_gap_stands_there():
    places = np.column_stack([np.arange(4.0), np.zeros(4), np.zeros(4)])
    found = GpsTrack("GPS5", np.array([0.0, 1, 5, 6]), places).at(np.array([1.0, 3, 5]))
    assert found[[0, 2], 0].tolist() == [1, 2] and np.isnan(found[1]).all()


def test_a_track_over_180_degrees_stays_there():
    track = GpsTrack("GPS5", np.array([0.0, 1.0]), np.array([[10.0, 179.9999, 0], [10.0, -179.9999, 0]]))
    found = track.at(np.array([0.25, 0.75]))
    assert np.allclose(np.abs(found[:, 1]), 179.99995, atol=1e-9) and found[0, 1] > 0 > found[1, 1]


def test_samples_without_a_fix_or_with_a_poor_one_are_left_out():
    places = [straight(0)]
    assert gpmf.fixes(videos.gps5(places, fix=0)) == {"GPS5": [None]}
    assert gpmf.fixes(videos.gps5(places, precision=500)) == {"GPS5": [None]}
    assert gpmf.fixes(videos.gps9(places, fix=0)) == {"GPS9": [None]}
    assert gpmf.fixes(videos.gps9(places, precision=500)) == {"GPS9": [None]}
    assert camm.fixes(videos.camm6(places[0], fix=0)) == {"CAMM 6": [None]}
    assert camm.fixes(videos.camm6(places[0], accuracy=10.5)) == {"CAMM 6": [None]}
    for found in (gpmf.fixes(videos.gps5(places, precision=499)), gpmf.fixes(videos.gps9(places, precision=499))):
        ((place,),) = found.values()
        assert place == Place(pytest.approx(LATITUDE), pytest.approx(LONGITUDE), pytest.approx(200.0))
    assert gpmf.fixes(videos.gps5([Place(0.0, 0.0, 0.0)])) == {"GPS5": [None]}
    assert camm.fixes(videos.camm5(Place(91.0, 0.0, 0.0))) == {"CAMM 5": [None]}


def test_a_fix_in_two_dimensions_tells_no_altitude():
    for found in (gpmf.fixes(videos.gps5([straight(0)], fix=2)), camm.fixes(videos.camm6(straight(0), fix=2))):
        ((place,),) = found.values()
        assert place is not None and place.altitude is None and place.latitude == pytest.approx(LATITUDE)


@pytest.mark.parametrize(("flat", "told"), [(1, 40), (3, 0)])
def test_of_fixes_in_two_and_three_dimensions_those_count_that_are_more(flat, told, tmp_path):
    """Payloads of half a second. Frames in the gaps that the others leave stand between good samples."""
    payloads = [videos.gps5([straight((4 * s + i) / 8) for i in range(4)], fix=2 if s % 4 < flat else 3) for s in range(8)]
    path = videos.add_track(videos.plain_video(tmp_path / "a.mp4"), b"gpmd", payloads, [500] * 8)
    found = frame_places(path, choose_frames(path, 40).frames)
    assert sum(place is not None and place.altitude is not None for place in found.places) == told
    assert all(place is not None for place in found.places[5:38])


def test_a_subtitle_tells_what_it_names():
    said = "[latitude: 46.8426] [longtitude: -91.9946] [altitude: 198.3]"
    assert fixes(said) == [Place(46.8426, -91.9946, 198.3)]
    assert fixes("latitude : 46.8426 longitude : -91.9946") == [Place(46.8426, -91.9946, None)]
    assert fixes("[latitude: 0.000000] [longitude: 0.000000]") == [None]
    for text in ("GPS(-91.9946,46.8426,16)", "[latitude: 46.8426]", "[latitude: 4.6.8] [longitude: 1]", "A line of a film."):
        assert fixes(text) == []


def said_of(path) -> str:
    found = frame_places(path, choose_frames(path, 4).frames)
    assert found.places == (None,) * 4 and found.note is None
    return found.why


def test_why_a_frame_has_no_place_is_said(tmp_path):
    path = tmp_path / "a.mp4"
    assert said_of(videos.plain_video(path)) == "the video has no GPS track"
    assert said_of(videos.add_place(path)) == "the video tells one place only, which gives no scale"
    no_fix = videos.gopro(path, payload=partial(videos.gps5, fix=0))
    assert said_of(no_fix) == "none of the 72 samples of the video's GPS5 track has a good fix"
    unnamed = videos.drone(path, say=lambda place: f"GPS({place.longitude},{place.latitude},12)")
    assert said_of(unnamed) == "the video's subtitles tell GPS(...), whose numbers have no names"
    early = videos.add_track(videos.plain_video(path), b"gpmd", [videos.gps5([straight(0)])], [100])
    found = frame_places(early, [Frame(30, choose_frames(early, 40).frames[30].stamp)])
    assert found.why == "the good samples of the video's GPS5 track stand from 0.0 to 0.0 s"


def test_apples_location_is_one_place_too(tmp_path):
    import av

    plain, path = videos.plain_video(tmp_path / "a.mp4"), tmp_path / "b.mov"
    with av.open(str(plain)) as video, av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as container:
        container.metadata["com.apple.quicktime.location.ISO6709"] = "+46.8426-091.9946+200.000/"
        stream = container.add_stream_from_template(video.streams[0])
        for packet in video.demux(video.streams[0]):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    assert b"com.apple.quicktime.location.ISO6709" in path.read_bytes()
    assert said_of(path) == "the video tells one place only, which gives no scale"


def test_a_film_with_subtitles_and_other_telemetry_has_no_gps_track(tmp_path):
    path = videos.drone(tmp_path / "a.mp4", say=lambda place: "We will always have latitude.")
    videos.add_track(path, b"fdsc", [b"GPRO" + bytes(60)] * 4, [1000] * 4)
    assert said_of(path) == "the video has no GPS track"


@pytest.mark.parametrize("packet", [bytes(16), b"\0\0\1\0" + 40 * b"x"], ids=["zeros", "a box of 256 bytes"])
def test_other_telemetry_is_not_taken_for_camm(packet, tmp_path):
    path = videos.add_track(videos.plain_video(tmp_path / "a.mp4"), b"mebx", [packet + 5 * b"y"] * 4, [1000] * 4)
    found = frame_places(path, choose_frames(path, 4).frames)
    assert found.note is None and found.why == "the video has no GPS track"


def test_the_file_beside_a_video_belongs_to_it(tmp_path):
    path = videos.drone_with_file(tmp_path / "a.mp4")
    assert detect([path]).files == (path, path.with_suffix(".SRT"))


BAD = {
    "longer than its payload": lambda good: good[:-40],
    "a scale of zero": lambda good: good.replace(struct.pack(">i", 10_000_000), bytes(4)),
    "one scale too many": lambda good: videos.nested(
        "DEVC", videos.nested("STRM", videos.klv("SCAL", "l", 4, bytes([0, 0, 0, 1]) * 6), videos.klv("GPS5", "l", 20, bytes(20)))
    ),
    "another size": lambda good: videos.nested("DEVC", videos.nested("STRM", videos.klv("GPS5", "l", 12, bytes(12)))),
    "of text": lambda good: videos.nested("DEVC", videos.nested("STRM", videos.klv("GPS5", "c", 20, bytes(20)))),
    "without its structure": lambda good: videos.nested("DEVC", videos.nested("STRM", videos.klv("GPS9", "?", 32, bytes(32)))),
    "no device": lambda good: good + videos.klv("ACCL", "s", 6, bytes(6)),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_malformed_payload_is_left_out_with_a_note_and_the_others_are_used(bad, tmp_path):
    payloads = [videos.gps5([straight(s + i / 18) for i in range(18)]) for s in range(4)]
    payloads[1] = bad(payloads[1])
    with pytest.raises(ValueError):  # noqa: PT011, the words are for nobody
        gpmf.fixes(payloads[1])
    path = videos.add_track(videos.plain_video(tmp_path / "a.mp4"), b"gpmd", payloads, [1000] * 4)
    frames = choose_frames(path, 40).frames
    found = frame_places(path, frames)
    assert found.note == f"{path}: what cannot be read of its GPMF track (1 packets) is left out"
    assert_straight(found, frames)  # the gap is a second long


def test_a_track_of_which_nothing_can_be_read_is_one_note(tmp_path):
    path = videos.add_track(videos.plain_video(tmp_path / "a.mp4"), b"gpmd", [b"DEVC\0\4\xff\xff" + bytes(40)] * 4, [1000] * 4)
    found = frame_places(path, choose_frames(path, 4).frames)
    assert found.places == (None,) * 4 and found.why == "the video's GPMF track cannot be read"
    assert found.note == f"{path}: what cannot be read of its GPMF track (4 packets) is left out"


def test_a_structure_with_counts_is_spelled_out():
    entry = gpmf.Entry("TYPE", "c", 1, b"f[3]L\0")
    assert gpmf.field_types(entry) == "fffL"
    for text in (b"l[999]", b"l[3", b"", b"l" * 300 + b"[2]"):
        with pytest.raises(ValueError, match="TYPE is"):
            gpmf.field_types(gpmf.Entry("TYPE", "c", 1, text))
