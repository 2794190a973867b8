"""`recon3d export`: a scene to another format, checked by rendering what was written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from recon3d.cli.options import parse
from recon3d.cli.screen import listening, print_json, table
from recon3d.errors import InputError
from recon3d.pipeline.edits import Edits
from recon3d.pipeline.export import Coding, export, export_points
from recon3d.pipeline.mesh import Meshing, export_mesh
from recon3d.progress import Progress
from recon3d.viewer.export_page import export_page

ABOUT = (
    "A splat file or the folder of a run to .ply, .compressed.ply, .sog, .spz, .glb, .splat or one .html, by the name of "
    "the output; or to a mesh (.obj, or --mesh)."
)


@dataclass(frozen=True)
class Options:
    scene: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IN")]
    """A .ply, .sog, .spz, .glb or .splat, or the folder of a run, which brings its cameras."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """The file to write."""
    edits: Edits
    coding: Coding
    meshing: Meshing
    points: bool = False
    """Write the centres and colours as a point cloud (.ply or .glb), for programs that know no splats."""
    no_check: bool = False
    """Do not read the file back and compare renderings: quicker, and nothing is known of its quality."""
    overwrite: bool = False
    """Replace what is there."""
    json: bool = False
    """Print what was done as JSON on stdout."""


def main(arguments: list[str]) -> None:
    options = parse(Options, "export", arguments, ABOUT)
    if options.edits.prune is not None and not 0 <= options.edits.prune <= 1:
        raise InputError("--prune", f"{options.edits.prune:g} is no opacity", "Give a number from 0 to 1, as 0.02")
    if options.edits.max_gaussians is not None and options.edits.max_gaussians < 1:
        raise InputError("--max-gaussians", f"{options.edits.max_gaussians} is no number of splats", "Give 1 or more")
    options.coding.check(options.out)
    meshing = options.meshing.asked(options.out)
    options.meshing.check(options.out)
    if meshing and options.points:
        raise InputError("--points", "a mesh is no point cloud", "Ask for one of both")
    with listening(as_json=options.json) as listener:
        progress = Progress(listener)
        page = options.out.suffix.lower() in (".html", ".htm")
        written = export_points if options.points else export_page if page else export
        what = options.scene, options.out, options.edits, options.coding
        how = not options.no_check, options.overwrite, progress
        report = export_mesh(*what, options.meshing, *how) if meshing else written(*what, *how)
    if options.json:
        print_json(report | {"warnings": progress.notes})
        return
    table(rows_of_mesh(report) if meshing else rows_of(report))


def rows_of_mesh(report: dict) -> list[tuple[str, str]]:
    closed = ", closed" if report["closed"] else ""
    rows = [
        ("written", f"{report['output']}, {report['bytes'] / 1e6:.2f} MB"),
        ("mesh", f"{report['vertices']} vertices, {report['faces']} triangles{closed}"),
        ("", f"of what {report['views']} cameras see, in voxels of {report['voxel']:.4g} units"),
    ]
    if "check" not in report:
        return [*rows, ("check", "left out: nothing is known of the mesh's quality")]
    check = report["check"]
    read = "the same when read by trimesh" if check["ok"] else "trimesh reads something else than was written"
    near = f"{check['within_two_voxels']:.0%} of the splats' surface lies within two voxels of it"
    return [*rows, ("check", read), ("", f"{near}, seen from {check['cameras']} cameras")]


def rows_of(report: dict) -> list[tuple[str, str]]:
    left = f"{report['written']} of {report['read']}"
    rows = [
        ("written", f"{report['output']}, {report['bytes'] / 1e6:.2f} MB"),
        ("splats", f"{left}, harmonics of degree {report['degree']}" if "degree" in report else f"{left}, as points"),
    ]
    if "check" not in report:
        return [*rows, ("check", "left out: nothing is known of the file's quality")]
    check = report["check"]
    if "moved" in check:
        verdict = (
            "the same points and colours" if check["ok"] else f"points or colours differ, by up to {check['moved']:g}"
        )
        return [*rows, ("check", verdict)]
    verdict = "" if check["ok"] else f", less than the {check['least']:g} dB that this format keeps of real scenes"
    rows.append(("check", f"{check['psnr']:.1f} dB against the scene in memory, {check['cameras']} cameras{verdict}"))
    if "psnr_of_full" in check:
        rows.append(("", f"{check['psnr_of_full']:.1f} dB against it with all its harmonics"))
    return rows
