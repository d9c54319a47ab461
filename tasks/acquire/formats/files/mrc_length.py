"""Compare the length of an MRC file with what its header says."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from orimap.tasks.acquire.formats.signals import MappedFile
from orimap.tasks.errors import InputError

HEADER_BYTES, EXTENDED_AT = 1024, 92


@dataclass(frozen=True)
class Length:
    """The patterns of an MRC file, mapped where there are fewer than its header says.

    ``array`` is as it was given where all are there; ``cut`` says that the file ends within one.
    """

    array: Any
    notes: tuple[str, ...] = ()
    cut: bool = False


def as_long_as_it_is(path: Path, array: Any) -> Length:
    """Return the patterns that an MRC file has.

    Parameters
    ----------
    path : Path
    array : array-like
        (pattern, detector_y, detector_x), as the header says.

    Raises
    ------
    InputError
        If not one is whole, or an extended header is told that is not there.
    """
    with path.open("rb") as file:
        file.seek(EXTENDED_AT)
        extended = int.from_bytes(file.read(4), "little")
    promised = int(array.shape[0])
    one = int(array.shape[1]) * int(array.shape[2]) * array.dtype.itemsize
    behind = path.stat().st_size - HEADER_BYTES
    if extended and behind == promised * one:
        raise InputError(
            f"{extended:,} bytes between header and patterns in {path.name}, as its header says",
            f"a file that is as long as without them, with {promised} patterns",
            "export it again: where its patterns begin is not sure",
        )
    whole, rest = divmod(behind - extended, one)
    if whole >= promised:
        over = behind - extended - promised * one
        return Length(
            array, (f"{over:,} bytes after the last pattern are left out",) if over else ()
        )
    if whole < 1:
        raise InputError(
            f"{promised} patterns of {one:,} bytes each in {path.name}",
            "not one that is whole: it is cut short",
            "copy it again from the microscope",
        )
    mapped = MappedFile(
        path, np.dtype(array.dtype), HEADER_BYTES + extended, (whole, *map(int, array.shape[1:]))
    )
    note = f"the header says {promised} patterns; {whole} are there"
    return Length(mapped, (note,), cut=rest > 0)
