"""Sizes of networks: frozen dataclasses, read from the JSON that stands beside published weights."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from recon3d.errors import InputError

T = TypeVar("T")
# Metadata of a field that holds a part of its owner's sizes: in JSON they stand among the owner's, in no object of their own.
GROUPED = types.MappingProxyType({"grouped": True})


def is_grouped(field: dataclasses.Field) -> bool:
    return "grouped" in field.metadata


def names_of(cls: Any) -> tuple[str, ...]:
    """What may stand in the JSON of dataclass `cls`."""
    hints, names = get_type_hints(cls), []
    for field in dataclasses.fields(cls):
        names += names_of(hints[field.name]) if is_grouped(field) else (field.name,)
    return tuple(names)


def values_of(config: Any) -> dict[str, Any]:
    """The JSON values that `configured` makes the same configuration of."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        value = values_of(value) if dataclasses.is_dataclass(value) else value
        found |= value if is_grouped(field) else {field.name: value}
    return found


def configured(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """An instance of dataclass `cls` from JSON `values`; lists become tuples, objects nested dataclasses.

    Raises InputError at `where` for unknown names, missing ones without a default, and values of another type.
    """
    hints = get_type_hints(cls)
    known = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    names = names_of(cls)
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise InputError(where, f"{cls.__name__} has no {', '.join(unknown)}", f"It has {', '.join(names)}")
    groups = {n: hints[n] for n, f in known.items() if is_grouped(f)}
    of_group = {n: {k: v for k, v in values.items() if k in names_of(group)} for n, group in groups.items()}
    values = {n: v for n, v in values.items() if n in known and n not in groups}
    missing = [
        n
        for n, f in known.items()
        if n not in values and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise InputError(where, f"{cls.__name__} lacks {', '.join(missing)}", "Give the whole configuration")
    parts = {n: configured(groups[n], of_group[n], where) for n in groups}
    return cls(**parts, **{name: _value(hints[name], value, f"{where}: {name}") for name, value in values.items()})


def _value(hint: Any, value: Any, where: str) -> Any:
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if value is None and type(None) in options:
        return None
    for option in options:
        if dataclasses.is_dataclass(option) and isinstance(value, Mapping):
            return configured(option, value, where)  # type: ignore[arg-type]
        if get_origin(option) is tuple and isinstance(value, list | tuple):
            return tuple(_value(get_args(option)[0], item, where) for item in value)
        if option is float and isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if isinstance(option, type) and isinstance(value, option) and (option is not int or value is not True):
            return value
        if get_origin(option) is not None and value in get_args(option):  # a Literal
            return value
    raise InputError(where, f"{value!r} is no value for it", f"It takes {hint}")
