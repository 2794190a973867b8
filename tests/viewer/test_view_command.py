"""`recon3d view`."""

import os
import signal
import subprocess
import sys
import urllib.request

import pytest

from recon3d.cli.main import outcome
from tests.viewer.small_scene import run_folder

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Ctrl-C cannot be sent to one process there")


def started(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "recon3d.cli", "view", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_serves_until_ctrl_c_which_is_a_good_end(tmp_path):
    process = started(str(run_folder(tmp_path / "out")), "--no-browser")
    assert process.stdout
    line = process.stdout.readline()
    address = line.split()[-1]
    assert address.startswith("http://127.0.0.1:") and urllib.request.urlopen(address).status == 200
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0 and err == "" and "Ctrl-C" in line


def test_beyond_the_loopback_a_line_tells_of_the_token(tmp_path):
    process = started(str(run_folder(tmp_path / "out")), "--no-browser", "--host", "0.0.0.0")
    assert process.stdout
    address = process.stdout.readline().split()[-1]
    assert len(address.rstrip("/").rpartition("/")[2]) >= 20
    assert process.stderr
    told = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0 and "token" in told and err == ""


@pytest.mark.parametrize(
    "arguments", [["missing.ply"], ["{folder}", "--port", "70000"], ["{folder}", "--host", "no such host"]]
)
def test_what_cannot_be_shown_is_one_line(tmp_path, capsys, arguments):
    folder = run_folder(tmp_path / "out")
    assert outcome(["view", "--no-browser", *(a.format(folder=folder) for a in arguments)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
