"""Read blocks of patterns on a worker: filtered, thinned, as rows of a matrix.

One pattern is one row; the columns are the detector pixels that are valid. Values that are not
finite and negative values count as 0 (ingestion has counted them). Rows are sparse where most
counts are zero and dense where not; both kinds multiply alike.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
import scipy.sparse as sp
import zarr

from orimap.tasks.scan_statistics import clean
from orimap.tasks.streaming import Block, plan_blocks

# Below this share of non-zero pixels a compressed row is both smaller and faster to multiply.
SPARSE_BELOW = 0.25
# Rows in double precision are made in batches of at most this size.
BATCH_BYTES = 64 * 2**20

Rows = np.ndarray | sp.csr_matrix


@dataclass(frozen=True)
class PatternSource:
    """Where the workers find the patterns of a scan, and through which filter.

    Parameters
    ----------
    store : Path
        A pattern store with the group /raw, and /mean if ``filter`` is "mean".
    filter : str
        "raw" or "mean".
    scan_shape, detector_shape, block_shape : pairs of int
    """

    store: Path
    filter: str
    scan_shape: tuple[int, int]
    detector_shape: tuple[int, int]
    block_shape: tuple[int, int]

    @classmethod
    def open(cls, store: Path, filter: str) -> "PatternSource":
        """Describe the patterns of a store."""
        array = zarr.open_group(store, path="raw", mode="r")["pattern_intensity"]
        return cls(store, filter, array.shape[:2], array.shape[2:], array.chunks[:2])

    @property
    def positions(self) -> int:
        """How many patterns there are."""
        return self.scan_shape[0] * self.scan_shape[1]

    def blocks(self) -> list[Block]:
        """Cut the scan along the chunks of the store."""
        return plan_blocks(self.scan_shape, self.block_shape)

    def stored(self, block: Block, group: str) -> np.ndarray:
        """Return the patterns of a block (y, x, detector_y, detector_x) as they are stored."""
        array = zarr.open_group(self.store, path=group, mode="r")["pattern_intensity"]
        return array[block.slices]

    def batches(self, block: Block) -> Iterator[Block]:
        """Cut a block into pieces whose rows fit the batch size in double precision."""
        pixels = self.detector_shape[0] * self.detector_shape[1]
        patterns = max(1, BATCH_BYTES // (8 * pixels))
        width = block.x1 - block.x0
        height = max(1, patterns // width)
        width = min(width, patterns)
        for y in range(block.y0, block.y1, height):
            for x in range(block.x0, block.x1, width):
                yield Block(y, min(y + height, block.y1), x, min(x + width, block.x1))

    def rows(self, piece: Block, valid: np.ndarray) -> Rows:
        """Return filtered patterns as rows (positions, valid pixels) in double precision."""
        return as_rows(self.stored(piece, self.filter), valid)

    def halves(
        self, piece: Block, valid: np.ndarray, seed: int, rows: Rows | None = None
    ) -> tuple[Rows, Rows]:
        """Split the counts of every pattern in two independent halves.

        Returns the training half, filtered, and the test half, as acquired. The draws are made
        from the raw counts before any filter, and belong to the scan position alone. ``rows`` of
        the same piece, where they are at hand, save reading raw patterns again.
        """
        if self.filter == "raw":
            counts = self.rows(piece, valid) if rows is None else rows
            train = thin(counts, self.position_numbers(piece), seed)
            return train, counts - train
        around = with_neighbours(piece, self.scan_shape)
        counts = as_rows(self.stored(around, "raw"), valid)
        train = thin(counts, self.position_numbers(around), seed)
        inner = np.isin(self.position_numbers(around), self.position_numbers(piece))
        keep = np.flatnonzero(inner)
        return neighbour_mean(around, piece) @ train, (counts - train)[keep]

    def position_numbers(self, piece: Block) -> np.ndarray:
        """Return the running number of each scan position of a block."""
        numbers = np.arange(self.positions).reshape(self.scan_shape)
        return numbers[piece.slices].ravel()


def as_rows(values: np.ndarray, valid: np.ndarray) -> Rows:
    """Return patterns (..., detector_y, detector_x) as rows of their valid pixels, cleaned."""
    flat = values.reshape(-1, valid.size)
    if np.count_nonzero(flat) >= SPARSE_BELOW * flat.size:
        return clean(flat[:, valid.ravel()]).astype(np.float64)
    column = np.full(valid.size, -1, np.int32)
    column[valid.ravel()] = np.arange(np.count_nonzero(valid))
    indptr = positive_entries(flat, column)
    indices, data = np.empty(indptr[-1], np.int32), np.empty(indptr[-1])
    compress_rows(flat, column, indptr, indices, data)
    return sp.csr_matrix((data, indices, indptr), shape=(len(flat), np.count_nonzero(valid)))


@numba.njit(cache=True, nogil=True)
def positive_entries(flat, column):  # noqa: ANN001, ANN201
    """Return where each row begins among the positive, finite values of the kept columns."""
    indptr = np.zeros(flat.shape[0] + 1, np.int32)
    for row in range(flat.shape[0]):
        count = 0
        for pixel in range(flat.shape[1]):
            value = flat[row, pixel]
            if value > 0 and value < np.inf and column[pixel] >= 0:
                count += 1
        indptr[row + 1] = indptr[row] + count
    return indptr


@numba.njit(cache=True, nogil=True)
def compress_rows(flat, column, indptr, indices, data):  # noqa: ANN001, ANN201
    """Write the positive, finite values of the kept columns as compressed sparse rows."""
    for row in range(flat.shape[0]):
        entry = indptr[row]
        for pixel in range(flat.shape[1]):
            value = flat[row, pixel]
            if value > 0 and value < np.inf and column[pixel] >= 0:
                indices[entry] = column[pixel]
                data[entry] = value
                entry += 1


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


def with_neighbours(block: Block, scan_shape: tuple[int, int]) -> Block:
    """Widen a block by one scan position on every side that exists."""
    return Block(
        max(0, block.y0 - 1),
        min(scan_shape[0], block.y1 + 1),
        max(0, block.x0 - 1),
        min(scan_shape[1], block.x1 + 1),
    )


def neighbour_mean(around: Block, block: Block) -> sp.csr_matrix:
    """Return the matrix that takes the rows of ``around`` to their 3x3 means over ``block``.

    A mean is over the neighbours that exist: two of three at an edge of the scan.
    """

    def along(low: int, high: int, first: int, last: int) -> sp.csr_matrix:
        index = np.arange(first, last)
        near = np.abs(np.arange(low, high)[None, :] - index[:, None]) <= 1
        return sp.csr_matrix(near / near.sum(axis=1, keepdims=True))

    return sp.kron(
        along(around.y0, around.y1, block.y0, block.y1),
        along(around.x0, around.x1, block.x0, block.x1),
        format="csr",
    )
