"""Tell which axes of a data set are the scan and which the detector, and read them in that order.

Names (``scan_y``, ``kx``), units (1/nm belongs to a detector) and the flags of HyperSpy are weighed
together. Names and units travel with an axis when somebody transposes data; flags only say how it
was shown. So names and units go first: where both are silent the flags decide, and where nothing
is said, the scan comes before the detector, rows before columns, as nearly everybody stores them.
Where axes have names that do not tell, that order is a guess.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any, NamedTuple

from orimap.tasks.acquire.formats.calibration import (
    NM_PER_UNIT,
    RADIAN_PER_UNIT,
    Axis,
    plain_unit,
)
from orimap.tasks.acquire.formats.meaning.directions import in_rows
from orimap.tasks.acquire.formats.meaning.names import (
    DETECTOR,
    SCAN,
    SERIES,
    Mark,
    read_name,
    tells_nothing,
)
from orimap.tasks.acquire.formats.signals import Signal

# The kinds of three, four and five axes, in the order in which they are read.
KINDS = {
    3: (SCAN, DETECTOR, DETECTOR),
    4: (SCAN, SCAN, DETECTOR, DETECTOR),
    5: (SERIES, SCAN, SCAN, DETECTOR, DETECTOR),
}

# Detectors of fewer pixels on a side than the second are unlikely, and than the first where their
# sides are neither equal nor powers of two, if the other axes have the size of one.
CAMERA_PIXELS, SMALL_CAMERA_PIXELS = 32, 16


class Reordered:
    """An array whose axes are read in another order; only what is cut out is moved.

    Parameters
    ----------
    array : array-like
        As stored; cut by slices along every axis.
    order : tuple of int
        For each axis as it is read, its number in ``array``.
    """

    def __init__(self, array: Any, order: tuple[int, ...]) -> None:
        self._array, self._order = array, order
        self.shape = tuple(array.shape[axis] for axis in order)
        self.dtype, self.ndim = array.dtype, len(order)
        chunks = getattr(array, "chunks", None)
        self.chunks = None if chunks is None else tuple(chunks[axis] for axis in order)

    def __getitem__(self, cut: Any) -> Any:
        """Cut by slices and whole numbers, axes in the order in which they are read."""
        parts = cut if isinstance(cut, tuple) else (cut,)
        stored: list[slice] = [slice(None)] * self.ndim
        for axis, part in zip(self._order, parts, strict=False):
            stored[axis] = part if isinstance(part, slice) else slice(part, part + 1)
        piece = self._array[tuple(stored)].transpose(self._order)
        return piece[tuple(slice(None) if isinstance(part, slice) else 0 for part in parts)]


class Reading(NamedTuple):
    """The kind of each stored axis, and what was found; ``kinds`` is None where nothing tells."""

    kinds: tuple[str, ...] | None = None
    evidence: str = ""
    guess: str = ""
    unfit: str = ""
    contradiction: str = ""


def in_order(signal: Signal, asked: Sequence[str] | None = None) -> Signal:
    """Return a data set that is read as (series), scan_y, scan_x, detector_y, detector_x.

    Parameters
    ----------
    signal : Signal
        As stored.
    asked : sequence of str, optional
        The stored axes by name, as from ``parse_axes``; nothing is weighed then.

    Returns
    -------
    Signal
        Its axes told apart where something tells them apart. ``unfit`` says why it is no scan of
        patterns, ``contradiction`` what its names and units disagree on.
    """
    axes = signal.axes
    if len(axes) not in KINDS:
        return signal
    if asked is not None:
        if len(asked) != len(axes):
            return replace(signal, unfit=f"{len(axes)} axes, and --axes names {len(asked)}")
        axes = tuple(replace(a, name=name) for a, name in zip(axes, asked, strict=True))
        kinds = tuple(name.partition("_")[0] for name in asked)
        reading = Reading(kinds, "as --axes says", _against_names(signal.axes, axes, kinds))
    else:
        reading = weigh(axes)
        against = signal.either_order or _against_sizes(axes)
        plain = not any((reading.guess, reading.unfit, reading.contradiction))
        by_flags = reading.kinds == KINDS[4] and _against_sizes(axes) != ""
        if against and len(axes) == 4 and plain and (by_flags or not reading.kinds):
            why = "as the flags of the file say" if by_flags else "the usual order"
            reading = Reading(
                KINDS[4],
                guess=f"which axes are the scan: the first two, {why}, although {against} "
                "(--axes settles it)",
            )
    if reading.unfit or reading.contradiction:
        return replace(signal, unfit=reading.unfit, contradiction=reading.contradiction)
    kinds = reading.kinds or KINDS[len(axes)]
    order, by_x, unsure = in_rows(axes, kinds)
    if reading.kinds is not None:
        axes = tuple(
            replace(a, navigate=kind != DETECTOR) for a, kind in zip(axes, kinds, strict=True)
        )
    read = tuple(axes[number] for number in order)
    notes = list(signal.notes)
    array = signal.array
    if order != tuple(range(len(axes))):
        why = reading.evidence or "their names say rows and columns"
        if kinds == KINDS[len(axes)]:
            why = "their names say which are rows and columns" if asked is None else why
        notes.append(f"axes stored as {_list(axes)} are read as {_list(read)}: {why}")
        array = Reordered(signal.array, order)
    elif by_x:
        notes.append("R_x and Q_x count rows, as py4DSTEM and Prismatic write them: kept so")
    guesses = (*signal.guesses, *filter(None, [reading.guess]))
    if not reading.guess or order != tuple(range(len(axes))):
        guesses += unsure
    no_data = signal.no_data
    if no_data is not None and order != tuple(range(len(axes))):
        detector = tuple(n for n, kind in enumerate(kinds) if kind == DETECTOR)
        if detector != detector_axes(signal.axes, asked):
            notes.append("positions without data were not looked for in this order of the axes")
            no_data = None
        else:
            left = [n for n in range(len(axes)) if n not in detector]
            moved = [left.index(n) for n in order if n not in detector]
            turned = [detector.index(n) for n in order if n in detector]
            no_data = no_data.transposed(moved, turned)
    return replace(
        signal, array=array, axes=read, notes=tuple(notes), guesses=guesses, no_data=no_data
    )


def detector_axes(axes: Sequence[Axis], asked: Sequence[str] | None = None) -> tuple[int, int]:
    """Return the numbers of the stored axes that are the detector's; the last two if unknown.

    ``asked`` are their names where somebody says what they are, as for ``in_order``.
    """
    kinds: tuple[str, ...] | None
    if asked is not None and len(asked) == len(axes):
        kinds = tuple(name.partition("_")[0] for name in asked)
    else:
        kinds = weigh(axes).kinds if len(axes) in KINDS else None
    if kinds is None:
        return len(axes) - 2, len(axes) - 1
    first, second = (n for n, kind in enumerate(kinds) if kind == DETECTOR)
    return first, second


def weigh(axes: Sequence[Axis]) -> Reading:
    """Weigh what names, units and flags say about three to five axes.

    Returns
    -------
    Reading
        With the kinds of the axes as stored, or why there is none.
    """
    marks = {
        "names": [read_name(axis.name, len(axes)).mark for axis in axes],
        "units": [_mark_of_unit(axis.units) for axis in axes],
        "flags": [_mark_of_flag(axis.navigate) for axis in axes],
    }
    every = sorted(set(permutations(KINDS[len(axes)])))
    fit = {source: _fitting(marks[source], every) for source in marks}
    for source in ("names", "units", "flags"):
        if fit[source]:
            continue
        # A wrong unit on one axis, or flags, are not heard where names tell everything.
        if source == "names" or all(len(fit[s]) != 1 for s in ("names", "units")):
            return Reading(unfit=_unfit(axes, marks[source]))
        fit[source] = every
    inherent = [kinds for kinds in fit["names"] if kinds in fit["units"]]
    if not inherent:
        return Reading(
            contradiction=f"the names of its axes say {_said(axes, fit['names'])}, "
            f"their units say {_said(axes, fit['units'])}"
        )
    agreed = [kinds for kinds in inherent if kinds in fit["flags"]]
    speaking = [s for s in ("names", "units") if len(fit[s]) == 1]
    if len(inherent) == 1:
        evidence = " and ".join(speaking or ["names", "units"])
        guess = ""
        if not agreed:
            evidence += ", against the flags of the file"
            if len(speaking) == 1:
                guess = (
                    f"which axes are the scan: {evidence} "
                    f"({_said(axes, inherent)}; --axes settles it)"
                )
        return Reading(inherent[0], f"so say their {evidence}", guess)
    if not agreed:
        return Reading(
            contradiction=f"names and units of its axes leave {_said(axes, inherent)}, "
            f"their flags say {_said(axes, fit['flags'])}"
        )
    usual = KINDS[len(axes)]
    if len(agreed) == 1:
        return _by_flags(axes, marks, agreed[0], inherent)
    if usual in agreed:
        return _usual(axes, marks, settled=len(agreed) < len(every))
    return Reading(contradiction=f"names and units of its axes leave {_said(axes, agreed)}")


def _by_flags(
    axes: Sequence[Axis],
    marks: dict[str, list[Mark | None]],
    flagged: tuple[str, ...],
    possible: list[tuple[str, ...]],
) -> Reading:
    """Return what the flags say, unless names and units are both rather those of the opposite.

    Data that somebody transposed keep the flags of how they are shown.
    """
    opposite = {SCAN: DETECTOR, DETECTOR: SCAN}
    other = tuple(opposite.get(kind, kind) for kind in flagged)
    if _speaking(marks, flagged) != (0, 2) or other not in possible:
        return Reading(flagged, "so say their flags")
    evidence = "names and units, against the flags of the file"
    said = _said(axes, [other])
    guess = f"which axes are the scan: {evidence} ({said}; --axes settles it)"
    return Reading(other, f"so say their {evidence}", guess)


def _speaking(marks: dict[str, list[Mark | None]], kinds: tuple[str, ...]) -> tuple[int, int]:
    """Return in how many of names and units what mostly belongs to a scan is for and against."""
    speaks = {True: 0, False: 0}
    for source in ("names", "units"):
        of_scan = {
            kind != DETECTOR
            for kind, mark in zip(kinds, marks[source], strict=True)
            if mark is not None and mark.kind == SCAN
        }
        if len(of_scan) == 1:
            speaks[of_scan.pop()] += 1
    return speaks[True], speaks[False]


def _usual(axes: Sequence[Axis], marks: dict[str, list[Mark | None]], *, settled: bool) -> Reading:
    """Return the usual order, which nothing excludes, as far as what is said speaks for it.

    A stack is one whatever its axes are called. ``settled`` means that some other orders are
    excluded.
    """
    usual = KINDS[len(axes)]
    nothing = Reading(usual if settled else None)
    named = [not tells_nothing(axis.name) for axis in axes]
    spoken = [source for source in ("names", "units") if len(set(marks[source])) > 1]
    if len(axes) == 3 or not (any(named) or spoken):
        return nothing
    # What mostly belongs to a scan speaks for the usual order among its axes, else against it.
    speaks, against = _speaking(marks, usual)
    if speaks and not against:
        return nothing
    said = ", ".join(
        " ".join(filter(None, (axis.name or "(no name)", f"({axis.size})", axis.units)))
        for axis in axes
    )
    if against and (speaks or all(named)):
        return Reading(
            contradiction=f"its axes are {said}: mostly the first two are the scan, and what these "
            "are called makes it rather the last two"
        )
    return Reading(
        usual,
        guess=f"which axes are the scan: the first two, the usual order, since what their file "
        f"calls them does not tell ({said}; --axes settles it)",
    )


def _fitting(marks: list[Mark | None], every: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return the kinds that a source allows: all where it says nothing, none if it fits none."""
    known = [mark for mark in marks if mark is not None]
    if not any(mark.sure for mark in known):
        return every
    if len({mark.kind for mark in known}) == 1 and len(known) == len(marks):
        return every  # all alike: who wrote it does not tell axes apart
    return [
        kinds
        for kinds in every
        if all(_fits(mark, kind) for mark, kind in zip(marks, kinds, strict=True))
    ]


