"""The architecture of a published file: a line of Python that is read as data, never run.

What may stand in it is listed here: one call of a known class, keyword arguments of known names, plain values. All else is
refused, whatever it would do.
"""

from __future__ import annotations

import argparse
import ast
import math
from collections.abc import Mapping
from typing import Any

from recon3d.errors import InputError
from recon3d.models.dust3r.config import CLASSES, TRAINING, Dust3rConfig, config_from

LONGEST = 4000  # characters; the published strings have about 500
SHOWN = 60  # characters of what was found, in an error
REMEDY = "Nothing of it was run. Use the published file"
KEYS = (
    "pos_embed", "img_size", "patch_size", "head_type", "output_mode", "depth_mode", "conf_mode", "desc_mode",
    "desc_conf_mode", "two_confs", "enc_embed_dim", "enc_depth", "enc_num_heads", "dec_embed_dim", "dec_depth",
    "dec_num_heads", "mlp_ratio", "norm_im2_in_dec", *TRAINING,
)  # fmt: skip


def config_of_checkpoint(content: Any, where: str) -> Dust3rConfig | None:
    """The sizes that a file tells of itself; None where it tells nothing. Raises InputError that names the file.

    `content`: what a .pth of the authors holds (`args.model`, a model string), or the object of the hub's config.json.
    """
    if not isinstance(content, Mapping):
        return None
    args = content.get("args")
    if isinstance(args, argparse.Namespace):
        text = getattr(args, "model", None)
        if not isinstance(text, str):
            raise InputError(where, f"its args.model is {_short(repr(text))}, no model string", REMEDY)
        return config_from(settings_of(text, where), where)
    return config_from(content, where) if set(content) & set(KEYS) else None


def settings_of(text: str, where: str) -> dict[str, Any]:
    """The keyword arguments of a model string, and its class as `model`. Raises InputError at `where`."""
    if len(text) > LONGEST:
        raise InputError(where, f"its model string has {len(text)} characters, at most {LONGEST} are read", REMEDY)
    try:
        call = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # the last two: nested too deeply
        raise InputError(where, f"its model string is no Python: {_short(text)}", REMEDY) from error
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise InputError(where, f"its model string is no call of a network: {_short(text)}", REMEDY)
    if call.func.id not in CLASSES:
        what = f"its model string calls {_short(call.func.id)}, and only {' and '.join(CLASSES)} are known"
        raise InputError(where, what, REMEDY)
    if call.args:
        raise InputError(where, "its model string has an argument without a name", REMEDY)
    settings: dict[str, Any] = {"model": call.func.id}
    for keyword in call.keywords:
        if keyword.arg not in KEYS:
            raise InputError(where, f"its model string has {_short(keyword.arg or '**')}, which is no setting", REMEDY)
        if keyword.arg in settings:
            raise InputError(where, f"its model string has {keyword.arg} twice", REMEDY)
        settings[keyword.arg] = _value(keyword.value, keyword.arg, where)
    return settings


def _value(node: ast.expr, key: str, where: str) -> Any:
    """A plain value, or a tuple or list of plain values."""
    if isinstance(node, ast.Tuple | ast.List):
        return tuple(_scalar(item, key, where) for item in node.elts)
    return _scalar(node, key, where)


def _scalar(node: ast.expr, key: str, where: str) -> bool | int | float | str | None:
    """A number, True, False, None, a quoted string; inf, -inf and float('inf') are numbers."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        number = _number(node.operand)
        if number is not None:
            return -number
    number = _number(node)
    if number is not None:
        return number
    if isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, bool | str)):
        return node.value
    raise InputError(where, f"{key} of its model string is {_kind(node)}, and only plain values are read", REMEDY)


def _number(node: ast.expr) -> int | float | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return node.value
    if isinstance(node, ast.Name) and node.id == "inf":
        return math.inf
    match node:
        case ast.Call(func=ast.Name(id="float"), args=[ast.Constant(value="inf" | "-inf" as word)], keywords=[]):
            return float(word)
    return None


def _kind(node: ast.expr) -> str:
    """What stands there, in the words of the grammar: a call, the name x, ..."""
    if isinstance(node, ast.Name):
        return f"the name {_short(node.id)}"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return f"a call of {_short(node.func.id)}"
    words = {ast.Call: "a call", ast.Attribute: "an attribute", ast.Lambda: "a function", ast.Tuple: "nested"}
    return words.get(type(node), f"a {type(node).__name__}")


def _short(text: str) -> str:
    """One line of at most SHOWN characters."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}…"
