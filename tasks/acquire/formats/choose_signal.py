"""Choose which data set of a file is the scan of patterns, and what its rows and columns are."""

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from orimap.tasks.acquire.formats.signals import Signal, is_complex
from orimap.tasks.errors import InputError

# Fewer pixels than this on a side hold tensors, vectors and quadrants, no patterns.
FEWEST_PIXELS = 4
# What has fewer positions, or fewer pixels on a side, is no rival of what has more: an overview,
# virtual images, thumbnails.
FEWEST_POSITIONS_OF_RIVAL = 12
FEWEST_PIXELS_OF_RIVAL = 16
# A row of patterns beside a scan is a reference, unless it has so many times more of them.
FAR_MORE = 2
LISTED_AT_MOST = 3
NAMED_AT_MOST = 20


def _list(signals: list[Signal], numbers: list[int] | None = None) -> str:
    """Name data sets with number, shape and type; of very many the first."""
    named = range(len(signals)) if numbers is None else sorted(numbers)
    listed = [
        f"{n}: {signals[n].title!r} {'×'.join(map(str, signals[n].array.shape))} "
        f"{signals[n].array.dtype}" + (f" ({signals[n].unfit})" if signals[n].unfit else "")
        for n in named[:NAMED_AT_MOST]
    ]
    more = len(named) - len(listed)
    return "; ".join(listed) + (f"; and {more} more" if more > 0 else "")


def choose_signal(
    path: Path,
    signals: list[Signal],
    asked: str | None,
    scan_shape: tuple[int, int] | None = None,
    left_out: int = 0,
) -> tuple[int, int | None]:
    """Choose the data set that is a scan of patterns.

    Parameters
    ----------
    path : Path
        For messages.
    signals : list of Signal
        All that the file holds.
    asked : str or None
        Title or number of the one to take, with the number of a scan in brackets where several are
        stacked, ``frames[2]``; that number alone where nothing else is in the file. Of a stack of
        one scan, that one is taken.
    scan_shape : (int, int) or None
        Rows and columns, where somebody says them: what has as many patterns goes first.
    left_out : int
        Patterns in one row before and after the scan.

    Returns
    -------
    (int, int or None)
        Its number, and which scan of it where several are stacked. Four axes go before three, and
        the largest before smaller ones; see ``doubt_choice``.

    Raises
    ------
    InputError
        If there is none, or more than one is as good.
    """
    if not signals:
        raise InputError(
            "a scan of patterns: four axes, or three with --scan-shape",
            f"{path.name} holds no array of numbers with three to five axes",
            "give another file, or the data set inside this one with --dataset",
        )
    if asked is not None:
        number, leading = _asked(path, signals, asked)
        shape = tuple(signals[number].array.shape)
        if leading is None and shape != _shape_of_one(shape):
            return number, 0
        if leading is None and len(shape) == 5:
            raise _choose_in_stack(path, signals, [number])
        return number, leading
    scans = _scans(signals)
    shapes = [_shape_of_one(tuple(s.array.shape)) for s in signals]
    for fitting in _in_turn(shapes, scans, scan_shape, left_out):
        largest = sorted(fitting, key=lambda n: -math.prod(shapes[n]))
        same = [n for n in largest if shapes[n] == shapes[largest[0]]]
        if len(same) > 1:
            raise InputError(
                "one scan of patterns",
                f"{path.name} holds {len(same)} of one size: {_list(signals, same)}",
                f"choose one with {_option(signals[same[0]])}",
            )
        if largest:
            chosen = largest[0]
            return chosen, 0 if signals[chosen].array.ndim > len(shapes[chosen]) else None
    if scans:
        raise _choose_in_stack(path, signals, scans)
    _require_real(path, signals, range(len(signals)))
    if any(s.array.dtype.names for s in signals):
        raise InputError(
            "patterns of one number for each pixel",
            f"{path.name} holds records of several: {_list(signals)}",
            "save the field with the intensities alone",
        )
    tiny = any(s.may_be_scan and min(s.array.shape[-2:]) < FEWEST_PIXELS for s in signals)
    raise InputError(
        "a scan of patterns: two scan axes and two detector axes"
        + (f" of {FEWEST_PIXELS} pixels or more" if tiny else ""),
        f"{path.name} holds {_list(signals)}",
        "give the file with the patterns (.emi files name all that belong to them), or what its "
        "axes are with --axes where it is wrong about them",
    )


