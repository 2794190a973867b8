"""Where one stands in the page and how one gets elsewhere, in a real browser with scenes of few splats."""

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from recon3d.io.ply import read_ply, write_ply
from recon3d.pipeline.edits import Edits, similarity
from recon3d.viewer.scene_data import open_scene
from recon3d.viewer.server import Finished, Server
from tests.viewer.small_scene import before_a_backdrop, camera_rows, figure, run_folder, some_splats
from tools.benchmarks.browser import PHONE, Opened, opened

pytestmark = pytest.mark.browser

WINDOW = (640, 480)


@contextmanager
def shown(browser, path: Path, hash: str = "", **options):
    with Server(Finished(open_scene(path)[0])) as server, opened(browser, server.address + hash, **options) as page:
        yield page


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    return before_a_backdrop(tmp_path_factory.mktemp("figure"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A run of three cameras, five units before the origin and half a unit apart."""
    return run_folder(tmp_path_factory.mktemp("run") / "out")


# To open a page takes seconds, so tests share them: each begins at the first view.


@pytest.fixture(scope="module")
def figure_page(browser, file):
    with shown(browser, file) as page:
        yield page


@pytest.fixture(scope="module")
def phone_page(browser, file):
    with shown(browser, file, size=PHONE, phone=True) as page:
        yield page


@pytest.fixture(scope="module")
def run_page(browser, folder):
    with shown(browser, folder) as page:
        yield page


def home(page: Opened) -> Opened:
    page.page.keyboard.press("h")
    page.call("drawn")
    return page


def eye(page: Opened) -> np.ndarray:
    return np.array(page.call("view")["eye"])


def drag(page: Opened, by: tuple[int, int], start: tuple[int, int] = (200, 240)) -> None:
    page.page.mouse.move(*start)
    page.page.mouse.down()
    page.page.mouse.move(start[0] + by[0], start[1] + by[1], steps=4)
    page.page.mouse.up()


def test_a_phone_shows_a_scene_at_70_000_as_it_shows_it_at_the_origin(browser, tmp_path):
    """Moved by what float32 holds exactly: half floats tear it from 1000 units on and end at 65 504."""
    splats = some_splats(400)
    near = splats.moved(np.eye(3), 1.0, np.zeros(3))
    means = (np.round(near.means * 64) / 64).astype(np.float32)
    pictures = []
    for name, shift in (("near", 0), ("far", 70_000)):
        moved = near.moved(np.eye(3), 1.0, np.zeros(3))
        moved.means[:] = means + np.float32([shift, 0, 0])
        write_ply(tmp_path / f"{name}.ply", moved)
        with shown(browser, tmp_path / f"{name}.ply", size=(200, 300), phone=True) as page:
            pictures.append(page.picture())
            assert page.said == []
    assert pictures[0].std() > 0.05 and np.abs(pictures[0] - pictures[1]).mean() < 0.004


@pytest.mark.parametrize("device", ["figure_page", "phone_page"])
def test_the_first_view_of_a_file_holds_the_whole_figure_and_no_wheel_leads_behind_the_backdrop(request, device):
    page = home(request.getfixturevalue(device))
    width, height = PHONE if device == "phone_page" else (WINDOW[0] - 280, WINDOW[1])  # beside the panel
    places = np.array([page.call("inWindow", *corner) for corner in figure(60).tolist()])
    assert (places > 0).all() and (places < (width, height)).all(), places
    assert np.ptp(places[:, 1]) > 0.35 * height
    page.page.mouse.move(100, 200)
    for _ in range(9):
        page.page.mouse.wheel(0, 300)
    page.call("drawn")
    assert 8 < np.linalg.norm(eye(page)) < 12
    drag(page, (150, 60), (100, 200))
    assert np.linalg.norm(eye(page)) < 12


def test_on_a_narrow_desktop_the_panel_is_open_and_the_subject_is_beside_it(figure_page):
    page = home(figure_page)
    panel = page.page.locator(".panel")
    left = panel.bounding_box()["x"]
    assert page.call("inWindow", 0, 0, 0)[0] == pytest.approx((left - 16) / 2, abs=12)
    page.page.keyboard.press("v")
    page.call("drawn")
    assert panel.is_hidden() and page.call("inWindow", 0, 0, 0)[0] == pytest.approx(WINDOW[0] / 2, abs=12)
    page.page.keyboard.press("v")


def test_a_double_click_turns_about_what_was_clicked(figure_page, file):
    page = home(figure_page)
    feet = read_ply(file).means[:1500]
    foot = feet[(feet[:, 1] > 0.85) & (feet[:, 2] < -0.19)][0].astype(float)  # on the side of the eye
    before = eye(page)
    page.page.mouse.dblclick(*page.call("inWindow", *foot))
    page.call("drawn")
    target = np.array(page.call("view")["target"])
    assert np.linalg.norm(target - foot) < 0.15
    assert np.linalg.norm(eye(page) - target) < 0.7 * np.linalg.norm(before - foot)


def test_another_way_up_stands_up_in_the_page_and_is_kept_for_export(figure_page, tmp_path):
    page = home(figure_page)
    page.page.select_option("#up", "z")
    page.call("drawn")
    assert page.call("view")["top"][2] > 0.9
    with page.page.expect_download() as download:
        page.page.get_by_text("Save transform.json").click()
    download.value.save_as(tmp_path / "transform.json")
    turn, scale, shift = similarity(Edits(transform=tmp_path / "transform.json"))
    assert np.allclose(turn @ (0, 0, 1), (0, -1, 0), atol=1e-6) and scale == pytest.approx(1) and not shift.any()
    page.page.select_option("#up", "−y")
    assert page.page.get_by_text("Save transform.json").is_hidden()


def test_a_link_opens_the_same_view(browser, run_page, folder):
    page = home(run_page)
    drag(page, (90, 40))
    page.page.locator("#view").evaluate("(e) => { e.value = 70; e.dispatchEvent(new Event('input')); }")
    page.call("drawn")
    there, link = page.call("view"), page.call("link")
    assert there["view"] == pytest.approx(70, abs=0.01)
    with shown(browser, folder, link) as page:
        again = page.call("view")
        for name, value in there.items():
            assert np.allclose(again[name], value, atol=2e-3 if name != "view" else 0.05), name
        page.page.evaluate("location.hash = '#eye=0,0,oops&view=1'")  # nothing sensible, nothing happens
        page.page.evaluate("location.hash = '#photo=1'")
        page.until("recon3d.counts().current === 1")
        assert page.said == []


def test_the_strip_shows_that_it_goes_on_and_the_photo_covers_until_the_render_is_drawn(browser, tmp_path):
    names = [f"{i:02d}.jpg" for i in range(14)]
    out = run_folder(tmp_path / "out", camera_rows(names))
    for name in names:
        (out / "images" / name).write_bytes((out / "images" / "c.jpg").read_bytes())
    with shown(browser, out) as page:
        strip = page.page.locator(".strip")
        page.until("document.querySelector('.strip').className === 'strip more-after'")
        page.page.locator(".more.after").click()
        page.until("document.querySelector('.strip').classList.contains('more-before')")
        assert strip.locator(".more.before").is_visible()
        page.page.evaluate(
            """() => { const node = document.querySelector(".compare"); window.seen = [];
            new MutationObserver(() => window.seen.push(node.className))
            .observe(node, { attributes: true, attributeFilter: ["class"] }); }"""
        )
        strip.locator("button").nth(0).click()
        page.page.locator(".compare.loaded:not(.whole)").wait_for()
        seen = page.page.evaluate("window.seen")
        assert "whole" in seen[0] and "whole" not in seen[-1]


def test_space_flies_along_the_cameras_and_stops(run_page):
    page = home(run_page)
    page.page.keyboard.press("Space")
    page.until("recon3d.view().eye[0] > 0.05 && recon3d.view().eye[0] < 0.9")  # between the first and the last
    assert page.counts()["frusta"] == 0
    page.page.keyboard.press("Space")
    stopped = eye(page)
    page.page.wait_for_timeout(150)
    assert np.allclose(eye(page), stopped) and page.counts()["frusta"] == 3


def test_what_is_thrown_goes_on_turning_unless_less_motion_is_asked_for(run_page):
    """Throw some times: a busy machine may let more time pass before the mouse is let go than counts as throwing."""
    page = home(run_page)
    for motion, goes_on in (("no-preference", True), ("reduce", False)):
        page.page.emulate_media(reduced_motion=motion)
        moved = []
        for _ in range(4 if goes_on else 2):
            drag(page, (60, 0))
            let_go = eye(page)
            page.page.wait_for_timeout(60)
            page.call("drawn")
            moved.append(np.linalg.norm(eye(page) - let_go))
            if moved[-1] > 0.02:
                break
        assert (max(moved) > 0.02) == goes_on, (motion, moved)


def test_thumbs_fly_by_a_stick(phone_page):
    page = home(phone_page)
    stick = page.page.locator(".stick")
    assert stick.is_hidden()
    page.page.keyboard.press("o")
    box, before = stick.bounding_box(), eye(page)
    page.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    page.page.mouse.down()
    page.until(f"recon3d.view().eye[2] > {before[2] + 0.1}")  # ahead is z
    page.page.mouse.up()
    page.call("drawn")
    rest = eye(page)
    page.page.wait_for_timeout(50)
    assert np.allclose(eye(page), rest)
    page.page.keyboard.press("o")
    assert stick.is_hidden()
