"""Names say what a thing is, functions are one step, files are one subject."""

import ast
from pathlib import Path

import pytest

from tests.house.sources import ROOT, python_files

FORBIDDEN = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
MOST_FUNCTION_LINES = 60
MOST_FILE_LINES = 400
MOST_NETWORK_LINES = 700  # a network is one file that reads in order
FILES = python_files("recon3d", "tests", "tools", "examples")


def words(name: str) -> set[str]:
    """TileManager, tile_manager -> {tile, manager}."""
    spaced = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
    return set(spaced.split("_"))


def place(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def definitions(file: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return [node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, kinds)]


@pytest.mark.parametrize("name", ["utils", "TileManager", "_helpers", "common_parts"])
def test_a_forbidden_word_is_seen_inside_a_name(name: str):
    assert words(name) & FORBIDDEN


def test_no_name_has_a_word_that_says_nothing():
    """Names of tests are sentences, in which "common" is a word like any other."""
    wrong = [
        f"{place(file)}: {name}"
        for file in FILES
        for name in [*file.relative_to(ROOT).with_suffix("").parts, *(d.name for d in definitions(file))]
        if words(name) & FORBIDDEN and not name.startswith("test_")
    ]
    assert wrong == []


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef, source: list[str]) -> int:
    """Lines from `def` to the end, without the docstring and blank lines: what shapes and sources take is not counted."""
    assert function.end_lineno is not None
    lines = {n for n in range(function.lineno, function.end_lineno + 1) if source[n - 1].strip()}
    if ast.get_docstring(function):
        docstring = function.body[0]
        lines -= set(range(docstring.lineno, (docstring.end_lineno or 0) + 1))
    return len(lines)


def test_functions_are_at_most_60_lines():
    wrong = []
    for file in FILES:
        source = file.read_text(encoding="utf-8").splitlines()
        for d in definitions(file):
            if not isinstance(d, ast.ClassDef) and code_lines(d, source) > MOST_FUNCTION_LINES:
                wrong.append(f"{place(file)}:{d.lineno} {d.name} has {code_lines(d, source)} lines")
    assert wrong == []


def test_docstrings_and_blank_lines_are_no_code():
    source = 'def f():\n    """One.\n\n    Two.\n    """\n    a = 1\n\n    return a\n'
    (function,) = ast.parse(source).body
    assert isinstance(function, ast.FunctionDef)
    assert code_lines(function, source.splitlines()) == 3


def test_files_are_at_most_400_lines_and_networks_700():
    wrong = []
    for file in FILES:
        lines = len(file.read_text(encoding="utf-8").splitlines())
        if lines > (MOST_NETWORK_LINES if "models" in file.parts else MOST_FILE_LINES):
            wrong.append(f"{place(file)} has {lines} lines")
    assert wrong == []


def test_no_page_or_source_names_a_path_of_one_machine():
    machine = [f"/{folder}/" for folder in ("work", "root", "home", "Users")]
    text_files = [*FILES, *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    wrong = [
        f"{place(file)}:{number}"
        for file in text_files
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if any(f"{quote}{path}" in line for path in machine for quote in ("'", '"', " ", "`", "("))
    ]
    assert [w for w in wrong if not w.startswith("tests/house/")] == []
