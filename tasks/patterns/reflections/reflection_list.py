"""Reflections registered in many patterns: one ragged list, and where each pattern's part is."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True)
class Reflections:
    """The reflections of n patterns, those of one pattern side by side, brightest first.

    Parameters
    ----------
    offsets : (n + 1,) int64 array
        Pattern i has the entries ``offsets[i]:offsets[i + 1]``; it may have none.
    y, x : (entries,) float32 arrays, pixels
        Position on the detector as acquired; the centre of the first pixel is 0.
    intensity : (entries,) float32 array
        Mean per pixel over the core of the disc, above the background.
    prominence : (entries,) float32 array
        Peak less the lowest value around it (the paper's pseudo-prominence).
    direct : (n,) int32 array
        Which of its pattern's entries is the direct beam (0 is the first), -1 where none is.
    noise : (n,) float32 array
        Standard deviation outside the inscribed circle.
    threshold : (n,) float32 array
        Prominence that a maximum needed.
    """

    offsets: np.ndarray
    y: np.ndarray
    x: np.ndarray
    intensity: np.ndarray
    prominence: np.ndarray
    direct: np.ndarray
    noise: np.ndarray
    threshold: np.ndarray

    def __len__(self) -> int:
        """How many patterns there are."""
        return len(self.offsets) - 1

    @property
    def counts(self) -> np.ndarray:
        """How many reflections each pattern has, the direct beam included."""
        return np.diff(self.offsets)

    @property
    def pattern_numbers(self) -> np.ndarray:
        """Which pattern each entry belongs to."""
        return np.repeat(np.arange(len(self)), self.counts)

    @property
    def direct_entries(self) -> np.ndarray:
        """The entry that is each pattern's direct beam, -1 where none is."""
        return np.where(self.direct >= 0, self.offsets[:-1] + self.direct, -1)

    @property
    def is_direct(self) -> np.ndarray:
        """Whether each entry is a direct beam."""
        mask = np.zeros(len(self.y), dtype=bool)
        found = self.direct_entries
        mask[found[found >= 0]] = True
        return mask

    def take(self, patterns: np.ndarray) -> "Reflections":
        """Return the reflections of some patterns, in the order given."""
        counts = self.counts[patterns]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        entries = np.arange(offsets[-1]) + np.repeat(self.offsets[patterns] - offsets[:-1], counts)
        values = {
            f.name: getattr(self, f.name)[entries if f.name in PER_ENTRY else patterns]
            for f in fields(self)
            if f.name != "offsets"
        }
        return Reflections(offsets, **values)

    @classmethod
    def join(cls, parts: Sequence["Reflections"]) -> "Reflections":
        """Return the patterns of several lists, one list after the other."""
        counts = np.concatenate([np.zeros(0, np.int64), *(part.counts for part in parts)])
        values = {
            f.name: np.concatenate([getattr(part, f.name) for part in parts])
            for f in fields(cls)
            if f.name != "offsets"
        }
        return cls(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), **values)


PER_ENTRY = ("y", "x", "intensity", "prominence")
