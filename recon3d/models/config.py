"""Sizes of networks: frozen dataclasses, read from the JSON that stands beside published weights."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from recon3d.errors import InputError

T = TypeVar("T")


def configured(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """An instance of dataclass `cls` from JSON `values`; lists become tuples, objects nested dataclasses.

    Raises InputError at `where` for unknown names, missing ones without a default, and values of another type.
    """
    hints = get_type_hints(cls)
    known = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise InputError(where, f"{cls.__name__} has no {', '.join(unknown)}", f"It has {', '.join(known)}")
    missing = [
        n
        for n, f in known.items()
        if n not in values and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise InputError(where, f"{cls.__name__} lacks {', '.join(missing)}", "Give the whole configuration")
    return cls(**{name: _value(hints[name], value, f"{where}: {name}") for name, value in values.items()})


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
