"""`recon3d --help` must be instant, so nothing heavy is imported before it is needed."""

import subprocess
import sys

from tests.house.sources import module_name, python_files

HEAVY = ("torch", "numba", "pycolmap", "scipy")


def test_importing_recon3d_and_every_command_loads_nothing_heavy():
    commands = (module_name(file) for file in python_files("recon3d/cli") if file.stem != "__main__")
    modules = ["recon3d", *commands]
    script = f"""
import importlib, sys
for name in {modules!r}:
    importlib.import_module(name)
    heavy = [h for h in {HEAVY!r} if h in sys.modules]
    assert not heavy, f"{{name}} loads {{heavy}}"
print("all imported")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "all imported\n", done.stderr
