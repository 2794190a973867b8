"""The script for the first time on a GPU."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch


@pytest.mark.skipif(torch.cuda.is_available(), reason="the sentence is for machines without CUDA")
def test_without_cuda_it_says_so_in_one_line_and_exits_with_2():
    script = Path(__file__).resolve().parents[2] / "tools" / "gpu_check.py"
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr == ""
    assert done.stdout.count("\n") == 1 and "no CUDA device" in done.stdout
