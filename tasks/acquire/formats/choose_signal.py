"""Choose which data set of a file is the scan of patterns, and what its rows and columns are."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

from orimap.tasks.acquire.formats.signals import Signal, is_complex
from orimap.tasks.errors import InputError


def _list(signals: list[Signal], numbers: list[int] | None = None) -> str:
    """Name data sets with number, shape and type."""
    return "; ".join(
        f"{n}: {s.title!r} {'×'.join(map(str, s.array.shape))} {s.array.dtype}"
        + (f" ({s.unfit})" if s.unfit else "")
        for n, s in enumerate(signals)
        if numbers is None or n in numbers
    )


def choose_signal(path: Path, signals: list[Signal], asked: str | None) -> tuple[int, int | None]:
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

    Returns
    -------
    (int, int or None)
        Its number, and which scan of it where several are stacked. Four axes go before three, and
        the largest before smaller ones.

    Raises
    ------
    InputError
        If there is none, or more than one is as good.
    """
    if not signals:
        raise InputError(
            "a scan of patterns: four axes, or three with --scan-shape",
            f"{path.name} holds no array of numbers with three to five axes",
            "name another file, or the data set inside this one with --dataset",
        )
    scans = [
        number
        for number, s in enumerate(signals)
        if s.may_be_scan and not _images_of_another(s, signals)
    ]
    if asked is not None:
        number, leading = _asked(path, signals, asked)
        shape = tuple(signals[number].array.shape)
        if leading is None and shape != _shape_of_one(shape):
            return number, 0
        if leading is None and len(shape) == 5:
            raise _choose_in_stack(path, signals, [number])
        return number, leading
    shapes = [_shape_of_one(tuple(s.array.shape)) for s in signals]
    for axes in (4, 3):
        fitting = [n for n in scans if len(shapes[n]) == axes]
        largest = sorted(fitting, key=lambda n: -math.prod(shapes[n]))
        same = [n for n in largest if shapes[n] == shapes[largest[0]]]
        if len(same) > 1:
            raise InputError(
                "one scan of patterns",
                f"{path.name} holds {len(same)} of one size: {_list(signals, same)}",
                f"choose one with {'--dataset' if '/' in signals[same[0]].title else '--signal'}",
            )
        if largest:
            chosen = largest[0]
            return chosen, 0 if signals[chosen].array.ndim > axes else None
    if scans:
        raise _choose_in_stack(path, signals, scans)
    _require_real(path, signals, range(len(signals)))
    raise InputError(
        "a scan of patterns: two scan axes and two detector axes",
        f"{path.name} holds {_list(signals)}",
        "name the file with the patterns (.emi files name all that belong to them), or what its "
        "axes are with --axes where it is wrong about them",
    )


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
            "save the intensities, which are the squared magnitudes, or name another data set",
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
