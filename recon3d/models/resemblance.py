"""What a checkpoint file looks like: which published network its tensors belong to, and a table of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from recon3d.models.meta import on_meta, shapes_of
from recon3d.models.official import Accounting, Shape, account
from recon3d.models.weights import Weights, table

LEAST = 0.5  # share of a file's tensors that must be a network's for the file to look like it


@dataclass(frozen=True)
class Line:
    """One tensor: in the file, in the network, or in both."""

    name: str  # in the file; in the network where the file lacks it
    shape: Shape
    type: str
    state: str  # "ours as NAME", "dropped", "the same as NAME", "unknown", "missing", "should be SHAPE"


def accounting(tensors: Mapping[str, Tensor], row: Weights, config) -> Accounting:
    """The file's tensors against the network of `row` at the sizes of `config`."""
    network = on_meta(lambda: row.resolve("network")(config))
    return account({name: tuple(t.shape) for name, t in tensors.items()}, shapes_of(network), row.layout)


@dataclass(frozen=True)
class Match:
    """How much a file shares with a published network: names, and names with their shapes, 0 to 1."""

    key: str
    names: float
    shapes: float


def best_match(tensors: Mapping[str, Tensor]) -> Match | None:
    """The published network that shares most, or None where none shares enough."""
    best = None
    for key, row in table().items():
        found = accounting(tensors, row, row.config)
        known = len(found.source) + len(found.dropped) + len(found.twins)
        wanted = max(len(tensors), known + len(found.missing), 1)
        match = Match(key, known / wanted, (known - len(found.misshapen)) / wanted)
        if best is None or (match.shapes, match.names) > (best.shapes, best.names):
            best = match
    return best if best is not None and best.names >= LEAST else None


def looks_like(tensors: Mapping[str, Tensor]) -> str:
    """One clause on what the file is."""
    if not tensors:
        return "the file holds no tensors"
    match = best_match(tensors)
    if match is None:
        first = next(iter(tensors))
        shape = list(tensors[first].shape)
        return f"the file looks like no network here: {len(tensors)} tensors, the first is {first} {shape}"
    if match.shapes == 1:
        return f"the file looks like {match.key}"
    if match.names >= 2 * match.shapes:
        return f"the file looks like {match.key} of another size"
    return f"the file looks like {match.key}, of which it has {100 * match.shapes:.0f} %"


def explained(tensors: Mapping[str, Tensor], found: Accounting) -> list[Line]:
    """Every tensor of the file and of the network, in the file's order, what is missing last."""
    mine = {theirs: ours for ours, theirs in found.source.items()}
    wrong = {name: wanted for name, _, wanted in found.misshapen}
    lines = []
    for name, tensor in tensors.items():
        if name in wrong:
            state = f"should be {list(wrong[name])}"
        elif name in mine:
            state = f"ours as {mine[name]}"
        elif name in found.twins:
            state = f"the same as {found.twins[name]}"
        elif name in found.dropped:
            state = "dropped"
        else:
            state = "unknown" if name in found.unknown else "left out: an average beside the weights"
        lines.append(Line(name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."), state))
    return lines + [Line(name, (), "", "missing") for name in found.missing]
