"""Find the lines of a scan by when its frames were taken: the beam flies back after each.

A clock that is read to ten nanoseconds makes equal times differ by ten, and a computer that is
busy for a moment makes a pause of its own. So a pause is one that stands out from what varies
anyway, and lines are believed only where pauses come at every end of one length.
"""

from dataclasses import dataclass

import numpy as np

# No coil turns a beam back in less: what is shorter is the clock.
SHORTEST_FLY_BACK_NS = 1000.0
# A pause is longer than usual by this many times what half of all frames vary.
PAUSE_IN_DEVIATIONS = 20.0
# Times that are whole multiples of a unit differ by one unit through rounding alone.
PAUSE_IN_CLOCK_UNITS = 1.5
# A single pause is believed up to this many usual intervals: a computer that stalls takes longer.
SINGLE_PAUSE_IN_INTERVALS = 10.0


@dataclass(frozen=True)
class Lines:
    """Lines of equal length among frames.

    Parameters
    ----------
    first : int
        Frames before the first whole line.
    columns : int
        Frames of a line.
    ends : int
        Pauses at the end of a line.
    strays : int
        Pauses elsewhere.
    """

    first: int
    columns: int
    ends: int
    strays: int


def find_pauses(times_ns: np.ndarray) -> np.ndarray:
    """Return the numbers of the frames that come after a pause.

    Parameters
    ----------
    times_ns : (frames,) array of integers, nanoseconds

    Returns
    -------
    (pauses,) array
        Ascending; empty where times do not always rise, or tell nothing.
    """
    between = np.diff(times_ns)
    if between.size < 2 or between.min() <= 0:
        return np.zeros(0, int)
    usual = np.median(between)
    deviation = np.median(np.abs(between - usual))
    least = max(
        SHORTEST_FLY_BACK_NS,
        PAUSE_IN_DEVIATIONS * deviation,
        PAUSE_IN_CLOCK_UNITS * _clock_unit(between),
    )
    return np.flatnonzero(between > usual + least) + 1


def find_lines(times_ns: np.ndarray, *, to_the_end: bool = True) -> Lines | None:
    """Find lines of one length, a pause after each.

    Parameters
    ----------
    times_ns : (frames,) array of integers, nanoseconds
    to_the_end : bool
        These are all frames there are.

    Returns
    -------
    Lines or None
        None without pauses, or where no single length explains most of them. A pause may be
        missing nowhere; most of them must lie at the end of a line. A single pause tells two
        lines of one length, where it lies half-way and is short.
    """
    pauses, frames = find_pauses(times_ns), len(times_ns)
    if not pauses.size:
        return None
    lengths = {int(pauses[0]), *np.diff(pauses).tolist()}
    if to_the_end:
        lengths.add(frames - int(pauses[-1]))
    found = [
        lines
        for columns in lengths
        if columns > 1
        for first in _common_remainders(pauses, columns, frames)
        if (lines := _lines(pauses, frames, first, columns)) is not None
    ]
    best = sorted(found, key=lambda lines: -lines.ends)
    if not best or (len(best) > 1 and best[0].ends == best[1].ends):
        return None
    lines = best[0]
    whole, over = divmod(frames - lines.first, lines.columns)
    unsure = lines.first > 0 or lines.ends == 1
    if lines.ends == 1 and _is_long(times_ns, pauses[0]):
        return None
    if lines.strays >= lines.ends or (unsure and over and to_the_end):
        return None
    return lines if whole > (2 if lines.first else 1) else None


def usual_pauses(times_ns: np.ndarray) -> int | None:
    """Return how many frames lie between most pauses; None where nothing tells.

    A frame that is missing or doubled changes one of them.
    """
    between = np.diff(find_pauses(times_ns))
    if between.size < 2:
        return None
    counts = np.bincount(between)
    usual = int(counts.argmax())
    return usual if usual > 1 and 2 <= counts[usual] > between.size / 2 else None


def pause_beside(times_ns: np.ndarray, columns: int) -> int | None:
    """Return after how many frames the beam first flies back where no line ends.

    Parameters
    ----------
    times_ns : (frames,) array of integers, nanoseconds
        From the first frame of the scan.
    columns : int
        Of a line. A pause counts where another one comes a line later.
    """
    pauses = find_pauses(times_ns)
    backs = pauses[:-1][np.diff(pauses) == columns]
    beside = backs[backs % columns != 0]
    return int(beside[0]) if beside.size else None


def _common_remainders(pauses: np.ndarray, columns: int, frames: int) -> list[int]:
    """Return where a first line could end that has as many after it as fit."""
    often = np.bincount(pauses % columns) >= max(1, frames // columns - 1)
    return np.flatnonzero(often).tolist()


def _lines(pauses: np.ndarray, frames: int, first: int, columns: int) -> Lines | None:
    """Return lines of this length, None where one of their ends is without a pause."""
    ends = np.arange(first or columns, frames, columns)
    if not ends.size or not np.isin(ends, pauses).all():
        return None
    return Lines(first, columns, ends.size, pauses.size - ends.size)


def _is_long(times_ns: np.ndarray, pause: int) -> bool:
    """Return whether a pause is longer than a beam takes to fly back, as far as that is known."""
    between = np.diff(times_ns)
    return bool(between[pause - 1] > SINGLE_PAUSE_IN_INTERVALS * np.median(between))


def _clock_unit(between: np.ndarray) -> int:
    """Return the largest power of ten that all times are multiples of, in nanoseconds."""
    unit = 1
    while unit < 10**9 and not np.any(between % (10 * unit)):
        unit *= 10
    return unit
