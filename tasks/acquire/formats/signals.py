"""One data set of a file, opened but not read: what every reader returns."""

import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from orimap.tasks.acquire.formats.calibration import Axis
from orimap.tasks.acquire.formats.chunked.no_data import NoData
from orimap.tasks.errors import InputError

# What tells of a missing pattern: one that the camera never took may have no number either.
NUMBERS, TIMES = "numbers", "times"
# In the attributes of a Zarr store that was written from an array: digest of all that it holds.
CONTENT_DIGEST = "orimap_content_digest"


@dataclass(frozen=True)
class Signal:
    """One data set of a file.

    Parameters
    ----------
    title : str
        Its name in the file; for HDF5 and Zarr its path there.
    array : array-like
        With ``shape``, ``dtype`` and cutting by slices, as (..., detector_y, detector_x).
    axes : tuple of Axis
        One for each axis of ``array``; four where the patterns lie in one row whose rows and
        columns the file gives.
    files : tuple of Path
        Everything that belongs to it on disk.
    beam_energy_kev : float or None
    notes : tuple of str
        What was repaired or chosen while opening.
    read_memory_bytes : int
        What one cut needs beyond the block itself.
    scan_shape : (int, int) or None
        Rows and columns of patterns that lie in one row, where the file tells them. It has more
        positions than there are patterns where a scan was stopped early.
    frames_around : (int, int)
        Patterns before and after the scan, where the file tells them.
    guesses : tuple of str
        What was guessed while opening, each with its evidence.
    unfit : str
        Why it is no scan of patterns, by its axes; empty where it may be one.
    contradiction : str
        What its names and units disagree on; empty where they agree.
    unbroken_by : str
        What tells that among patterns in one row none is missing before the last: NUMBERS, TIMES,
        or nothing.
    either_order : str
        Why scan and detector may come in either order where nothing tells, for people; empty where
        the scan comes first by convention.
    no_data : NoData or None
        The positions, and parts of the detector, of which the file holds nothing.
    content_digest : str
        Digest of all that it holds, where whoever wrote it has made one: it then stands for names,
        sizes and times of its files.
    """

    title: str
    array: Any
    axes: tuple[Axis, ...]
    files: tuple[Path, ...]
    beam_energy_kev: float | None = None
    notes: tuple[str, ...] = ()
    read_memory_bytes: int = 0
    scan_shape: tuple[int, int] | None = None
    frames_around: tuple[int, int] = (0, 0)
    guesses: tuple[str, ...] = ()
    unfit: str = ""
    contradiction: str = ""
    unbroken_by: str = ""
    either_order: str = ""
    no_data: NoData | None = None
    content_digest: str = ""

    @property
    def may_be_scan(self) -> bool:
        """Whether it could be a scan, a stack of patterns or a stack of scans."""
        shape = tuple(self.array.shape)
        return not self.unfit and holds_patterns(shape, np.dtype(self.array.dtype))


# So much of a file is read at a time.
READ_BYTES = 4 * 2**20
# Where more than so many times of what is asked for would have to be read, a file is mapped.
READ_TIMES_AT_MOST = 4


