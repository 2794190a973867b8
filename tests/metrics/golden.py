"""The golden cases of ../shared/protocol/metrics, which tests list and hold their figures against."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.shared_folder import SHARED


def golden_cases(kind: str) -> pytest.MarkDecorator:
    """A test of every case of a kind that lies in the folder, as its argument `case`; one skipped test where none does."""
    cases = sorted((SHARED / "protocol/metrics/cases").glob(f"{kind}_*"))
    absent = pytest.param(None, marks=pytest.mark.skip(reason="needs ../shared/protocol/metrics, which is not here"))
    return pytest.mark.parametrize("case", cases or [absent], ids=lambda path: path.name if path else "absent")


def tensors(case: Path) -> dict[str, Tensor]:
    """`in.*` and `out.*` of a case."""
    return load_file(case / "tensors.safetensors")


def check(case: Path, found: Mapping[str, float | Tensor]) -> None:
    """Every gate of the case has its figure, by name without `out.`, and every figure its gate."""
    golden, gates = tensors(case), json.loads((case / "case.json").read_text())["gates"]
    assert {f"out.{name}" for name in found} == set(gates)
    for name, gate in gates.items():
        figure = torch.as_tensor(found[name.removeprefix("out.")], dtype=torch.float64).reshape(-1)
        torch.testing.assert_close(figure, golden[name], **gate, msg=lambda text, name=name: f"{name}: {text}")
