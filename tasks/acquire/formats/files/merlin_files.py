"""Open Merlin files: the header of each frame stands before its pixels.

Headers are read here, as those of other files whose patterns lie plainly in them. The frames of a
scan bear numbers and times, which tell its lines and where a frame is missing.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from orimap.tasks.acquire.formats.calibration import Axis
from orimap.tasks.acquire.formats.signals import NUMBERS, TIMES, MappedFile, Signal
from orimap.tasks.acquire.formats.stacks.find_lines import (
    Lines,
    find_lines,
    pause_beside,
    usual_pauses,
)
from orimap.tasks.acquire.formats.stacks.place_frames import (
    Places,
    describe_numbers,
    places_by_number,
    places_by_time,
    spaced,
    usual_line,
)
from orimap.tasks.acquire.formats.stacks.scan_shape import NOTHING_ASKED, Asked
from orimap.tasks.errors import InputError

# The times of at most this number of frames of a Merlin file serve to guess the length of a line,
# and to find where frames are missing.
TIMES_AT_MOST = 10_000
MISSING_BY_TIMES_AT_MOST = 100_000


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
    array: Any = MappedFile(path, frame.record, 0, (frames,), upside_down=True)
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
    if asked.scan_shape is None:
        _require_agreement(path, header.name, per_trigger, times)
    columns = per_trigger if asked.scan_shape is None else asked.scan_shape[1]
    positions = promised or None
    if asked.scan_shape is not None:
        positions = math.prod(asked.scan_shape) + before + after
    unbroken_by, places = _places(path, frame, frames, columns, positions, around=before + after)
    to_the_end = len(numbers) == frames - before - after
    gaps, guesses = None, _jumps(counted)
    lines = find_lines(times, to_the_end=to_the_end) if places is None else None
    if places is not None:
        at = places.at[before : before + len(times)]
        lines = _lines_among(times, at, before, to_the_end)
        array, gaps = spaced(array, places)
        frames, guesses = array.shape[0], places.guesses
    elif columns > 1:
        guesses += _beside(times, columns)
    left = frames - before - after
    if asked.scan_shape is not None:
        guesses += _against(asked.scan_shape, header.name, per_trigger, lines)
    axes = tuple(Axis("", n, navigate=number < 1) for number, n in enumerate(array.shape))
    if lines is not None and not lines.strays and not lines.first:
        unbroken_by = TIMES
    signal = Signal(
        "patterns", array, axes, files, notes=tuple(notes), guesses=guesses,
        unbroken_by=unbroken_by, no_data=gaps,
    )  # fmt: skip
    # None are promised by an acquisition that goes on until it is stopped.
    if asked.scan_shape is not None or (described and not promised):
        return signal
    if per_trigger > 1:
        rows, over = divmod(promised or frames, per_trigger)
        return signal if rows < 2 or over else replace(signal, scan_shape=(rows, per_trigger))
    return _with_lines(signal, lines, left, max(frames, promised) - before - after)


def _places(
    path: Path,
    frame: MerlinFrame,
    frames: int,
    columns: int,
    positions: int | None,
    *,
    around: int,
) -> tuple[str, Places | None]:
    """Tell whether frames are missing before the last, and where those that are there belong.

    Parameters
    ----------
    path, frame
    frames : int
        How many are there.
    columns : int
        Of a line, 1 where nobody says.
    positions : int or None
        How many frames are asked for or promised.
    around : int
        How many of them are no part of the scan.

    Returns
    -------
    str
        What tells that none is missing before the last: TIMES, NUMBERS or nothing.
    Places or None
        None where none is missing, or where nothing tells where.
    """
    if positions is not None and positions <= frames:
        return "", None
    with path.open("rb") as file:

        def number_of(place: int) -> int:
            file.seek(place * frame.record.itemsize)
            return int(file.read(frame.header_bytes).split(b",")[1])

        try:
            at = places_by_number(number_of, frames)
            first = number_of(0)
        except (ValueError, IndexError):
            at, first = None, 0
        file.seek(frames * frame.record.itemsize)
        begun = file.read(4) == b"MQ1,"  # a copy was cut within a frame
    counted = NUMBERS if at is not None and at[-1] + 1 == frames else ""
    if at is not None and counted and 1 < first == (positions or 0) - frames + 1 and not around:
        # The last frame has the number of positions: the first ones are missing.
        at = at + first - 1
        return "", Places(at, f"{describe_numbers(at, 1, 'frame')}, in {path.name}")
    if counted and begun:
        return TIMES, None
    if at is not None and not counted and (positions is None or at[-1] < positions):
        return "", Places(at, f"{describe_numbers(at, first, 'frame')}, in {path.name}")
    if around or positions is None or frames > MISSING_BY_TIMES_AT_MOST:
        return counted, None
    _, times = _frame_heads(path, frame, range(frames))
    if columns < 2:
        columns = usual_line(times)
    if positions % columns or len(times) != frames:
        return counted, None
    places = places_by_time(times, columns, positions)
    if places is None:
        return counted, None
    return (TIMES, None) if not places.evidence else ("", places)


def _lines_among(
    times_ns: np.ndarray, at: np.ndarray, start: int, to_the_end: bool
) -> Lines | None:
    """Return the lines that times tell of frames with gaps between them; None if there are none.

    The scan begins at place ``start``.

    A frame that is missing was taken the usual time after the one before it, or before the next.
    """
    if len(times_ns) < 2:
        return None
    usual = int(np.median(np.diff(times_ns)))
    # A line of which no frame has a place is as regular as others.
    columns = usual_line(times_ns)
    known = at >= 0
    times_ns, at = times_ns[known], at[known]
    places = np.arange(min(start, at[0]), at[-1] + 1)
    last = np.maximum(np.searchsorted(at, places, side="right") - 1, 0)
    after = times_ns[last] + (places - at[last]) * usual
    following = np.searchsorted(at, places)
    before = times_ns[following] - (at[following] - places) * usual
    for times in (after, before):
        lines = find_lines(times, to_the_end=to_the_end)
        if lines is not None:
            return lines
    lines = find_lines(after[at[0] - places[0] :], to_the_end=to_the_end)
    if lines is not None and not lines.first and not (at[0] - places[0]) % lines.columns:
        return lines  # whole lines are missing before it
    ends = len(places) // columns - 1
    return Lines(0, columns, ends, 0) if columns > 1 and ends > 0 and not known.all() else None


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


def _require_agreement(path: Path, header: str, per_trigger: int, times_ns: np.ndarray) -> None:
    """Raise where the beam flies back after another number of frames than a trigger takes."""
    usual = usual_pauses(times_ns)
    if per_trigger > 1 and usual is not None and usual % per_trigger:
        raise InputError(
            "lines of one length",
            f"{header} has {per_trigger} frames per trigger, and frames in {path.name} pause after "
            f"lines of {usual}",
            f"give the rows and columns of the scan, --scan-shape YxX; if {header} belongs to "
            "another acquisition, put the right one beside it",
        )


def _beside(times_ns: np.ndarray, columns: int) -> tuple[str, ...]:
    """Say that the beam flies back where no line ends: nothing where it does not."""
    after = pause_beside(times_ns, columns)
    if after is None:
        return ()
    return (
        f"the beam flies back after {after} frames, where no line of {columns} ends: one may be "
        "missing or twice there before, and what follows lies beside its place",
    )


def _require_no_series(path: Path) -> None:
    """Raise where a file with one frame lies among others of its size: together they are a scan."""
    beside = [p for p in path.parent.glob("*.mib") if p.stat().st_size == path.stat().st_size]
    if len(beside) > 1:
        folder = path.absolute().parent.name
        raise InputError(
            "all patterns of one scan",
            f"{path.name} holds one, as do {len(beside) - 1} other .mib files beside it",
            f"give the folder {folder}: it is one acquisition",
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
