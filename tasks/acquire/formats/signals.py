"""One data set of a file, opened but not read: what every reader returns."""

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


class MappedFile:
    """Patterns that lie plainly in a file, mapped into memory only while they are cut.

    A mapping that stays open keeps every page that was ever read in the process, up to the size
    of the file.

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
        return np.array(self._view()[cut], self.dtype.newbyteorder("="), order="C", subok=False)


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
