"""A part of a list that one process works on, so that several share it with nothing between them but the list. Loads no torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from recon3d.errors import InputError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Shard:
    """The `number`-th of `of` parts, counted from 1. What it does follows from the list alone, so the list's order is fixed."""

    number: int = 1
    of: int = 1

    @staticmethod
    def parsed(text: str) -> Shard:
        """Of "2/5". Raises InputError at --shard."""
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip())
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise InputError("--shard", f"'{text}' is no part of a whole", "Give i/n with i from 1 to n, as 2/5")
        return Shard(int(found[1]), int(found[2]))

    def part(self, items: Sequence[Item]) -> list[Item]:
        """Every `of`-th item: neighbours in a sorted list are often alike, and so are spread."""
        return list(items[self.number - 1 :: self.of])

    def __str__(self) -> str:
        return f"{self.number}of{self.of}"
