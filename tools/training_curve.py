"""The figures of a network's versions over the scenes that each had seen, as a picture for its card.

    python -m tools.training_curve recon3d-small recon3d-joint

Reads recon3d/checkpoints/NAME.json and writes docs/images/NAME.png. Versions go on from each other, so scenes add up.
tools.continue_training does the same when it writes a version.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CHECKPOINTS, IMAGES = ROOT / "recon3d" / "checkpoints", ROOT / "docs" / "images"


@dataclass(frozen=True)
class Panel:
    """One of the plots of a network."""

    about: str
    lines: dict[str, str]  # key of a row -> what it is
    factor: float = 1.0


PANELS = {
    "recon3d-small": (
        Panel("pose AUC@30, %", {"auc30_2": "2 views", "auc30_4": "4 views"}, 100.0),
        Panel("depth AbsRel", {"abs_rel_2": "2 views", "abs_rel_4": "4 views"}),
    ),
    "recon3d-joint": (Panel("PSNR of views between, dB", {"psnr_5": "3 inputs", "psnr_7": "4 inputs"}),),
}


def scenes_seen(rows: Sequence[dict[str, Any]]) -> list[int]:
    """By each version, those of the versions before it among them."""
    return list(accumulate(row["scenes"] for row in rows))


def plot(name: str, rows: Sequence[dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    panels, seen = PANELS[name], [scenes / 1000 for scenes in scenes_seen(rows)]
    figure, axes = pyplot.subplots(1, len(panels), figsize=(4.6 * len(panels), 3.2), squeeze=False)
    for axis, panel in zip(axes[0], panels, strict=True):
        for key, label in panel.lines.items():
            values = [panel.factor * row[key] for row in rows]
            axis.plot(seen, values, marker="o", label=label)
        for row, x in zip(rows, seen, strict=True):
            axis.annotate(f"v{row['version']}", (x, 1.02), xycoords=("data", "axes fraction"), ha="center", fontsize=8)
        axis.set_xlim(0, 1.1 * seen[-1])
        axis.set_ylim(bottom=0)
        axis.set_xlabel("thousands of scenes seen")
        axis.set_ylabel(panel.about)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8, loc="center left")
    figure.tight_layout()
    figure.savefig(path, dpi=100, metadata={"Software": None})
    pyplot.close(figure)


def main(names: Sequence[str]) -> None:
    for name in names:
        rows = json.loads((CHECKPOINTS / f"{name}.json").read_text())
        plot(name, rows, IMAGES / f"{name}.png")
        print(IMAGES / f"{name}.png")


if __name__ == "__main__":
    main(sys.argv[1:] or list(PANELS))
