"""Decide which patterns of a row make the scan, and what its rows and columns are.

What the user says comes first, then what the file says. A pattern is left out only where one of
them says so, and it is counted; where the numbers do not agree, the user is asked.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from orimap.tasks.acquire.formats.signals import NUMBERS, TIMES, Signal
from orimap.tasks.errors import InputError


@dataclass(frozen=True)
class Asked:
    """What the user says of a scan where its file does not.

    Parameters
    ----------
    scan_shape : (int, int) or None
        Rows and columns.
    skip_frames : (int, int) or None
        Patterns before and after the scan.
    keep_rows : int or None
        Take the first rows only, of a scan that was stopped early.
    image_names : str or None
        How images are named, with ``{x}`` and ``{y}`` where column and row stand; ``order`` where
        their names say nothing but the order.
    """

    scan_shape: tuple[int, int] | None = None
    skip_frames: tuple[int, int] | None = None
    keep_rows: int | None = None
    image_names: str | None = None


NOTHING_ASKED = Asked()
# What to do where --keep-rows is of no use.
NO_ROW = "leave out --keep-rows: not one row is whole"


@dataclass(frozen=True)
class Frames:
    """The patterns of a row that make the scan.

    Parameters
    ----------
    first : int
        The number of patterns before it.
    scan_shape : (int, int)
        Rows and columns.
    notes, guesses : tuple of str
        What was left out, and what was assumed.
    """

    first: int
    scan_shape: tuple[int, int]
    notes: tuple[str, ...] = ()
    guesses: tuple[str, ...] = ()


class StoppedEarlyError(InputError):
    """There are fewer patterns than the file promises; ``rows`` of its scan are whole."""

    def __init__(self, needed: str, found: str, remedy: str, rows: int) -> None:
        super().__init__(needed, found, remedy)
        self.rows = rows

    def __reduce__(self) -> tuple:
        return type(self), (self.needed, self.found, self.remedy, self.rows)


def shape_of_stack(path: Path, reader: str, signal: Signal, asked: Asked) -> Frames:
    """Return which patterns of a row make the scan.

    Parameters
    ----------
    path, reader
        For messages, and because Dectris files are taken to be square.
    signal : Signal
        With the patterns as (patterns, detector_y, detector_x), and what the file says of them.
    asked : Asked

    Raises
    ------
    StoppedEarlyError
        If there are fewer patterns than the file promises, and no rows to keep are given.
    InputError
        If the shape is not known, or does not fit the number of patterns.
    """
    count, height, width = signal.array.shape
    held = f"{path.name} holds {count} patterns of {height}×{width} in one row"
    before, after = asked.skip_frames or signal.frames_around
    used = count - before - after
    if signal.no_data is not None and signal.no_data.why:
        held += f" ({signal.no_data.why})"
    if before or after:
        held += f", of which {used} lie between the first {before} and the last {after}"
    if used < 1:
        raise InputError(
            f"more than {before + after} patterns, as --skip-frames leaves out", held,
            "give fewer with --skip-frames BEFORE:AFTER",
        )  # fmt: skip
    shape, guesses = asked.scan_shape or signal.scan_shape, signal.guesses
    if shape is None:
        shape = _square(path, reader, held, signal, used)
        guesses += (
            f"the file does not give the scan's shape; {used} patterns are taken as "
            f"{shape[0]}×{shape[1]} (--scan-shape overrides)",
        )
    guesses += _against_the_file(signal, shape, used)
    if asked.keep_rows is not None:
        guesses += _ends_early(shape, used, signal)
        shape, over = _kept(held, shape, used, asked.keep_rows)
    else:
        _require_as_many(held, shape, used, signal, asked)
        over = 0
    return Frames(before, shape, _left_out(signal, asked, (before, after), shape, over), guesses)


def rows_kept(path: Path, scan: tuple[int, int], rows: int | None) -> tuple[int, int]:
    """Return rows and columns of a scan whose file has four axes, of which ``rows`` are kept.

    Raises
    ------
    InputError
        If it has fewer rows.
    """
    if rows is None:
        return scan
    if rows > scan[0]:
        raise InputError(
            f"{rows} rows, as --keep-rows says",
            f"{path.name} holds {scan[0]}×{scan[1]} positions",
            f"keep at most {scan[0]} rows",
        )
    return rows, scan[1]


def _square(path: Path, reader: str, held: str, signal: Signal, used: int) -> tuple[int, int]:
    """Return the sides of a square, which Dectris files are taken for; else ask for the shape."""
    side = math.isqrt(used)
    if reader == "Arina" and side * side == used:
        return side, side
    suggestion = f", for instance --scan-shape {side}x{side}" if side * side == used else ""
    raise InputError(
        "the rows and columns of the scan",
        f"{held} ({reader}, {signal.title!r}), and no shape",
        f"give them with --scan-shape YxX{suggestion}",
    )


def _kept(held: str, shape: tuple[int, int], used: int, rows: int) -> tuple[tuple[int, int], int]:
    """Return the shape of the rows to keep, and how many patterns come after them."""
    whole = used // shape[1]
    if rows > min(whole, shape[0]):
        raise InputError(
            f"{rows} rows of {shape[1]} patterns, as --keep-rows says",
            held,
            f"keep at most {min(whole, shape[0])} rows" if whole else NO_ROW,
        )
    return (rows, shape[1]), used - rows * shape[1]


def _ends_early(shape: tuple[int, int], used: int, signal: Signal) -> tuple[str, ...]:
    """Say that patterns which are missing are taken to be at the end, where nothing tells that.

    A scan that was stopped lacks whole rows. Of a few patterns less the camera may have missed one
    anywhere, and then their numbers follow each other as well.
    """
    missing = shape[0] * shape[1] - used
    if missing <= 0 or signal.unbroken_by == TIMES:
        return ()
    if signal.unbroken_by == NUMBERS and missing >= shape[1]:
        return ()
    many = "1 pattern that is" if missing == 1 else f"{missing} patterns that are"
    return (
        f"{many} missing of {shape[0]}×{shape[1]} {'was' if missing == 1 else 'were'} taken to be "
        "at the end: if one is missing before, what follows lies too early in the scan",
    )


def _against_the_file(signal: Signal, shape: tuple[int, int], used: int) -> tuple[str, ...]:
    """Say that a shape was asked for although the file gives another that fits as well."""
    promised = signal.scan_shape
    if promised is None or promised[1] == shape[1] or math.prod(promised) != used:
        return ()
    return (
        f"{shape[0]}×{shape[1]}, as --scan-shape says, although the file says "
        f"{promised[0]}×{promised[1]}, which fits as well",
    )


def _require_as_many(
    held: str, shape: tuple[int, int], used: int, signal: Signal, asked: Asked
) -> None:
    """Raise where there are not as many patterns as positions."""
    rows, columns = shape
    says = "as --scan-shape says" if asked.scan_shape else "as the file says"
    needed = f"{rows}×{columns} = {rows * columns} patterns, {says}"
    if min(shape) < 1:
        raise InputError(needed, held, "give the rows and columns of the scan, as --scan-shape YxX")
    length = rows * columns + sum(asked.skip_frames or (0, 0))
    last = tuple(signal.array.shape[-3:])
    if asked.scan_shape and used != rows * columns and length in last[1:]:
        axes = ["detector_y", "detector_x"]
        axes.insert(last.index(length, 1), "scan")
        raise InputError(
            needed,
            f"{held}, and {length} along another axis of what is stored",
            f"if that is the axis of the patterns, add --axes {','.join(axes)}; "
            "else correct --scan-shape",
        )
    if used < rows * columns:
        whole, over = divmod(used, columns)
        remedy = "correct --scan-shape" if asked.scan_shape else "copy it again from the microscope"
        if whole:
            remedy += f"; if the scan was stopped early, --keep-rows {whole} takes its whole rows"
            if _ends_early(shape, used, signal):
                remedy += " (a guess: patterns may be missing before the end)"
        found = f"{held}: {whole} whole rows and {over} more"
        # A shape that was asked for may be mistyped: then these are no rows.
        if asked.scan_shape or not whole:
            raise InputError(needed, found, remedy)
        raise StoppedEarlyError(needed, found, remedy, whole)
    over = used - rows * columns
    if over:
        remedy = "correct the shape, --scan-shape YxX, or say where the others lie: "
        remedy += f"--skip-frames 0:{over} after the scan, --skip-frames {over} before it"
        if signal.frames_around != (0, 0) and asked.skip_frames is None:
            remedy += "; --skip-frames 0 takes all patterns of the file"
        raise InputError(needed, held, remedy)


def _left_out(
    signal: Signal,
    asked: Asked,
    around: tuple[int, int],
    shape: tuple[int, int],
    over: int,
) -> tuple[str, ...]:
    """Return notes on the patterns that are left out."""
    notes = []
    if any(around) and asked.skip_frames is not None:
        notes.append(
            f"{around[0]} patterns before the scan and {around[1]} after it are left out, as "
            "--skip-frames says"
        )
    if asked.keep_rows is not None:
        notes.append(
            f"{shape[0]} rows are kept, as --keep-rows says; {over} patterns after them are left "
            "out"
        )
    promised = signal.scan_shape
    if asked.scan_shape and promised and math.prod(promised) != math.prod(asked.scan_shape):
        notes.append(
            f"the file says {promised[0]}×{promised[1]} positions; --scan-shape comes before that"
        )
    return tuple(notes)