class MappedFile:
    """Patterns that lie plainly in a file, which is open only while they are cut.

    They are read where they lie one after the other; the file is mapped into memory, for as long,
    only where they do not. Where somebody cuts a file short meanwhile, reading tells; what touches
    a mapping is killed. And a mapping that stays open keeps every page that was ever read in the
    process, up to the size of the file.

    Parameters
    ----------
    path : Path
    record : numpy.dtype
        Of one element of ``shape``; with a field ``pattern`` where marks stand between patterns.
    offset : int
        Bytes before the first.
    shape : tuple of int
    order : str
        "C" or "F".
    upside_down : bool
        The rows of a pattern are stored from the bottom up.
    """

    def __init__(
        self,
        path: Path,
        record: np.dtype,
        offset: int,
        shape: tuple[int, ...],
        *,
        order: str = "C",
        upside_down: bool = False,
    ) -> None:
        self._mapping = (path, record, "r", offset, shape, order)
        self._upside_down = upside_down
        view = self._view()
        self.shape, self.dtype, self.ndim = view.shape, view.dtype, view.ndim

    def _view(self) -> np.ndarray:
        """Map the file, patterns upright and without what stands between them."""
        mapped = np.memmap(*self._mapping)
        view = mapped["pattern"] if "pattern" in (mapped.dtype.names or ()) else mapped
        return view[..., ::-1, :] if self._upside_down else view

    def __getitem__(self, cut: Any) -> np.ndarray:
        """Read a piece into memory, in order and in this machine's byte order, in one go."""
        given = cut if isinstance(cut, tuple) else (cut,)
        ranges = self._leading(given)
        if ranges is not None:
            lead = tuple(
                0 if np.ndim(each) == 0 and not isinstance(each, slice) else slice(None)
                for each in given[: len(ranges)]
            )
            rest = given[len(ranges) :]
            piece = self._read(ranges)
            behind = (slice(None),) * (len(ranges) - len(lead))
            return np.asarray(piece[(*lead, *behind, *rest)], order="C")
        return np.array(self._view()[cut], self.dtype.newbyteorder("="), order="C", subok=False)

    def _leading(self, given: tuple[Any, ...]) -> list[range] | None:
        """Return what a cut takes along the axes before the pattern's; None where it is mapped."""
        _, record, _, _, shape, order = self._mapping
        axes = len(shape) - (0 if record.names else 2)
        if order != "C" or axes < 1:
            return None
        ranges = []
        for size, each in itertools.zip_longest(shape[:axes], given[:axes], fillvalue=slice(None)):
            if isinstance(each, slice) and each.step in (None, 1):
                ranges.append(range(size)[each])
            elif isinstance(each, (int, np.integer)):
                ranges.append(range(size)[each : each + 1 or None])
            else:
                return None
            if isinstance(each, (int, np.integer)) and not ranges[-1]:
                raise IndexError(f"{each} is not below {size}")
        kept = 1.0
        for size, each in zip(self.shape[axes:], given[axes:], strict=False):
            if not isinstance(each, (slice, int, np.integer)):
                return None
            taken = len(range(size)[each]) if isinstance(each, slice) else 1
            kept *= taken / max(1, size)
        return ranges if kept * READ_TIMES_AT_MOST >= 1 else None

    def _read(self, ranges: list[range]) -> np.ndarray:
        """Read whole patterns: some places along each of the axes before them.

        Raises
        ------
        EOFError
            If the file ends before the last of them.
        """
        path, record, _, offset, shape, _ = self._mapping
        axes = len(ranges)
        sizes, pattern = shape[:axes], self.shape[axes:]
        one = np.dtype((record, shape[axes:])).itemsize
        found = np.empty((*map(len, ranges), *pattern), self.dtype.newbyteorder("="))
        if not found.size:
            return found
        # The last axis of which not all is taken: behind it all lies together.
        last = max((n for n in range(axes) if len(ranges[n]) != sizes[n]), default=0)
        inner = math.prod(sizes[last + 1 :])
        rows = found.reshape(-1, len(ranges[last]) * inner, *pattern)
        several = max(1, READ_BYTES // max(1, one))
        with path.open("rb", buffering=0) as file:
            for row, before in zip(rows, itertools.product(*ranges[:last]), strict=True):
                first = 0
                for place, size in zip((*before, ranges[last].start), sizes, strict=False):
                    first = first * size + place
                file.seek(offset + first * inner * one)
                for start in range(0, len(row), several):
                    part = row[start : start + several]
                    read = np.empty((len(part), *shape[axes:]), record)
                    _fill(file, memoryview(read.view(np.uint8).reshape(-1)), path)
                    view = read["pattern"] if record.names else read
                    part[...] = view[..., ::-1, :] if self._upside_down else view
        return found


def _fill(file: Any, buffer: memoryview, path: Path) -> None:
    """Read as many bytes as fit into a buffer; raise EOFError where there are fewer."""
    filled = 0
    while filled < len(buffer):
        read = file.readinto(buffer[filled:])
        if not read:
            raise EOFError(f"{path.name} ends {len(buffer) - filled:,} bytes too soon")
        filled += read


def unknown_axes(shape: tuple[int, ...]) -> tuple[Axis, ...]:
    """Return axes without names, steps or kinds."""
    return tuple(Axis("", size) for size in shape)


def holds_patterns(shape: tuple[int, ...], dtype: np.dtype) -> bool:
    """Return whether an array could be a scan, a stack of patterns or a stack of scans."""
    return len(shape) in (3, 4, 5) and dtype.kind in "buif" and min(shape[-2:]) > 1


def is_complex(shape: tuple[int, ...], dtype: np.dtype) -> bool:
    """Return whether an array could hold patterns if its values were real: waves, not intensities.

    Such are listed, so that they can be named.
    """
    return np.dtype(dtype).kind == "c" and holds_patterns(tuple(shape), np.dtype(float))


def require_length(path: Path, needed: int, contents: str) -> None:
    """Raise where a file has fewer bytes than its header promises.

    Raises
    ------
    InputError
        With the bytes needed and found.
    """
    found = path.stat().st_size
    if found < needed:
        raise InputError(
            f"{needed:,} bytes in {path.name}: {contents}",
            f"{found:,} bytes: the file is cut short",
            "copy it again from the microscope",
        )
