"""Checkpoints into networks: files opened without running anything in them, networks built without initial values, then filled.

A network is built on the meta device and given the file's tensors, so that it is never twice in memory.
"""

from __future__ import annotations

import argparse
import ctypes
import pickle
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from recon3d.errors import InputError, check_exists
from recon3d.models.meta import Network, shapes_of
from recon3d.models.official import Accounting, Layout, account, unwrapped
from recon3d.models.resemblance import looks_like
from recon3d.models.vit import Linear

SHOWN = 3  # names in an error before it says how many more
READ_AT_A_TIME = 256_000_000  # bytes of a mapped file


def tensors_of(path: Path) -> Mapping[str, Tensor]:
    """Name -> tensor of a .safetensors file or a torch one, mapped from the disk. Raises InputError.

    Torch files are opened with weights_only: of Python's classes only argparse.Namespace is allowed, which holds nothing
    but values.
    """
    return unwrapped(content_of(path))


def content_of(path: Path) -> Any:
    """What a checkpoint file holds, wrappers and settings included."""
    check_exists(path)
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise InputError(path, f"it is no whole safetensors file ({error})", "Download it again") from error
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip(path))
    except pickle.UnpicklingError as error:
        what = f"it holds more than tensors and values, and nothing in it was run ({refused_class(error)})"
        raise InputError(path, what, "Use a file of tensors: .safetensors, or a .pt saved from a state dict") from error
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        what = f"it is no whole checkpoint of torch ({str(error).splitlines()[0]})"
        raise InputError(path, what, "Download it again, and compare its size with `recon3d weights list`") from error


def shapes_in(path: Path) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the tensors of such a file; of a safetensors file no value is read. Raises InputError."""
    if path.suffix != ".safetensors":
        return {name: tuple(tensor.shape) for name, tensor in tensors_of(path).items()}
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(path, f"it is no whole safetensors file ({error})", "Download it again") from error


def is_mapped(path: Path) -> bool:
    """Whether tensors_of maps the file instead of reading it."""
    return path.suffix == ".safetensors" or is_zip(path)


def is_zip(path: Path) -> bool:
    """Whether torch can map the file: the form before torch 1.6 is a plain pickle."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def refused_class(error: BaseException) -> str:
    """The class or function that torch would not take from the file, as far as its message names it."""
    words = str(error).replace("`", " ").replace("'", " ").split()
    named = [w.rstrip(".,") for w in words if "." in w.strip(".") and w.replace(".", "").replace("_", "").isalnum()]
    return named[0] if named else "no plain pickle of tensors"


def filled(
    network: Network, tensors: Mapping[str, Tensor], layout: Layout, where: str, low: torch.dtype | None = None
) -> Network:
    """`network`, built on meta, with the published `tensors`; ready for inference. Raises InputError at `where`.

    `low`: the type that linear layers compute in, where the network says that they may (`network.low_precision`, prefixes
    of names). All else is float32.
    """
    types = types_of(network, low)
    source = accounted(network, tensors, layout, where).source
    return assigned(network, {name: tensors[stored].to(types[name]) for name, stored in source.items()})


def filled_from_file(network: Network, path: Path, layout: Layout, low: torch.dtype | None) -> Network:
    """The same from a file. Values that keep their type stay in the mapped file and are read when they are first used. Where
    they change it the file is opened anew every few tensors: what was read of a mapping counts as memory until it is closed,
    and would be the whole file beside the network."""
    tensors = tensors_of(path)
    if low is None or not is_mapped(path):
        return filled(network, tensors, layout, str(path), low)
    accounting = accounted(network, tensors, layout, str(path))
    types = types_of(network, low)
    changed = [name for name, source in accounting.source.items() if tensors[source].dtype != types[name]]
    values = {name: tensors[source] for name, source in accounting.source.items() if name not in set(changed)}
    for group in in_groups(changed, [tensors[accounting.source[name]].nbytes for name in changed]):
        opened = tensors_of(path)
        values |= {name: opened[accounting.source[name]].to(types[name]) for name in group}
        del opened
    return assigned(network, values)


def in_groups(names: Sequence[str], sizes: Sequence[int]) -> Iterator[list[str]]:
    """The names in their order, cut where READ_AT_A_TIME bytes are reached."""
    group, total = [], 0
    for name, size in zip(names, sizes, strict=True):
        group.append(name)
        total += size
        if total >= READ_AT_A_TIME:
            yield group
            group, total = [], 0
    if group:
        yield group


def accounted(network: nn.Module, tensors: Mapping[str, Tensor], layout: Layout, where: str) -> Accounting:
    """Raises InputError where tensors do not fit, or two names of one tensor differ."""
    accounting = account({name: tuple(t.shape) for name, t in tensors.items()}, shapes_of(network), layout)
    check_accounting(accounting, where, tensors)
    for second, first in accounting.twins.items():
        if not torch.equal(tensors[second], tensors[first]):
            what = f"{second} and {first} are one tensor in this network, and differ in the file"
            raise InputError(where, what, "Download it again")
    return accounting


def types_of(network: nn.Module, low: torch.dtype | None) -> dict[str, torch.dtype]:
    """Our names and the types that they compute in."""
    lower = low_precision_names(network) if low is not None else set()
    return {name: low if low is not None and name in lower else torch.float32 for name in network.state_dict()}


def assigned(network: Network, values: Mapping[str, Tensor]) -> Network:
    network.load_state_dict(values, assign=True, strict=True)
    return network.requires_grad_(False).eval()


def lowered(network: Network, low: torch.dtype | None) -> Network:
    """The same network with its linear layers in type `low`, where it says that they may be."""
    for name in low_precision_names(network) if low is not None else ():
        parameter = network.get_parameter(name)
        parameter.data = parameter.data.to(low)
    return network


def give_back_freed_memory() -> None:
    """To the system: glibc keeps what large tensors leave for allocations of its own, and it counts as the process's."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)  # type: ignore[union-attr]


def packed(network: Network) -> Network:
    """The same network for inference on a CPU: its bfloat16 layers laid out for oneDNN, where this torch can do that."""
    if hasattr(torch.ops.mkldnn, "_reorder_linear_weight") and torch.backends.mkldnn.is_available():
        for module in network.modules():
            if isinstance(module, Linear) and module.weight.dtype == torch.bfloat16:
                module.pack()
    return network


def low_precision_names(network: nn.Module) -> set[str]:
    """Parameters of linear layers below the prefixes that the network names."""
    prefixes = tuple(getattr(network, "low_precision", ()))
    layers = [n for n, m in network.named_modules() if isinstance(m, Linear) and n.startswith(prefixes)]
    return {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")} if prefixes else set()


def check_accounting(accounting: Accounting, where: str, tensors: Mapping[str, Tensor]) -> None:
    """Raise InputError that says which tensors do not fit, and what the file looks like."""
    if accounting.complete:
        return
    parts = []
    if accounting.misshapen:
        name, has, wanted = accounting.misshapen[0]
        more = f" and {len(accounting.misshapen) - 1} more" if len(accounting.misshapen) > 1 else ""
        parts.append(f"{name} is {list(has)} where {list(wanted)} is needed{more}")
    if accounting.missing:
        parts.append(f"nothing fills {some(accounting.missing)}")
    if accounting.unknown:
        parts.append(f"{some(accounting.unknown)} belongs to no part of this network")
    remedy = "`recon3d weights verify FILE --explain` prints the whole table"
    raise InputError(where, f"the weights do not fit: {'; '.join(parts)}; {looks_like(tensors)}", remedy)


def some(names: tuple[str, ...]) -> str:
    """A few names, and how many more."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
