"""What each splat format keeps of a scene: python tools/benchmarks/formats.py RUN_FOLDER_OR_FILE

Writes every format beside the others, as `recon3d export` does, and compares renderings from the scene's cameras (from a
ring, where a file brings none). Seconds are of one write and one read, with nothing else measured in between.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from recon3d.io.splat_files import FORMATS, read_splats
from recon3d.pipeline.edits import Edits
from recon3d.pipeline.export import Coding, compared, opened, write
from recon3d.progress import Progress

ROWS = (
    ("PLY", "ply", Coding()),
    ("GLB", "glb", Coding()),
    ("compressed PLY", "compressed ply", Coding()),
    ("SPZ 4", "spz", Coding()),
    ("SPZ 4, `--spz-sh-bits 5`", "spz", Coding(spz_sh_bits=5)),
    ("SPZ 3", "spz", Coding(spz_version=3)),
    ("SOG", "sog", Coding()),
    (".splat", "splat", Coding()),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    scene = opened(parser.parse_args().scene, Edits(), Coding(), Progress())
    print(f"{len(scene.splats)} splats of degree {scene.splats.degree}, {len(scene.cameras)} cameras\n")
    print("| format | MB | of the PLY | dB | asked | written, s | read, s |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    whole = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, kind, coding in ROWS:
            path = Path(folder) / f"scene{FORMATS[kind].suffix}"
            start = time.perf_counter()
            write(path, kind, scene.splats, coding, None)
            written = time.perf_counter()
            read_splats(path, "rdf" if kind == "spz" else None)
            read = time.perf_counter()
            check = compared(path, kind, scene.splats, scene.cameras, coding)
            size = path.stat().st_size
            whole = whole or size
            full = f" ({check['psnr_of_full']:.1f} with all harmonics)" if "psnr_of_full" in check else ""
            print(
                f"| {name} | {size / 1e6:.2f} | 1/{whole / size:.1f} | {check['psnr']:.1f}{full} | {check['least']:.0f} "
                f"| {written - start:.1f} | {read - written:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
