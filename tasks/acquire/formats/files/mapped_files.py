"""Open files whose patterns lie plainly in them: ``.npy`` and ``.blo``.

Their headers are read here, and rosettasciio, whose arrays need Dask, is not asked: loading that
takes longer than all else that it takes to tell what is in a small file. What was acquired is
there in full: whether it makes the scan that a header promises is for others to say.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from orimap.tasks.acquire.formats.calibration import Axis
from orimap.tasks.acquire.formats.signals import (
    NUMBERS,
    TIMES,
    MappedFile,
    Signal,
    require_length,
    unknown_axes,
)
from orimap.tasks.acquire.formats.stacks.place_frames import (
    Places,
    describe_numbers,
    places_by_number,
    spaced,
)
from orimap.tasks.errors import InputError

# What stands at the beginning of a block file: the offsets of the image and of the patterns, the
# side of a pattern in pixels, columns and rows of the scan, and the calibration.
BLOCKFILE_HEADER = np.dtype(
    [
        ("marks", "V8"), ("image_offset", "<u4"), ("patterns_offset", "<u4"), ("flags", "<u4"),
        ("side", "<u2"), ("rotation", "<u2"), ("columns", "<u2"), ("rows", "<u2"),
        ("scan_rotation", "<u2"), ("step_x_nm", "<f8"), ("step_y_nm", "<f8"),
        ("beam_energy_ev", "<u4"), ("pixels_per_metre", "<u2"),
    ]
)  # fmt: skip

# The mark before the second pattern; and how far behind the image of the scan the first is sought.
MARK = b"\xaa\x55"
SECOND_MARK = MARK + b"\1\0\0\0"
MARK_SOUGHT_BYTES = 4096
NUMBERS_CHECKED_AT_MOST = 256


def open_npy(path: Path) -> Signal:
    """Map a NumPy file; of one that is cut short, the whole patterns.

    Raises
    ------
    InputError
        If its values are no plain numbers, or it is cut and the first pattern is not whole.
    """
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0
        if version != (1, 0):
            read = np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
        offset = file.tell()
    if dtype.hasobject or dtype.names:
        kind = f"records of {', '.join(dtype.names)}" if dtype.names else "Python objects"
        raise InputError(
            "an array of numbers, as (scan_y, scan_x, detector_y, detector_x)",
            f"{path.name} holds {kind}",
            "save the patterns alone, with numpy.save",
        )
    needed, there = math.prod(shape) * dtype.itemsize, path.stat().st_size - offset
    order = "F" if fortran and len(shape) > 1 else "C"
    if needed <= there:
        array = MappedFile(path, dtype, offset, shape, order=order)
        return Signal(
            path.stem, array, unknown_axes(array.shape), (path,), notes=_behind(there - needed)
        )
    one = math.prod(shape[-2:]) * dtype.itemsize
    whole = there // one if order == "C" and len(shape) in (3, 4) else 0
    if not whole:
        require_length(path, offset + needed, f"{'×'.join(map(str, shape))} values of {dtype}")
    return Signal(
        path.stem,
        MappedFile(path, dtype, offset, (whole, *shape[-2:])),
        unknown_axes(shape if len(shape) == 4 else (whole, *shape[-2:])),
        (path,),
        notes=(f"the file is cut short: {whole} of {math.prod(shape[:-2])} patterns are whole",),
        scan_shape=(shape[0], shape[1]) if len(shape) == 4 else None,
        unbroken_by=TIMES,
    )


def _behind(rest: int) -> tuple[str, ...]:
    """Say that a file goes on behind what its header tells of."""
    return (f"{rest:,} bytes after the last pattern are left out",) if rest else ()


def open_blockfile(path: Path) -> Signal:
    """Map a NanoMegas block file: 8-bit patterns, 6 bytes before each."""
    require_length(path, BLOCKFILE_HEADER.itemsize, "the header of a block file")
    head = np.fromfile(path, dtype=BLOCKFILE_HEADER, count=1)[0]
    side, columns, rows = (int(head[name]) for name in ("side", "columns", "rows"))
    contents = f"{rows}×{columns} patterns of {side}×{side}"
    if not side * columns * rows:
        raise InputError(
            "a block file with patterns",
            f"the header of {path.name} says {contents}",
            "copy it again from the microscope",
        )
    offset, notes = _first_pattern(path, head)
    record = np.dtype([("mark", "u1", 6), ("pattern", "u1", (side, side))])
    behind = max(0, path.stat().st_size - offset)
    there = behind // record.itemsize
    if not there:
        raise InputError(
            f"{contents} in {path.name}, as its header says",
            f"not one of them: {behind:,} bytes from where they begin, and one takes "
            f"{record.itemsize:,}",
            "copy it again from the microscope: it is cut short, or older than the scan",
        )
    marked = _marked(path, offset, record, there)
    numbers = _Numbers(path, offset, record)
    more = marked > rows * columns
    there = marked if marked < rows * columns or more else rows * columns
    whole = there == rows * columns
    array: Any = MappedFile(path, record, offset, (rows, columns) if whole else (there,))
    unbroken_by, gaps, guesses = "", None, ()
    at = None
    if not whole and not more:
        at = _numbered(numbers, there)
        if at is not None and at[-1] + 1 == there:
            # The next one has begun where a copy was cut.
            begun = 0 < behind - there * record.itemsize < record.itemsize
            unbroken_by = TIMES if begun else NUMBERS
        elif at is not None and at[-1] < rows * columns:
            array, gaps = spaced(array, Places(at, describe_numbers(at, 0, "pattern")))
        else:
            at = None
    if at is None:
        guesses = numbers.guesses(there)
    if whole:
        notes += _behind(behind - there * record.itemsize)
    elif behind - there * record.itemsize >= record.itemsize:
        notes += (f"{behind - there * record.itemsize:,} bytes without patterns are left out",)
    per_metre = int(head["pixels_per_metre"])
    pixel_cm = 100 / per_metre if per_metre else 1.0
    axes = (
        Axis("y", rows, float(head["step_y_nm"]), "nm", navigate=True),
        Axis("x", columns, float(head["step_x_nm"]), "nm", navigate=True),
        Axis("dy", side, pixel_cm, "cm", navigate=False),
        Axis("dx", side, pixel_cm, "cm", navigate=False),
    )
    energy_kev = int(head["beam_energy_ev"]) * 1e-3
    scan = None if whole else (rows, columns)
    return Signal(
        "patterns", array, axes, (path,), energy_kev or None, notes,
        scan_shape=scan, unbroken_by=unbroken_by, no_data=gaps, guesses=guesses,
    )  # fmt: skip


class _Numbers:
    """The numbers of the patterns of a block file, each behind a mark."""

    def __init__(self, path: Path, offset: int, record: np.dtype) -> None:
        self._place = (path, offset, record.itemsize)

    def of(self, places: Sequence[int]) -> list[int | None]:
        """Return the numbers of some patterns, None where there is no mark."""
        path, offset, size = self._place
        found: list[int | None] = []
        with path.open("rb") as file:
            for place in places:
                file.seek(offset + place * size)
                mark = file.read(6)
                found.append(int.from_bytes(mark[2:], "little") if mark[:2] == MARK else None)
        return found

    def guesses(self, there: int) -> tuple[str, ...]:
        """Say that numbers do not follow each other: nothing where they do, or are none.

        A few hundred are looked at; one that is there twice moves all that follow.
        """
        places = np.unique(np.linspace(0, there - 1, NUMBERS_CHECKED_AT_MOST).astype(int)).tolist()
        numbers = self.of(places)
        if None in numbers or len(set(numbers)) == 1:
            return ()
        first = numbers[0] or 0
        for place, number in zip(places, numbers, strict=True):
            if number != place + first:
                return (
                    "patterns are taken one after the other, although their numbers do not follow "
                    f"each other: {number} stands in the place of {place + first}",
                )
        return ()


def _marked(path: Path, offset: int, record: np.dtype, there: int) -> int:
    """Return how many patterns have a mark, all where the first ones have none.

    What was not written yet when a scan was stopped has none, nor has what fills up a file.
    """
    numbers = _Numbers(path, offset, record)
    if None in numbers.of([0, min(1, there - 1)]) or None not in numbers.of([there - 1]):
        return there
    low, high = 0, there - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if None in numbers.of([middle]) else (middle, high)
    return high


def _numbered(numbers: _Numbers, there: int) -> np.ndarray | None:
    """Return where patterns belong by the numbers behind their marks; None if they have none."""

    def number_of(place: int) -> int:
        found = numbers.of([place])[0]
        if found is None:
            raise ValueError("no mark")
        return found

    try:
        return places_by_number(number_of, there) if number_of(0) == 0 else None
    except ValueError:
        return None


def _first_pattern(path: Path, head: np.void) -> tuple[int, tuple[str, ...]]:
    """Return where the patterns of a block file begin: by their marks, if its header is wrong."""
    said = int(head["patterns_offset"])
    if said >= BLOCKFILE_HEADER.itemsize:
        return said, ()
    # They follow the image of the scan, each behind a mark and its number.
    after = int(head["image_offset"]) + int(head["rows"]) * int(head["columns"])
    record = int(head["side"]) ** 2 + 6
    with path.open("rb") as file:
        file.seek(after)
        found = file.read(MARK_SOUGHT_BYTES).find(b"\xaa\x55\0\0\0\0")
        file.seek(after + max(found, 0) + record)
        second = file.read(6)
    one = int(head["rows"]) * int(head["columns"]) == 1
    if after < BLOCKFILE_HEADER.itemsize or found < 0 or not (one or second == SECOND_MARK):
        raise InputError(
            "patterns behind the header of a block file",
            f"the header of {path.name} says that they begin at byte {said}, which lies inside it",
            "copy it again from the microscope",
        )
    note = (
        f"the header says that patterns begin at byte {said}, which lies inside it: read from byte "
        f"{after + found}, where the mark of the first one stands"
    )
    return after + found, (note,)