def doubt_choice(
    signals: list[Signal],
    chosen: int,
    scan_shape: tuple[int, int] | None = None,
    left_out: int = 0,
) -> str:
    """Return the guess that a data set is the scan where others may be it as well; or nothing.

    Parameters
    ----------
    signals, scan_shape, left_out
        As for ``choose_signal``.
    chosen : int
        What it chose by itself.
    """
    shapes = [_shape_of_one(tuple(s.array.shape)) for s in signals]
    fits = scan_shape is not None and _fits(shapes[chosen], scan_shape, left_out)
    rivals = [
        n
        for n in _scans(signals)
        if n != chosen
        and _is_rival(shapes[n], shapes[chosen])
        and not (scan_shape is not None and fits and not _fits(shapes[n], scan_shape, left_out))
    ]
    if not rivals:
        return ""
    more = len(rivals) - LISTED_AT_MOST
    also = _list(signals, rivals[:LISTED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
    alike = [n for n in rivals if len(shapes[n]) == len(shapes[chosen])]
    if fits:
        why = "which has the shape of --scan-shape"
    elif alike and math.prod(shapes[chosen]) >= max(math.prod(shapes[n]) for n in alike):
        why = "the largest"
    else:
        why = f"which has {len(shapes[chosen])} axes"
    shape = "×".join(map(str, shapes[chosen]))
    return (
        f"which data set is the scan: {signals[chosen].title!r} {shape}, {why}; it may be another "
        f"as well, {also} ({_option(signals[chosen])} settles it)"
    )


def _scans(signals: list[Signal]) -> list[int]:
    """Return the numbers of the data sets that could hold patterns."""
    return [
        number
        for number, s in enumerate(signals)
        if s.may_be_scan
        and min(s.array.shape[-2:]) >= FEWEST_PIXELS
        and not _images_of_another(s, signals)
    ]


def _in_turn(
    shapes: list[tuple[int, ...]],
    scans: list[int],
    scan_shape: tuple[int, int] | None,
    left_out: int,
) -> Iterator[list[int]]:
    """Yield the data sets among which one is sought, the likeliest first."""

    def with_axes(axes: int, numbers: list[int]) -> list[int]:
        return [n for n in numbers if len(shapes[n]) == axes]

    plausible = [n for n in scans if _is_plausible(shapes[n])]
    if scan_shape is not None:
        for numbers in (plausible, scans):
            fit = [n for n in numbers if _fits(shapes[n], scan_shape, left_out)]
            yield with_axes(4, fit)
            yield with_axes(3, fit)
    yield with_axes(4, plausible)
    # Of as many patterns in a row, four axes with fewer pixels hold what was made of them.
    positions = {math.prod(shapes[n][:2]) for n in with_axes(4, scans)}
    yield [n for n in with_axes(3, plausible) if shapes[n][0] in positions]
    yield with_axes(4, scans)
    yield with_axes(3, plausible)
    yield with_axes(3, scans)


def _is_plausible(shape: tuple[int, ...]) -> bool:
    """Return whether a data set has the size of a scan of patterns, not of what is made of one."""
    positions = math.prod(shape[:-2])
    return positions >= FEWEST_POSITIONS_OF_RIVAL and min(shape[-2:]) >= FEWEST_PIXELS_OF_RIVAL


def _fits(shape: tuple[int, ...], scan: tuple[int, int], left_out: int) -> bool:
    """Return whether a data set has as many patterns as somebody says."""
    if len(shape) == 3:
        return shape[0] == math.prod(scan) + left_out
    return shape[-4:-2] == tuple(scan)


def _is_rival(shape: tuple[int, ...], chosen: tuple[int, ...]) -> bool:
    """Return whether a data set may be the scan as well as the one that was chosen."""
    positions, of_chosen = math.prod(shape[:-2]), math.prod(chosen[:-2])
    if positions < FEWEST_POSITIONS_OF_RIVAL:
        return False
    if not _is_plausible(chosen):
        return len(shape) >= len(chosen) or _is_plausible(shape)
    if not _is_plausible(shape):
        return False
    if len(shape) < len(chosen):
        return shape[-2:] == chosen[-2:] and positions > FAR_MORE * of_chosen
    # Of the same scan, fewer pixels of each pattern give the same map.
    smaller = all(a < b for a, b in zip(shape[-2:], chosen[-2:], strict=True))
    return not (smaller and shape[:-2] == chosen[:-2])


def _option(signal: Signal) -> str:
    """Return the option that names a data set."""
    return "--dataset" if "/" in signal.title else "--signal"


def _asked(path: Path, signals: list[Signal], asked: str) -> tuple[int, int | None]:
    """Return the data set that was asked for, and which scan of it where several are stacked."""
    titles = [s.title for s in signals]
    if len(signals) == 1 and signals[0].array.ndim == 5 and asked.isdigit():
        asked = f"0[{asked}]"
    inside = None if asked in titles else re.fullmatch(r"(.*)\[(\d+)\]", asked)
    name = inside[1] if inside else asked
    number = titles.index(name) if name in titles else -1
    if number < 0 and name.isdigit() and int(name) < len(signals):
        number = int(name)
    _require_real(path, signals, [number] if number >= 0 else [])
    if number < 0 or not signals[number].may_be_scan:
        raise InputError(
            f"a scan of patterns called {name!r}, or with that number",
            f"{path.name} holds {_list(signals)}",
            "give the title or number of one with three or four axes with --signal",
        )
    array = signals[number].array
    if not inside:
        return number, None
    depth = array.shape[0] if array.ndim == 5 else 0
    if int(inside[2]) >= depth:
        raise InputError(
            f"--signal from 0 to {depth - 1}" if depth else f"several scans stacked in {name!r}",
            f"--signal {asked}",
            "choose one of these" if depth else f"leave [{inside[2]}] away",
        )
    return number, int(inside[2])


def _require_real(path: Path, signals: list[Signal], numbers: Sequence[int]) -> None:
    """Raise where some of these data sets could hold patterns if their values were not complex."""
    unreal = [n for n in numbers if is_complex(signals[n].array.shape, signals[n].array.dtype)]
    if unreal:
        raise InputError(
            "patterns of real intensities",
            f"{path.name} holds complex values: {_list(signals, unreal)}",
            "save the intensities, which are the squared magnitudes, or give another data set",
        )


def _shape_of_one(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a data set, of a stack of one scan that of the scan."""
    return shape[1:] if len(shape) == 5 and shape[0] == 1 else shape


def _images_of_another(signal: Signal, signals: list[Signal]) -> bool:
    """Return whether a stack has the scan axes of a larger data set: images, not patterns."""
    shape = tuple(signal.array.shape)
    if len(shape) != 3:
        return False
    others = [tuple(s.array.shape) for s in signals if s.array.ndim > 3]
    return any(shape[1:] == other[-4:-2] for other in others)


def _choose_in_stack(path: Path, signals: list[Signal], numbers: list[int]) -> InputError:
    """Return the question which of several stacked scans to take."""
    alone = len(signals) == 1
    choices = []
    for number in numbers:
        last = signals[number].array.shape[0] - 1
        name = signals[number].title
        ends = ("0", f"{last}") if alone else (f"'{name}[0]'", f"'{name}[{last}]'")
        choices.append(f"--signal {ends[0]} to --signal {ends[1]}")
    stacks = (
        f"{signals[n].array.shape[0]} of them stacked, "
        f"{'×'.join(map(str, signals[n].array.shape))} {signals[n].array.dtype}"
        f"{'' if alone else f' ({signals[n].title!r})'}"
        for n in numbers
    )
    return InputError(
        "one scan of patterns: four axes",
        f"{path.name} holds {'; '.join(stacks)}",
        f"choose one with {', or '.join(choices)}",
    )
