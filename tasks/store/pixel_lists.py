"""Patterns that are mostly zero, as lists of the pixels that are not: number and value.

Compiled loops index with unsigned numbers: an index that may be negative is one that Python counts
from the end, and the check for it keeps the loop out of SIMD lanes (nine times slower).
"""

from typing import NamedTuple

import numba
import numpy as np


class Entries(NamedTuple):
    """Patterns as lists of the pixels that are not zero; a tuple, which compiled loops can take.

    Parameters
    ----------
    indptr : (patterns + 1,) array of int
        Pattern i has the entries ``indptr[i]:indptr[i + 1]``, in the order of their pixels.
    pixel : (entries,) array of unsigned int
        Running number on the detector.
    value : (entries,) array
    """

    indptr: np.ndarray
    pixel: np.ndarray
    value: np.ndarray

    @classmethod
    def of(cls, flat: np.ndarray) -> "Entries":
        """List what is not zero in patterns (patterns, detector pixels)."""
        counts = np.array([np.count_nonzero(row) for row in flat], np.int64)
        indptr = np.concatenate([[0], np.cumsum(counts)])
        pixel = np.empty(indptr[-1], np.uint32)
        value = np.empty(indptr[-1], flat.dtype)
        entries = cls(indptr, pixel, value)
        list_entries(flat, _words(flat), entries)
        return entries

    def equals(self, other: "Entries") -> bool:
        """Return whether another list is the same."""
        return all(np.array_equal(a, b) for a, b in zip(self, other, strict=True))

    def patterns(self, first: int, last: int) -> "Entries":
        """Return some of the patterns, one after another."""
        part = slice(self.indptr[first], self.indptr[last])
        indptr = self.indptr[first : last + 1] - self.indptr[first]
        return Entries(indptr, self.pixel[part], self.value[part])

    def dense(self, pixels: int) -> np.ndarray:
        """Return the patterns (patterns, pixels) as they were listed."""
        flat = np.zeros((len(self.indptr) - 1, pixels), self.value.dtype)
        fill_entries(flat, self)
        return flat


def _words(flat: np.ndarray) -> np.ndarray:
    """Return patterns as words of eight bytes; as they are where they do not divide into them."""
    whole = flat.flags.c_contiguous and flat.shape[1] * flat.itemsize % 8 == 0
    return flat.view(np.uint64) if whole else flat


@numba.njit(cache=True, nogil=True)
def list_entries(flat: np.ndarray, words: np.ndarray, entries: Entries) -> None:
    """Write number and value of every pixel that is not zero, row after row.

    Words of zeros are passed over; within others every pixel is written and the next one written
    over it where it was zero, which is faster than to guess.
    """
    indptr, pixel, value = entries
    pixels_a_word = np.uintp(flat.shape[1] // max(1, words.shape[1]))
    for row in range(flat.shape[0]):
        entry, end = np.uintp(indptr[row]), np.uintp(indptr[row + 1])
        for word in range(np.uintp(words.shape[1])):
            if words[row, word] != 0:
                for at in range(word * pixels_a_word, (word + np.uintp(1)) * pixels_a_word):
                    if entry < end:
                        one = flat[row, at]
                        pixel[entry] = at
                        value[entry] = one
                        entry += np.uintp(one != 0)


@numba.njit(cache=True, nogil=True)
def fill_entries(flat: np.ndarray, entries: Entries) -> None:
    """Write listed values into patterns of zeros."""
    indptr, pixel, value = entries
    for row in range(flat.shape[0]):
        for entry in range(np.uintp(indptr[row]), np.uintp(indptr[row + 1])):
            flat[row, np.uintp(pixel[entry])] = value[entry]
