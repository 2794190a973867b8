"""The published networks, proved: our implementation of each family against golden tensors of the original."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from tests.parity import (
    run_alignment,
    run_da3,
    run_dust3r,
    run_ilrm,
    run_lingbot,
    run_streamvggt,
    run_vggt,
    run_zpressor,
)
from tests.parity.cases import FOLDER, Case, found

# (family, kind) -> what runs a case of it and checks every output.
RUNNERS: dict[str, dict[str, Callable[[Case], None]]] = {
    "vggt": run_vggt.RUNNERS,
    "streamvggt": run_streamvggt.RUNNERS,
    "lingbot": run_lingbot.RUNNERS,
    "dust3r": run_dust3r.RUNNERS | run_alignment.RUNNERS,
    "da3": run_da3.RUNNERS,
    "ilrm": run_ilrm.RUNNERS,
    "zpressor": run_zpressor.RUNNERS,
}

# Kinds whose blocks write over their tokens where no gradients are asked for: they are run in that way too.
IN_PLACE = {
    "vggt_forward", "aggregator", "patch_embed", "stream_forward", "lingbot_stream", "da3_forward", "da3_nested", "da3_mono",
    "forward",
}  # fmt: skip

# Optimised for longer than what each change must pass has time for; three alignments stay, of each kind one.
LONG = {"dust3r/align_6v_swin2_zoom", "dust3r/align_4v_mixed_orientation", "dust3r/align_4v_oneref"}

CASES = [
    pytest.param(case, id=case.name, marks=pytest.mark.slow if case.name in LONG else ())
    for case in found() if case.family in RUNNERS
]  # fmt: skip

if CASES:

    @pytest.mark.parametrize("case", CASES)
    def test_golden(case: Case) -> None:
        RUNNERS[case.family][case.kind](case)
        if case.kind in IN_PLACE:
            with torch.no_grad():
                RUNNERS[case.family][case.kind](case)

elif not FOLDER.is_dir():

    def test_golden() -> None:  # type: ignore[misc]
        pytest.skip(f"there are no golden cases: {FOLDER} is not here")
