"""LingBot-Map's windows, their joints, and the flow that tells how far a frame is from a key frame."""

import itertools
import math

import pytest
import torch

from recon3d.models.lingbot.flow import mean_flow
from recon3d.models.lingbot.stream import Streamed
from recon3d.models.lingbot.windows import Windows, joined, moved, part, spans


def scene(frames: int) -> Streamed:
    generator = torch.Generator().manual_seed(0)
    encodings = torch.randn(frames, 9, generator=generator)
    encodings[:, 3:7] = torch.nn.functional.normalize(encodings[:, 3:7]) * encodings[:, 6:7].sign()
    depth, points = (
        torch.rand(frames, 4, 5, generator=generator) + 0.5,
        torch.randn(frames, 4, 5, 3, generator=generator),
    )
    kinds = torch.tensor([0, 0] + [1] * (frames - 2), dtype=torch.uint8)
    return Streamed(encodings, kinds, depth, depth.clone(), points, depth.clone())


def cut(whole: Streamed, start: int, stop: int) -> Streamed:
    return Streamed(**{name: x[start:stop] for name, x in vars(whole).items()})


def test_a_scene_cut_into_windows_that_were_moved_is_put_together_again():
    whole, overlap = scene(11), 3
    angle = torch.tensor(0.7)
    turn = torch.tensor([[angle.cos(), -angle.sin(), 0], [angle.sin(), angle.cos(), 0], [0, 0, 1]])
    windows = [
        cut(whole, 0, 5),
        moved(cut(whole, 2, 8), torch.tensor(0.4), turn, torch.tensor([1.0, 2, 3])),
        moved(cut(whole, 5, 11), torch.tensor(3.0), turn.T, torch.tensor([-5.0, 0, 1])),
    ]
    found = joined(windows, overlap)
    for name, golden in vars(whole).items():
        torch.testing.assert_close(getattr(found.frames, name), golden, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.scales, torch.tensor([1, 1 / 0.4, 1 / 3.0]))
    torch.testing.assert_close(found.transforms[1, :3, :3], turn.T)


def test_a_window_alone_stays_as_it_is_to_the_last_bit():
    whole = scene(4)
    assert joined([whole], 2).frames is whole


def test_a_window_without_known_depth_keeps_its_scale():
    whole = scene(6)
    unknown = Streamed(**(vars(cut(whole, 2, 6)) | {"depth": torch.zeros(4, 4, 5)}))
    assert joined([part(whole, 4), unknown], 2).scales.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("frames", "scale_frames", "interval", "windows", "starts", "length", "overlap"),
    [
        (8, 2, 1, Windows(5, overlap_size=2), [0, 3], 5, 2),
        (13, 2, 2, Windows(4, overlap_keyframes=2), [0, 2, 4, 6, 8], 6, 4),
        (10, 2, 1, Windows(64), [0], 10, 2),
        (1, 8, 1, Windows(64, overlap_size=16), [0], 1, 0),
        (200, 8, 1, Windows(64, overlap_size=16), [0, 48, 96, 144], 64, 16),
    ],
)
def test_windows_cover_the_video_and_share_what_was_asked(
    frames, scale_frames, interval, windows, starts, length, overlap
):
    found, shared = spans(frames, scale_frames, interval, windows)
    assert [span.start for span in found] == starts and len(found[0]) == length and shared == overlap
    assert found[-1].stop == frames
    assert all(a.stop - b.start == shared for a, b in itertools.pairwise(found))


def test_the_flow_of_a_camera_that_moves_sideways_is_focal_length_times_way_by_depth():
    height, width, depth, way = 32, 48, 4.0, 0.5
    encoding = torch.tensor([0, 0, 0, 0, 0, 0, 1, 0.8, 1.0])
    key = encoding.clone()
    key[0] = way
    focal = width / 2 / math.tan(0.5)
    flow = mean_flow(encoding, torch.full((height, width), depth), key)
    assert float(flow) == pytest.approx(focal * way / depth, rel=1e-5)
    assert float(mean_flow(encoding, torch.zeros(height, width), key)) == 0
