"""One scan of patterns in a file: what is told of it, and how its patterns are read.

It is a small description that travels to the workers; each opens the file itself and reads only
the patterns it is asked for.
"""

import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from orimap.tasks.acquire.formats.readers import open_signals
from orimap.tasks.acquire.formats.stacks.scan_shape import NOTHING_ASKED, Asked
from orimap.tasks.acquire.identity import ChangedError, Sources, Status, differs
from orimap.tasks.acquire.links import require_inside
from orimap.tasks.errors import InputError, is_out_of_reach, words_of

# Most that is read at once where only some patterns of a stored chunk are asked for.
LARGEST_ROW_BYTES = 64 * 2**20

_opened: OrderedDict[tuple, Any] = OrderedDict()


@dataclass(frozen=True)
class Acquisition:
    """One scan of diffraction patterns in a file; holds no open file and no array.

    Parameters
    ----------
    path : Path
    reader, signal : str
        Who reads it, and the title of the data set chosen.
    other_signals : tuple of str
        The data sets of the file that were not chosen.
    scan_shape, detector_shape : tuple of int
        (y, x) each.
    dtype : numpy.dtype
        As in the file, in this machine's byte order.
    scan_step, scan_units
        Along (y, x); "nm" or "px".
    detector_step, detector_units
        Along (y, x); "1/Å" or "px".
    beam_energy_kev : float or None
    notes : tuple of str
        Every repair, choice and dropped calibration, in plain words.
    guesses : tuple of str
        What the file does not say, as what it was read, and why: one sentence each. Whatever the
        map depends on is here rather than among the notes; confidence is not high with a guess.
    read_memory_bytes : int
        What one reader needs beyond the block it reads.
    source_bytes : int
        Size on disk of all files that belong to it.
    identity : str
        Digest of names, sizes, times and samples of content of these files, and of what was
        chosen in them. The folder they lie in does not matter.
    dataset : str or None
        Path inside an HDF5 or Zarr file, as asked for.
    stack : bool
        The patterns lie in one row; ``scan_shape`` was asked for, told by the file or guessed.
    signal_number : int
        Place of the data set among those of the file.
    leading : int or None
        Which of several stacked scans, where there are five axes.
    grey_levels : bool
        Eight-bit images, stretched by whoever wrote them, rather than electrons.
    axes : str or None
        The axes as they are stored, as asked for.
    no_data : (scan_y, scan_x) array of bool, or None
        True at positions of which the file holds nothing, or not the whole pattern; None where it
        has all.
    no_pixels : (detector_y, detector_x) array of bool, or None
        True for pixels of which the file holds nothing, at most positions at least; None where it
        has all. They are read as 0.
    awaited : tuple of str
        Names of files with patterns that are not there and may still come.
    asked : Asked
        What the user said of the scan.
    first_frame : int
        Patterns before the scan, where they lie in one row.
    sources : Sources
        All files that belong to it, as they were when it was opened.
    main : Status or None
        Of the file itself, None where it is a folder.
    elsewhere : tuple of Path
        Files that belong to it and lie neither with it nor below it: links lead there.
    roots : tuple of Path
        Folders that it may lead to; everything where there are none.
    """

    path: Path
    reader: str
    signal: str
    other_signals: tuple[str, ...]
    scan_shape: tuple[int, int]
    detector_shape: tuple[int, int]
    dtype: np.dtype
    scan_step: tuple[float, float]
    scan_units: str
    detector_step: tuple[float, float]
    detector_units: str
    beam_energy_kev: float | None
    notes: tuple[str, ...]
    guesses: tuple[str, ...]
    read_memory_bytes: int
    source_bytes: int
    identity: str
    dataset: str | None
    stack: bool
    signal_number: int
    leading: int | None
    grey_levels: bool
    axes: str | None = None
    no_data: np.ndarray | None = field(default=None, compare=False)
    no_pixels: np.ndarray | None = field(default=None, compare=False)
    awaited: tuple[str, ...] = ()
    asked: Asked = NOTHING_ASKED
    first_frame: int = 0
    sources: Sources = field(default=Sources(), compare=False, repr=False)
    main: Status | None = field(default=None, compare=False)
    elsewhere: tuple[Path, ...] = field(default=(), compare=False)
    roots: tuple[Path, ...] = field(default=(), compare=False)

    @property
    def pattern_bytes(self) -> int:
        """Bytes of one pattern as acquired."""
        return math.prod(self.detector_shape) * self.dtype.itemsize

    def require_same_file(self) -> None:
        """Raise where somebody has written to the file, or replaced it: one look at its status.

        Raises
        ------
        ChangedError
            With what has changed.
        """
        if self.main is not None:
            words = differs(self.path.name, self.main, Status.of(self.path))
            if words:
                raise ChangedError(self.path.name, words)

    def require_unchanged(self) -> None:
        """Raise where its files are not those any more that it was opened from.

        All of them are looked at where it was opened; a copy that has travelled knows one.

        Raises
        ------
        ChangedError
            With what has changed.
        """
        self.require_same_file()
        self.sources.require_unchanged(self.path.name)

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """Read a rectangle of the scan.

        Parameters
        ----------
        rows, columns : slice
            Of scan positions, without step.

        Returns
        -------
        (scan_y, scan_x, detector_y, detector_x) array
            In memory, in this machine's byte order. At positions of which the file holds nothing:
            whatever its library gives instead.

        Raises
        ------
        InputError
            If the file is damaged there.
        OSError
            If the disk or the network does not answer.
        """
        try:
            return self._read(rows, columns)
        except (InputError, MemoryError):
            raise
        except Exception as error:
            # Libraries raise whatever they stumbled upon: HDF5 an OSError, compressors their own.
            if is_out_of_reach(error):
                raise
            first, _, _ = rows.indices(self.scan_shape[0])
            words = words_of(error)[:200] or type(error).__name__
            raise InputError(
                f"patterns of all {self.scan_shape[0]}×{self.scan_shape[1]} positions in "
                f"{self.path.name}",
                f"those at row {first} of the scan cannot be read ({words})",
                "copy the file again from the microscope: it is cut short or damaged",
            ) from error

    def _read(self, rows: slice, columns: slice) -> np.ndarray:
        """Read a rectangle of the scan, with the errors of whoever reads it."""
        array = self._array()
        y0, y1, _ = rows.indices(self.scan_shape[0])
        x0, x1, _ = columns.indices(self.scan_shape[1])
        if not self.stack:
            cut = (slice(y0, y1), slice(x0, x1))
            return self._native(array[cut if self.leading is None else (self.leading, *cut)])
        width, first = self.scan_shape[1], self.first_frame
        shape = (y1 - y0, x1 - x0, *self.detector_shape)
        if x1 - x0 == width:
            whole = slice(first + y0 * width, first + y1 * width)
            return self._native(array[whole]).reshape(shape)
        patterns = np.empty(shape, self.dtype)
        for number, row in enumerate(range(y0, y1)):
            start = first + row * width
            patterns[number] = self._native(array[start + x0 : start + x1])
        return patterns

    def read_row(self, row: int, columns: Sequence[int]) -> Iterator[np.ndarray]:
        """Yield patterns of one scan row; what is stored together is read together.

        Parameters
        ----------
        row : int
        columns : sequence of int
            Ascending.
        """
        width = self._columns_stored_together()
        for _, together in groupby(columns, key=lambda column: column // width):
            several = list(together)
            first = several[0]
            patterns = self.read(slice(row, row + 1), slice(first, several[-1] + 1))[0]
            yield from (patterns[column - first] for column in several)

    def _columns_stored_together(self) -> int:
        """Return how many positions of a scan row a compressed chunk holds; 1 where none does."""
        chunks = getattr(self._array(), "chunks", None)
        if self.stack or chunks is None or not all(isinstance(size, int) for size in chunks):
            return 1
        columns: int = chunks[-3]
        return columns if columns * self.pattern_bytes <= LARGEST_ROW_BYTES else 1

    def _native(self, piece: Any) -> np.ndarray:
        """Bring a cut piece into memory, in order and in native bytes."""
        if hasattr(piece, "compute"):
            piece = piece.compute(scheduler="synchronous")
        patterns = np.ascontiguousarray(piece, dtype=self.dtype)
        if self.no_pixels is not None:
            patterns[..., self.no_pixels] = 0
        return patterns

    def keep_open(self, array: Any) -> None:
        """Keep the opened array for this process, since opening parses every header."""
        _opened[self._key] = array
        while len(_opened) > 2:
            _opened.popitem(last=False)

    def close(self) -> None:
        """Let go of the opened array in this process; it is opened anew where it is needed."""
        _opened.pop(self._key, None)

    @property
    def _key(self) -> tuple:
        """The path, data set and identity by which an opened array is found again."""
        return str(self.path), self.signal_number, self.identity

    def _array(self) -> Any:
        """Return the opened array, opening it where this process has not yet."""
        if self._key not in _opened:
            require_inside(self.path, self.roots)
            signals = open_signals(
                self.path, self.reader, dataset=self.dataset, asked=self.asked, axes=self.axes
            )
            self.keep_open(signals[self.signal_number].array)
        return _opened[self._key]


def describe(acquisition: Acquisition) -> dict[str, Any]:
    """Return what there is to tell about an acquisition, as plain values for people and JSON."""
    positions = math.prod(acquisition.scan_shape)
    return {
        "file": acquisition.path.name,
        "reader": acquisition.reader,
        "signal": acquisition.signal,
        "other_signals": list(acquisition.other_signals),
        "scan_shape": list(acquisition.scan_shape),
        "detector_shape": list(acquisition.detector_shape),
        "dtype": str(acquisition.dtype),
        "scan_step": list(acquisition.scan_step),
        "scan_units": acquisition.scan_units,
        "detector_step": list(acquisition.detector_step),
        "detector_units": acquisition.detector_units,
        "beam_energy_kev": acquisition.beam_energy_kev,
        "bytes_on_disk": acquisition.source_bytes,
        "bytes_as_array": positions * acquisition.pattern_bytes,
        "read_memory_bytes": acquisition.read_memory_bytes,
        "elsewhere": [str(file) for file in acquisition.elsewhere],
        "notes": list(acquisition.notes),
        "guesses": list(acquisition.guesses),
    }
