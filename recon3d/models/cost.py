"""What a pass of a network takes in memory, from its sizes: an estimate within about a third, checked by the benchmark."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """The sizes of a network that decide its memory."""

    parameters: int
    patch: int
    width: int  # channels of the token stream
    special_tokens: int
    kept: int  # channels of layer outputs kept for the heads, over all of them
    features: int  # of dense heads
    size: int  # pixels, of the side that preprocessing sets, as trained
    at_once: int | None = None  # views of one call, of a network that goes through them in calls; None: all
    cached_layers: int = 0  # layers whose keys and values such a network keeps:
    cached_views: int = 0  # all tokens of as many views,
    cached_tokens: int = 0  # and as many of each of the others
    outputs: int = 24  # bytes of results for each pixel of each view
    tracked: int = 0  # bytes for each pixel of a view that points are followed through,
    tracked_views: int = 0  # and how many such views are held at a time

    def bytes(self, views: int, size: int, aspect: float, chunk: int, number: int) -> int:
        """At `size` pixels for the width, views of width/height `aspect`, `number` bytes a value in linear layers."""
        height = min(size / aspect, size)  # portraits are cropped to a square, or have their height at `size`
        together = min(views, self.at_once or views)
        in_view = self.special_tokens + (size / self.patch) * (height / self.patch)
        tokens = together * in_view
        # The stream in float32; queries, keys, values and what attention makes of them. The rest of a block is made in runs.
        block = tokens * self.width * (4 + 4 * number)
        kept = tokens * self.kept * number
        pixels = size * height
        # Maps of a dense head at half the size and at the full one, and what its convolutions need beside them.
        head = min(chunk, together) * pixels * (self.features / 4 * 4 * 3 + self.features / 2 * 4 * 2.5)
        tracked = min(views, self.tracked_views) * pixels * self.tracked
        outputs = views * pixels * self.outputs
        whole = min(views, self.cached_views)
        cached = whole * in_view + (views - whole) * self.cached_tokens
        cache = cached * self.cached_layers * 2 * self.width * number
        return int(self.parameters * number + kept + max(block, head, tracked) + outputs + cache)
