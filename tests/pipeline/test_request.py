"""What flags mean before any file is opened."""

import pytest

from recon3d.errors import InputError
from recon3d.pipeline.choices import QUALITY
from recon3d.pipeline.request import Request, parse_budget, parse_holdout, plan


@pytest.mark.parametrize(
    ("text", "steps", "seconds"),
    [("500", 500, None), ("60s", None, 60), ("1.5m", None, 90), ("0", 0, None), ("0s", 0, None)],
)
def test_refine_takes_steps_seconds_and_minutes(text, steps, seconds):
    budget = parse_budget(text)
    assert (budget.steps, budget.seconds) == (steps, seconds)


@pytest.mark.parametrize("text", ["", "abc", "-5", "5h", "1.5", "s", "1e3"])
def test_refine_refuses_anything_else_naming_the_flag(text):
    with pytest.raises(InputError, match=r"^--refine: "):
        parse_budget(text)


def test_holdout_counts_from_its_start():
    assert parse_holdout("8").indices(20) == [0, 8, 16]
    assert parse_holdout("8:4").indices(20) == [4, 12]


@pytest.mark.parametrize("text", ["0", "1", "8:", ":4", "a", "8:4:2", "-8"])
def test_holdout_refuses_what_leaves_nothing_to_use(text):
    with pytest.raises(InputError, match=r"^--holdout: "):
        parse_holdout(text)


def test_quality_sets_only_what_was_not_given():
    high = plan(Request(quality="high", max_size=100))
    assert (high.max_size, high.budget.steps, high.max_gaussians) == (100, 4000, 200_000)
    assert plan(Request(quality="high"), on_a_gpu=True).max_gaussians == 500_000
    assert plan(Request(max_gaussians=7), on_a_gpu=True).max_gaussians == 7


def test_high_quality_goes_through_few_photos_no_more_than_they_bear():
    assert [QUALITY["high"].steps_for(photos) for photos in (3, 10, 20, 40, 400)] == [1000, 1000, 2000, 4000, 4000]
    assert {QUALITY[name].steps_for(photos) for name in ("preview", "standard") for photos in (3, 400)} == {300, 1000}


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--max-size", {"max_size": 3}),
        ("--max-images", {"max_images": 1}),
        ("--fps", {"fps": 0.0}),
        ("--seed", {"seed": -1}),
        ("--window", {"window": 2}),
        ("--window", {"window": 8, "geometry": "colmap"}),
        ("--window-overlap", {"window_overlap": 2, "geometry": "colmap"}),
        ("--window-overlap", {"window": 4, "window_overlap": 4, "geometry": "da3-base"}),
        ("--cache-frames", {"cache_frames": 0, "geometry": "lingbot-map"}),
        ("--cache-frames", {"cache_frames": 8, "geometry": "da3-base"}),
        ("--keep-sky", {"keep_sky": True}),
        ("--keep-sky", {"keep_sky": True, "geometry": "colmap"}),
        ("--max-points", {"max_points": 1000}),
    ],
)
def test_a_wrong_value_is_named_by_its_flag(flag, words):
    with pytest.raises(InputError, match=f"^{flag}: "):
        plan(Request(**words))


def test_windows_are_of_networks_and_cached_frames_of_streams():
    assert plan(Request(geometry="da3-base", window=4, window_overlap=3)).geometry == "da3-base"
    assert plan(Request(geometry="lingbot-map", window=40, cache_frames=8)).geometry == "lingbot-map"
    with pytest.raises(InputError, match="da3-base goes through no stream and keeps no frames"):
        plan(Request(geometry="da3-base", cache_frames=8))


def test_what_is_asked_of_depth_is_asked_of_networks():
    assert plan(Request(geometry="da3-base", keep_sky=True, max_points=1000)).geometry == "da3-base"
    with pytest.raises(InputError, match="colmap gives no depth"):
        plan(Request(keep_sky=True))
