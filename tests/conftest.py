"""What holds for every test."""

import os
import signal

# A suite that a shell runs in its background inherits that SIGINT is ignored, and so would what the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Threads of torch that wait take no core: tests run beside each other, and a spinning core is one that another test lacks.
# Read when torch is loaded, so it stands before everything that loads it.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pytest
from hypothesis import settings

# The same examples every time, so that a test command that passed passes again; .ci/full draws new ones.
settings.register_profile("same", derandomize=True, database=None)
settings.load_profile("same")


@pytest.fixture(scope="session")
def browser():
    """One browser for all tests of pages: playwright bears no second one in a process."""
    from tools.benchmarks.browser import CHROMIUM, started

    if not CHROMIUM.exists():
        pytest.skip(f"needs {CHROMIUM} (apt-get install chromium)")
    driver, browser = started()
    yield browser
    browser.close()
    driver.stop()
