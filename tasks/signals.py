"""One data set of a file, opened but not read: what every reader returns."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from orimap.tasks.calibration import Axis
from orimap.tasks.errors import InputError


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
        One for each axis of ``array``.
    files : tuple of Path
        Everything that belongs to it on disk.
    beam_energy_kev : float or None
    notes : tuple of str
        What was repaired or chosen while opening.
    read_memory_bytes : int
        What one cut needs beyond the block itself.
    """

    title: str
    array: Any
    axes: tuple[Axis, ...]
    files: tuple[Path, ...]
    beam_energy_kev: float | None = None
    notes: tuple[str, ...] = ()
    read_memory_bytes: int = 0


def unknown_axes(shape: tuple[int, ...]) -> tuple[Axis, ...]:
    """Return axes without names, steps or kinds."""
    return tuple(Axis("", size) for size in shape)


def holds_patterns(shape: tuple[int, ...], dtype: np.dtype) -> bool:
    """Tell whether an array could be a scan, a stack of patterns or a stack of scans."""
    return len(shape) in (3, 4, 5) and dtype.kind in "buif" and min(shape[-2:]) > 1


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
