"""Rows of patterns times a table of pixels, and the other way round: what every pass is made of.

A table has one row a detector pixel, in single precision. The sparse products go through it in
tiles of pixels that stay in a core's second-level cache, a batch of patterns at a time: pixel by
pixel over a whole table they wait for memory (three times slower, measured at 65,536 pixels).
What is summed over the pixels of one pattern, or over the patterns of one batch, is in the
precision of the rows; what is summed over batches is in double precision.
"""

from collections.abc import Iterator

import numba
import numpy as np
import scipy.sparse as sp

from orimap.tasks.patterns.rows import Rows, SparseRows

# A tile of the table, and as much again for a batch of patterns, fit 1 MB of second-level cache.
TILE_BYTES = 2**19
# Patterns at once: their entries of one tile follow one another in memory.
PATTERNS_AT_ONCE = 512
# Pixels of one pattern at once: sums are then read and written once for them.
PIXELS_ABREAST = 4
# Floating-point lanes that tables are padded to: 64 bytes of single precision.
LANES = 16


def products(rows: Rows, table: np.ndarray) -> np.ndarray:
    """Return rows times table, (patterns, columns), in the precision of the rows.

    Parameters
    ----------
    rows : (patterns, pixels) rows
    table : (pixels, columns) array
    """
    if not sp.issparse(rows):
        return rows @ table.astype(rows.dtype, copy=False)
    rows = _in_order(rows)
    result = np.zeros((rows.shape[0], table.shape[1]), rows.dtype)
    for part, batch in batches(rows):
        add_products(batch, table, tile_pixels(table), result[part])
    return result


def add_transposed(rows: Rows, factors: np.ndarray, total: np.ndarray) -> None:
    """Add the transpose of the rows times factors to a total, batch by batch.

    Parameters
    ----------
    rows : (patterns, pixels) rows
    factors : (patterns, columns) array
    total : (pixels, columns) float64 array
        Changed in place.
    """
    if not sp.issparse(rows):
        total += rows.T @ factors.astype(rows.dtype, copy=False)
        return
    rows = _in_order(rows)
    for part, batch in batches(rows):
        scatter_products(batch, factors[part], tile_pixels(factors), total)


def sum_of_squares(rows: Rows, pixel: np.ndarray) -> np.ndarray:
    """Return the sum (patterns,) over pixels of the squared rows times the squared ``pixel``."""
    if sp.issparse(rows):
        squares = sp.csr_matrix(
            (rows.data.astype(np.float64) ** 2, rows.indices, rows.indptr), shape=rows.shape
        )
        return squares @ pixel.astype(np.float64) ** 2
    return np.einsum("ij,ij,j->i", rows, rows, pixel.astype(np.float64) ** 2, optimize=False)


def tile_pixels(table: np.ndarray) -> int:
    """Return how many pixels make a tile of a table with these columns."""
    return max(1, TILE_BYTES // (table.itemsize * table.shape[1]))


def _in_order(rows: sp.csr_matrix) -> sp.csr_matrix:
    """Return rows whose pixels follow one another, which SciPy's own products do not promise."""
    return rows if rows.has_sorted_indices else rows.sorted_indices()


def batches(rows: sp.csr_matrix) -> Iterator[tuple[slice, SparseRows]]:
    """Cut sparse rows into batches of `PATTERNS_AT_ONCE`; yield which rows and the rows."""
    for start in range(0, rows.shape[0], PATTERNS_AT_ONCE):
        stop = min(start + PATTERNS_AT_ONCE, rows.shape[0])
        yield slice(start, stop), SparseRows(rows.indptr[start : stop + 1], rows.indices, rows.data)


@numba.njit(cache=True, fastmath=True, nogil=True)
def add_products(rows: SparseRows, table: np.ndarray, tile: int, result: np.ndarray) -> None:
    """Add sparse rows times table to ``result`` (rows, columns), ``tile`` pixels at a time."""
    indptr, indices, data = rows
    columns = np.uintp(table.shape[1])
    at = indptr[:-1].copy()
    line = np.empty(columns, result.dtype)
    pixels, values = np.zeros(PIXELS_ABREAST, np.uintp), np.zeros(PIXELS_ABREAST, data.dtype)
    for end in range(tile, table.shape[0] + tile, tile):
        for row in range(len(at)):
            entry, last = np.uintp(at[row]), np.uintp(indptr[row + 1])
            if entry == last or indices[entry] >= end:
                continue
            for c in range(columns):
                line[c] = 0
            while entry < last and indices[entry] < end:
                for place in range(np.uintp(PIXELS_ABREAST)):
                    values[place] = 0
                    if entry < last and indices[entry] < end:
                        pixels[place], values[place] = indices[entry], data[entry]
                        entry += np.uintp(1)
                p0, p1, p2, p3 = pixels[0], pixels[1], pixels[2], pixels[3]
                v0, v1, v2, v3 = values[0], values[1], values[2], values[3]
                for c in range(columns):
                    line[c] += v0 * table[p0, c] + v1 * table[p1, c]
                    line[c] += v2 * table[p2, c] + v3 * table[p3, c]
            at[row] = entry
            for c in range(columns):
                result[np.uintp(row), c] += line[c]


@numba.njit(cache=True, fastmath=True, nogil=True)
def scatter_products(rows: SparseRows, factors: np.ndarray, tile: int, total: np.ndarray) -> None:
    """Add the transpose of sparse rows times factors (rows, columns) to ``total``.

    Within a tile of pixels the few entries of a batch are added in the precision of the factors.
    """
    indptr, indices, data = rows
    columns = np.uintp(total.shape[1])
    at = indptr[:-1].copy()
    part = np.empty((tile, total.shape[1]), factors.dtype)
    for begin in range(0, total.shape[0], tile):
        end = min(begin + tile, total.shape[0])
        part[:] = 0
        for row in range(len(at)):
            entry, last = np.uintp(at[row]), np.uintp(indptr[row + 1])
            while entry < last and indices[entry] < end:
                pixel, value = np.uintp(indices[entry] - begin), data[entry]
                for c in range(columns):
                    part[pixel, c] += value * factors[np.uintp(row), c]
                entry += np.uintp(1)
            at[row] = entry
        for pixel in range(np.uintp(end - begin)):
            for c in range(columns):
                total[np.uintp(begin) + pixel, c] += part[pixel, c]
