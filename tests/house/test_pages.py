"""What pages tell people to type exists, and links lead somewhere."""

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from recon3d.cli.main import COMMANDS
from tests.house.sources import ROOT, pages

PAGES = [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages()]
FENCED = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|<(?:img|a)[^>]*?(?:src|href)=\"([^\"]+)\"")
WITH_ACTIONS = ("eval",)  # commands whose flags are told by the help of their actions
NAMES_WITH_RECON3D = re.compile(r"(?<![\w/.'])recon3d(?![-\w\[])")


def commands(text: str) -> list[list[str]]:
    """The words after `recon3d` of every command in fenced blocks and in `code` that begins with it."""
    lines = [line for block in FENCED.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    lines += re.findall(r"`(recon3d [^`]+)`", text)
    found = []
    for line in lines:
        for part in re.split(r"&&|;|\|", line.split(" #")[0]):
            words = part.split()
            if words and words[0] in ("recon3d", ".venv/bin/recon3d") and len(words) > 1:
                found.append(shlex.split(part)[1:])
    return found


@cache
def help_of(*command: str) -> str:
    done = subprocess.run([sys.executable, "-m", "recon3d.cli", *command, "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("page", PAGES)
def test_every_command_on_a_page_exists_with_its_flags(page: Path):
    for words in commands(page.read_text(encoding="utf-8")):
        if words[0] in ("COMMAND", "--help", "--version"):
            continue
        assert words[0] in COMMANDS, f"recon3d {' '.join(words)}"
        for flag in (word.split("=")[0] for word in words if word.startswith("--")):
            command = words[:2] if words[0] in WITH_ACTIONS else words[:1]
            assert re.search(rf"(?<![\w-]){flag}(?![\w-])", help_of(*command)), f"recon3d {' '.join(command)} has no {flag}"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_a_file_or_a_heading(page: Path):
    for target in (a or b for a, b in LINK.findall(FENCED.sub("", page.read_text(encoding="utf-8")))):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, heading = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        if heading:
            assert heading in headings(file.read_text(encoding="utf-8")), target


def headings(text: str) -> set[str]:
    """Anchors of a page as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_nobody_is_told_to_install_the_other_projects_distribution(page: Path):
    """`recon3d` on the index is not ours: a pip line may name recon3d-toolkit, a path, or nothing of the kind."""
    for line in page.read_text(encoding="utf-8").splitlines():
        for installed in re.findall(r"(?:pip3?|uv|pipx|uvx)\S* (?:install|add|run)? ?([^&`]*)", line):
            assert not NAMES_WITH_RECON3D.search(installed), line


def test_the_check_of_commands_sees_them_in_blocks_and_in_code():
    text = "```bash\n.venv/bin/pip install . && .venv/bin/recon3d run a \\\n  --out b.ply  # c\n```\nor `recon3d doctor --json`"
    assert commands(text) == [["run", "a", "--out", "b.ply"], ["doctor", "--json"]]


@pytest.mark.parametrize("page", PAGES)
def test_the_tests_that_a_page_names_exist(page: Path):
    for file, name in re.findall(r"(tests/[\w/]+\.py)(?:::(\w+))?", page.read_text(encoding="utf-8")):
        assert (ROOT / file).exists(), file
        assert not name or re.search(rf"^def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), name
