"""What works on this machine: one row for each part, with the command that turns on what is off."""

from __future__ import annotations

import importlib.util
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from typing import Literal

from recon3d.pipeline.choices import GEOMETRY, SPLATS
from recon3d.version import __version__


@dataclass(frozen=True)
class Check:
    """A part and its state; `remedy` is a command or a sentence, empty where nothing is to be done."""

    part: str
    state: Literal["on", "off", "warning"]
    detail: str
    remedy: str = ""


# Optional part -> (module, distribution extra, what it is for).
OPTIONAL = {
    "gsplat": ("gsplat", "gsplat", "rasterizer on NVIDIA GPUs"),
    "xformers": ("xformers", "xformers", "faster attention on NVIDIA GPUs"),
    "HEIC photos": ("pillow_heif", "heic", "photos of iPhones"),
    "meshes": ("skimage", "mesh", "marching cubes; trimesh reads them back"),
    "training": ("tensorboard", "train", "training logs"),
}


def checks() -> list[Check]:
    """All rows, the needed parts first."""
    return [system(), device(), attention(), *rasterizers(), *chosen_by_name(), *optional_parts(), *other_recon3d()]


def system() -> Check:
    detail = f"recon3d {__version__}, Python {platform.python_version()}, {platform.platform()}"
    machine = platform.machine().lower()
    if sys.platform == "darwin" and machine == "x86_64":
        return Check(
            "system", "warning", detail, "torch has no wheels for Intel Macs: use Linux, Windows or Apple silicon"
        )
    if sys.platform == "linux" and machine in ("aarch64", "arm64"):
        return Check(
            "system", "warning", detail, "pycolmap has no wheels for Linux on ARM: give known cameras, or use x86-64"
        )
    return Check("system", "on", detail)


def device() -> Check:
    import torch

    if torch.cuda.is_available():
        return Check("device", "on", f"CUDA: {torch.cuda.get_device_name(0)}, torch {torch.__version__}")
    if torch.backends.mps.is_available():
        return Check("device", "on", f"MPS for networks, CPU for splats, torch {torch.__version__}")
    return Check("device", "on", f"CPU, {torch.get_num_threads()} threads, torch {torch.__version__}")


def attention() -> Check:
    return Check("attention", "on", "torch scaled_dot_product_attention")


def rasterizers() -> list[Check]:
    """The rows of BACKENDS that a user meets, and whether the CPU kernels are compiled already."""
    from recon3d.core.jit import CACHE
    from recon3d.rendering.render import BACKENDS

    rows = []
    for name in ("gsplat", "cpu"):
        reason = BACKENDS[name].why_not()
        rows.append(Check(f"rasterizer {name}", "off" if reason else "on", reason or BACKENDS[name].about))
    if not CACHE:
        remedy = "set NUMBA_CACHE_DIR to a folder that you may write to"
        rows.append(
            Check("compiled kernels", "warning", "no folder for them is writable, so each start compiles anew", remedy)
        )
    return rows


def chosen_by_name() -> list[Check]:
    """The rows of --geometry and of --splats."""
    rows = []
    named = [(f"geometry {name}", row) for name, row in GEOMETRY.items()]
    named += [(f"splats {name}", row) for name, row in SPLATS.items()]
    for name, row in named:
        reason = row.why_not()
        found = f"{row.about} ({row.licence}; {row.needs} {'' if reason else version(row.needs)})"
        if row.weights is not None:
            found += f"; {where_weights_are(row.weights)}"
        rows.append(Check(name, "off" if reason else "on", reason or found))
    return rows


def where_weights_are(key: str) -> str:
    """Of published weights: in the hub's cache, or how much there is to download."""
    from recon3d.models.checkpoints import cached
    from recon3d.models.weights import table

    row = table()[key]
    if cached(row) is not None:
        return "weights are here"
    return f"weights: {row.bytes / 1e9:.1f} GB to download" if row.bytes else "weights are to be downloaded"


def optional_parts() -> list[Check]:
    rows = []
    for part, (module, extra, about) in OPTIONAL.items():
        there = importlib.util.find_spec(module) is not None
        remedy = "" if there else f"pip install 'recon3d-toolkit[{extra}]'"
        rows.append(Check(part, "on" if there else "off", about, remedy))
    return rows


def other_recon3d() -> list[Check]:
    """A distribution named recon3d belongs to another project, whose command has the same name."""
    try:
        other = distribution("recon3d")
    except PackageNotFoundError:
        return []
    detail = (
        f"the distribution recon3d {other.version} of another project is installed too, with a command of the same name"
    )
    return [
        Check(
            "name",
            "warning",
            detail,
            "pip uninstall recon3d, then pip install --force-reinstall --no-deps recon3d-toolkit",
        )
    ]
