"""The planner: what fits is taken whole, what does not is made smaller, and running out of memory is no crash."""

from __future__ import annotations

import pytest
import torch

from recon3d.errors import InputError
from recon3d.models.cost import Cost
from recon3d.pipeline.plan import (
    LARGEST_WINDOW,
    LEAST_WINDOW,
    SHARE,
    NetworkPlan,
    bounded,
    out_of_memory,
    plans,
    stepping_down,
    views_of_a_pass,
)
from recon3d.progress import Progress

VGGT = Cost(1_157_000_000, 14, 1024, 5, 4 * 2048, 256, 518)
GB = 1_000_000_000


def of(free: int, views: int = 8, device: str = "cpu") -> list[NetworkPlan]:
    return list(plans(VGGT, views, 518 / 392, device, free))


def test_with_enough_memory_pictures_have_the_size_that_the_network_was_trained_with():
    best = of(100 * GB)[0]
    assert best.how.size == 518 and best.full and best.how.once
    assert best.estimated <= SHARE * 100 * GB


def test_with_less_memory_pictures_become_smaller_and_keep_whole_patches():
    sizes = [of(free, views=500)[0].how.size for free in (100 * GB, 14 * GB, 2 * GB)]
    assert sizes[0] == 518 and sizes == sorted(sizes, reverse=True) and sizes[-1] < sizes[0]
    assert all(plan.how.size % 14 == 0 for free in (100 * GB, 8 * GB, 2 * GB) for plan in of(free, views=500))
    assert of(100 * GB, views=500)[0].estimated > of(100 * GB, views=8)[0].estimated


def test_the_smallest_is_tried_even_where_it_should_not_fit_and_says_so():
    (last,) = of(1)
    assert not last.full and "the least there is" in last.why


def test_what_does_not_fit_after_all_is_tried_smaller_and_told():
    progress, tried = Progress(), []

    def run(plan: NetworkPlan) -> int:
        tried.append(plan.how.size)
        if plan.how.size > 400:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return plan.how.size

    size, plan = stepping_down(iter(of(100 * GB)), run, progress)
    assert size == plan.how.size < 400 and tried == sorted(tried, reverse=True) and len(tried) > 1
    assert any("out of memory, stepping down" in note for note in progress.notes)


def test_what_never_fits_is_one_line_and_other_errors_are_not_swallowed():
    def full(plan: NetworkPlan) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    def broken(plan: NetworkPlan) -> None:
        raise RuntimeError("shapes do not match")

    with pytest.raises(InputError, match="fewer photos"):
        stepping_down(iter(of(100 * GB)), full, Progress())
    with pytest.raises(RuntimeError, match="shapes"):
        stepping_down(iter(of(100 * GB)), broken, Progress())
    assert out_of_memory(MemoryError()) and not out_of_memory(RuntimeError("shapes"))


def in_a_pass(free: int, views: int = 500, trusted: int | None = None, cost: Cost = VGGT) -> tuple[int, str]:
    return views_of_a_pass(cost, views, 518 / 392, "cpu", trusted, free)


def test_views_that_do_not_fit_go_in_windows_that_do():
    assert in_a_pass(1000 * GB) == (500, "")
    size, why = in_a_pass(10 * GB)
    assert LEAST_WINDOW <= size <= LARGEST_WINDOW and "do not fit" in why
    assert next(iter(plans(VGGT, size, 518 / 392, "cpu", 10 * GB))).full
    assert in_a_pass(1) == (LEAST_WINDOW, in_a_pass(1)[1]) and in_a_pass(1, views=4)[0] == 4
    sizes = [in_a_pass(free * GB)[0] for free in (4, 7, 10)]
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1]


def test_views_beyond_what_a_network_gets_right_go_in_windows():
    assert in_a_pass(1000 * GB, views=9, trusted=4) == (4, "more than 4 in one pass come out worse")
    assert in_a_pass(1000 * GB, views=4, trusted=4) == (4, "")


def test_a_stream_takes_all_views_and_less_memory_with_fewer_cached_frames():
    stream = Cost(1_000_000_000, 14, 1024, 6, 4 * 2048, 256, 518, at_once=8, cached_layers=24, cached_views=72, cached_tokens=6)
    assert in_a_pass(1 * GB, cost=stream) == (500, "")
    few, many = (bounded(stream, frames).bytes(500, 518, 518 / 392, 1, 4) for frames in (4, 64))
    of_a_frame = 518 * 392 / 14**2 * 2 * 1024 * 4 * 24
    assert many - few == pytest.approx(60 * of_a_frame, rel=1e-6) and bounded(stream, None) == stream
