"""Imports point downward only (docs/architecture.md, "The house")."""

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
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


def circle(imported: Mapping[str, Iterable[str]]) -> list[str]:
    """Modules that import each other in a circle, the first one again at its end; empty where none do.

    `imported` is what each module imports, as "module" or "module.name".
    """
    graph = {}
    for importer, names in imported.items():
        owners = (name if name in imported else name.rpartition(".")[0] for name in names)
        graph[importer] = {owner for owner in owners if owner in imported}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_a_circle_is_seen_wherever_its_imports_stand(tmp_path: Path):
    """One leg is for types only, one stands in a function, one names what a module defines."""
    texts = {
        "p.a": "if TYPE_CHECKING:\n    from p.b import B\n",
        "p.b": "def f():\n    import p.c\n",
        "p.c": "from p import a\nimport os\n",
        "p.d": "from p.a import A\n",
    }
    imported = {}
    for module, text in texts.items():
        (tmp_path / "module.py").write_text(text)
        imported[module] = [name for name, _ in imports(tmp_path / "module.py", for_types=True)]
    found = circle(imported)
    assert found[0] == found[-1] and sorted(found[1:]) == ["p.a", "p.b", "p.c"]
    assert circle(imported | {"p.c": ["os"]}) == []


def test_no_modules_import_each_other_in_a_circle():
    """Imports for types alone count too: what two parts need of each other belongs where both can look down at it."""
    files = python_files("recon3d")
    assert circle({module_name(file): [name for name, _ in imports(file, for_types=True)] for file in files}) == []


def test_pycolmap_is_imported_in_one_place():
    """Loaded before zlib and torch it ends the process at a later PNG, so only its adapter may load it."""
    users = {module_name(file) for file in python_files("recon3d") for name, _ in imports(file) if name == "pycolmap"}
    assert users == {"recon3d.sfm.pycolmap"}
