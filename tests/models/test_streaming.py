"""Streams against one pass over the whole sequence under a mask that says what each frame may see, and their memory."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from recon3d.models.attention import attention
from recon3d.models.lingbot.answer import geometry as lingbot_geometry
from recon3d.models.lingbot.config import CacheConfig, LingBotCameraHeadConfig, LingBotConfig, TimeRotation
from recon3d.models.lingbot.network import LingBot
from recon3d.models.lingbot.stream import PASSING_FRAME, interval_for
from recon3d.models.lingbot.stream import Stream as LingBotStream
from recon3d.models.pictures import NetworkPictures, Pass
from recon3d.models.sizes import TransformerConfig, TrunkConfig
from recon3d.models.stream_vggt.answer import answer as stream_vggt_answer
from recon3d.models.stream_vggt.answer import geometry as vggt_geometry
from recon3d.models.stream_vggt.stream import Stream as VggtStream
from recon3d.models.stream_vggt.stream import forward_causal
from recon3d.models.streaming import FrameCache, causal
from recon3d.models.vggt.config import AggregatorConfig, CameraHeadConfig, DptConfig, VggtConfig, VitConfig
from recon3d.models.vggt.network import Vggt
from recon3d.models.vggt.preprocessing import preprocessed

SIZE = (28, 42)
DEPTH = DptConfig(8, (8, 8, 8, 8), (0, 0, 1, 1), output_dim=2, activation="exp")
BLOCKS = TransformerConfig(img_size=42, embed_dim=24, depth=2, num_heads=2, mlp_ratio=1.0)
AGGREGATOR = AggregatorConfig(num_register_tokens=2, patch_embed=VitConfig(1, 2, 1.0))
TRUNK = TrunkConfig(2, 2, 1.0)
VGGT = VggtConfig(BLOCKS, AGGREGATOR, camera_head=CameraHeadConfig(TRUNK), depth_head=DEPTH)
LINGBOT = LingBotConfig(
    BLOCKS, AGGREGATOR, rope3d=TimeRotation((4, 4, 4)), scale_frames=2, cache=CacheConfig(window=3, scale_frames=2),
    camera_head=LingBotCameraHeadConfig(CameraHeadConfig(TRUNK, iterations=2)), depth_head=DEPTH,
)  # fmt: skip


def shaken(network: nn.Module, seed: int = 0) -> nn.Module:
    """Random values everywhere, so that no token and no layer scale hides a mistake."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.data = parameter.data + torch.randn(parameter.shape, generator=generator) * 0.1
    return network.requires_grad_(False).eval()


def video(frames: int) -> Tensor:
    return torch.rand(1, frames, 3, *SIZE, generator=torch.Generator().manual_seed(1))


def under(mask: Tensor):
    return lambda q, k, v: attention(q, k, v, mask)


def lingbot_mask(frames: int, tokens: int, special: int, together: int, window: int) -> Tensor:
    """[frames·tokens]²: what the description says that each frame sees, said without a cache."""
    a, b = torch.arange(frames)[:, None, None], torch.arange(frames)[None, :, None]
    token = torch.arange(tokens)
    whole = (b < together) | (b > a - window)
    seen = ((b <= a) | ((a < together) & (b < together))) & (whole | (token < special))
    return seen.reshape(frames, 1, -1).expand(-1, tokens, -1).reshape(frames * tokens, -1)


def test_a_lingbot_stream_equals_one_pass_under_the_mask_of_what_is_seen():
    network, images, frames = shaken(LingBot(LINGBOT)), video(9), 9
    tokens = LINGBOT.special_tokens + 2 * 3
    mask = lingbot_mask(frames, tokens, LINGBOT.special_tokens, together=2, window=3)
    cameras = lingbot_mask(frames, 1, 1, together=2, window=3)  # of one token, which is kept
    at_once = network(images, attend=lambda layer: under(mask), attend_cameras=lambda i, block: under(cameras))
    stream, steps = LingBotStream(network, frames=frames), []
    for start, end in [(0, 2)] + [(i, i + 1) for i in range(2, frames)]:
        steps.append(stream.step(images[:, start:end]))
    torch.testing.assert_close(torch.cat([s.layers[1] for s in steps], 1), at_once.layers[1], atol=1e-4, rtol=1e-4)
    encodings = torch.cat([s.pose_encodings for s in steps], 2)
    torch.testing.assert_close(encodings, at_once.pose_encodings, atol=1e-4, rtol=1e-4)


