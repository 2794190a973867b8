"""Attention over the frames of a stream: causal over a whole sequence, or frame by frame against a bounded cache."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from recon3d.models.attention import attention
from recon3d.models.vit import Attend

GROWTH = 256  # tokens that a full buffer grows by: seldom, and little beside it


def causal(tokens: int, together: int = 1) -> Attend:
    """Attention where frames of `tokens` tokens see themselves and those before; the first `together` see each other."""

    def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        # Frame by frame against the keys so far: half of the products of a mask, and no scores over the whole sequence.
        total, start, parts = queries.shape[-2], 0, []
        for end in range(min(together * tokens, total), total + 1, tokens):
            parts.append(attention(queries[..., start:end, :], keys[..., :end, :], values[..., :end, :]))
            start = end
        return torch.cat(parts, -2)

    return attend


class FrameCache:
    """Keys and values that one block of a stream still sees, in one buffer each:

        first `anchors` frames | ring of the `window` latest others | first `kept` tokens of each frame that left the ring

    What is seen is always a beginning of the buffer, so attention reads it in place; the order of keys means nothing. Keys
    are stored as they come, with the rotation of their own place. With `kept` as large as a frame nothing is ever lost.
    """

    def __init__(
        self, tokens: int, anchors: int, window: int, kept: int = 0, frames: int | None = None, spare: int = 0
    ) -> None:
        """Frames have `tokens` tokens. `frames`, where it is known, is how many will be stored: less room where they are
        few, and no growth where they are many. `spare`: room for tokens of frames that are not stored."""
        if window < 1 or anchors < 0 or not 0 <= kept <= tokens:
            raise ValueError(f"no cache has a window of {window}, {anchors} anchors and {kept} of {tokens} tokens kept")
        self.tokens, self.anchors, self.window, self.kept = tokens, anchors, window, kept
        whole = anchors + window if frames is None else min(frames, anchors + window)
        self.room = whole * tokens + kept * max(0, (frames or 0) - whole) + spare
        self.frames = 0  # stored so far, those included of which only `kept` tokens are left
        self.used = 0  # tokens at the beginning of the buffers that are seen
        self.seen = 0  # keys that the last queries saw
        self.keys: Tensor | None = None  # [B, heads, room, d], in the type of the values
        self.values: Tensor | None = None

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor, store: bool = True) -> Tensor:
        """Attention of one or more frames [B, heads, F·tokens, d] over all that is seen, themselves included.

        `store`: they are stored and old ones evicted first. Else they see what is stored, and leave nothing.
        """
        frames = keys.shape[-2] // self.tokens
        if store:
            for i in range(frames):
                span = slice(i * self.tokens, (i + 1) * self.tokens)
                self._store(keys[..., span, :], values[..., span, :])
            self.seen = self.used
        else:
            self._write(self.used, keys, values)
            self.seen = self.used + frames * self.tokens
        assert self.keys is not None and self.values is not None
        return attention(queries, self.keys[..., : self.seen, :], self.values[..., : self.seen, :])

    @property
    def kept_tokens(self) -> int:
        """Tokens of frames that left the ring: the part that grows with the stream."""
        return self.used - self.tokens * min(self.frames, self.anchors + self.window)

    def bytes_of(self, tokens: int) -> int:
        """Bytes of keys and values of some tokens."""
        if self.keys is None:
            return 0
        return 2 * tokens * self.keys.element_size() * self.keys[..., 0, :].numel()

    def _store(self, keys: Tensor, values: Tensor) -> None:
        """One frame into its place; of the one that lay there `kept` tokens move to the end."""
        place = self.frames
        if place >= self.anchors + self.window:
            place = self.anchors + (place - self.anchors) % self.window
            start = place * self.tokens
            if self.kept:
                assert self.keys is not None and self.values is not None
                left = slice(start, start + self.kept)
                self._write(self.used, self.keys[..., left, :], self.values[..., left, :])
                self.used += self.kept
        else:
            start = self.used
            self.used += self.tokens
        self._write(start, keys, values)
        self.frames += 1

    def _write(self, start: int, keys: Tensor, values: Tensor) -> None:
        end = start + keys.shape[-2]
        if self.keys is None or self.values is None:
            self.room = max(self.room, end)
            shape = (*values.shape[:-2], self.room, values.shape[-1])
            self.keys, self.values = values.new_empty(shape), values.new_empty(shape)
        if end > self.room:
            self.keys, self.values = self._grown(self.keys, end), self._grown(self.values, end)
            self.room = self.keys.shape[-2]
        self.keys[..., start:end, :] = keys
        self.values[..., start:end, :] = values

    def _grown(self, buffer: Tensor, end: int) -> Tensor:
        larger = buffer.new_empty((*buffer.shape[:-2], max(end, self.room + GROWTH), buffer.shape[-1]))
        larger[..., : self.room, :] = buffer
        return larger


def gathered(parts: Iterable[Mapping[str, Tensor]], frames: int) -> dict[str, Tensor]:
    """Values of some frames at a time [F, ...], one after another, in tensors of all `frames` on the CPU."""
    out: dict[str, Tensor] = {}
    start = 0
    for part in parts:
        count = 0
        for name, value in part.items():
            if name not in out:
                out[name] = torch.empty((frames, *value.shape[1:]), dtype=value.dtype)
            count = len(value)
            out[name][start : start + count] = value
        start += count
    return out
