"""Open files whose patterns lie plainly in them: ``.npy``, ``.blo``, ``.mib``.

Their headers are read here, and rosettasciio, whose arrays need Dask, is not asked: loading that
takes longer than all else that it takes to tell what is in a small file. What was acquired is
there in full: whether it makes the scan that a header promises is for others to say.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from orimap.tasks.acquire.formats.calibration import Axis
from orimap.tasks.acquire.formats.signals import MappedFile, Signal, require_length, unknown_axes
from orimap.tasks.acquire.formats.stacks.find_lines import Lines, find_lines
from orimap.tasks.acquire.formats.stacks.scan_shape import NOTHING_ASKED, Asked
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
    array = MappedFile(path, record, offset, (rows, columns) if whole else (there,))
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
    return Signal("patterns", array, axes, (path,), energy_kev or None, notes, scan_shape=scan)


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


@dataclass(frozen=True)
class MerlinFrame:
    """Sizes of the frames of a Merlin file: header and pixels of one, and all that it holds."""

    header_bytes: int
    height: int
    width: int
    pixel_bytes: int

    @property
    def record(self) -> np.dtype:
        """One frame with its header; its rows lie from the bottom up."""
        pixels = (f">u{self.pixel_bytes}", (self.height, self.width))
        return np.dtype([("head", "V", self.header_bytes), ("pattern", *pixels)])


def merlin_frame(path: Path) -> MerlinFrame:
    """Return the sizes of the frames of a Merlin file by the header of its first one.

    Raises
    ------
    InputError
        If its pixels have another number of bits than 8, 16 or 32.
    """
    with path.open("rb") as file:
        head = file.read(384).split(b",")
    kind = head[6].decode()
    if kind not in ("U08", "U16", "U32"):
        raise InputError(
            "a .mib file with 8, 16 or 32 bits a pixel",
            f"{path.name} is of kind {kind}",
            "save it again from the Merlin software with a fixed counter depth, not raw",
        )
    return MerlinFrame(int(head[2]), int(head[5]), int(head[4]), int(kind[1:]) // 8)


def open_merlin(path: Path, asked: Asked = NOTHING_ASKED) -> Signal:
    """Map a Merlin file: the header of each frame stands before its pixels.

    Raises
    ------
    InputError
        If it holds no whole frame, or one of a folder of such files.
    """
    frame = merlin_frame(path)
    size = frame.record.itemsize
    frames, rest = divmod(path.stat().st_size, size)
    header = path.with_suffix(".hdr")
    described = header.exists()
    promised, per_trigger = _merlin_numbers(header) if described else (0, 1)
    if frames < 1:
        raise InputError(
            f"{promised or 'whole'} frames of {size:,} bytes each in {path.name}",
            f"0 whole frames and {rest:,} bytes over: the file is cut short",
            "copy it again from the microscope",
        )
    if frames == 1 and promised < 2 and asked.scan_shape is None:
        _require_no_series(path)
    array = MappedFile(path, frame.record, 0, (frames,), upside_down=True)
    axes = tuple(Axis("", n, navigate=number < 1) for number, n in enumerate(array.shape))
    files = (path, header) if described else (path,)
    notes = []
    if not described:
        notes.append(f"{header.name} is missing: only times tell the lines of the scan")
    if rest:
        notes.append(f"{rest:,} bytes after the last of {frames} whole frames are left out")
    if promised > frames:
        notes.append(f"{header.name} promises {promised} frames; {frames} are there")
    before, after = asked.skip_frames or (0, 0)
    numbers = range(before, min(frames - after, before + TIMES_AT_MOST))
    counted, times = _frame_heads(path, frame, numbers)
    guesses = _jumps(counted)
    left = frames - before - after
    lines = find_lines(times, to_the_end=len(numbers) == left)
    if asked.scan_shape is not None:
        guesses += _against(asked.scan_shape, header.name, per_trigger, lines)
    signal = Signal("patterns", array, axes, files, notes=tuple(notes), guesses=guesses)
    # None are promised by an acquisition that goes on until it is stopped.
    if asked.scan_shape is not None or (described and not promised):
        return signal
    if per_trigger > 1:
        rows, over = divmod(promised or frames, per_trigger)
        return signal if rows < 2 or over else replace(signal, scan_shape=(rows, per_trigger))
    return _with_lines(signal, lines, left, max(frames, promised) - before - after)


def _jumps(counted: np.ndarray) -> tuple[str, ...]:
    """Say where the numbers of frames do not follow each other: nothing where they do."""
    jumps = np.flatnonzero(np.diff(counted) != 1)
    if not len(jumps):
        return ()
    first, then = counted[jumps[0]], counted[jumps[0] + 1]
    more = "" if len(jumps) == 1 else f", and {_number_of(len(jumps) - 1, 'jump')} more"
    return (
        f"frames are taken one after the other, although their numbers jump from {first} to "
        f"{then}{more}: some may be missing, and what follows lies too early in the scan",
    )


def _against(
    asked: tuple[int, int], header: str, per_trigger: int, lines: Lines | None
) -> tuple[str, ...]:
    """Say that a scan shape was asked for against what the file says: nothing where it was not."""
    told = ""
    if per_trigger > 1 and per_trigger != asked[1]:
        told = f"{header} has {per_trigger} frames per trigger"
    elif per_trigger <= 1 and lines is not None and lines.columns != asked[1]:
        told = f"frames pause after lines of {lines.columns}"
    return (f"{asked[0]}×{asked[1]}, as --scan-shape says, although {told}",) if told else ()


def _require_no_series(path: Path) -> None:
    """Raise where a file with one frame lies among others of its size: together they are a scan."""
    beside = [p for p in path.parent.glob("*.mib") if p.stat().st_size == path.stat().st_size]
    if len(beside) > 1:
        folder = path.absolute().parent.name
        raise InputError(
            "all patterns of one scan",
            f"{path.name} holds one, as do {len(beside) - 1} other .mib files beside it",
            f"name the folder {folder}: it is one acquisition",
        )


def _merlin_numbers(header: Path) -> tuple[int, int]:
    """Return frames in all and frames per trigger from the file beside a Merlin file."""
    lines = header.read_text(errors="replace").splitlines()
    facts = dict(line.split("\t", 1) for line in lines if "\t" in line)
    return (
        int(facts.get("Frames in Acquisition (Number):") or 0),
        int(facts.get("Frames per Trigger (Number):") or 0),
    )


def _frame_heads(path: Path, frame: MerlinFrame, numbers: range) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of frames, and when they were taken in ns; none where headers do not say.

    The number is the second field of each header, the time the fourth from the end.
    """
    counted: list[str] = []
    times: list[str] = []
    with path.open("rb") as file:
        for number in numbers:
            file.seek(number * frame.record.itemsize)
            fields = file.read(frame.header_bytes).decode(errors="replace").split(",")
            counted.append(fields[1] if len(fields) > 1 else "")
            times.append(fields[-4].removesuffix("Z") if len(fields) > 3 else "")
    none = np.zeros(0, np.int64)
    whole = np.array(counted, np.int64) if all(each.isdigit() for each in counted) else none
    try:
        return whole, np.array(times, "datetime64[ns]").astype(np.int64)
    except ValueError:
        return whole, none


