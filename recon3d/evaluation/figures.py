"""What the figures of records mean: how they are written, which way is better, and what a scene that failed counts.

A figure's name is that of the field in `metrics`, with a limit at its end where it has one (rra_15, auc_30, f_score_0.05),
and with how target cameras were found where one record holds both ways (psnr_transferred, psnr_aligned).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from recon3d.evaluation.records import Task

Average = Literal["scenes", "pairs"]  # every scene counts the same, or every pair of views of all scenes


@dataclass(frozen=True)
class Figure:
    label: str
    unit: str
    better: Literal["higher", "lower"]
    digits: int  # behind the point
    floor: float | None  # what a scene counts on which a method failed; None: nothing honest stands in
    because: str  # the reason of the floor

    @property
    def title(self) -> str:
        return f"{self.label} ({self.unit})" if self.unit else self.label


SHARE = "a share, and nothing of a scene that failed is right"
PAIRS = "a pair with a camera that is absent is off by 180 degrees"
UNBOUNDED = "an error without bound, in units of the truth: any number put in would be invented"

FIGURES: dict[str, Figure] = {
    "psnr": Figure("PSNR", "dB", "higher", 2, 0.0, "a mean squared error of 1, the largest between pictures of 0 to 1"),
    "ssim": Figure("SSIM", "", "higher", 3, 0.0, "no structure in common with the photo"),
    "lpips": Figure("LPIPS", "", "lower", 3, 1.0, "LPIPS has no bound: 1 is a convention, and any larger one is as good"),
    "rra": Figure("RRA", "", "higher", 3, 0.0, PAIRS),
    "rta": Figure("RTA", "", "higher", 3, 0.0, PAIRS),
    "rta_sign_free": Figure("RTA sign-free", "", "higher", 3, 0.0, PAIRS),
    "auc": Figure("AUC", "", "higher", 3, 0.0, PAIRS),
    "auc_sign_free": Figure("AUC sign-free", "", "higher", 3, 0.0, PAIRS),
    "auc_exact_sign_free": Figure("AUC exact, sign-free", "", "higher", 3, 0.0, PAIRS),
    "ate": Figure("ATE", "units", "lower", 4, None, UNBOUNDED),
    "rpe_translation": Figure("RPE translation", "units", "lower", 4, None, UNBOUNDED),
    "rpe_rotation": Figure("RPE rotation", "°", "lower", 2, 180.0, "no rotation is further off"),
    "abs_rel": Figure("AbsRel", "", "lower", 4, 1.0, "what a depth of 0 at every pixel gets"),
    "rmse": Figure("RMSE", "units", "lower", 4, None, UNBOUNDED),
    "delta_1": Figure("δ < 1.25", "", "higher", 3, 0.0, SHARE),
    "delta_2": Figure("δ < 1.25²", "", "higher", 3, 0.0, SHARE),
    "delta_3": Figure("δ < 1.25³", "", "higher", 3, 0.0, SHARE),
    "coverage": Figure("Coverage", "", "higher", 3, 0.0, SHARE),
    "accuracy_mean": Figure("Accuracy, mean", "units", "lower", 4, None, UNBOUNDED),
    "accuracy_median": Figure("Accuracy, median", "units", "lower", 4, None, UNBOUNDED),
    "completeness_mean": Figure("Completeness, mean", "units", "lower", 4, None, UNBOUNDED),
    "completeness_median": Figure("Completeness, median", "units", "lower", 4, None, UNBOUNDED),
    "chamfer": Figure("Chamfer, mean of both", "units", "lower", 4, None, UNBOUNDED),
    "precision": Figure("Precision", "", "higher", 3, 0.0, SHARE),
    "recall": Figure("Recall", "", "higher", 3, 0.0, SHARE),
    "f_score": Figure("F-score", "", "higher", 3, 0.0, SHARE),
    "normal_consistency_accuracy": Figure("Normals, accuracy", "", "higher", 3, 0.0, "no normal agrees"),
    "normal_consistency_completeness": Figure("Normals, completeness", "", "higher", 3, 0.0, "no normal agrees"),
}  # fmt: skip

# Columns of a table, in their order; report.json has all figures. A name without a limit stands for all of its limits.
COLUMNS: dict[Task, tuple[tuple[str, Average], ...]] = {
    "nvs": (("psnr", "scenes"), ("ssim", "scenes"), ("lpips", "scenes")),
    "poses": (
        ("auc_30", "pairs"), ("auc_5", "pairs"), ("rra_15", "pairs"), ("rta_15", "pairs"),
        ("auc_30", "scenes"), ("auc_5", "scenes"), ("ate", "scenes"),
    ),
    "depth": (("abs_rel", "scenes"), ("delta_1", "scenes"), ("rmse", "scenes"), ("coverage", "scenes")),
    "points": (
        ("chamfer", "scenes"), ("accuracy_mean", "scenes"), ("accuracy_median", "scenes"),
        ("completeness_mean", "scenes"), ("completeness_median", "scenes"), ("f_score", "scenes"),
    ),
}  # fmt: skip
CAMERAS = ("transferred", "aligned")
_LIMIT = re.compile(r"(.+)_(\d+(?:\.\d+)?)")


def parts_of(name: str) -> tuple[str, str, str]:
    """(figure in FIGURES, limit, how cameras were found); the last two are empty where the name has none."""
    stem, _, cameras = name.rpartition("_")
    if cameras in CAMERAS:
        return *parts_of(stem)[:2], cameras
    limit = _LIMIT.fullmatch(name)
    if name in FIGURES or limit is None:
        return name, "", ""
    return limit[1], limit[2], ""


def figure(name: str) -> Figure:
    """What a name means. One that is not in FIGURES has no floor, and stands in no table but report.json's."""
    stem, limit, cameras = parts_of(name)
    found = FIGURES.get(stem, Figure(stem, "", "higher", 3, None, "nobody wrote down what this figure means"))
    label = f"{found.label}@{limit}{'°' if found.because == PAIRS else ''}" if limit else found.label
    return replace(found, label=f"{label}, {cameras}" if cameras else label)


def columns(task: Task, names: set[str]) -> list[tuple[str, Average]]:
    """Columns of a task of which there are figures."""
    found: list[tuple[str, Average]] = []
    for wanted, average in COLUMNS[task]:
        for name in sorted(names, key=lambda name: (parts_of(name)[2] != "transferred", name)):
            stem, limit, _ = parts_of(name)
            if wanted in (stem, f"{stem}_{limit}"):
                found.append((name, average))
    return found


def written(name: str, value: float) -> str:
    return f"{value:.{figure(name).digits}f}"
