"""Single patterns of a scan, as they were acquired and as they were analysed, within milliseconds.

A click reads one block of the store: the lists of its non-zero pixels where there are some, else
the one chunk that holds it. What was read last stays, up to so many bytes, as the next click is
mostly near by.
"""

from functools import cached_property

import numpy as np

from orimap.tasks.errors import InputError
from orimap.tasks.patterns.rows import moved
from orimap.tasks.patterns.source import PatternSource
from orimap.tasks.store import sparse_patterns, variables
from orimap.tasks.store.cleaning import clean
from orimap.tasks.store.groups import open_group
from orimap.tasks.store.pixel_lists import Entries
from orimap.tasks.stream.blocks import Block
from orimap.tasks.view.kept import Kept, Share

# Of blocks that were read last, whichever run they are of: some chunks of 32 MiB, or hundreds of
# lists.
KEPT_BYTES = 256 * 2**20
BLOCKS = Kept(KEPT_BYTES)


class Patterns:
    """The patterns of a scan, one at a time.

    Parameters
    ----------
    source : PatternSource
        As they were analysed.
    valid : (detector_y, detector_x) array of bool
        Pixels that were analysed.
    """

    def __init__(self, source: PatternSource, valid: np.ndarray) -> None:
        self.source = source
        self.valid = valid
        self._kept = Share(BLOCKS)

    def close(self) -> None:
        """Let go of what was read."""
        self._kept.close()

    def raw(self, position: tuple[int, int]) -> np.ndarray:
        """Return the pattern (detector_y, detector_x) of one position as /raw holds it."""
        self.require(position)
        if self.source.sparse:
            return self._listed(position).astype(np.float32)
        block = self._block(position)
        stored = self._kept.get(("raw", block), lambda: self._dense(block), lambda a: a.nbytes)
        return stored[self._place(block, position)].astype(np.float32)

    def analysed(self, position: tuple[int, int]) -> np.ndarray:
        """Return the pattern of one position, filtered and centred, 0 where pixels are masked."""
        self.require(position)
        source, (y, x) = self.source, position
        if source.filter == "epattern":
            image = source.images(Block(y, y + 1, x, x + 1))[0]
        else:
            image = clean(self._filtered(position))
            if source.centred:
                image = moved(image[None], self._moves[y, x][None])[0]
        return np.where(self.valid, image - source.floor, 0).astype(np.float32)

    def shift(self, position: tuple[int, int]) -> tuple[int, int]:
        """Return by how many pixels (y, x) the pattern of one position was moved to be centred."""
        if not self.source.centred:
            return 0, 0
        dy, dx = self._moves[position]
        return int(dy), int(dx)

    def require(self, position: tuple[int, int]) -> None:
        """Check that a position is in the scan.

        Raises
        ------
        InputError
            If it is not.
        """
        require_position(position, self.source.scan_shape)

    @cached_property
    def _moves(self) -> np.ndarray:
        """(scan_y, scan_x, 2) whole pixels."""
        beam = open_group(self.source.store, "beam")
        return variables.scan_pixel_shift.read(beam).values

    def _filtered(self, position: tuple[int, int]) -> np.ndarray:
        """Return the pattern of one position, shifted and without spikes, neither moved."""
        group = self.source.filter
        if group == "raw" and self.source.sparse:
            return self._listed(position)
        block = self._block(position)
        stored = self._kept.get(
            (f"stored {group}", block),
            lambda: self.source.stored(block, group),
            lambda a: a.nbytes,
        )
        return stored[self._place(block, position)]

    def _listed(self, position: tuple[int, int]) -> np.ndarray:
        """Return a pattern from the lists of pixels that are not zero."""
        block, store = self._block(position), self.source.store
        entries = self._kept.get(
            ("listed", block),
            lambda: sparse_patterns.read_blocks(
                store, [block], sparse_patterns.numbers_of_entries(store)
            ),
            _bytes,
        )
        y, x = self._place(block, position)
        at = y * (block.x1 - block.x0) + x
        height, width = self.source.detector_shape
        return entries.patterns(at, at + 1).dense(height * width).reshape(height, width)

    def _dense(self, block: Block) -> np.ndarray:
        return np.asarray(
            sparse_patterns.opened(self.source.store, "raw", "pattern_intensity")[block.slices]
        )

    def _block(self, position: tuple[int, int]) -> Block:
        """Return the stored block that holds a position."""
        (y, x), (rows, columns) = position, self.source.block_shape
        top, left = y // rows * rows, x // columns * columns
        bottom, right = self.source.scan_shape
        return Block(top, min(top + rows, bottom), left, min(left + columns, right))

    @staticmethod
    def _place(block: Block, position: tuple[int, int]) -> tuple[int, int]:
        return position[0] - block.y0, position[1] - block.x0


def require_position(position: tuple[int, int], scan_shape: tuple[int, int]) -> None:
    """Check that a position is in the scan.

    Raises
    ------
    InputError
        If it is not.
    """
    (y, x), (rows, columns) = position, scan_shape
    if not (0 <= y < rows and 0 <= x < columns):
        raise InputError(
            f"a position in the scan of {rows} x {columns}",
            f"row {y}, column {x}",
            "count rows and columns from 0",
        )


def _bytes(entries: Entries) -> int:
    return sum(part.nbytes for part in entries)