def _with_lines(signal: Signal, lines: Lines | None, there: int, in_all: int) -> Signal:
    """Return the frames of a Merlin file with the lines that their times tell.

    ``there`` frames are in the file, of ``in_all`` that the header promises.
    """
    if lines is None:
        return signal
    rows, over = divmod(in_all - lines.first, lines.columns)
    over = over if there == in_all else 0
    if rows < 2 or (lines.first and over):
        return signal
    told = f"frames pause after lines of {lines.columns} ({_number_of(lines.ends, 'pause')})"
    doubts = []
    if lines.first:
        doubts.append(f"the first {lines.first} frames, before the first whole line, are left out")
    if over:
        doubts.append(f"the last {over} frames, after the last whole line, are left out")
    if lines.strays:
        doubts.append(f"no line ends at {_number_of(lines.strays, 'pause')} elsewhere")
    if doubts or lines.ends == 1:
        told = f"{told}: read as {rows}×{lines.columns}"
        doubt = "; ".join([told, *doubts]) + " (--scan-shape and --skip-frames override)"
        guesses, notes = (*signal.guesses, doubt), signal.notes
    else:
        guesses, notes = signal.guesses, (*signal.notes, told)
    return replace(
        signal,
        notes=notes,
        guesses=guesses,
        scan_shape=(rows, lines.columns),
        frames_around=(lines.first, over),
    )


def _number_of(count: int, thing: str) -> str:
    """Return a number with its noun."""
    return f"{count} {thing}{'' if count == 1 else 's'}"
