"""Sum rows up: how often ways are right, how good their maps are, what their confidence means."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from rows import Row

# With fewer positions that truly overlap, their F1 says little.
LEAST_OVERLAPPING = 50
# Odd numbers from here on were measured once, when nothing was to be changed any more.
FRESH_FROM = 80
POOR_ARI = 0.5
CONFIDENCES = ("high", "moderate", "low")
# What makes k hard, one property at a time; a scan can be in several.
CONDITIONS: dict[str, Callable[[Row], bool]] = {
    "no bending, drift or hot pixels": lambda row: not (row.bend or row.descan or row.hot),
    "bent": lambda row: row.bend > 0,
    "drifting": lambda row: row.descan > 0,
    "hot pixels": lambda row: row.hot > 0,
    "below 2,000 electrons": lambda row: row.dose < 2000,
    "more than 10 grains": lambda row: row.k_true > 10,
}


@dataclass(frozen=True)
class Summary:
    """How one way did on a set of scans.

    Parameters
    ----------
    scans, failures : int
        A failure counts as a wrong k, and has no map.
    exact, within_one : float
        Shares of the scans.
    error : float
        Median of k less the true k.
    ari, lowest_ari, poor : float
        Median and lowest, and the share of the maps below .5.
    overlap_f1 : float
        Median over scans where at least 50 positions truly overlap.
    cpu_seconds : float
        Median processor time.
    """

    scans: int
    failures: int
    exact: float
    within_one: float
    error: float | None
    ari: float | None
    lowest_ari: float | None
    poor: float | None
    overlap_f1: float | None
    cpu_seconds: float | None


def summarise(rows: list[Row]) -> Summary:
    """Return the figures of the rows of one way; what no row gives is None."""
    answered = [row for row in rows if row.failure is None]
    aris = [row.ari for row in answered]
    overlaps = [row for row in answered if row.overlap_positions >= LEAST_OVERLAPPING]
    return Summary(
        len(rows),
        len(rows) - len(answered),
        sum(row.exact for row in rows) / len(rows),
        sum(row.within_one for row in rows) / len(rows),
        _median(row.k - row.k_true for row in answered),
        _median(aris),
        min(aris, default=None),
        sum(ari < POOR_ARI for ari in aris) / len(aris) if aris else None,
        _median(row.overlap_f1 for row in overlaps),
        _median(row.cpu_seconds for row in answered),
    )


def confidences(rows: list[Row]) -> dict[str, tuple[float, int, int]]:
    """Return, for each confidence, the share of scans given it, how many these are, how many right.

    A failure was given none, and still is a scan.
    """
    counted = {}
    for confidence in CONFIDENCES:
        given = [row for row in rows if row.confidence == confidence]
        right = sum(row.exact for row in given)
        counted[confidence] = (len(given) / len(rows), len(given), right)
    return counted


def part(rows: Iterable[Row], name: str) -> list[Row]:
    """Return the rows of a part: tuning (even numbers), reporting (odd), or fresh (odd, late)."""
    return [row for row in rows if part_of(row.number) == name]


def part_of(number: int) -> str:
    """Return the part that a scan belongs to, by its number."""
    if number % 2 == 0:
        return "tuning"
    return "reporting" if number < FRESH_FROM else "fresh"


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
