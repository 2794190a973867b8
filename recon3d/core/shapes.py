"""Shapes declared as `Annotated[Tensor, "N 3 H W"]` on dataclass fields, checked where an object is made.

`"N 3 H W"` is one tensor; `"N × 3 H W"` is a tuple of N tensors whose H and W may differ from item to item, though
item i of two fields shares them. A number must match; a letter must be the same everywhere; `...` is not supported.
"""

from __future__ import annotations

import functools
import types
from dataclasses import fields
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints


@functools.cache
def declared_shapes(cls: type) -> dict[str, str]:
    """Field name -> shape text, for the fields of a dataclass that declare one (`X | None` included)."""
    hints = get_type_hints(cls, include_extras=True)
    found = {}
    for field in fields(cls):
        hint = hints[field.name]
        options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
        for option in options:
            if get_origin(option) is Annotated:
                found[field.name] = get_args(option)[1]
    return found


def check_shapes(owner: Any) -> None:
    """Raise ValueError at the first field of dataclass `owner` whose shape contradicts its declaration or another field."""
    sizes: dict[Any, tuple[int, str]] = {}
    names = getattr(owner, "names", None)
    for field, text in declared_shapes(type(owner)).items():
        value = getattr(owner, field)
        if value is None:
            continue
        place = f"{type(owner).__name__}.{field}"
        if "×" not in text:
            _match(place, tuple(value.shape), text.split(), sizes, None)
            continue
        length, item_text = text.split("×")
        _match(place, (len(value),), length.split(), sizes, None)
        for i, item in enumerate(value):
            label = f" ({names[i]})" if names is not None and i < len(names) else ""
            if item is not None:
                _match(f"{place}[{i}]{label}", tuple(item.shape), item_text.split(), sizes, i)


def _match(
    place: str, shape: tuple[int, ...], axes: list[str], sizes: dict[Any, tuple[int, str]], item: int | None
) -> None:
    if len(shape) != len(axes):
        raise ValueError(f"{place} has shape {list(shape)}, expected [{', '.join(axes)}]")
    for size, axis in zip(shape, axes, strict=True):
        if axis.isdigit():
            if size != int(axis):
                raise ValueError(f"{place} has shape {list(shape)}, expected [{', '.join(axes)}]")
            continue
        known, where = sizes.setdefault((axis, item), (size, place))
        if known != size:
            raise ValueError(f"{place} has shape {list(shape)}: {axis} is {size} here and {known} in {where}")
