"""Tell which of the two axes of scan and detector counts the rows, and which the columns.

Names say it (``scan_y``, ``line``, ``fast``). Numbers mostly count from the slowest axis, and
names that say nothing leave the usual order, rows first: both are guesses where somebody named the
axes at all, since a scan whose rows and columns are exchanged makes a map that looks right.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from orimap.tasks.acquire.formats.calibration import Axis
from orimap.tasks.acquire.formats.meaning.names import (
    DETECTOR,
    SCAN,
    SERIES,
    counts_rows_by_x,
    read_name,
    tells_nothing,
)

# Letters that tell only together: u and v may be either, i and j too.
LETTERS = ({"v": "y", "h": "x"}, {"h": "y", "w": "x"})


class Order(NamedTuple):
    """The stored numbers of the axes as they are read.

    ``by_x`` is true where x was left before y, since it counts rows.
    """

    axes: tuple[int, ...]
    by_x: bool = False
    guesses: tuple[str, ...] = ()


def in_rows(axes: Sequence[Axis], kinds: Sequence[str]) -> Order:
    """Return the order in which axes are read: (series), rows before columns, scan before detector.

    Parameters
    ----------
    axes : sequence of Axis
        As stored.
    kinds : sequence of str
        Of each: SERIES, SCAN or DETECTOR.
    """
    of_kind = {
        each: [number for number, kind in enumerate(kinds) if kind == each]
        for each in (SERIES, SCAN, DETECTOR)
    }
    scan, detector = of_kind[SCAN], of_kind[DETECTOR]
    if counts_rows_by_x([axes[number].name for number in (*scan, *detector)]):
        x_first = any(_x_first(axes, pair) for pair in (scan, detector))
        return Order((*of_kind[SERIES], *scan, *detector), by_x=x_first)
    turned, guesses = _turned(axes, scan, "scan")
    patterns_turned, more = _turned(axes, detector, "detector")
    if patterns_turned is None:
        alike = bool(turned) and not any(tells_nothing(axes[n].name) for n in detector)
        patterns_turned = alike
        more = (_guess(axes, detector[::-1], "detector", "like the scan"),) if alike else ()
    return Order(
        (
            *of_kind[SERIES],
            *(scan[::-1] if turned else scan),
            *(detector[::-1] if patterns_turned else detector),
        ),
        guesses=guesses + more,
    )


def _turned(
    axes: Sequence[Axis], pair: Sequence[int], of: str
) -> tuple[bool | None, tuple[str, ...]]:
    """Return whether columns come first, None where nothing tells, and what was guessed."""
    if len(pair) != 2:
        return False, ()
    told = _x_first(axes, pair)
    if told is not None:
        sure = all(_directions(axes, pair)) or not told
        return told, () if sure else (_guess(axes, pair[::-1], of, "by the one name that tells"),)
    numbers = [_number(axes[n].name) for n in pair]
    if None not in numbers and numbers[0] != numbers[1]:
        if numbers[0] < numbers[1]:
            return False, ()
        return True, (_guess(axes, pair[::-1], of, "by its number"),)
    named = [axes[n].name for n in pair]
    if of == "detector" or named[0] == named[1] or any(map(tells_nothing, named)):
        return None, ()
    return None, (_guess(axes, pair, of, "the first one, as usual"),)


def _x_first(axes: Sequence[Axis], pair: Sequence[int]) -> bool | None:
    """Return whether the names of two axes say that the columns come first, None if nothing."""
    if len(pair) != 2:
        return None
    first, second = _directions(axes, pair)
    return None if first == second else first == "x" or second == "y"


def _directions(axes: Sequence[Axis], pair: Sequence[int]) -> list[str]:
    """Return "y", "x" or nothing for each axis of a pair."""
    names = [axes[n].name.lower() for n in pair]
    for letters in LETTERS:
        if sorted(letters) == sorted(names):
            return [letters[name] for name in names]
    return [read_name(axes[n].name, len(axes)).direction for n in pair]


def _number(name: str) -> int | None:
    """Return the number in an axis' name; none where a program made it up for each size."""
    found = re.findall(r"\d+", name)
    return int(found[0]) if len(found) == 1 and not name.startswith("phony") else None


def _guess(axes: Sequence[Axis], pair: Sequence[int], of: str, why: str) -> str:
    """Say which axis is taken for the rows."""
    names = ", ".join(f"{axes[n].name} ({axes[n].size})" for n in sorted(pair))
    return (
        f"which axis of the {of} counts its rows: {axes[pair[0]].name} ({axes[pair[0]].size}), "
        f"{why} (stored as {names}; --axes settles it)"
    )