def _fits(mark: Mark | None, kind: str) -> bool:
    """Return whether an axis may be of a kind; what looks like the scan may repeat scans too."""
    return mark is None or mark.kind == kind or (kind == SERIES and mark == Mark(SCAN, sure=False))


def _mark_of_unit(text: str) -> Mark | None:
    """Return what a unit says: a length may be that of a camera pixel, so it is not sure."""
    unit = plain_unit(text)
    if unit in NM_PER_UNIT:
        return Mark(SCAN, sure=False)
    over = unit.partition("/")
    if unit in RADIAN_PER_UNIT or (over[0] in ("1", "rad") and over[2] in NM_PER_UNIT):
        return Mark(DETECTOR)
    return Mark(SERIES) if unit in ("eV", "keV", "meV") else None


def _mark_of_flag(navigate: bool | None) -> Mark | None:
    """Return what a flag says: what is navigated is the scan, or several of them."""
    if navigate is None:
        return None
    return Mark(SCAN, sure=False) if navigate else Mark(DETECTOR)


def _against_names(stored: Sequence[Axis], asked: Sequence[Axis], kinds: tuple[str, ...]) -> str:
    """Return the guess that --axes is right where names and units clearly say something else."""
    said = weigh([replace(axis, navigate=None) for axis in stored])
    if said.kinds is None or said.guess:
        return ""
    order = in_rows(stored, said.kinds)
    if order.guesses or order.axes[:-2] == in_rows(asked, kinds).axes[:-2]:
        return ""
    return (
        f"which axes are the scan, and in which order: as --axes says, although the file calls "
        f"them {_list(stored)}, which would be read as {_list([stored[n] for n in order.axes])}"
    )


