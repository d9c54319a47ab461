"""Patterns as rows of a matrix: cleaned, moved, and split in independent halves.

One pattern is one row; the columns are the detector pixels that are valid. Values that are not
finite and negative values count as 0 (ingestion has counted them). Rows are sparse where most
counts are zero and dense where not; both kinds multiply alike.
"""

import numba
import numpy as np
import scipy.sparse as sp

from orimap.tasks.scan_statistics import clean

# Below this share of non-zero pixels a compressed row is both smaller and faster to multiply.
SPARSE_BELOW = 0.25

# Bit of the mask of centred patterns: leaves or enters the detector in some pattern.
OUTSIDE = np.uint8(16)

Rows = np.ndarray | sp.csr_matrix


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
    (patterns, valid pixels) rows in double precision
    """
    flat = values.reshape(-1, valid.size)
    if np.count_nonzero(flat) >= SPARSE_BELOW * flat.size:
        if move is not None:
            flat = moved(flat.reshape(-1, *valid.shape), move).reshape(flat.shape)
        return clean(flat[:, valid.ravel()]).astype(np.float64)
    column = np.full(valid.size, -1, np.int32)
    column[valid.ravel()] = np.arange(np.count_nonzero(valid))
    step = np.zeros(len(flat), np.int64) if move is None else linear_step(move, valid.shape)
    indptr = positive_entries(flat, column, step)
    indices, data = np.empty(indptr[-1], np.int32), np.empty(indptr[-1])
    compress_rows(flat, column, step, indptr, indices, data)
    return sp.csr_matrix((data, indices, indptr), shape=(len(flat), np.count_nonzero(valid)))


def linear_step(move: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return how far each move takes a pixel in the running order of all pixels.

    A pixel that leaves on one side comes in on the other: onto pixels that are not valid, since
    what comes in there was not measured.
    """
    return move[:, 0].astype(np.int64) * shape[1] + move[:, 1]


@numba.njit(cache=True, nogil=True)
def positive_entries(flat, column, step):  # noqa: ANN001, ANN201
    """Return where each row begins among the positive, finite values of the kept columns."""
    indptr = np.zeros(flat.shape[0] + 1, np.int32)
    for row in range(flat.shape[0]):
        count = 0
        for pixel in range(max(0, -step[row]), flat.shape[1] - max(0, step[row])):
            value = flat[row, pixel]
            if value > 0 and value < np.inf and column[pixel + step[row]] >= 0:
                count += 1
        indptr[row + 1] = indptr[row] + count
    return indptr


@numba.njit(cache=True, nogil=True)
def compress_rows(flat, column, step, indptr, indices, data):  # noqa: ANN001, ANN201
    """Write the positive, finite values of the kept columns as compressed sparse rows."""
    for row in range(flat.shape[0]):
        entry = indptr[row]
        for pixel in range(max(0, -step[row]), flat.shape[1] - max(0, step[row])):
            value = flat[row, pixel]
            if value > 0 and value < np.inf and column[pixel + step[row]] >= 0:
                indices[entry] = column[pixel + step[row]]
                data[entry] = value
                entry += 1


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


def thin(counts: Rows, positions: np.ndarray, seed: int) -> Rows:
    """Keep every electron with probability one half (binomial thinning of Poisson counts).

    Parameters
    ----------
    counts : (positions, pixels) rows, electrons
        Whole numbers.
    positions : (positions,) array of int
        Running number of each position: the draw is keyed by it and by ``seed``.
    seed : int

    Returns
    -------
    (positions, pixels) rows
        Independent of ``counts - returned``, with the same mean, where counts are Poisson.

    References
    ----------
    Neufeld et al. (2023), arXiv:2301.07276.
    """
    sparse = sp.issparse(counts)
    kept = counts.copy() if sparse else np.empty_like(counts)
    for row, position in enumerate(positions):
        draw = np.random.Generator(np.random.Philox(key=[seed, int(position)]))
        if sparse:
            part = slice(counts.indptr[row], counts.indptr[row + 1])
            kept.data[part] = draw.binomial(counts.data[part].astype(np.int64), 0.5)
        else:
            # Zeros draw nothing: a dense row and a sparse one consume the same numbers.
            some = np.flatnonzero(counts[row])
            kept[row] = 0
            kept[row, some] = draw.binomial(counts[row, some].astype(np.int64), 0.5)
    return kept
