"""`recon3d run`: photos to a scene."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from recon3d.cli.options import parse
from recon3d.cli.screen import listening, print_json, table
from recon3d.cli.view import served, until_interrupted
from recon3d.errors import check_exists
from recon3d.pipeline.request import Request
from recon3d.pipeline.run import Output, run
from recon3d.progress import Event, Progress

ABOUT = "Photos, a video, or a folder with known cameras to a 3D scene of Gaussian splats."


@dataclass(frozen=True)
class Options:
    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="INPUT")]
    """A folder of photos, photos, a video, a COLMAP model, a transforms.json, a cameras.json, or a finished run folder."""
    request: Request
    out: Annotated[str, tyro.conf.arg(metavar="PATH")]
    """scene.ply (with scene.report.json beside it), or a folder for photos, cameras, splats and renders."""
    overwrite: bool = False
    """Replace what is there."""
    resume: bool = False
    """Go on from the last finished stage of a run that was cut off."""
    view: bool = False
    """Show the scene growing in the browser, and the finished one until Ctrl-C."""
    json: bool = False
    """Print the report as JSON on stdout, progress as JSON lines on stderr."""

    @property
    def output(self) -> Output:
        """A separator at the end, which a Path drops, says that a folder is meant: out.v2/."""
        as_folder = self.out.endswith(tuple(filter(None, (os.sep, os.altsep))))
        return Output(Path(self.out), self.overwrite, self.resume, as_folder)


def main(arguments: list[str]) -> None:
    options = parse(Options, "run", arguments, ABOUT)
    if options.view:
        watched(options)
        return
    with listening(as_json=options.json) as listener:
        report = carried_out(options, Progress(listener))
    tell(report, options.json)


def watched(options: Options) -> None:
    """The run, with its scene shown in the browser while it grows and afterwards."""
    for path in options.inputs:
        check_exists(path)  # before a browser opens

    from recon3d.viewer.live import Live
    from recon3d.viewer.scene_data import open_scene

    out = options.output.path
    live = Live(out.stem)
    with served(live, out, screen=sys.stderr):
        with listening(as_json=options.json) as listener:

            def heard(event: Event) -> None:
                listener(event)
                live.listen(event)

            report = carried_out(options, Progress(heard))
        tell(report, options.json)
        live.show_finished(open_scene(out)[0] if out.is_dir() else None)
        until_interrupted()


def carried_out(options: Options, progress: Progress) -> dict:
    return run(options.inputs, options.request, options.output, progress)


def tell(report: dict, as_json: bool) -> None:
    if as_json:
        print_json(report)
    else:
        table(rows_of(report))


def rows_of(report: dict) -> list[tuple[str, str]]:
    """The table at the end: what was used and left out, stages, measurements, files."""
    geometry, total = report["geometry"], report["geometry"]["total"]
    rows = [("photos", f"{geometry['registered']} of {total} used")]
    rows += [("left out", f"{row['name']}: {row['reason']}") for row in report["input"]["left_out"]]
    rows += [("cameras", f"{geometry['row']} ({geometry['settings']}); {geometry['points']} points")]
    for stage in report["stages"]:
        kept = " (kept from before)" if stage["resumed"] else ""
        rows.append((stage["name"], f"{stage['seconds']:.1f} s, {stage['peak_mb']:.0f} MB{kept}"))
    rows.append(("splats", f"{report['splats']['count']}"))
    if "holdout" in report:
        rows += [
            ("held out", f"{n}: {v['psnr']:.2f} dB, SSIM {v['ssim']:.3f}")
            for n, v in report["holdout"]["views"].items()
        ]
        mean = report["holdout"]["mean"]
        rows.append(("held out, mean", f"{mean['psnr']:.2f} dB, SSIM {mean['ssim']:.3f}"))
    rows.append(("file, checked", f"{report['export']['psnr']:.1f} dB against the scene in memory"))
    return rows + [("written", path) for path in report["paths"]]
