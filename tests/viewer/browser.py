"""Debian's chromium with the page in it."""

from __future__ import annotations

import base64
import io
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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

    page: object
    said: list[str] = field(default_factory=list)  # errors and warnings
    asked: list[str] = field(default_factory=list)  # addresses, but for those of its own memory

    def call(self, script: str, *arguments):
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


def started():
    """Playwright and the browser; skips where either is missing."""
    if not CHROMIUM.exists():
        pytest.skip(f"needs {CHROMIUM} (apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install playwright)")
    driver = playwright.sync_playwright().start()
    flags = [flag for flag in FLAGS if flag != "--no-sandbox" or os.geteuid() == 0]
    return driver, driver.chromium.launch(executable_path=str(CHROMIUM), args=flags)


@contextmanager
def opened(browser, address: str, size=DESKTOP, phone=False, offline=False, before="", ready=True) -> Iterator[Opened]:
    """A page at an address, once its first picture stands. `before` is a script that runs ahead of the page's own."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, has_touch=phone, is_mobile=phone, reduced_motion="reduce",
        offline=offline, device_scale_factor=0.5,  # a quarter of the pixels, for a processor to draw
    )  # fmt: skip
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    found = Opened(page)
    page.on("console", lambda said: said.type in ("error", "warning") and found.said.append(said.text))
    page.on("pageerror", lambda error: found.said.append(str(error)))
    page.on("request", lambda asked: asked.url.startswith(("blob:", "data:")) or found.asked.append(asked.url))
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
