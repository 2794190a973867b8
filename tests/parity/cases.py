"""Golden cases: found by listing a folder, compared element by element at the gates that each case states.

The folder is what RECON3D_PARITY names, relative to the repository's root where it is not absolute (default ../shared/parity).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / os.environ.get("RECON3D_PARITY", "../shared/parity")


@dataclass(frozen=True)
class Case:
    family: str
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.family}/{self.folder.name}"

    @cached_property
    def facts(self) -> dict[str, Any]:
        return json.loads((self.folder / "case.json").read_text())

    @property
    def kind(self) -> str:
        return self.facts["kind"]

    @property
    def config(self) -> dict[str, Any]:
        return self.facts.get("config", {})

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        file = self.folder / "tensors.safetensors"
        return load_file(file) if file.is_file() else {}

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        return load_file(self.folder / "weights.safetensors")

    def given(self, name: str) -> Tensor:
        return self.tensors[f"in.{name}"]

    def size(self) -> tuple[int, int]:
        """(height, width) of `config.image_size`."""
        height, width = self.config["image_size"]
        return height, width

    def pictures(self, which: str) -> list[Image.Image]:
        """The files that `config.inputs` or `config.outputs` names, as stored."""
        return [Image.open(self.folder / name) for name in self.config[which]]

    def check(self, name: str, ours: Tensor | np.ndarray | float, golden: Tensor | None = None) -> None:
        """Fail where an element of `ours` leaves the gate of `name` around the golden tensor (of that name)."""
        golden = self.tensors[name] if golden is None else golden
        value = torch.as_tensor(ours)
        assert tuple(value.shape) == tuple(golden.shape), f"{self.name} {name}: {value.shape} for {golden.shape}"
        gates = self.facts.get("gates", {})
        gate = gates.get(name) or gates.get(name.removeprefix("out.")) or {"atol": 0.0, "rtol": 0.0}
        apart = (value.double() - golden.double()).abs()
        share = apart / (gate["atol"] + gate["rtol"] * golden.double().abs()).clamp_min(1e-300)
        share = torch.where(apart == 0, 0, share)
        worst = float(share.max()) if share.numel() else 0.0
        assert worst <= 1, f"{self.name} {name}: {worst:.3g} times the gate; largest difference {float(apart.max()):.3g}"

    def check_outputs(self, ours: Mapping[str, Any]) -> None:
        """Every `out.*` tensor of the case against `ours` (keys without `out.`); one that ours lacks is a failure."""
        wanted = [name for name in self.tensors if name.startswith("out.")]
        for name in wanted:
            assert name.removeprefix("out.") in ours, f"{self.name}: nothing of ours is {name}"
            self.check(name, ours[name.removeprefix("out.")])


def found() -> list[Case]:
    """Every case of every family below FOLDER."""
    return [Case(file.parents[2].name, file.parent) for file in sorted(FOLDER.glob("*/cases/*/case.json"))]
