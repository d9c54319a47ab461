"""Open files whose patterns lie plainly in them: ``.npy``, ``.blo``, ``.mib``.

Their headers are read here, and rosettasciio, whose arrays need Dask, is not asked: loading that
takes longer than all else that it takes to tell what is in a small file.
"""

from pathlib import Path

import numpy as np

from orimap.tasks.acquire.formats.calibration import Axis
from orimap.tasks.acquire.formats.signals import MappedFile, Signal, require_length, unknown_axes
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
SECOND_MARK = b"\xaa\x55\1\0\0\0"
MARK_SOUGHT_BYTES = 4096

# The times of at most this number of frames of a Merlin file serve to guess the length of a line.
TIMES_AT_MOST = 10_000


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
    require_length(path, offset + rows * columns * (side * side + 6), contents)
    record = np.dtype([("mark", "u1", 6), ("pattern", "u1", (side, side))])
    array = MappedFile(path, record, offset, (rows, columns))
    per_metre = int(head["pixels_per_metre"])
    pixel_cm = 100 / per_metre if per_metre else 1.0
    axes = (
        Axis("y", rows, float(head["step_y_nm"]), "nm", navigate=True),
        Axis("x", columns, float(head["step_x_nm"]), "nm", navigate=True),
        Axis("dy", side, pixel_cm, "cm", navigate=False),
        Axis("dx", side, pixel_cm, "cm", navigate=False),
    )
    energy_kev = int(head["beam_energy_ev"]) * 1e-3
    return Signal("patterns", array, axes, (path,), energy_kev or None, notes)


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


def open_merlin(path: Path, scan_shape: tuple[int, int] | None) -> Signal:
    """Map a Merlin file: the header of each frame stands before its pixels."""
    with path.open("rb") as file:
        head = file.read(384).split(b",")
    header_bytes, width, height, kind = int(head[2]), int(head[4]), int(head[5]), head[6].decode()
    if kind not in ("U08", "U16", "U32"):
        raise InputError(
            "a .mib file with 8, 16 or 32 bits a pixel",
            f"{path.name} is of kind {kind}",
            "save it again from the Merlin software with a fixed counter depth, not raw",
        )
    frame = header_bytes + width * height * int(kind[1:]) // 8
    frames, rest = divmod(path.stat().st_size, frame)
    header = path.with_suffix(".hdr")
    described = header.exists()
    promised, per_trigger = _merlin_numbers(header) if described else (0, 1)
    if rest or frames < max(1, promised):
        raise InputError(
            f"{promised or 'whole'} frames of {frame:,} bytes each in {path.name}",
            f"{frames} whole frames and {rest:,} bytes over: the file is cut short",
            "copy it again from the microscope",
        )
    files, notes = (path, header), ()
    if not described:
        files, notes = (
            (path,),
            (f"{header.name} is missing: the scan's shape is a guess from times",),
        )
    shape: tuple[int, ...] = (frames,)
    # None are promised by an acquisition that goes on until it is stopped.
    if scan_shape is None and (promised or not described):
        columns = per_trigger
        if columns == 1:
            columns = _frames_before_a_pause(_frame_times(path, frame, header_bytes, frames))
        shape = _without_ones(promised or frames, max(1, columns))
    pixels = (f">u{int(kind[1:]) // 8}", (height, width))
    record = np.dtype([("head", "V", header_bytes), ("pattern", *pixels)])
    array = MappedFile(path, record, 0, shape, upside_down=True)
    axes = tuple(
        Axis("", size, navigate=number < len(shape)) for number, size in enumerate(array.shape)
    )
    return Signal("patterns", array, axes, files, notes=notes)


def _merlin_numbers(header: Path) -> tuple[int, int]:
    """Return frames in all and frames per trigger from the file beside a Merlin file."""
    lines = header.read_text(errors="replace").splitlines()
    facts = dict(line.split("\t", 1) for line in lines if "\t" in line)
    return (
        int(facts.get("Frames in Acquisition (Number):") or 0),
        int(facts.get("Frames per Trigger (Number):") or 0),
    )


def _frame_times(path: Path, frame_bytes: int, header_bytes: int, frames: int) -> np.ndarray:
    """Return when the first frames were taken: the fourth field from the end of each header."""
    times = []
    with path.open("rb") as file:
        for number in range(min(frames, TIMES_AT_MOST)):
            file.seek(number * frame_bytes)
            times.append(file.read(header_bytes).decode().split(",")[-4].removesuffix("Z"))
    return np.array(times, "datetime64[ns]")


def _frames_before_a_pause(times: np.ndarray) -> int:
    """Return how many frames come before the first pause, which is the fly-back after a line.

    A pause is longer than the mean time between two frames. Without one there is 1.
    """
    between = np.diff(times).astype(float)
    pauses = np.flatnonzero(between > between.mean()) if between.size else between
    return int(pauses[0]) + 1 if pauses.size else 1


def _without_ones(frames: int, columns: int) -> tuple[int, ...]:
    """Return rows and columns of a scan; frames in one row or column are a stack."""
    return tuple(size for size in (frames // columns, columns) if size != 1) or (frames,)
