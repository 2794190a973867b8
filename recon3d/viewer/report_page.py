"""A run's report in rows for people: what the page's report shows."""

from __future__ import annotations

from typing import Any

from recon3d.viewer.messages import ReportSection

MOST_LEFT_OUT = 20  # photos that are named; the file has them all


def sections(report: dict[str, Any]) -> tuple[ReportSection, ...]:
    """Tables of a report.json. What a report lacks, or holds in another form, is left out."""
    found = [
        _section("Input", _input(report)),
        _section("Cameras", _geometry(report)),
        _section("Splats", _splats(report)),
        _section("Held-out photos", _holdout(report)),
        _section("Time and memory", _stages(report)),
    ]
    return tuple(section for section in found if section.rows)


def _section(title: str, rows: list[tuple[str, str]]) -> ReportSection:
    return ReportSection(title, tuple(rows))


def _part(report: dict[str, Any], key: str) -> dict[str, Any]:
    value = report.get(key)
    return value if isinstance(value, dict) else {}


def _list(part: dict[str, Any], key: str) -> list[dict[str, Any]]:
    value = part.get(key)
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _number(part: dict[str, Any], key: str, spelling: str) -> str | None:
    value = part.get(key)
    return format(value, spelling) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _rows(*pairs: tuple[str, str | None]) -> list[tuple[str, str]]:
    return [(label, text) for label, text in pairs if text]


def _input(report: dict[str, Any]) -> list[tuple[str, str]]:
    part = _part(report, "input")
    used = part.get("used")
    rows = _rows(("Kind", _word(part, "kind")), ("Used", f"{len(used)} photos" if isinstance(used, list) else None))
    left_out = _list(part, "left_out")
    rows += [(str(row.get("name")), f"left out: {row.get('reason')}") for row in left_out[:MOST_LEFT_OUT]]
    if len(left_out) > MOST_LEFT_OUT:
        rows.append(("More left out", str(len(left_out) - MOST_LEFT_OUT)))
    return rows


def _word(part: dict[str, Any], key: str) -> str | None:
    value = part.get(key)
    return value if isinstance(value, str) else None


def _geometry(report: dict[str, Any]) -> list[tuple[str, str]]:
    part, world = _part(report, "geometry"), _part(report, "world")
    registered, total = _number(part, "registered", "d"), _number(part, "total", "d")
    error = _number(part, "reprojection_px", ".2f")
    return _rows(
        ("Method", _word(part, "row")),
        ("Placed", f"{registered} of {total} photos" if registered and total else None),
        ("Points", _number(part, "points", ",d")),
        ("Reprojection error", f"{error} px" if error else None),
        ("World", _word(world, "frame")),
        ("Unit", _word(world, "unit")),
    )


def _splats(report: dict[str, Any]) -> list[tuple[str, str]]:
    splats, refinement, export = (_part(report, key) for key in ("splats", "refinement", "export"))
    psnr = _number(export, "psnr", ".1f")
    return _rows(
        ("Count", _number(splats, "count", ",d")),
        ("Harmonics", f"degree {splats['degree']}" if _number(splats, "degree", "d") else None),
        ("Mode", _word(splats, "mode")),
        ("Refinement", f"{refinement['steps']:,} steps" if _number(refinement, "steps", "d") else None),
        ("File, checked", f"{psnr} dB against the scene in memory" if psnr else None),
    )


def _holdout(report: dict[str, Any]) -> list[tuple[str, str]]:
    part = _part(report, "holdout")
    views = {name: view for name, view in _part(part, "views").items() if isinstance(view, dict)}
    named = [("Mean", _part(part, "mean")), *views.items()]
    rows = [(name, _number(view, "psnr", ".2f"), _number(view, "ssim", ".3f")) for name, view in named]
    return [(name, f"{psnr} dB, SSIM {ssim}") for name, psnr, ssim in rows if psnr and ssim]


def _stages(report: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for stage in _list(report, "stages"):
        seconds, memory = _number(stage, "seconds", ".1f"), _number(stage, "peak_mb", ",.0f")
        if seconds and memory:
            rows.append((str(stage.get("name")).capitalize(), f"{seconds} s, {memory} MB"))
    return rows
