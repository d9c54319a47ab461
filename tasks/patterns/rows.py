"""Patterns as rows of a matrix: cleaned, moved, sparse or dense.

One pattern is one row; the columns are the detector pixels that are valid. Values that are not
finite and negative values count as 0 (ingestion has counted them). Rows are sparse where most
counts are zero and dense where not; both kinds multiply alike. They are in single precision where
that holds every value exactly, as it does counts below 16 million; sums of them are not, and are
taken in double precision (``orimap.tasks.factorise.kernels.products``).
"""

from typing import NamedTuple, TypeAlias

import numba
import numpy as np
import scipy.sparse as sp

from orimap.tasks.store.cleaning import clean
from orimap.tasks.store.pixel_lists import Entries
from orimap.tasks.stream.sizes import SPARSE_BELOW

# Whole numbers up to this are exact in single precision.
EXACT_IN_SINGLE = 2**24

# Bit of the mask of centred patterns: leaves or enters the detector in some pattern.
OUTSIDE = np.uint8(16)

Rows: TypeAlias = np.ndarray | sp.csr_matrix


class SparseRows(NamedTuple):
    """Compressed sparse rows, or some of them; a tuple, which compiled loops can take.

    Parameters
    ----------
    indptr : (rows + 1,) array of int
        Row i has the entries ``indptr[i]:indptr[i + 1]``, in the order of their columns.
    indices, data : (entries,) arrays
        Column and value of every entry, those of other rows included.
    """

    indptr: np.ndarray
    indices: np.ndarray
    data: np.ndarray


def as_rows(values: np.ndarray, valid: np.ndarray, move: np.ndarray | None = None) -> Rows:
    """Return patterns as rows of their valid pixels, cleaned.

    Parameters
    ----------
    values : (..., detector_y, detector_x) array
    valid : (detector_y, detector_x) array of bool
    move : (patterns, 2) array of int, pixels, optional
        How far each pattern is moved along detector_y and detector_x before the valid pixels are
        taken. ``valid`` must be False wherever a move brings in what was not measured
        (``mask_after_moves``).

    Returns
    -------
    (patterns, valid pixels) rows
        In single precision where that is exact, otherwise in double.
    """
    flat = values.reshape(-1, valid.size)
    if np.count_nonzero(flat) >= SPARSE_BELOW * flat.size:
        if move is not None:
            flat = moved(flat.reshape(-1, *valid.shape), move).reshape(flat.shape)
        kept = clean(flat[:, valid.ravel()])
        exact = kept.dtype == np.float32 or kept.dtype.itemsize <= 2
        return kept.astype(np.float32 if exact else np.float64)
    return rows_of_entries(Entries.of(flat), valid, move)


def rows_of_entries(
    entries: Entries, valid: np.ndarray, move: np.ndarray | None = None
) -> sp.csr_matrix:
    """Return listed patterns as rows, as ``as_rows`` does the patterns themselves."""
    patterns = len(entries.indptr) - 1
    column = np.full(valid.size, -1, np.int32)
    column[valid.ravel()] = np.arange(np.count_nonzero(valid))
    step = np.zeros(patterns, np.int64) if move is None else linear_step(move, valid.shape)
    indptr = np.zeros(patterns + 1, np.int64)
    indices = np.empty(len(entries.value), np.int32)
    whole = entries.value.dtype.kind in "iu" and entries.value.max(initial=0) <= EXACT_IN_SINGLE
    exact = whole or entries.value.dtype == np.float32
    data = np.empty(len(entries.value), np.float32 if exact else np.float64)
    _keep_entries(entries, column, step, SparseRows(indptr, indices, data))
    kept = indptr[-1]
    return sp.csr_matrix(
        (data[:kept], indices[:kept], indptr.astype(np.int32)),
        shape=(patterns, np.count_nonzero(valid)),
    )


@numba.njit(cache=True, nogil=True)
def _keep_entries(entries: Entries, column: np.ndarray, step: np.ndarray, rows: SparseRows) -> None:
    """Write the positive, finite values of the kept columns as compressed sparse rows."""
    pixels = len(column)
    to = np.uintp(0)
    for row in range(len(entries.indptr) - 1):
        for entry in range(np.uintp(entries.indptr[row]), np.uintp(entries.indptr[row + 1])):
            one = entries.value[entry]
            target = np.int64(entries.pixel[entry]) + step[row]
            if one > 0 and one < np.inf and 0 <= target < pixels:
                place = column[np.uintp(target)]
                if place >= 0:
                    rows.indices[to] = place
                    rows.data[to] = one
                    to += np.uintp(1)
        rows.indptr[row + 1] = to


def linear_step(move: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return how far each move takes a pixel in the running order of all pixels.

    A pixel that leaves on one side comes in on the other: onto pixels that are not valid, since
    what comes in there was not measured.
    """
    return move[:, 0].astype(np.int64) * shape[1] + move[:, 1]


def moved(images: np.ndarray, move: np.ndarray) -> np.ndarray:
    """Move each image by whole pixels; what comes in from outside is 0.

    Parameters
    ----------
    images : (patterns, detector_y, detector_x) array
    move : (patterns, 2) array of int, pixels
    """
    result = np.zeros_like(images)
    height, width = images.shape[1:]
    for image, target, (dy, dx) in zip(images, result, move, strict=True):
        target[max(0, dy) : height + min(0, dy), max(0, dx) : width + min(0, dx)] = image[
            max(0, -dy) : height + min(0, -dy), max(0, -dx) : width + min(0, -dx)
        ]
    return result


def move_rows(rows: Rows, shape: tuple[int, int], valid: np.ndarray, move: np.ndarray) -> Rows:
    """Move rows of whole patterns as ``as_rows`` does, and keep the valid pixels."""
    if not sp.issparse(rows):
        return moved(rows.reshape(-1, *shape), move).reshape(rows.shape)[:, valid.ravel()]
    rows = rows.copy()
    rows.sort_indices()
    step = np.repeat(linear_step(move, shape), np.diff(rows.indptr))
    target = rows.indices + step
    inside = (target >= 0) & (target < valid.size)
    inside[inside] = valid.ravel()[target[inside]]
    column = np.cumsum(valid.ravel()) - 1
    kept = np.concatenate([[0], np.cumsum(inside)])
    return sp.csr_matrix(
        (rows.data[inside], column[target[inside]].astype(np.int32), kept[rows.indptr]),
        shape=(rows.shape[0], np.count_nonzero(valid)),
    )


def mask_after_moves(mask: np.ndarray, move: np.ndarray) -> np.ndarray:
    """Return the mask that holds for every pattern after its move.

    Parameters
    ----------
    mask : (detector_y, detector_x) uint8 array
        Of the patterns as acquired; 0 where a pixel is used.
    move : (..., 2) array of int, pixels

    Returns
    -------
    (detector_y, detector_x) uint8 array
        The bits of all masked pixels that come to lie on each pixel, and ``OUTSIDE`` where some
        move brings in what was not measured.
    """
    within = mask | OUTSIDE
    result = np.zeros_like(mask)
    for one in np.unique(move.reshape(-1, 2), axis=0):
        result |= moved(within[None], one[None])[0] ^ OUTSIDE
    return result
