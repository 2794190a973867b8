"""Debian's chromium with the viewer's page in it, for the tests of the page and for viewer.py."""

from __future__ import annotations

import base64
import io
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, Request, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-background-networking",
]
DESKTOP, PHONE = (640, 480), (390, 700)
PATIENCE = 60_000  # milliseconds: everything is drawn by the processor


@dataclass
class Opened:
    """A page that is loaded, with what it said and asked for."""

    page: Page
    said: list[str] = field(default_factory=list)  # errors and warnings
    asked: list[str] = field(default_factory=list)  # addresses, but for those of its own memory

    def call(self, script: str, *arguments: Any) -> Any:
        """A method of window.recon3d."""
        return self.page.evaluate(f"(a) => window.recon3d.{script}(...a)", list(arguments))

    def counts(self) -> dict:
        return self.call("counts")

    def until(self, script: str) -> None:
        """Wait for a script to be true. (Playwright's own wait makes a function of a string, which the page forbids.)"""
        end = time.monotonic() + PATIENCE / 1000
        while not self.page.evaluate(script):
            assert time.monotonic() < end, script
            time.sleep(0.05)

    def picture(self) -> np.ndarray:
        """What the page shows without its panels, [H,W,3], 0 to 1."""
        self.call("drawn")
        data = base64.b64decode(self.call("picture").partition(",")[2])
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) / 255.0

    def look(self, camera_from_world: np.ndarray, K: np.ndarray, width: int, height: int) -> None:
        self.call("setCamera", camera_from_world.ravel().tolist(), K.ravel().tolist(), width, height)


def started(*more: str) -> tuple[Playwright, Browser]:
    """Playwright and the browser, with some flags more; CHROMIUM must be there."""
    driver = sync_playwright().start()
    flags = [flag for flag in FLAGS if flag != "--no-sandbox" or os.geteuid() == 0]
    return driver, driver.chromium.launch(executable_path=str(CHROMIUM), args=[*flags, *more])


@contextmanager
def opened(
    browser: Browser,
    address: str,
    size: tuple[int, int] = DESKTOP,
    phone: bool = False,
    offline: bool = False,
    before: str = "",
    ready: bool = True,
    pixels: float = 0.5,  # of the screen for one of the page: a quarter of the pixels, for a processor to draw
) -> Iterator[Opened]:
    """A page at an address, once its first picture stands. `before` is a script that runs ahead of the page's own."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, has_touch=phone, is_mobile=phone, reduced_motion="reduce",
        offline=offline, device_scale_factor=pixels,
    )  # fmt: skip
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    found = Opened(page)

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            found.said.append(message.text)

    def see(request: Request) -> None:
        if not request.url.startswith(("blob:", "data:")):
            found.asked.append(request.url)

    page.on("console", hear)
    page.on("pageerror", lambda error: found.said.append(str(error)))
    page.on("request", see)
    if before:
        page.add_init_script(before)
    page.goto(address)
    if ready:
        found.until("window.recon3d !== undefined")
        page.evaluate("window.recon3d.ready")
    try:
        yield found
    finally:
        context.close()
