"""Videos written with PyAV: which frames are chosen, rotation tags, reading frames again."""

import re
import tracemalloc

import cv2
import numpy as np
import pytest

from recon3d.errors import InputError
from recon3d.io.video import choose_frames, frames_of, read_frame
from tests.io.input_files import picture, write_video

HEIGHT, WIDTH = 48, 80


def numbered(i: int) -> np.ndarray:
    """A frame whose middle grey tells its number."""
    return np.full((HEIGHT, WIDTH, 3), 20 + 4 * i, np.uint8)


def sharp(i: int) -> np.ndarray:
    """The same brightness with a fine pattern over it."""
    return (numbered(i).astype(int) + 15 * (np.indices((HEIGHT, WIDTH)).sum(0) // 2 % 2 * 2 - 1)[..., None]).astype(np.uint8)


def number_of(rgb: np.ndarray) -> int:
    return round((float(rgb.mean()) - 20) / 4)


def test_frames_are_spread_evenly_over_the_video(tmp_path):
    video = write_video(tmp_path / "a.mp4", [numbered(i) for i in range(40)])
    clip = choose_frames(video, max_images=8)
    assert clip.total == 40 and clip.size == (HEIGHT, WIDTH)
    assert [frame.index // 5 for frame in clip.frames] == list(range(8))


def test_the_sharpest_frame_of_each_window_is_taken(tmp_path):
    best = {3, 8, 10, 19, 22, 29}
    video = write_video(tmp_path / "a.mp4", [sharp(i) if i in best else numbered(i) for i in range(30)])
    assert {frame.index for frame in choose_frames(video, max_images=6).frames} == best


def test_frames_per_second_set_the_windows_up_to_the_limit(tmp_path):
    video = write_video(tmp_path / "a.mp4", [numbered(i) for i in range(40)], rate=10)
    assert len(choose_frames(video, 200, fps=2).frames) == 8
    assert len(choose_frames(video, 5, fps=2).frames) == 5
    assert len(choose_frames(video, 200, fps=1000).frames) == 40
    assert len(choose_frames(video, 200, fps=0.01).frames) == 1


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_a_chosen_frame_is_read_again_as_it_was_seen(tmp_path, suffix):
    video = write_video(tmp_path / f"a{suffix}", [numbered(i) for i in range(40)])
    clip = choose_frames(video, 40)
    assert [number_of(read_frame(video, frame)) for frame in clip.frames] == [frame.index for frame in clip.frames]
    assert len(clip.frames) == 40


def test_a_frame_read_by_seeking_has_the_bits_of_one_read_from_the_start(tmp_path):
    video = write_video(tmp_path / "a.mp4", [picture(HEIGHT, WIDTH, i) for i in range(30)])
    seen = {frame: shown.to_ndarray(format="rgb24") for frame, shown in frames_of(video)}
    for frame in choose_frames(video, 5).frames:
        assert (read_frame(video, frame) == seen[frame]).all()


@pytest.mark.parametrize("degrees", [90, -90, 180])
def test_the_rotation_tag_is_honoured(tmp_path, degrees):
    upright = picture(64, 48) if abs(degrees) == 90 else picture(48, 64)
    stored = np.ascontiguousarray(np.rot90(upright, -degrees // 90))
    try:
        video = write_video(tmp_path / "a.mp4", [stored] * 3, rotation=degrees)
    except AttributeError:
        pytest.skip("this PyAV cannot write a rotation tag")
    clip = choose_frames(video, 1)
    rgb = read_frame(video, clip.frames[0])
    assert clip.size == rgb.shape[:2] == upright.shape[:2]
    assert np.abs(rgb.astype(float) - upright).mean() < 8


def test_opencv_turns_the_same_video_the_same_way(tmp_path):
    try:
        video = write_video(tmp_path / "a.mp4", [picture(48, 64)] * 3, rotation=90)
    except AttributeError:
        pytest.skip("this PyAV cannot write a rotation tag")
    capture = cv2.VideoCapture(str(video))
    shown, bgr = capture.read()
    capture.release()
    assert shown
    rgb = read_frame(video, choose_frames(video, 1).frames[0])
    assert rgb.shape == bgr.shape and np.abs(rgb.astype(float) - bgr[..., ::-1]).mean() < 8


def test_memory_does_not_grow_with_the_length_of_the_video(tmp_path):
    def peak(count: int) -> int:
        video = write_video(tmp_path / f"{count}.mp4", [numbered(i % 40) for i in range(count)])
        choose_frames(video, 4)
        tracemalloc.start()
        choose_frames(video, 4)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(240) < peak(24) + 3 * HEIGHT * WIDTH * 10


def test_a_file_that_is_no_video_is_refused_by_name(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_text("this is no video")
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}: not a video that can be read"):
        choose_frames(path, 10)


def test_a_video_that_nothing_decodes_is_refused_by_name(tmp_path):
    path = write_video(tmp_path / "a.mp4", [numbered(i) for i in range(3)])
    path.write_bytes(path.read_bytes().replace(b"mp4v", b"none").replace(b"esds", b"free"))
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}: its frames are stored in a way that nothing here decodes"):
        choose_frames(path, 10)


def test_a_video_without_frames_is_refused_by_name(tmp_path):
    import av

    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        for packet in [*stream.encode(sound), *stream.encode()]:
            container.mux(packet)
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}: a video without frames"):
        choose_frames(path, 10)


def test_a_video_cut_short_gives_the_frames_that_are_there_or_is_refused(tmp_path):
    whole = write_video(tmp_path / "a.mkv", [picture(HEIGHT, WIDTH, i) for i in range(30)]).read_bytes()
    path = tmp_path / "cut.mkv"
    path.write_bytes(whole[: len(whole) // 2])
    clip = choose_frames(path, 5)
    assert 5 <= clip.total < 30 and len(clip.frames) == 5
    path.write_bytes(whole[:40])
    with pytest.raises(InputError):
        choose_frames(path, 5)


def test_damage_inside_a_video_is_passed_over(tmp_path):
    whole = bytearray(write_video(tmp_path / "a.mkv", [picture(HEIGHT, WIDTH, i) for i in range(30)]).read_bytes())
    rng = np.random.default_rng(0)
    path = tmp_path / "damaged.mkv"
    for _ in range(10):
        changed = whole.copy()
        for at in rng.integers(2000, len(whole), 30):
            changed[at] = rng.integers(0, 256)
        path.write_bytes(changed)
        where = str(path)
        try:
            for frame in choose_frames(path, 3).frames:
                read_frame(path, frame)
        except InputError as error:
            where = error.where
        assert where == str(path)
