"""One browser for all tests of the page."""

import pytest


@pytest.fixture(scope="session")
def browser():
    from tools.benchmarks.browser import CHROMIUM, started

    if not CHROMIUM.exists():
        pytest.skip(f"needs {CHROMIUM} (apt-get install chromium)")
    driver, browser = started()
    yield browser
    browser.close()
    driver.stop()
