"""Tables of arrays that have one row each for the same things: patterns, or candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np


@dataclass(frozen=True)
class Rows:
    """A table; its fields are arrays whose first axis has the same length."""

    def take(self, which: np.ndarray | slice) -> Self:
        """Return some of the rows."""
        return type(self)(*(each[which] for each in self._columns()))

    def replaced(self, others: Self, which: np.ndarray) -> Self:
        """Return these rows, and the others' where ``which`` (n,) is true."""
        pairs = zip(self._columns(), others._columns(), strict=True)
        return type(self)(
            *(np.where(which.reshape(-1, *[1] * (own.ndim - 1)), each, own) for own, each in pairs)
        )

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Return the rows of several tables, one after the other."""
        columns = zip(*(each._columns() for each in parts), strict=True)
        return cls(*(np.concatenate(each) for each in columns))

    def _columns(self) -> list[np.ndarray]:
        return [getattr(self, field.name) for field in fields(self)]
