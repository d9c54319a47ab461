"""Gather parts of patterns together with those of their two neighbours in the scan."""

import math
from dataclasses import dataclass, field

import numpy as np

from orimap.tasks.acquire.ingest.reduction import Region

# Square parts of this size are taken of the detector, so many pixels in all: half of them where it
# is bright.
PART_PX = 32
PIXELS = 2**14
# So many patterns with their neighbours, from so many rows of the scan.
PATTERNS = 288
ROWS = 16
# Where so many pixels of two patterns are lit, a blank one beside them is no chance of electrons.
LIT = 30


@dataclass
class Neighbours:
    """Parts of patterns, and the same parts of the patterns to the left and right of them.

    Parameters
    ----------
    corners : (part, 2) array of int
        Row and column where each part begins.
    size : pair of int
        Rows and columns of a part.
    """

    corners: np.ndarray
    size: tuple[int, int]
    _found: tuple[list, list, list] = field(default_factory=lambda: ([], [], []))

    @classmethod
    def of(cls, pattern: np.ndarray) -> "Neighbours":
        """Choose the parts by one pattern (detector_y, detector_x) of the scan."""
        shape = pattern.shape
        if pattern.size <= PIXELS:
            return cls(np.zeros((1, 2), int), shape)
        size = (min(PART_PX, shape[0]), min(PART_PX, shape[1]))
        grid = [np.arange(length // part) * part for length, part in zip(shape, size, strict=True)]
        corners = np.stack(np.meshgrid(*grid, indexing="ij"), axis=-1).reshape(-1, 2)
        lit = np.nan_to_num(pattern.astype(np.float64), posinf=0, neginf=0)
        order = np.argsort([-lit[y : y + size[0], x : x + size[1]].sum() for y, x in corners])
        many = max(2, PIXELS // (size[0] * size[1]))
        rest = np.random.default_rng(0).permutation(order[many // 2 :])
        chosen = np.sort(np.concatenate([order[: many // 2], rest[: many - many // 2]]))
        return cls(corners[chosen], size)

    def parts(self, image: np.ndarray) -> np.ndarray:
        """Cut the parts (part, part_y, part_x) out of an image of the detector."""
        rows, columns = self.size
        return np.stack([image[y : y + rows, x : x + columns] for y, x in self.corners])

    def add(self, left: np.ndarray, pattern: np.ndarray, right: np.ndarray) -> None:
        """Take in three patterns beside each other, unless one of them was not measured."""
        three = (left, pattern, right)
        if any(holds_one_number(one) or not np.isfinite(one).any() for one in three):
            return
        lit = [np.count_nonzero(one) for one in three]
        if min(lit) == 0 and sum(lit) >= LIT:
            return
        for found, one in zip(self._found, three, strict=True):
            found.append(self.parts(one))

    def stacked(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return all that were taken in, as three arrays (pattern, part, part_y, part_x)."""
        left, pattern, right = (
            np.stack(found) if found else np.zeros((0, len(self.corners), *self.size))
            for found in self._found
        )
        return left, pattern, right


def holds_one_number(pattern: np.ndarray) -> bool:
    """Return whether all pixels of a pattern hold one number other than 0: it was not measured."""
    first = pattern.flat[0]
    return bool(first != 0 and (pattern == first).all())


def evenly(first: int, last: int, many: int) -> list[int]:
    """Return so many whole numbers from ``first`` to before ``last``, evenly spread."""
    return np.unique(np.linspace(first, last - 1, many).round().astype(int)).tolist()


def places(roi: Region) -> tuple[list[int], list[int]]:
    """Return rows of the scan, and columns that have a neighbour on each side.

    Parameters
    ----------
    roi : tuple of int
        What is taken of the scan.
    """
    y0, y1, x0, x1 = roi
    rows = evenly(y0, y1, ROWS)
    many = min(math.ceil(PATTERNS / len(rows)), (x1 - x0) // 3)
    # Three columns belong to each: no pattern is looked at twice.
    return (rows, evenly(x0 + 1, x1 - 1, many)) if many else ([], [])