def test_a_bounded_stream_vggt_sees_the_first_view_and_the_latest():
    network, images, frames, window = shaken(Vggt(VGGT)), video(7), 7, 3
    tokens = VGGT.special_tokens + 2 * 3
    mask = lingbot_mask(frames, tokens, 0, together=1, window=window - 1)
    cameras = lingbot_mask(frames, 1, 0, together=1, window=window - 1)
    at_once = network(images, attend=lambda layer: under(mask), attend_cameras=lambda i, block: under(cameras))
    stream = VggtStream(network, window, frames)
    steps = [stream.step(images[:, i : i + 1]) for i in range(frames)]
    torch.testing.assert_close(torch.cat([s.layers[1] for s in steps], 1), at_once.layers[1], atol=1e-4, rtol=1e-4)
    encodings = torch.cat([s.pose_encodings for s in steps], 2)
    torch.testing.assert_close(encodings, at_once.pose_encodings, atol=1e-4, rtol=1e-4)
    unbounded = forward_causal(network, images)
    assert (unbounded.pose_encodings - encodings)[:, :, :window].abs().max() < 1e-4
    assert (unbounded.pose_encodings - encodings)[:, :, window:].abs().max() > 1e-3


@pytest.mark.parametrize("together", [1, 3, 9])
def test_causal_attention_equals_that_under_its_mask(together: int):
    q, k, v = torch.randn(3, 2, 2, 5 * 4, 8, generator=torch.Generator().manual_seed(0))
    mask = lingbot_mask(5, 4, 0, together, window=9)
    torch.testing.assert_close(causal(4, together)(q, k, v), attention(q, k, v, mask))


def test_a_lingbot_stream_holds_its_scale_frames_its_window_and_the_trajectory_to_the_byte():
    network, images, frames = shaken(LingBot(LINGBOT)), video(12), 12
    config, tokens = LINGBOT, LINGBOT.special_tokens + 2 * 3
    stream = LingBotStream(network, frames=frames)
    stream.step(images[:, :2])
    rooms = {c.room for c in stream.layers}
    of_a_token = 2 * config.transformer.embed_dim * 4
    for i in range(2, frames):
        stream.step(images[:, i : i + 1])
        left = max(0, i + 1 - 2 - 3)  # frames that left the window
        for cache in stream.layers:
            assert cache.seen == tokens * (2 + min(3, i - 1)) + config.special_tokens * left
            assert cache.bytes_of(cache.used) == of_a_token * cache.seen
            assert cache.bytes_of(cache.kept_tokens) == of_a_token * config.special_tokens * left
        assert all(c.used == i + 1 for c in stream.cameras.values())
    assert {c.room for c in stream.layers} == rooms == {tokens * 5 + config.special_tokens * (frames - 5)}


def test_a_stream_vggt_holds_its_window_to_the_byte():
    network, images = shaken(Vggt(VGGT)), video(6)
    stream = VggtStream(network, window=4)
    for i in range(6):
        stream.step(images[:, i : i + 1])
    tokens = VGGT.special_tokens + 2 * 3
    assert all(c.used == c.room == 4 * tokens and c.keys.shape[-2] == 4 * tokens for c in stream.layers)
    assert len(stream.cameras) == 4 * 2 and all(c.room == 4 for c in stream.cameras.values())


def test_a_stream_of_unknown_length_grows_and_gives_the_same():
    network, images = shaken(LingBot(replace(LINGBOT, keyframe_interval=2))), video(9)
    known, unknown = LingBotStream(network, frames=9), LingBotStream(network)
    for start, end in [(0, 2)] + [(i, i + 1) for i in range(2, 9)]:
        a, b = (s.step(images[:, start:end]).pose_encodings for s in (known, unknown))
        assert torch.equal(a, b)