def _against_sizes(axes: Sequence[Axis]) -> str:
    """Say that the first two of four axes have rather the sizes of a detector, if nothing else."""
    if len(axes) != 4 or not all(tells_nothing(a.name) and not plain_unit(a.units) for a in axes):
        return ""
    first, last = [a.size for a in axes[:2]], [a.size for a in axes[2:]]
    camera = min(first) >= CAMERA_PIXELS and (
        first[0] == first[1] or not any(n % 16 for n in first)
    )
    odd = last[0] != last[1] and any(n & (n - 1) for n in last)
    if not camera or max(last) >= (CAMERA_PIXELS if odd else SMALL_CAMERA_PIXELS):
        return ""
    return (
        f"patterns of {last[0]}×{last[1]} pixels are small, and {first[0]}×{first[1]} would be the "
        "size of a detector"
    )


def _unfit(axes: Sequence[Axis], marks: list[Mark | None]) -> str:
    """Say why axes cannot be those of a scan of patterns."""
    other = [a for a, mark in zip(axes, marks, strict=True) if mark and mark.kind == SERIES]
    if other:
        return f"{_list(other)} is neither of the scan nor of the detector"
    detector = sum(mark is not None and mark.kind == DETECTOR for mark in marks)
    return f"{detector} of its axes {_list(axes)} {'is' if detector == 1 else 'are'} of a detector"


def _said(axes: Sequence[Axis], kinds: list[tuple[str, ...]]) -> str:
    """Say which axes are the detector in one or several readings."""
    each = []
    for reading in kinds[:2]:
        detector = [n for n, kind in enumerate(reading) if kind == DETECTOR]
        each.append(f"axes {detector[0] + 1} and {detector[1] + 1} are the detector")
    return " or ".join(dict.fromkeys(each)) + (" or others" if len(kinds) > 2 else "")


def _list(axes: Sequence[Axis]) -> str:
    """Name axes by what the file calls them, with their sizes."""
    return ", ".join(f"{axis.name or '(no name)'} ({axis.size})" for axis in axes)
