"""SIGTERM in processes of their own: one line, exit code 143, and no stack, whatever runs."""

import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM for another process")

FAREWELL = "recon3d: interrupted, nothing was written. The same command with --resume goes on from the last finished stage\n"
PYTHON = """
import time
def work():
    print("begun", flush=True)
    time.sleep(60)
"""
# A call of COLMAP that looks at no signal and would take hours; no torch, to be quick.
COMPILED = """
import sys, types
sys.modules["torch"] = types.ModuleType("torch")
import numpy as np
from recon3d.sfm.pycolmap import colmap
def work():
    rng = np.random.default_rng(0)
    options = colmap.RANSACOptions(min_num_trials=10**9, max_num_trials=10**9)
    print("begun", flush=True)
    colmap.estimate_fundamental_matrix(rng.uniform(0, 1000, (500, 2)), rng.uniform(0, 1000, (500, 2)), options)
"""
RUN = """
import sys
from recon3d.cli import main, termination
termination.GRACE = 0.3
main.dispatch = lambda arguments: work()
sys.exit(main.outcome(["run", "photos"]))
"""


def ended(code: str, number: int) -> tuple[int, str]:
    """Exit code and stderr of `code` in a process that is sent the signal when it has begun."""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        time.sleep(0.2)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    return process.returncode, said


@pytest.mark.parametrize("work", [PYTHON, COMPILED], ids=["python", "pycolmap"])
def test_sigterm_is_one_line_that_names_resume(work):
    assert ended(work + RUN, signal.SIGTERM) == (143, FAREWELL)


def test_work_on_another_thread_is_not_waited_for():
    beside = "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\n"
    code = (beside + PYTHON + RUN).replace('sys.exit(main.outcome(["run", "photos"]))', 'main.main(["run", "photos"])')
    start = time.monotonic()
    assert ended(code, signal.SIGTERM) == (143, FAREWELL) and time.monotonic() - start < 20


def test_a_library_without_our_command_ends_as_it_would_without_pycolmap():
    assert ended(COMPILED + "work()", signal.SIGTERM) == (-signal.SIGTERM, "")


def test_what_catches_ctrl_c_catches_sigterm_and_the_handlers_are_put_back():
    code = """
import os, signal, time
from recon3d.cli.main import outcome
from recon3d.cli import main
def work(arguments):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    except KeyboardInterrupt:
        print("kept", flush=True)
main.dispatch = work
assert outcome([]) == 0 and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL and signal.set_wakeup_fd(-1) == -1
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "kept\n", "")
