"""The benchmark of what streaming networks hold in memory."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_both_networks_hold_their_memory_flat_on_200_frames_and_the_trajectory_is_what_the_formula_says():
    script = Path(__file__).resolve().parents[2] / "tools" / "benchmarks" / "streaming.py"
    done = subprocess.run([sys.executable, str(script), "--frames", "200"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("growth after frame 32") == 2
    assert "trajectory 8257536 bytes, 8257536 by" in done.stdout
