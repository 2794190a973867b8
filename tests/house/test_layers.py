"""Imports point downward only (docs/architecture.md, "The house")."""

import ast
from pathlib import Path

import pytest

from tests.house.sources import PACKAGE, imports, module_name, python_files

# Top to bottom; parts on one line do not import each other.
LAYERS = (
    ("cli",),
    ("viewer", "evaluation", "training"),
    ("pipeline",),
    ("reconstruction",),
    ("data", "models", "sfm"),
    ("rendering", "metrics"),
    ("io",),
    ("core",),
    ("report",),
    ("progress", "atomic"),
    ("errors",),
    ("version",),
)
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}


def forbidden(importer: str, imported: str) -> bool:
    """Does `importer` reach up, or aside? The package's own __init__ (the public API) stands above every layer."""
    if not imported.startswith("recon3d.") or importer == "recon3d":
        return False
    here, there = importer.split(".")[1], imported.split(".")[1]
    return there not in LEVEL or (here != there and LEVEL[there] <= LEVEL[here])


@pytest.mark.parametrize(
    ("importer", "imported", "wrong"),
    [
        ("recon3d.io.ply", "recon3d.core.gaussians", False),
        ("recon3d.core.lens", "recon3d.io.ply", True),
        ("recon3d.sfm.mapping", "recon3d.models.vggt", True),
        ("recon3d.io.ply", "recon3d.io.splat", False),
        ("recon3d", "recon3d.pipeline.api", False),
        ("recon3d.io.ply", "recon3d.load_views", True),
        ("recon3d.io.ply", "numpy", False),
    ],
)
def test_the_rule_tells_up_and_aside_from_down(importer, imported, wrong):
    assert forbidden(importer, imported) == wrong


def test_imports_are_found_in_functions_and_not_under_type_checking(tmp_path: Path):
    file = tmp_path / "module.py"
    file.write_text(
        "import os\nif TYPE_CHECKING:\n    import a\nelse:\n    import b\ndef f():\n    with x:\n        from c.d import e\n"
    )
    assert [name for name, _ in imports(file)] == ["os", "b", "c.d.e"]


def test_every_part_of_the_package_stands_in_the_table():
    parts = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert parts - {"__init__"} <= set(LEVEL)


def test_imports_point_downward_only():
    wrong = [
        f"{file}:{line} imports {name}"
        for file in python_files("recon3d")
        for name, line in imports(file)
        if forbidden(module_name(file), name)
    ]
    assert wrong == []


def every_import(file: Path) -> set[str]:
    """Names that a file imports, inside of functions and for types too."""
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    return plain | {f"{n.module}.{alias.name}" for n in nodes if isinstance(n, ast.ImportFrom) for alias in n.names}


def circle(imported: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a ring, or an empty list. A name is a module or something inside of one."""
    modules = {
        module: {next((m for m in (name, name.rpartition(".")[0]) if m in imported), None) for name in names} - {None, module}
        for module, names in imported.items()
    }
    done: set[str] = set()

    def visited(module: str, path: list[str]) -> list[str]:
        if module in path:
            return path[path.index(module) :]
        if module in done:
            return []
        for other in sorted(n for n in modules[module] if n is not None):
            if found := visited(other, [*path, module]):
                return found
        done.add(module)
        return []

    return next((found for module in sorted(modules) if (found := visited(module, []))), [])


def test_a_circle_is_seen_wherever_its_imports_stand():
    assert circle({"a": {"b.x"}, "b": {"c"}, "c": {"a.y"}}) == ["a", "b", "c"]
    assert circle({"a": {"b.x", "c"}, "b": {"c"}, "c": {"os"}}) == []


def test_no_modules_import_each_other_in_a_circle():
    """Imports for types alone count too: what two parts need of each other belongs where both can look down at it. The
    public API in the package's __init__ stands above all and is left out."""
    files = [file for file in python_files("recon3d") if file != PACKAGE / "__init__.py"]
    assert circle({module_name(file): every_import(file) for file in files}) == []


def test_pycolmap_is_imported_in_one_place():
    """Loaded before zlib and torch it ends the process at a later PNG, so only its adapter may load it."""
    users = {module_name(file) for file in python_files("recon3d") for name, _ in imports(file) if name == "pycolmap"}
    assert users == {"recon3d.sfm.pycolmap"}
