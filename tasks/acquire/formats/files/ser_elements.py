"""Count the patterns that are in a .ser file: one that was stopped promises more than it holds.

rosettasciio reads its patterns, and fills up those that are not there with zeros, or with what lies
at the beginning of the file where their place was never written.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from orimap.tasks.acquire.formats.chunked.no_data import NoData
from orimap.tasks.errors import InputError

HEAD = np.dtype(
    [
        ("byte_order", "<u2"), ("series", "<u2"), ("version", "<u2"), ("data", "<u4"),
        ("tag", "<u4"), ("total", "<u4"), ("valid", "<u4"),
    ]
)  # fmt: skip
SERIES = 0x197
IMAGES = 0x4122
LAST_WITH_SHORT_OFFSETS = 0x210
# Before the pixels of an image: two calibrations of 20 bytes, its type and its columns and rows.
IMAGE_HEAD = np.dtype(
    [("calibration", "V40"), ("type", "<u2"), ("columns", "<u4"), ("rows", "<u4")]
)
PIXEL_BYTES = {1: 1, 2: 2, 3: 4, 4: 1, 5: 2, 6: 4, 7: 4, 8: 8, 9: 8, 10: 16}


@dataclass(frozen=True)
class Elements:
    """Patterns of a .ser file.

    Parameters
    ----------
    there : int
        How many are whole, from the first on.
    promised : int
        How many its header says.
    sides : tuple of int
        Of the scan, as its header gives them.
    """

    there: int
    promised: int
    sides: tuple[int, ...]


def count_elements(path: Path) -> Elements | None:
    """Return which patterns of a .ser file are there; None where it holds no images.

    Raises
    ------
    InputError
        If its header is cut or contradicts itself, if none is whole, or not all that were written.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = _read(path, file.read(HEAD.itemsize), HEAD)
        if int(head["series"]) != SERIES or int(head["data"]) != IMAGES:
            return None
        width = "<u4" if int(head["version"]) <= LAST_WITH_SHORT_OFFSETS else "<u8"
        start = int(_read(path, file.read(np.dtype(width).itemsize), np.dtype(width)))
        dimensions = int(_read(path, file.read(4), np.dtype("<u4")))
        sides = tuple(_side(path, file) for _ in range(min(dimensions, 8)))
        total, valid = int(head["total"]), int(head["valid"])
        file.seek(start)
        longest = (size - start) // np.dtype(width).itemsize
        count = max(0, min(total, valid, longest))
        offsets = np.fromfile(file, width, count).astype(np.int64)
        written = offsets >= start
        if not written.any():
            raise InputError(
                f"patterns in {path.name}",
                f"room for {total} and not one that was written",
                "copy it again from the microscope",
            )
        file.seek(int(offsets[np.argmax(written)]))
        image = _read(path, file.read(IMAGE_HEAD.itemsize), IMAGE_HEAD)
    one = int(image["columns"]) * int(image["rows"]) * PIXEL_BYTES.get(int(image["type"]), 1)
    whole = written & (offsets + IMAGE_HEAD.itemsize + one <= size)
    there = int(np.argmin(whole)) if not whole.all() else len(offsets)
    if whole[there:].any() or there < np.count_nonzero(written):
        raise InputError(
            f"all {np.count_nonzero(written)} patterns that were written into {path.name}",
            f"{np.count_nonzero(whole)} that are whole: it is cut short or damaged",
            "copy it again from the microscope",
        )
    if 0 in sides or not sides:
        raise InputError(
            f"the rows and columns of the scan in {path.name}",
            f"{'×'.join(map(str, sides)) if sides else 'no dimension'} in its header",
            "export the patterns from the program of the microscope in another format",
        )
    return Elements(there, total, sides)


def _read(path: Path, contents: bytes, dtype: np.dtype) -> np.void:
    """Return one record; raise where the file ends before."""
    if len(contents) < dtype.itemsize:
        raise InputError(
            f"the header of a .ser file ({path.name})",
            "it is cut short",
            "copy it again from the microscope",
        )
    return np.frombuffer(contents, dtype)[0]


def _side(path: Path, file: object) -> int:
    """Read how many positions there are along one dimension, and pass over the rest of it."""
    read = file.read  # type: ignore[attr-defined]
    side = int(_read(path, read(4), np.dtype("<u4")))
    read(20)
    for _ in range(2):  # description and unit
        read(int(_read(path, read(4), np.dtype("<u4"))))
    return side


def missing_elements(
    elements: Elements, shape: tuple[int, ...]
) -> tuple[NoData | None, tuple[str, ...]]:
    """Return which positions of a scan have no pattern, and what is guessed.

    Parameters
    ----------
    elements : Elements
    shape : tuple of int
        As the array is read, detector last.
    """
    positions = math.prod(shape[:-2])
    guesses: tuple[str, ...] = ()
    if positions != elements.promised and len(shape) > 3:
        guesses = (
            f"the header gives {'×'.join(map(str, shape[:-2]))} positions and "
            f"{elements.promised} patterns: they are taken row by row from the first position",
        )
    if elements.there >= positions:
        return None, guesses
    lost = np.arange(positions).reshape(shape[:-2]) >= elements.there
    why = f"{elements.there} of {positions} patterns were written"
    return NoData.of_positions(lost, shape[-2:], why), guesses
