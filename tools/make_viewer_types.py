"""Write the page's types from the dataclasses of recon3d/viewer/messages.py: python tools/make_viewer_types.py"""

from __future__ import annotations

import inspect
import types
import typing
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from recon3d.viewer import messages

TARGET = Path(messages.__file__).parent / "web" / "src" / "messages.ts"
WORDS = {str: "string", int: "number", float: "number", bool: "boolean", type(None): "null"}


def typescript() -> str:
    """The whole file: one interface for each dataclass, in the order in which they stand."""
    lines = ["// Written by tools/make_viewer_types.py from recon3d/viewer/messages.py. Change those.", ""]
    lines += [
        f"export type {name} = {spelled(value)};"
        for name, value in vars(messages).items()
        if typing.get_origin(value) is typing.Literal
    ]
    for name, value in vars(messages).items():
        if inspect.isclass(value) and is_dataclass(value):
            hints = typing.get_type_hints(value)
            rows = [f"  readonly {field.name}: {spelled(hints[field.name])};" for field in fields(value)]
            lines += ["", f"export interface {name} {{", *rows, "}"]
    return "\n".join(lines) + "\n"


def spelled(hint: Any) -> str:
    """A Python type as TypeScript writes it."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return " | ".join(f'"{word}"' for word in inner)
    if origin in (types.UnionType, typing.Union):
        return " | ".join(spelled(part) for part in inner)
    if origin is tuple and inner[-1] is Ellipsis:
        item = spelled(inner[0])
        return f"readonly ({item})[]" if " " in item else f"readonly {item}[]"
    if origin is tuple:
        return f"readonly [{', '.join(spelled(part) for part in inner)}]"
    return WORDS.get(hint) or hint.__name__


if __name__ == "__main__":
    TARGET.write_text(typescript(), encoding="utf-8")
    print(TARGET)
