"""The benchmark of ZPressor's clusters runs, and its contenders agree."""

import pytest

from recon3d.models.zpressor.config import ZPressorConfig
from tools.benchmarks.zpressor import CONTENDERS, SIZES, measured, row


@pytest.mark.parametrize("name", SIZES)
def test_all_forms_of_the_clusters_give_one_output(name: str) -> None:
    found = measured(4, SIZES[name], repeats=1, config=ZPressorConfig((16,), num_layers=2), device="cpu")
    assert float(found["apart"]) < 1e-5
    assert row(4, name, found).count("|") == len(CONTENDERS) + 6
