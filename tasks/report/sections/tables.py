"""Make the tables of the report: one dataclass a row, its cells as they are printed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from orimap.tasks.report.results import METRIC_NAMES, Results, noise_table
from orimap.tasks.report.words import (
    bytes_text,
    decoded,
    figure_text,
    number,
    percent_text,
    seconds_text,
    units_text,
)
from orimap.tasks.store.variables import DECISION, OVERLAP_RATIO

LEVELS = (75, 80, 85, 90, 95)
# What earlier versions stored where a criterion has no vote, and what is said instead.
UNSAID = {"not known": "no value for some of the numbers that come into question"}
NO_KNEE = "the loss has no knee"


@dataclass(frozen=True)
class Criterion:
    """What one criterion says of the number of patterns."""

    name: str
    vote: str
    margin: str
    used: bool
    why: str


@dataclass(frozen=True)
class Column:
    """A quantity that is stored for every k, and what it means."""

    name: str
    meaning: str


@dataclass(frozen=True)
class KTable:
    """Every value stored for every k; each row begins with k itself, which has no column."""

    columns: list[Column]
    rows: list[list[str]]


@dataclass(frozen=True)
class OverlapLevel:
    """The positions whose second share reaches one level of the first."""

    name: str
    positions: int
    share: str


@dataclass(frozen=True)
class OverlapPair:
    """Two clusters, the lower number first, and the number of positions where they overlap."""

    first: int
    second: int
    positions: int


@dataclass(frozen=True)
class NoiseTable:
    """Noise standard deviations in ``units``: a column a kind, a row a cluster.

    ``whole_clusters`` is false where only some positions of a cluster were measured.
    """

    kinds: list[str]
    units: str
    rows: list[list[str]]
    whole_clusters: bool


@dataclass(frozen=True)
class StepRow:
    """Time and memory of a step; the bars are in per cent of the largest."""

    name: str
    reused: bool
    time: str
    time_bar: float
    memory: str
    memory_bar: float


def criteria_rows(facts: Mapping[str, Any]) -> list[Criterion]:
    """Return every criterion's vote, from the attributes of /decision."""
    found = [decoded(criterion) for criterion in decoded(facts.get("criteria")) or []]
    return [
        Criterion(
            name=str(criterion.get("name", "?")),
            vote=figure_text(criterion.get("vote")),
            margin=figure_text(criterion.get("margin"), 2),
            used=bool(criterion.get("used")),
            why=_why(criterion),
        )
        for criterion in found
    ]


def _why(criterion: Mapping[str, Any]) -> str:
    """Return the reason of a criterion; where none was known, what is missing."""
    why = str(criterion.get("why") or "")
    if why in UNSAID and str(criterion.get("name", "")).startswith("knee"):
        return NO_KNEE
    return UNSAID.get(why, why)


def k_table(results: Results) -> KTable:
    """Return every value stored along k; empty where none is."""
    ds = results.groups["decision"]
    # A store lists its arrays in no particular order; their declaration tells a story.
    columns = [name for name in DECISION.variables if name.startswith("k_")]
    columns += sorted(name for name in ds if name.startswith("k_") and name not in columns)
    columns = [name for name in columns if results.values("decision", name) is not None]
    printed = {f"k_{key}": name for name, key in METRIC_NAMES.items()}

    def cell(name: str, at: int) -> str:
        value = ds[name].values[at]
        if ds[name].dtype.kind == "b":
            return "yes" if value else "no"
        return figure_text(value, 4)

    return KTable(
        [
            Column(printed.get(name, name[2:].replace("_", " ")), _meaning(results, name))
            for name in columns
        ],
        [
            [str(int(k)), *(cell(name, at) for name in columns)]
            for at, k in enumerate(ds["k"].values if columns else [])
        ],
    )


def _meaning(results: Results, name: str) -> str:
    """Return what an array along k means; values that are no counts have an error, no deviance."""
    said = str(results.groups["decision"][name].attrs.get("long_name", ""))
    counts = results.attr("acquisition").get("counts_like")
    return said if counts is None or counts else said.replace("deviance", "error")


def overlap_rows(labels: np.ndarray, ratio: np.ndarray, level: np.ndarray) -> list[OverlapLevel]:
    """Return the share of the positions with a cluster that reach each level.

    Parameters
    ----------
    labels, ratio, level : (scan_y, scan_x) arrays
        Cluster, -1 for none; second share over first; highest of ``LEVELS`` reached, else 0.
    """
    placed = labels >= 0
    total = max(1, np.count_nonzero(placed))
    rows = [(f"ratio ≥ {OVERLAP_RATIO}", np.count_nonzero(placed & (ratio >= OVERLAP_RATIO)))]
    rows += [(f"≥ {at} %", np.count_nonzero(placed & (level >= at))) for at in LEVELS]
    return [OverlapLevel(name, int(n), percent_text(n / total)) for name, n in rows]


def overlap_pairs(
    labels: np.ndarray, second: np.ndarray, ratio: np.ndarray, most: int = 6
) -> list[OverlapPair]:
    """Return which clusters overlap most often, whichever of the two is the stronger.

    Parameters
    ----------
    labels, second, ratio : (scan_y, scan_x) arrays
        First and second cluster, -1 for none; second share over first.
    most : int
        The largest number of pairs returned.
    """
    overlapping = (labels >= 0) & (second >= 0) & (ratio >= OVERLAP_RATIO)
    pairs = np.sort(np.stack([labels[overlapping], second[overlapping]], -1), -1)
    found, counts = np.unique(pairs.reshape(-1, 2), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:most]
    return [OverlapPair(int(found[i][0]), int(found[i][1]), int(counts[i])) for i in order]


def noise_rows(results: Results) -> NoiseTable | None:
    """Return the table of noise standard deviations, None where none were stored."""
    table = noise_table(results)
    if not table:
        return None
    return NoiseTable(
        list(table),
        units_text(results.intensity_units),
        [
            [figure_text(value, 2) for value in values]
            for values in zip(*table.values(), strict=True)
        ],
        noise_of_all(results),
    )


def noise_of_all(results: Results) -> bool:
    """Return whether noise is that of all positions of each cluster."""
    measured = decoded(results.attr("clusters").get("noise_positions"))
    sizes = results.values("clusters", "cluster_size")
    if measured is None or sizes is None:
        return True
    return bool(np.all(np.asarray(measured) >= sizes))


def step_rows(steps: Sequence[Mapping[str, Any]]) -> list[StepRow]:
    """Return time and memory of every step in ``run.json``."""
    longest = max((number(step.get("seconds")) or 0 for step in steps), default=0) or 1
    highest = max((number(step.get("peak_bytes")) or 0 for step in steps), default=0) or 1
    return [
        StepRow(
            name=str(step.get("name", "?")),
            reused=bool(step.get("reused")),
            time=seconds_text(step.get("seconds")),
            time_bar=round(100 * (number(step.get("seconds")) or 0) / longest, 1),
            memory=bytes_text(step.get("peak_bytes")),
            memory_bar=round(100 * (number(step.get("peak_bytes")) or 0) / highest, 1),
        )
        for step in steps
    ]


def machine_rows(machine: Mapping[str, Any]) -> dict[str, str]:
    """Return what is known of the machine, amounts of memory with their unit."""
    return {
        name.removesuffix("_bytes").replace("_", " "): bytes_text(value)
        if name.endswith("_bytes")
        else str(value)
        for name, value in machine.items()
    }
