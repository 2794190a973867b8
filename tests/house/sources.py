"""The repository's own files, as house tests read them."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "recon3d"


def python_files(*folders: str) -> list[Path]:
    """Every .py file below some folders of the repository, in order."""
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))


def pages() -> list[Path]:
    """Every page that a person reads: Markdown in the root, docs, datasets and checkpoints."""
    below = (file for folder in ("docs", "datasets", "checkpoints", "examples") for file in (ROOT / folder).rglob("*.md"))
    return sorted([*ROOT.glob("*.md"), *below])


def module_name(file: Path) -> str:
    """recon3d/core/lens.py -> recon3d.core.lens; a package's __init__.py -> the package."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(file: Path, for_types: bool = False) -> Iterator[tuple[str, int]]:
    """(module or module.name, line) of every import of a file, those inside functions too; those under TYPE_CHECKING only
    with `for_types`."""
    return _imports_in(ast.parse(file.read_text(encoding="utf-8")), for_types)


def _imports_in(node: ast.AST, for_types: bool) -> Iterator[tuple[str, int]]:
    if isinstance(node, ast.Import):
        yield from ((alias.name, node.lineno) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"line {node.lineno}: imports are absolute here"
        yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)
    else:
        exempt = not for_types and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in node.orelse if exempt else ast.iter_child_nodes(node):
            yield from _imports_in(child, for_types)
