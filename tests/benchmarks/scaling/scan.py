"""A scan to be analysed, and the way in which its steps are cut into tasks."""

from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from orimap.tasks.factorise import sketch
from orimap.tasks.patterns.source import MOST_GROUPS, PatternSource
from orimap.tasks.stream.blocks import block_shape
from orimap.tasks.stream.memory import Workload, chunk_bytes_for


@dataclass(frozen=True)
class Scan:
    """A scan to be analysed.

    Parameters
    ----------
    scan_shape : pair of int
    side : int
        Detector pixels along each side.
    k_max : int
    item_bytes : int
        Of one pixel in the file.
    entries : float, optional
        Pixels of a pattern that are not zero; by default as many as were measured.
    held_out : bool
    """

    scan_shape: tuple[int, int]
    side: int
    k_max: int = 20
    item_bytes: int = 2
    entries: float | None = None
    held_out: bool = True

    @property
    def positions(self) -> int:
        """How many patterns there are."""
        return prod(self.scan_shape)

    @property
    def pixels(self) -> int:
        """How many pixels a pattern has."""
        return self.side**2

    @property
    def source(self) -> PatternSource:
        """Its patterns, cut in blocks as ingestion does."""
        pattern = self.pixels * self.item_bytes
        shape = block_shape(self.scan_shape, pattern, chunk_bytes_for(self.scan_shape, pattern))
        store, detector = Path("patterns.zarr"), (self.side, self.side)
        return PatternSource(store, "raw", self.scan_shape, detector, shape, sparse=True)

    def load(self, entries: float) -> Workload:
        """Return it as the prediction of memory takes it."""
        return Workload(
            self.scan_shape,
            (self.side, self.side),
            np.dtype(f"u{self.item_bytes}"),
            self.k_max,
            filled=entries / self.pixels,
            held_out=self.held_out,
        )


@dataclass(frozen=True)
class Way:
    """How a step is cut into tasks; by default as orimap does it.

    Parameters
    ----------
    most_groups, most_sums : int
        Tasks of a pass at most; of a pass whose results are as large as the basis and added up.
    gathered : bool
        Whether coordinates and weights come to the command, which decomposes and writes them alone.
        Workers would sum up products of coordinates, and write weights themselves.
    fitted_positions : int, optional
        Fits see a sample of so many positions, and the exact pass all of them.
    """

    most_groups: int = MOST_GROUPS
    most_sums: int = sketch.MOST_SUMS
    gathered: bool = True
    fitted_positions: int | None = None


AS_IT_IS = Way()
