"""`recon3d view`."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from recon3d.cli.main import outcome
from tests.viewer.small_scene import run_folder

SAMPLE = Path(__file__).resolve().parents[2] / "datasets" / "sample"
pytestmark = pytest.mark.skipif(os.name == "nt", reason="Ctrl-C cannot be sent to one process there")


def started(*arguments: str) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "recon3d.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "BROWSER": "true"},  # the program that does nothing
    )


def test_it_serves_until_ctrl_c_which_is_a_good_end(tmp_path):
    process = started("view", str(run_folder(tmp_path / "out")), "--no-browser")
    assert process.stdout
    line = process.stdout.readline()
    address = line.split()[-1]
    assert address.startswith("http://127.0.0.1:") and urllib.request.urlopen(address).status == 200
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0 and err == "" and "Ctrl-C" in line


def test_beyond_the_loopback_a_line_tells_of_the_token(tmp_path):
    process = started("view", str(run_folder(tmp_path / "out")), "--no-browser", "--host", "0.0.0.0")
    assert process.stdout
    address = process.stdout.readline().split()[-1]
    assert len(address.rstrip("/").rpartition("/")[2]) >= 20
    assert process.stderr
    told = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0 and "token" in told and err == ""


@pytest.mark.slow
def test_a_run_is_shown_while_it_goes_on_and_afterwards_until_ctrl_c(tmp_path):
    quick = ["--max-size", "128", "--refine", "120", "--seed", "3", "--view"]
    process = started("run", str(SAMPLE / "images"), "--out", str(tmp_path / "out"), *quick)
    assert process.stderr
    address = process.stderr.readline().split()[-1]
    told, deadline = [], time.monotonic() + 300
    while (not told or told[-1]["running"]) and time.monotonic() < deadline:
        told.append(json.load(urllib.request.urlopen(address + "version.json")))
        time.sleep(0.05)
    scene = json.load(urllib.request.urlopen(address + "scene.json"))
    assert len(scene["cameras"]) == 10 and scene["report"] and scene["splats"]["count"] > 1000
    assert any(v["running"] and v["splats"] == 0 and v["scene"] > told[0]["scene"] for v in told)  # cameras first
    assert any(v["running"] and v["splats"] > 0 for v in told)  # then splats, before it ended
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0 and "written" in out


@pytest.mark.parametrize(
    "arguments", [["missing.ply"], ["{folder}", "--port", "70000"], ["{folder}", "--host", "no such host"]]
)
def test_what_cannot_be_shown_is_one_line(tmp_path, capsys, arguments):
    folder = run_folder(tmp_path / "out")
    assert outcome(["view", "--no-browser", *(a.format(folder=folder) for a in arguments)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
