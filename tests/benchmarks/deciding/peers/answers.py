"""What a way of deciding answers about a scan, and how it is handed over: one NPZ file a way."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

# Every way may choose from 1 to this many, orimap's default range.
MOST_K = 20


@dataclass
class Answer:
    """One way's answer.

    Parameters
    ----------
    k : int
        Patterns that it says there are.
    label : (scan_y, scan_x) array of int
        Its map.
    overlap_ratio : (scan_y, scan_x) array, optional
        Second weight over first, for ways that have weights.
    """

    k: int
    label: np.ndarray
    overlap_ratio: np.ndarray | None = None

    def write(self, path: Path, cpu_seconds: float) -> None:
        """Write an NPZ file, whole or not at all."""
        content = {"k": self.k, "label": self.label.astype(np.int16), "cpu_seconds": cpu_seconds}
        if self.overlap_ratio is not None:
            content["overlap_ratio"] = self.overlap_ratio.astype(np.float32)
        unfinished = path.with_name(f"unfinished-{path.name}")
        np.savez(unfinished, **content)
        unfinished.replace(path)


def from_weights(weights: np.ndarray) -> Answer:
    """Return the answer of weights (scan_y, scan_x, component): the largest labels a position."""
    ordered = np.sort(weights, axis=-1)
    k = weights.shape[-1]
    ratio = np.zeros(weights.shape[:-1])
    if k > 1:
        first = ordered[..., -1]
        np.divide(ordered[..., -2], first, out=ratio, where=first > 0)
    return Answer(k, np.argmax(weights, axis=-1), ratio)


def bin_patterns(patterns: np.ndarray, factor: int) -> np.ndarray:
    """Sum ``factor`` x ``factor`` detector pixels of (..., detector_y, detector_x)."""
    *scan, height, width = patterns.shape
    shape = (*scan, height // factor, factor, width // factor, factor)
    return patterns.reshape(shape).sum(axis=(-3, -1), dtype=np.float32)
