"""Open files whose patterns lie plainly in them: ``.npy`` and ``.blo``.

Their headers are read here, and rosettasciio, whose arrays need Dask, is not asked: loading that
takes longer than all else that it takes to tell what is in a small file. What was acquired is
there in full: whether it makes the scan that a header promises is for others to say.
"""

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


def open_npy(path: Path) -> Signal:
    """Map a NumPy file."""
    view = np.load(path, mmap_mode="r", allow_pickle=False)
    order = "F" if view.flags.f_contiguous and not view.flags.c_contiguous else "C"
    array = MappedFile(path, view.dtype, view.offset, view.shape, order=order)
    return Signal(path.stem, array, unknown_axes(array.shape), (path,))


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
    whole = there >= rows * columns
    array: Any = MappedFile(path, record, offset, (rows, columns) if whole else (there,))
    unbroken_by, gaps = "", None
    if not whole:
        at = _numbered(path, offset, record, there)
        if at is not None and at[-1] + 1 == there:
            # The next one has begun where a copy was cut.
            begun = path.stat().st_size > offset + there * record.itemsize
            unbroken_by = TIMES if begun else NUMBERS
        elif at is not None and at[-1] < rows * columns:
            array, gaps = spaced(array, Places(at, describe_numbers(at, 0, "pattern")))
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
        scan_shape=scan, unbroken_by=unbroken_by, no_data=gaps,
    )  # fmt: skip


def _numbered(path: Path, offset: int, record: np.dtype, there: int) -> np.ndarray | None:
    """Return where patterns belong by the numbers behind their marks; None if they have none."""
    with path.open("rb") as file:

        def number_of(place: int) -> int:
            file.seek(offset + place * record.itemsize)
            mark = file.read(6)
            if mark[:2] != MARK:
                raise ValueError("no mark")
            return int.from_bytes(mark[2:], "little")

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
