"""Published weights: which file of which repository, under which licence, for which network. Loads no torch.

The rows stand beside each network (`published.py` of its folder); FAMILIES says where, in the order that lists show them.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recon3d.models.official import Layout

FAMILIES = ("small", "joint", "vggt", "da3", "dust3r", "lingbot", "stream_vggt", "ilrm")


@dataclass(frozen=True)
class Weights:
    """One published file. Names of code are "module:name", resolved when they are used."""

    network: str  # class, built from `config`
    config: Any  # a frozen dataclass
    answer: str | None  # function (network, photos, Pass) -> Answer; None: a head, which needs cameras (pipeline.splats)
    cost: str | None  # function (config, parameters) -> Cost
    layout: Layout
    repository: str  # on the hub
    file: str
    licence: str  # of the weights
    commercial: bool  # whether that licence allows commercial use; none stated: no
    about: str
    most_views: int | None = None  # of one pass: more come out better in windows of so many; None: not known to
    features: bool = False  # its answer has features where these are asked for
    bytes: int | None = None
    sha256: str | None = None  # where it is known
    revision: str | None = None
    shipped: bool = False  # the file lies in recon3d/checkpoints
    code_licence: str = "Apache-2.0"  # of the reference implementation; ours is written anew
    sources: tuple[str, ...] = ()  # other files of that repository with the same tensors
    takes_cameras: bool = False  # has an input for known cameras, where its configuration has a `cam_enc`
    # Function (config, the published config) -> the config with which its answer has matches where they are asked for, if the
    # file has its tensors; or None: it has none.
    with_matches: str | None = None
    # Function (content, where) -> config or None: the sizes that a file, or the hub's config.json, tells in a form of its own.
    read_config: str | None = None

    @property
    def shipped_file(self) -> Path | None:
        """Where the toolkit has it; None: it is on the hub only."""
        return Path(__file__).parents[1] / "checkpoints" / self.file if self.shipped else None

    def resolve(self, name: str) -> Any:
        """The class or function behind one of the names of code."""
        module, attribute = getattr(self, name).split(":")
        return getattr(importlib.import_module(module), attribute)


def table() -> dict[str, Weights]:
    """Every row of every family."""
    rows: dict[str, Weights] = {}
    for family in FAMILIES:
        rows |= importlib.import_module(f"recon3d.models.{family}.published").WEIGHTS
    return rows