def test_a_passing_frame_sees_what_is_stored_and_leaves_nothing():
    q, k, v = torch.randn(3, 1, 2, 4 * 3, 8, generator=torch.Generator().manual_seed(0))
    cache = FrameCache(tokens=3, anchors=1, window=1, kept=1, spare=3)
    for i in range(3):
        frame = slice(3 * i, 3 * i + 3)
        cache.attend(q[:, :, frame], k[:, :, frame], v[:, :, frame])
    last = slice(9, 12)
    passing = cache.attend(q[:, :, last], k[:, :, last], v[:, :, last], store=False)
    seen = [0, 1, 2, 3, 6, 7, 8, 9, 10, 11]
    torch.testing.assert_close(passing, attention(q[:, :, last], k[:, :, seen], v[:, :, seen]))
    assert cache.used == 7 and cache.frames == 3


def test_frames_of_another_size_are_refused():
    stream = VggtStream(shaken(Vggt(VGGT)), window=2)
    stream.step(video(1))
    with pytest.raises(ValueError, match=r"\[42, 28\] after \[28, 42\]"):
        stream.step(video(1).transpose(-1, -2))


def test_every_so_many_frames_are_stored_that_320_are_not_exceeded():
    network = LingBot(LINGBOT)
    assert [interval_for(network, frames) for frames in (1, 320, 321, 10_000)] == [1, 1, 2, 32]
    stream = LingBotStream(network, interval=3)
    assert [stream.kind(i) == PASSING_FRAME for i in range(7)] == [False, False, False, True, True, False, True]


def pictures(frames: int) -> NetworkPictures:
    rects = torch.tensor([[0.0, 0, SIZE[1], SIZE[0]]], dtype=torch.float64).repeat(frames, 1)
    return NetworkPictures(video(frames)[0], torch.eye(3, dtype=torch.float64).repeat(frames, 1, 1), rects)


def test_geometries_turn_the_encodings_the_right_way_round():
    told = []
    how = Pass(on_view=lambda done, total: told.append((done, total)))
    vggt, lingbot = shaken(Vggt(VGGT)), shaken(LingBot(LINGBOT))
    found = vggt_geometry(vggt, pictures(3), how, window=3)
    encodings = forward_causal(vggt, video(3)).pose_encodings[-1, 0]
    torch.testing.assert_close(
        found.cameras.camera_from_world[:, :3, 3].float(), encodings[:, :3], atol=1e-4, rtol=1e-4
    )
    assert told == [(1, 3), (2, 3), (3, 3)]
    found = lingbot_geometry(lingbot, pictures(2), how)
    encodings = lingbot(video(2)).pose_encodings[-1, 0]
    torch.testing.assert_close(found.cameras.centers_in_world.float(), encodings[:, :3], atol=1e-4, rtol=1e-4)
    assert told[3:] == [(2, 2)] and found.source == "lingbot-map"


def test_cached_frames_bound_what_an_answer_remembers():
    """Of 9 frames the last sees another past with a short memory; frames that all memories hold come out the same."""
    eye, rects = torch.eye(3, dtype=torch.float64).repeat(9, 1, 1), torch.tensor([[0.0, 0, 42, 28]], dtype=torch.float64)
    network = shaken(LingBot(LINGBOT))
    pictures = NetworkPictures(video(9)[0], eye, rects.repeat(9, 1))
    short, usual, same = (
        lingbot_geometry(network, pictures, Pass(cache_frames=frames)).cameras.camera_from_world for frames in (1, None, 3)
    )
    assert torch.equal(usual, same) and LINGBOT.cache.window == 3
    assert torch.equal(short[:3], usual[:3]) and (short[3:] - usual[3:]).abs().amax((1, 2)).min() > 1e-5


def test_cached_frames_of_stream_vggt_are_the_latest_besides_the_first():
    photos = [(255 * image).permute(1, 2, 0).byte().numpy() for image in video(5)[0]]
    network = shaken(Vggt(VGGT))
    found = stream_vggt_answer(network, photos, Pass(size=42, cache_frames=2)).geometry
    pictures = preprocessed(photos, "crop", 42, 14)
    by_hand = vggt_geometry(network, pictures, Pass(), window=3)
    assert torch.equal(found.cameras.camera_from_world, by_hand.cameras.camera_from_world)
