"""Read blocks of patterns on a worker: filtered, centred, thinned, as rows or as images.

Centring moves every pattern by whole pixels when it is read, so that counts stay counts and no
second copy is stored. The 3x3 mean is taken before: neighbouring patterns lie closer together as
they are than after each was moved by a whole number of pixels of its own. ePattern's patterns are
drawn from the registered list, at positions that are centred exactly, and are sparse from the
start. Raw counts are read from their sparse form where there is one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import zarr

from orimap.tasks.patterns.reflections.decode import Decoder, decode_images, decode_rows
from orimap.tasks.patterns.reflections.reflection_list import Reflections
from orimap.tasks.patterns.reflections.stored_list import read_lengths, read_reflections
from orimap.tasks.patterns.rows import Rows, as_rows, move_rows, moved, rows_of_entries
from orimap.tasks.patterns.thinning import thin
from orimap.tasks.store import sparse_patterns
from orimap.tasks.store.cleaning import clean, shifted, without_spikes
from orimap.tasks.store.groups import complete_mark
from orimap.tasks.store.whole.damage import require_whole
from orimap.tasks.stream.blocks import Block, in_groups, plan_blocks
from orimap.tasks.stream.sizes import BATCH_BYTES, SPARSE_ENTRIES, SPARSE_PATTERNS

# A scan of few blocks is not put together to fewer tasks than this, so that every worker has some.
FEWEST_GROUPS = 16
# A pass is cut in at most so many tasks, however large the scan: 4 s of scheduling.
MOST_GROUPS = 1024
# The registered lists of a scan: of all counts, and of two independent halves.
LISTS = ("reflections", "reflections_training", "reflections_held_out")


@dataclass(frozen=True)
class Batch:
    """Rows of some positions, and the halves of their counts where they were asked for.

    Parameters
    ----------
    numbers : (positions,) array of int
        Running numbers of the scan positions.
    rows : (positions, valid pixels) rows
        Filtered.
    train, test : rows of the same shape, or None
        See ``PatternSource.halves``.
    """

    numbers: np.ndarray
    rows: Rows
    train: Rows | None = None
    test: Rows | None = None


@dataclass(frozen=True)
class PatternSource:
    """Where the workers find the patterns of a scan, and through which filter.

    Parameters
    ----------
    store : Path
        A pattern store with the group /raw, with /mean or /reflections as ``filter`` needs, and
        with /beam where it is centred.
    filter : str
        "raw", "mean" or "epattern".
    scan_shape, detector_shape, block_shape : pairs of int
    centred : bool
        Whether patterns are moved so that the direct beam stands still.
    profile : str
        What ePattern draws for a reflection, "disc" or "gaussian".
    sparse : bool
        Whether the raw patterns have a sparse form, which is read in their place.
    shift, pedestal : float
        What is added to raw values where they are read, and how much of it stands for the noise of
        read-out (`orimap.tasks.acquire.ingest.sample.Sample`).
    """

    store: Path
    filter: str
    scan_shape: tuple[int, int]
    detector_shape: tuple[int, int]
    block_shape: tuple[int, int]
    centred: bool = False
    profile: str = "disc"
    sparse: bool = False
    shift: float = 0.0
    pedestal: float = 0.0

    @classmethod
    def open(
        cls,
        store: Path,
        filter: str,
        *,
        centred: bool = False,
        profile: str = "disc",
        whole: bool = True,
    ) -> "PatternSource":
        """Describe the patterns of a store.

        With ``whole``, it is made sure that they can be read.

        Raises
        ------
        DamagedError
            If some were lost: they would be read as zeros.
        """
        if whole:
            require_whole(store, "raw")
        array = zarr.open_group(store, path="raw", mode="r")["pattern_intensity"]
        scan, detector = array.shape[:2], array.shape[2:]
        made = complete_mark(store, sparse_patterns.GROUP)
        sparse = made is not None and made == complete_mark(store, "raw")
        if sparse and whole:
            require_whole(store, sparse_patterns.GROUP)
        # Stores of earlier versions have neither.
        shift, pedestal = (float(array.attrs.get(name, 0.0)) for name in ("shift", "pedestal"))
        return cls(
            store,
            filter,
            scan,
            detector,
            array.chunks[:2],
            centred,
            profile,
            sparse,
            shift,
            pedestal,
        )

    @property
    def floor(self) -> float:
        """Intensity that stands for the noise of read-out in the patterns as filtered."""
        return 0.0 if self.filter == "epattern" else self.pedestal

    @property
    def as_acquired(self) -> bool:
        """Whether patterns are read as they were acquired, but for masked pixels."""
        return self.filter == "raw" and not self.centred and self.floor == self.shift == 0

    @property
    def positions(self) -> int:
        """How many patterns there are."""
        return self.scan_shape[0] * self.scan_shape[1]

    def blocks(self) -> list[Block]:
        """Cut the scan along the chunks of the store."""
        return plan_blocks(self.scan_shape, self.block_shape)

    def groups(self, most: int = MOST_GROUPS) -> list[list[Block]]:
        """Put blocks together for one task each: enough patterns for a batch, at most so many."""
        blocks = self.blocks()
        a_batch = -(-SPARSE_PATTERNS // blocks[0].positions) if self._reads_sparse else 1
        # Not so many that workers would go without.
        a_batch = min(a_batch, max(1, len(blocks) // FEWEST_GROUPS))
        size = max(a_batch, -(-len(blocks) // most))
        return in_groups(blocks, size)

    def stored(self, block: Block, group: str) -> np.ndarray:
        """Return patterns of a block (y, x, detector_y, detector_x), shifted, without spikes."""
        if group == "raw" and self.sparse:
            return sparse_patterns.read_dense(self.store, block, self.detector_shape)
        patterns = sparse_patterns.opened(self.store, group, "pattern_intensity")[block.slices]
        if group == "raw":
            return shifted(without_spikes(self.store, block, patterns), self.shift)
        # Other filters are stored without what is added to raw values.
        return shifted(patterns, self.pedestal)

    @property
    def _reads_sparse(self) -> bool:
        """Whether whole blocks of rows come from the sparse form."""
        return self.sparse and self.filter == "raw"

    def read(
        self, blocks: Sequence[Block], valid: np.ndarray, seed: int | None = None
    ) -> Iterator[Batch]:
        """Read the rows of some blocks, and the halves of their counts if a seed is given.

        Every stored chunk is read once where its sparse form is; batches hold as much as one task
        should have in memory at once.
        """
        if not self._reads_sparse:
            for block in blocks:
                for piece in self.batches(block):
                    numbers, rows = self.position_numbers(piece), self.rows(piece, valid)
                    halves = self.halves(piece, valid, seed, rows) if seed is not None else ()
                    yield Batch(numbers, rows, *halves)
            return
        filled = sparse_patterns.numbers_of_entries(self.store)
        for some in self._sparse_batches(blocks):
            entries = sparse_patterns.read_blocks(self.store, some, filled)
            numbers = np.concatenate([self.position_numbers(block) for block in some])
            moves = [self._moves(block) for block in some] if self.centred else None
            moves = np.concatenate(moves) if moves else None
            # A block alone may hold more than a batch.
            for part in _cut(entries.indptr):
                rows = rows_of_entries(
                    entries.patterns(part.start, part.stop),
                    valid,
                    None if moves is None else moves[part],
                )
                halves = _halves(rows, numbers[part], seed) if seed is not None else ()
                yield Batch(numbers[part], rows, *halves)

    def _sparse_batches(self, blocks: Sequence[Block]) -> Iterator[list[Block]]:
        """Put blocks together that make one batch."""
        some: list[Block] = []
        for block in blocks:
            some.append(block)
            if sum(one.positions for one in some) >= SPARSE_PATTERNS:
                yield some
                some = []
        if some:
            yield some

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
        """Return filtered patterns as rows (positions, valid pixels)."""
        if self.filter == "epattern":
            return self._drawn_rows(LISTS[0], piece, valid)
        return as_rows(self.stored(piece, self.filter), valid, self._moves(piece))

    def images(self, piece: Block, filter: str | None = None) -> np.ndarray:
        """Return filtered patterns (positions, detector_y, detector_x), cleaned.

        ``filter`` other than that of the source: raw patterns, for instance, centred alike.
        """
        filter = filter or self.filter
        if filter == "epattern":
            found, decoder = self._registered(LISTS[0], piece)
            return decode_images(found, decoder, self._exact_moves(piece))
        images = clean(self.stored(piece, filter)).reshape(-1, *self.detector_shape)
        moves = self._moves(piece)
        return images if moves is None else moved(images, moves)

    def halves(
        self, piece: Block, valid: np.ndarray, seed: int, rows: Rows | None = None
    ) -> tuple[Rows, Rows]:
        """Split the counts of every pattern in two independent halves.

        Returns the training half, filtered, and the test half. The draws are made from the raw
        counts before any filter, and belong to the scan position alone. The test half is as
        acquired; for ePattern, whose patterns have no background, it has passed the filter by
        itself: the halves stay independent and have the same mean. ``rows`` of the same piece,
        where they are at hand, save reading raw patterns again.
        """
        if self.filter == "epattern":
            return tuple(self._drawn_rows(group, piece, valid) for group in LISTS[1:])
        moves = self._moves(piece)
        if self.filter == "raw":
            counts = self.rows(piece, valid) if rows is None else rows
            return _halves(counts, self.position_numbers(piece), seed)
        around = with_neighbours(piece, self.scan_shape)
        read = valid if moves is None else np.ones(self.detector_shape, bool)
        counts = as_rows(self.stored(around, "raw"), read)
        train, test = _halves(counts, self.position_numbers(around), seed)
        inner = np.isin(self.position_numbers(around), self.position_numbers(piece))
        # The mean of nine counts is exact in double precision only.
        halves = neighbour_mean(around, piece) @ train, test[np.flatnonzero(inner)]
        if moves is None:
            return halves
        return tuple(move_rows(half, self.detector_shape, valid, moves) for half in halves)

    def _moves(self, piece: Block) -> np.ndarray | None:
        """Return the whole pixels (positions, 2) by which patterns are moved, None for none."""
        return self._beam("scan_pixel_shift", piece) if self.centred else None

    def _exact_moves(self, piece: Block) -> np.ndarray | None:
        """Return the pixels and parts of them by which registered positions are moved."""
        return -self._beam("scan_beam_drift", piece) if self.centred else None

    def _beam(self, name: str, piece: Block) -> np.ndarray:
        """Return what was measured of the direct beam (positions, 2) over a piece."""
        beam = zarr.open_group(self.store, path="beam", mode="r")
        return beam[name][piece.slices].reshape(-1, 2)

    def _registered(self, group: str, piece: Block) -> tuple[Reflections, Decoder]:
        """Return the registered reflections of a piece and how they are drawn."""
        found = read_reflections(self.store, group, self.position_numbers(piece))
        return found, Decoder(self.detector_shape, read_lengths(self.store, group), self.profile)

    def _drawn_rows(self, group: str, piece: Block, valid: np.ndarray) -> sp.csr_matrix:
        """Draw the registered reflections of a piece as rows."""
        found, decoder = self._registered(group, piece)
        return decode_rows(found, decoder, valid, self._exact_moves(piece))

    def position_numbers(self, piece: Block) -> np.ndarray:
        """Return the running number of each scan position of a block."""
        rows = np.arange(piece.y0, piece.y1) * self.scan_shape[1]
        return (rows[:, None] + np.arange(piece.x0, piece.x1)).ravel()


def _halves(counts: Rows, numbers: np.ndarray, seed: int) -> tuple[Rows, Rows]:
    """Split counts; both halves of sparse ones keep the entries of the whole, some of them 0."""
    train = thin(counts, numbers, seed)
    if not sp.issparse(counts):
        return train, counts - train
    rest = (counts.data - train.data, counts.indices, counts.indptr)
    return train, sp.csr_matrix(rest, shape=counts.shape)


def _cut(indptr: np.ndarray) -> Iterator[slice]:
    """Cut patterns so that no part has more entries than a batch, unless it is one pattern."""
    start, patterns = 0, len(indptr) - 1
    while start < patterns:
        stop = int(np.searchsorted(indptr, indptr[start] + SPARSE_ENTRIES, side="right")) - 1
        stop = min(max(stop, start + 1), patterns)
        yield slice(start, stop)
        start = stop


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
