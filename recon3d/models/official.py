"""Published tensors accounted for: each is one of ours under another name, or listed as dropped. Nothing is guessed.

A checkpoint may wrap its tensors, prefix all of their names, hold a moving average beside them, or name one tensor twice:
the tables below say what is known. What is then still unknown, missing or misshapen is an error that names it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Shape = tuple[int, ...]

# Where training programs put the tensors inside of what they save; the first that is there is taken.
WRAPPERS = ("state_dict", "model", "model_state_dict", "network", "module")
# A moving average of the weights kept beside them: used only where nothing else is there.
AVERAGES = ("ema", "model_ema", "ema_model", "ema_state_dict", "state_dict_ema")
# Words that wrapping a network puts before all of its names (DataParallel, torch.compile, Lightning, averaging).
PREFIXES = ("module.", "_orig_mod.", "model.", "network.", "ema.", "ema_model.", "model_ema.")


@dataclass(frozen=True)
class Layout:
    """How a family's published names become ours. Patterns are regular expressions over names without PREFIXES."""

    renamed: tuple[tuple[str, str], ...] = ()  # (pattern, replacement), applied in turn with re.sub
    dropped: tuple[str, ...] = ()  # whole names that may be left over: never used, or of a part that was not built
    twins: tuple[tuple[str, str], ...] = ()  # (pattern, replacement): a second name of the same tensor, may be absent
    copied: tuple[tuple[str, str], ...] = ()  # (pattern, replacement) over our names: a part that a file may leave out whole


@dataclass(frozen=True)
class Accounting:
    """What became of every published tensor, and what of ours is left over."""

    source: dict[str, str]  # our name -> the name in the file
    dropped: tuple[str, ...] = ()
    twins: dict[str, str] = field(default_factory=dict)  # second name in the file -> first name in the file
    unknown: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()  # our names that no published tensor fills
    misshapen: tuple[tuple[str, Shape, Shape], ...] = ()  # (name in the file, its shape, the shape it should have)

    @property
    def complete(self) -> bool:
        return not (self.unknown or self.missing or self.misshapen)


def unwrapped(content: Any) -> Mapping[str, Any]:
    """The mapping of names to tensors in what a file holds. A mapping without any tensors comes back empty."""
    for key in (*WRAPPERS, *AVERAGES):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            return unwrapped(content[key])
    if not isinstance(content, Mapping):
        return {}
    return {name: value for name, value in content.items() if hasattr(value, "shape")}


def stripped(names: Sequence[str]) -> dict[str, str]:
    """Name without prefixes -> name. Of an averaged twin beside the plain tensors only the plain ones are kept."""
    plain = [n for n in names if not any(n.startswith(f"{average}.") for average in AVERAGES)]
    short = {name: name for name in (plain or names)}
    while True:
        prefix = next((p for p in PREFIXES if short and all(n.startswith(p) for n in short)), None)
        if prefix is None:
            return short
        short = {n.removeprefix(prefix): name for n, name in short.items()}


def account(published: Mapping[str, Shape], ours: Mapping[str, Shape], layout: Layout) -> Accounting:
    """Every published name mapped to one of ours, dropped, or unknown; every one of ours filled, or missing."""
    short = stripped(list(published))
    source: dict[str, str] = {}
    dropped, twins, unknown, misshapen = [], {}, [], []
    for name, stored in short.items():
        first = renamed(name, layout.twins)
        if first != name and first in short:
            twins[stored] = short[first]
            continue
        mine = renamed(first, layout.renamed)
        if mine in ours:
            source[mine] = stored
            if tuple(published[stored]) != tuple(ours[mine]):
                misshapen.append((stored, tuple(published[stored]), tuple(ours[mine])))
        elif any(re.fullmatch(pattern, name) for pattern in layout.dropped):
            dropped.append(stored)
        else:
            unknown.append(stored)
    for rule in layout.copied:
        part = {name: renamed(name, (rule,)) for name in ours if re.search(rule[0], name)}
        if not part.keys() & source.keys():
            source |= {name: source[other] for name, other in part.items() if other in source}
    missing = tuple(name for name in ours if name not in source)
    return Accounting(source, tuple(dropped), twins, tuple(unknown), missing, tuple(misshapen))


def renamed(name: str, rules: Sequence[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name
