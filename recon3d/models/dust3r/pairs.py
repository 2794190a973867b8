"""DUSt3R and MASt3R on the pictures of a scene: every picture encoded once, every pair decoded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from recon3d.core.pairs import Pairs
from recon3d.models.cost import Cost
from recon3d.models.dust3r.config import Dust3rConfig
from recon3d.models.dust3r.matching import matches_both_ways
from recon3d.models.dust3r.network import Dust3r, Encoded, PointMap, normalised
from recon3d.models.pictures import NetworkPictures

SIDES_OF_PAIRS = 22  # point maps of one picture, at most: with 11 others both ways (pair_answer.graph_for)
AT_A_TIME = 4  # pictures, and pairs; any number gives the same values; bounds the memory


def pairs(
    network: Dust3r, pictures: Sequence[NetworkPictures], edges: Annotated[Tensor, "E 2"], chunk: int = AT_A_TIME,
    match_step: int | None = None, scale: Literal["arbitrary", "metres"] = "arbitrary", source: str = "dust3r",
    advance: Callable[[int], None] = lambda count: None, match_once: bool = False,
) -> Pairs:  # fmt: skip
    """What the network says of the ordered pairs `edges` (pair_graphs.pairs_of) of `pictures`, which may differ in size.

    `match_step`: matches as well, from every so many pixels; needs a network with descriptors; `match_once`: not both of
    (i, j) and (j, i), only the first has some. `advance` hears after each step how many pairs it made.
    """
    if match_step is not None and not network.config.descriptor_width:
        raise ValueError("matches need descriptors, and this network has none")
    images = [image for some in pictures for image in some.images]
    encoded = _encoded(network, images, chunk)
    ends: list[tuple[int, int]] = [(i, j) for i, j in edges.tolist()]
    met = {frozenset(pair): e for e, pair in reversed(list(enumerate(ends)))}  # where two pictures first are a pair
    maps: list[tuple[Tensor, ...]] = [()] * len(ends)
    for group in _groups([(encoded[i].grid, encoded[j].grid) for i, j in ends], chunk):
        first, second = (_joined([encoded[ends[e][side]] for e in group]) for side in (0, 1))
        with torch.inference_mode():
            both = network.decode(first, second)
        for k, e in enumerate(group):
            again = match_once and met[frozenset(ends[e])] != e
            maps[e] = _of_pair(*both, k, None if again else match_step)
        advance(len(group))
    columns = list(zip(*maps, strict=True)) or [()] * 5
    sizes = torch.tensor([image.shape[1:] for image in images], dtype=torch.int64).reshape(-1, 2)
    points_i, points_j, confidence_i, confidence_j, matches = columns
    return Pairs(
        edges, points_i, points_j, confidence_i, confidence_j, sizes, matches if match_step is not None else None,
        scale=scale, source=source,
    )  # fmt: skip


def cost(config: Dust3rConfig, parameters: int) -> Cost:
    """What pairs take: a few pictures at a time in the network, then the point maps of all pairs, twice while aligning."""
    widths = sum(config.hook_widths)
    features = config.dpt.feature_dim if config.head_type != "linear" else 0
    return Cost(
        parameters, config.patch_size, config.enc_embed_dim, 0, 2 * widths, features, max(config.img_size),
        at_once=2 * AT_A_TIME, outputs=2 * SIDES_OF_PAIRS * 16,
    )  # fmt: skip


def _encoded(network: Dust3r, images: Sequence[Annotated[Tensor, "3 H W"]], chunk: int) -> list[Encoded]:
    """Each image encoded, alone in its batch; images of one size go through together."""
    device = next(network.parameters()).device
    found: list[Any] = [None] * len(images)
    for group in _groups([tuple(image.shape) for image in images], chunk):
        with torch.inference_mode():
            together = network.encode(normalised(torch.stack([images[i] for i in group]).to(device)))
        for k, i in enumerate(group):
            found[i] = Encoded(together.tokens[k : k + 1], together.grid)
    return found


def _groups(kinds: Sequence[Any], chunk: int) -> Iterator[list[int]]:
    """Indices of equal kinds, at most `chunk` together."""
    members = defaultdict(list)
    for i, kind in enumerate(kinds):
        members[kind].append(i)
    for indices in members.values():
        yield from (indices[start : start + chunk] for start in range(0, len(indices), chunk))


def _joined(pictures: Sequence[Encoded]) -> Encoded:
    return Encoded(torch.cat([picture.tokens for picture in pictures]), pictures[0].grid)


def _of_pair(map1: PointMap, map2: PointMap, k: int, match_step: int | None) -> tuple[Tensor, ...]:
    """Points and confidences of pair k of a batch, and its matches (none: an empty tensor), on the CPU.

    Copied outside of inference mode: what aligns the pairs derives by its own variables, which torch refuses otherwise.
    """
    own = (map1.points[k], map2.points[k], map1.confidence[k], map2.confidence[k])
    matches = torch.zeros(0, 4)
    if match_step is not None and map1.descriptors is not None and map2.descriptors is not None:
        matches = matches_both_ways(map1.descriptors[k], map2.descriptors[k], match_step)
    return tuple(x.to("cpu", torch.float32, copy=True) for x in (*own, matches))
