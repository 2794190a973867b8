"""When the exposures of photos are fitted."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import recon3d
from recon3d.io.detect import detect
from recon3d.io.exif import Exif
from recon3d.io.load import Loaded, load_views
from recon3d.io.photos import read_header
from recon3d.pipeline import api
from recon3d.pipeline.exposure import why_fitted
from recon3d.pipeline.reconstruct import refined
from recon3d.pipeline.request import Request, plan
from recon3d.pipeline.sources import Asked
from recon3d.progress import Progress
from tests.io.input_files import picture, save_with_exif
from tests.reconstruction.scenes import splat_photos
from tests.shared_folder import shared

PHONE, OTHER = ("Maker", "One", "", 4.0), ("Maker", "Two", "", 4.0)


@pytest.mark.parametrize(
    ("photos", "why"),
    [
        ([Exif(), Exif()], None),
        ([Exif(camera=PHONE), Exif(camera=PHONE), Exif()], None),
        ([Exif(camera=PHONE), Exif(camera=(*PHONE[:3], 9.0))], None),  # zoomed
        ([Exif(camera=PHONE), Exif(camera=OTHER), Exif(camera=PHONE)], "2 cameras"),
        ([Exif(exposure_value=9.0), Exif(exposure_value=10.0), Exif()], None),
        ([Exif(exposure_value=9.0), Exif(exposure_value=11.3), Exif()], "2.3 stops apart"),
        ([Exif(camera=PHONE, exposure_value=9.0), Exif(camera=OTHER, exposure_value=7.5)], "2 cameras, 1.5 stops apart"),
    ],
)
def test_auto_follows_what_the_photos_say(photos, why):
    assert why_fitted("auto", photos) == why
    assert why_fitted("on", photos) == "asked for" and why_fitted("off", photos) is None


def test_what_photos_say_comes_with_the_views_that_they_become(tmp_path):
    """1/60 s at f/2 and ISO 100 is 2 + log2(60) stops; at ISO 400 two less."""
    for i, speed in enumerate((100, 400)):
        tags = {0x829A: 1 / 60, 0x829D: 2.0, 0x8827: speed}
        save_with_exif(tmp_path / f"{i}.jpg", {271: "Maker", 272: "One"}, tags, picture(seed=i))
    said = load_views(detect([tmp_path])).exif
    assert [exif.exposure_value for exif in said] == pytest.approx([7.907, 5.907], abs=0.01)
    assert why_fitted("auto", said) == "2.0 stops apart"


@pytest.mark.parametrize(("scene", "why"), [("banana", None), ("beach-drone", None), ("lund", "1.4 stops apart")])
def test_real_photos_are_told_apart_by_what_they_say(scene, why):
    """banana: one exposure; beach-drone: 0.96 stops between the brightest and the darkest; lund: a walk by phone."""
    said = [read_header(path).exif for path in shared(f"data/{scene}/images").iterdir()]
    assert all(exif.exposure_value is not None for exif in said)
    assert why_fitted("auto", said) == why


@pytest.mark.parametrize(("given", "meant"), [(True, "on"), (False, "off"), ("auto", "auto")])
def test_python_may_say_true_or_false(given, meant, monkeypatch, tmp_path):
    asked = []

    def carry_out(request, *_):
        asked.append(request.exposure)
        raise ZeroDivisionError

    monkeypatch.setattr(api, "carry_out", carry_out)
    save_with_exif(tmp_path / "a.jpg", {}, {})
    with pytest.raises(ZeroDivisionError):
        recon3d.reconstruct(Path(tmp_path), exposure=given)
    assert asked == [meant]


def test_photos_two_stops_apart_are_refined_as_with_on_and_the_report_says_why():
    """Six photos of known splats, by turns a stop darker and a stop brighter, as their EXIF says."""
    views, geometry, truth = splat_photos(held_out=[2])
    gains = [2 ** (0.5 if i % 2 else -0.5) for i in range(len(views))]
    images = [(gain * image).clamp(0, 255).to(torch.uint8) for gain, image in zip(gains, views.images, strict=True)]
    views = replace(views, images=tuple(images))
    said = tuple(Exif(exposure_value=9.0 if i % 2 else 11.0) for i in range(len(views)))
    notes = []
    progress = Progress(lambda event: notes.append(event.text) if event.kind == "note" else None)

    def made(exposure):
        request = Request(refine="30", max_gaussians=400, exposure=exposure)
        loaded = Loaded(views, (), False, None, (), False, exif=said)
        asked = Asked(request, plan(request), loaded, "photos", None, progress)
        gaussians, _, report = refined(asked, "cpu", views, geometry, truth)
        return report.exposures, gaussians

    (why, auto), (asked, on), (unasked, off) = made("auto"), made("on"), made("off")
    assert (why, asked, unasked) == ("2.0 stops apart", "asked for", None)
    assert torch.equal(auto.sh, on.sh) and not torch.equal(auto.sh, off.sh)
    assert len(notes) == 1 and "2.0 stops apart" in notes[0]
