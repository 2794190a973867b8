"""Which features look alike: SIFT descriptors of two pictures compared by one matrix product, as COLMAP compares them.

Descriptors are bytes, so that every product and every sum is a whole number, which float32 holds too: the same matches on
any device and with any number of threads.
"""

from __future__ import annotations

import functools
import platform
from collections.abc import Iterator
from typing import Annotated

import torch
from torch import Tensor

UNIT = 512.0  # the length of a descriptor in COLMAP's bytes
MAX_DISTANCE = 0.7  # radians (COLMAP's max_distance)
BLOCK = 512  # rows of the product at a time: few enough to stay in a processor's cache, which is worth a third of the time
BLOCK_OF_DEVICE = 8192  # of others: 268 MB for as many features, and one wait for a picture
LOWEST = -(2**24)  # below every product

Descriptors = Annotated[Tensor, "F 128"]  # uint8


def mutual_matches(first: Descriptors, second: Descriptors, max_ratio: float) -> Annotated[Tensor, "M 2"]:
    """Pairs of features that are each other's nearest by far, ascending in the first (int64, on the CPU).

    COLMAP's tests: the angle to the nearest is at most MAX_DISTANCE and less than `max_ratio` times that to the next one,
    in both directions (Lowe 2004, section 7.1). Of equals, which none tells apart, none passes.
    """
    if not len(first) or not len(second):
        return torch.zeros(0, 2, dtype=torch.int64)
    nearest, passes = nearest_by_far(first, second, max_ratio)
    here = passes.nonzero()[:, 0]
    there = nearest[here]
    # The second direction is asked only where the first found something: a tenth of the features.
    asked, number = there.unique(return_inverse=True)
    if not len(asked):
        return torch.zeros(0, 2, dtype=torch.int64)
    back, passes_back = nearest_by_far(second[asked], first, max_ratio)
    mutual = passes_back[number] & (back[number] == here)
    return torch.stack((here[mutual], there[mutual]), 1)


def nearest_by_far(
    features: Descriptors, others: Descriptors, max_ratio: float
) -> tuple[Annotated[Tensor, "F"], Annotated[Tensor, "F"]]:
    """For each feature the index of the nearest of the others, and whether it passes the tests (bool); on the CPU."""
    found = []
    for block, missing in products(features, others):
        largest, at, following = two_largest(block)
        found.append(torch.stack((at, largest + missing, following + missing)).cpu())
    nearest, largest, following = torch.cat(found, 1)
    # Products are exact and angles are computed in one place, so that devices cannot differ in what passes.
    angle, next_angle = angles(largest), angles(following)
    return nearest.long(), (angle <= MAX_DISTANCE) & (angle < max_ratio * next_angle)


def two_largest(block: Annotated[Tensor, "B F"]) -> tuple[Tensor, Tensor, Tensor]:
    """Of each row the largest value, where it is, and the next largest (LOWEST where there is one only)."""
    if block.shape[1] == 1:
        return block[:, 0], torch.zeros(len(block), dtype=torch.int64, device=block.device), torch.full_like(block[:, 0], LOWEST)
    if block.device.type != "cpu":
        values, index = block.topk(2, dim=1)
        return values[:, 0], index[:, 0], values[:, 1]
    from recon3d.core.jit import run
    from recon3d.sfm import largest_kernel

    largest, following = (torch.empty(len(block), dtype=block.dtype) for _ in range(2))
    at = torch.empty(len(block), dtype=torch.int64)
    outputs = (largest.numpy(), at.numpy(), following.numpy())
    run(largest_kernel.two_largest, len(block), block.view(-1).numpy(), block.shape[1], *outputs)
    return largest, at, following


def angles(products: Annotated[Tensor, "B"]) -> Annotated[Tensor, "B"]:
    """Radians between descriptors; a right angle where there is none (LOWEST)."""
    return torch.acos((products.double() / UNIT**2).clamp(0, 1))


def products(features: Descriptors, others: Descriptors) -> Iterator[tuple[Annotated[Tensor, "B F"], Annotated[Tensor, "B"]]]:
    """Scalar products of a block of the features at a time with all others, but for a number that misses from each row.

    Whole numbers, int32 or float32. A block is good until the next one is asked for.
    """
    as_bytes = features.device.type == "cpu" and bytes_multiply_exactly()
    rows = BLOCK if features.device.type == "cpu" else BLOCK_OF_DEVICE
    # One block's memory serves all: fresh pages for each would cost as much as the product.
    kind = torch.int32 if as_bytes else torch.float32
    memory = torch.empty(min(rows, len(features)), len(others), dtype=kind, device=features.device)
    if not as_bytes:
        of_others = others.float().T
        for block in features.split(rows):
            yield torch.mm(block.float(), of_others, out=memory[: len(block)]), memory.new_zeros(len(block))
        return
    # Signed bytes are what processors multiply: (a - 128)(b - 128) = ab - 128 (a + b) + 128^2, summed over 128 places.
    of_others, of_columns = signed(others).T, 128 * others.sum(1, dtype=torch.int32)
    for block in features.split(rows):
        shifted = torch._int_mm(signed(block), of_others, out=memory[: len(block)])  # pyright: ignore[reportPrivateImportUsage]
        yield shifted.add_(of_columns), 128 * block.sum(1, dtype=torch.int32) - 128**3


def signed(descriptors: Descriptors) -> Annotated[Tensor, "F 128"]:
    return (descriptors.to(torch.int16) - 128).to(torch.int8)


@functools.cache
def bytes_multiply_exactly() -> bool:
    """Whether this processor multiplies matrices of bytes without saturating sums: with VNNI, and three times as quick as
    float32. Tried on extreme values, for the call has no documentation and older x86 processors saturate."""
    if platform.machine().lower() not in ("x86_64", "amd64") or not hasattr(torch, "_int_mm"):
        return False
    extreme = torch.tensor([[127], [-128]], dtype=torch.int8).repeat(16, 128)
    try:
        found = torch._int_mm(extreme, extreme.T)  # pyright: ignore[reportPrivateImportUsage]
    except RuntimeError:
        return False
    return torch.equal(found, extreme.int() @ extreme.int().T)
