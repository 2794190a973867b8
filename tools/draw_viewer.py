"""README's pictures of the viewer: a run with its cameras, turned to be seen from above, and one of its photos over the render.

    python -m tools.draw_viewer banana/ docs/images/viewer.jpg docs/images/viewer_photo.jpg

Needs Debian's chromium and playwright (the extra `dev`); on a processor it takes a minute.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from playwright.sync_api import Page

from recon3d.viewer.scene_data import open_scene
from recon3d.viewer.server import Finished, Server
from tools.benchmarks.browser import opened, started

SIZE = (1280, 800)
MIDDLE = (500, 420)  # of the window, beside the panel
UP, BACK = 120, 8  # pixels that the pointer drags the scene down, and notches that the wheel is turned


def from_above(page: Page) -> None:
    page.mouse.move(*MIDDLE)
    page.mouse.down()
    page.mouse.move(MIDDLE[0], MIDDLE[1] + UP, steps=10)
    page.mouse.up()
    for _ in range(BACK):
        page.mouse.wheel(0, 100)
    page.wait_for_timeout(3000)  # until it has come to rest


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("run", type=Path)
    ask.add_argument("scene", type=Path, help="the picture to write of the scene")
    ask.add_argument("photo", type=Path, help="the picture to write of a photo over the render")
    ask.add_argument("--camera", type=int, default=0)
    options = ask.parse_args()
    driver, browser = started()
    data, _ = open_scene(options.run)
    with Server(Finished(data)) as server, opened(browser, server.address, SIZE, pixels=1.0) as page:
        from_above(page.page)
        page.call("drawn")
        page.page.screenshot(path=options.scene, type="jpeg", quality=85)
        page.page.locator(".strip button").nth(options.camera).click()
        page.page.locator(".compare.loaded:not(.whole)").wait_for()
        page.page.wait_for_timeout(500)
        page.page.screenshot(path=options.photo, type="jpeg", quality=85)
    browser.close()
    driver.stop()


if __name__ == "__main__":
    main()
