"""The versions that are tested, and those that are allowed."""

import re
import tomllib

from packaging.requirements import Requirement

from tests.house.sources import ROOT


def exact_versions() -> dict[str, str]:
    """Distribution, in lower case with dashes -> its version in constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    return {name.lower().replace("_", "-"): version for name, version in pins.items()}


def test_every_exact_version_is_one_that_the_lower_bounds_allow():
    """constraints.txt pins everything that pyproject.toml asks for, above its lower bound; torch without a local suffix."""
    pins = exact_versions()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for text in project["dependencies"] + project["optional-dependencies"]["dev"]:
        wanted = Requirement(text)
        assert pins[wanted.name.lower()] in wanted.specifier, text
    assert pins["torch"] == "2.13.0"


def test_the_hook_before_commits_has_the_ruff_that_is_tested():
    pinned = re.search(r"ruff==([\d.]+)", (ROOT / ".pre-commit-config.yaml").read_text())
    assert pinned is not None
    assert pinned[1] == exact_versions()["ruff"]
