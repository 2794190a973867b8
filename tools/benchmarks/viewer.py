"""What the browser takes to show many splats: python tools/benchmarks/viewer.py [--splats 1000000] [--degree 1]

Random splats in a ball, served as PLY and as SOG, in Debian's chromium without a GPU (everything is drawn by the processor,
so that a machine with one is faster). "First picture" is from the request of the page to its first drawn picture; "heap" is
JavaScript's own after it; "process" the memory of the page's process, where the splats lie, at its most.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from browser import DESKTOP, opened, started

from recon3d.core.splats import Splats
from recon3d.core.synthetic import synthetic_gaussians
from recon3d.io.ply import write_ply
from recon3d.io.sog import write_sog
from recon3d.viewer.scene_data import open_scene
from recon3d.viewer.server import Finished, Server

LOOKS = 0.1  # seconds between looks at the memory


@contextmanager
def watched() -> Iterator[dict[str, int]]:
    """The most memory (bytes, resident) that one of the browser's pages takes while the block runs."""
    most, ended = {"bytes": 0}, threading.Event()

    def watch() -> None:
        while not ended.wait(LOOKS):
            for process in psutil.Process().children(recursive=True):
                try:
                    if "--type=renderer" in process.cmdline():
                        most["bytes"] = max(most["bytes"], process.memory_info().rss)
                except psutil.Error:
                    continue  # it ended between the list and the look

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield most
    finally:
        ended.set()
        thread.join()


def measured(path: Path, splats: Splats) -> str:
    """A row of the table: the file in a browser of its own."""
    driver, browser = started("--enable-precise-memory-info")
    try:
        with Server(Finished(open_scene(path)[0])) as server, watched() as most:
            start = time.perf_counter()
            with opened(browser, server.address, DESKTOP, pixels=1.0) as page:
                page.call("drawn")
                seconds = time.perf_counter() - start
                heap = page.page.evaluate("performance.memory.usedJSHeapSize")
                shown = page.counts()["splats"]
                start = time.perf_counter()
                page.call("drawn")
                again = time.perf_counter() - start
    finally:
        browser.close()
        driver.stop()
    assert shown == len(splats), f"{shown} of {len(splats)} splats are shown"
    size = path.stat().st_size / 1e6
    return (
        f"| {path.suffix} | {len(splats)} | {size:.0f} | {seconds:.1f} | {again:.2f} | {heap / 1e6:.0f} "
        f"| {most['bytes'] / 1e6:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splats", type=int, default=1_000_000)
    parser.add_argument("--degree", type=int, default=1)
    options = parser.parse_args()
    splats = synthetic_gaussians(options.splats, options.degree, size=0.003).splats()
    print("| file | splats | MB | first picture, s | next picture, s | heap, MB | process, MB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name, write in (("scene.ply", write_ply), ("scene.sog", write_sog)):
            path = Path(folder) / name
            write(path, splats)
            print(measured(path, splats), flush=True)


if __name__ == "__main__":
    main()
