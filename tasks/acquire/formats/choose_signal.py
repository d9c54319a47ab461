"""Choose which data set of a file is the scan of patterns, and what its rows and columns are."""

import math
from pathlib import Path

from orimap.tasks.acquire.formats.signals import Signal
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
        Title or number of the one to take; for stacked scans the number in the stack.

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
    scans = [number for number, s in enumerate(signals) if s.may_be_scan]
    titles = [s.title for s in signals]
    if asked is not None:
        stacked = [n for n in scans if signals[n].array.ndim == 5]
        if len(signals) == 1 and stacked and asked.isdigit():
            depth = signals[0].array.shape[0]
            if int(asked) < depth:
                return 0, int(asked)
            raise InputError(
                f"--signal from 0 to {depth - 1}", f"--signal {asked}", "choose one of these"
            )
        number = titles.index(asked) if asked in titles else -1
        if number < 0 and asked.isdigit() and int(asked) < len(signals):
            number = int(asked)
        if number < 0 or number not in scans:
            raise InputError(
                f"a scan of patterns called {asked!r}, or with that number",
                f"{path.name} holds {_list(signals)}",
                "give the title or number of one with three or four axes with --signal",
            )
        if signals[number].array.ndim < 5:
            return number, None
        scans = [number]
    for axes in (4, 3):
        fitting = [n for n in scans if signals[n].array.ndim == axes]
        largest = sorted(fitting, key=lambda n: -math.prod(signals[n].array.shape))
        same = [n for n in largest if signals[n].array.shape == signals[largest[0]].array.shape]
        if len(same) > 1:
            raise InputError(
                "one scan of patterns",
                f"{path.name} holds {len(same)} of one size: {_list(signals, same)}",
                f"choose one with {'--dataset' if '/' in titles[same[0]] else '--signal'}",
            )
        if largest:
            return largest[0], None
    if scans:
        array = signals[scans[0]].array
        raise InputError(
            "one scan of patterns: four axes",
            f"{path.name} holds {array.shape[0]} of them stacked, "
            f"{'×'.join(map(str, array.shape))} {array.dtype}",
            f"choose one with --signal 0 to --signal {array.shape[0] - 1}",
        )
    raise InputError(
        "a scan of patterns: two scan axes and two detector axes",
        f"{path.name} holds {_list(signals)}",
        "name the file with the patterns (.emi files name all that belong to them), or what its "
        "axes are with --axes where it is wrong about them",
    )


def shape_of_stack(
    path: Path,
    reader: str,
    shape: tuple[int, ...],
    chosen: Signal,
    asked: tuple[int, int] | None,
) -> tuple[tuple[int, int], tuple[str, ...]]:
    """Return rows and columns of patterns that the file holds in one row.

    Parameters
    ----------
    path, reader, chosen
        For messages, and because Dectris files are taken to be square.
    shape : (patterns, detector_y, detector_x)
    asked : (int, int) or None
        As given with ``--scan-shape``.

    Returns
    -------
    (int, int)
        Rows and columns of the scan.
    tuple of str
        A note where they are a guess.

    Raises
    ------
    InputError
        If the shape is not given, or does not fit the number of patterns.
    """
    count = shape[0]
    held = f"{path.name} holds {count} patterns of {shape[1]}×{shape[2]} in one row"
    if asked is not None:
        if asked[0] * asked[1] != count or min(asked) < 1:
            raise InputError(
                f"{asked[0]}×{asked[1]} = {asked[0] * asked[1]} patterns, as --scan-shape says",
                held,
                "give the rows and columns of the scan, as --scan-shape YxX",
            )
        return asked, ()
    side = math.isqrt(count)
    if reader == "Arina" and side * side == count:
        note = (
            f"the file does not give the scan's shape; {count} patterns are taken as "
            f"{side}×{side} (--scan-shape overrides)"
        )
        return (side, side), (note,)
    suggestion = f", for instance --scan-shape {side}x{side}" if side * side == count else ""
    raise InputError(
        "the rows and columns of the scan",
        f"{held} ({reader}, {chosen.title!r}), and no shape",
        f"give them with --scan-shape YxX{suggestion}",
    )
