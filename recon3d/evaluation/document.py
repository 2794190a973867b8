"""JSON of an evaluation, read without trust: every value has the kind that is asked for, or a ValueError names it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

Word = TypeVar("Word", bound=str)


class Part:
    """An object of a JSON document."""

    def __init__(self, value: Any) -> None:
        if not isinstance(value, dict):
            raise ValueError("an object is missing")
        self.entries: dict[str, Any] = value

    def text(self, key: str) -> str:
        return _checked(self.entries.get(key), str, key)

    def text_or_none(self, key: str) -> str | None:
        return None if self.entries.get(key) is None else self.text(key)

    def one_of(self, key: str, words: Sequence[Word]) -> Word:
        for word in words:
            if self.entries.get(key) == word:
                return word
        raise ValueError(f"{key} is none of {', '.join(words)}")

    def whole(self, key: str) -> int:
        """A whole number from 0."""
        value = _checked(self.entries.get(key), int, key)
        if value < 0:
            raise ValueError(f"{key} is negative")
        return value

    def number_or_none(self, key: str) -> float | None:
        value = self.entries.get(key)
        return None if value is None else _number(value, key)

    def numbers(self, key: str) -> tuple[float, ...]:
        return tuple(_number(value, key) for value in _checked(self.entries.get(key), list, key))

    def numbers_by_name(self, key: str) -> dict[str, float]:
        """Those that are numbers: null tells that there is none."""
        found = _checked(self.entries.get(key), dict, key)
        return {name: _number(value, f"{key} {name}") for name, value in found.items() if value is not None}

    def texts_by_name(self, key: str) -> dict[str, str]:
        found = _checked(self.entries.get(key), dict, key)
        return {name: _checked(value, str, f"{key} {name}") for name, value in found.items()}

    def part_or_none(self, key: str) -> Part | None:
        return None if self.entries.get(key) is None else Part(self.entries[key])

    def parts(self, key: str) -> tuple[Part, ...]:
        return tuple(Part(value) for value in _checked(self.entries.get(key), list, key))


def _checked(value: Any, kind: type, what: str) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{what} is not a {kind.__name__}")
    return value


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{what} is not a number")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{what} is no number that a computer holds") from None
