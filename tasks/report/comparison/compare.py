"""Compare the results of one acquisition after several filters, and say which one to take."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from orimap.tasks.report import words
from orimap.tasks.report.results import Results, stored_k
from orimap.tasks.simulate.truth import Truth

TITLES = {"raw": "raw", "mean": "3×3 mean", "epattern": "ePattern"}
# Clusters of two filters are the same grain where they share at least half of the smaller one;
# less would give one colour to two grains that merely touch.
LEAST_SHARED = 0.5
# Maps that agree to this adjusted Rand index differ along grain boundaries only.
SAME_MAP = 0.9
# Differences of the index against the truth below this come and go with the seed.
SAME_INDEX = 0.02
# Steps that are done once for all filters.
SHARED_STEPS = ("ingest", "centre")
CONFIDENCE = {"low": 0, "moderate": 1, "high": 2}


@dataclass(frozen=True)
class SeedRun:
    """What one run with its own seed came to.

    Parameters
    ----------
    seed : int
    mark : str
        Fingerprint of its request.
    decided_k, fitted_k : int
    confidence : str
    k : list of int
    relative_loss : list of float
        Loss over mean intensity, one for each of ``k``.
    ari : float or None
        Adjusted Rand index against the truth, where that is known.
    """

    seed: int
    mark: str
    decided_k: int
    fitted_k: int
    confidence: str
    k: list[int]
    relative_loss: list[float]
    ari: float | None = None


@dataclass(frozen=True)
class Filtered:
    """The results of one filter.

    Parameters
    ----------
    name : str
    results : Results
    run : mapping
        What run.json holds.
    seeds : list of SeedRun
        The run itself first, then those with further seeds.
    scores : mapping
        Against the truth: ``ari`` and ``overlap_f1``; empty where it is not known.
    """

    name: str
    results: Results
    run: Mapping[str, Any]
    seeds: list[SeedRun]
    scores: Mapping[str, float] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The filter's name as it is printed."""
        return TITLES.get(self.name, self.name)

    @property
    def label(self) -> np.ndarray:
        """The map of clusters (scan_y, scan_x)."""
        return self.results.values("clusters", "cluster_label")

    @property
    def decided_k(self) -> int:
        """Number of distinct patterns."""
        return stored_k(self.results, "decided_k")

    @property
    def confidence(self) -> str:
        """Of the decision: low, moderate or high."""
        return str(self.results.attr("decision").get("confidence", "low"))

    @property
    def runner_up(self) -> int | None:
        """The next best number of distinct patterns."""
        return words.whole(self.results.attr("decision").get("runner_up"))

    def along_k(self, name: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Return k and an array along it, None where it is not there."""
        k, values = self.results.values("decision", "k"), self.results.values("decision", name)
        return None if k is None or values is None else (k, values)

    @property
    def steady(self) -> float:
        """Share of all seeds that decide as the run itself."""
        return float(np.mean([run.decided_k == self.decided_k for run in self.seeds]))

    @property
    def own_steps(self) -> list[Mapping[str, Any]]:
        """What run.json says of the steps that are not shared with the other filters."""
        return [s for s in self.run.get("steps", []) if s.get("name") not in SHARED_STEPS]

    def cost(self) -> tuple[float, float]:
        """Return seconds and peak bytes of the filter's own steps."""
        seconds = sum(words.number(step.get("seconds")) or 0 for step in self.own_steps)
        peak = max(
            (words.number(step.get("peak_bytes")) or 0 for step in self.own_steps), default=0
        )
        return seconds, peak


def seed_run(results: Results, seed: int, mark: str, truth: Truth | None) -> SeedRun:
    """Summarise the results of a run with one seed."""
    k = results.values("decision", "k")
    loss = results.values("decision", "k_relative_loss")
    return SeedRun(
        seed,
        mark,
        stored_k(results, "decided_k"),
        stored_k(results, "fitted_k"),
        str(results.attr("decision").get("confidence", "low")),
        [int(n) for n in k],
        [] if loss is None else [float(value) for value in loss],
        scores_of(results, truth).get("ari"),
    )


def scores_of(results: Results, truth: Truth | None) -> dict[str, float]:
    """Return how near results come to the truth; nothing where that is not known."""
    if truth is None:
        return {}
    return truth.score(
        results.values("clusters", "cluster_label"), results.values("overlap", "overlap_ratio")
    )


def agreement(labels: Mapping[str, np.ndarray]) -> dict[tuple[str, str], float]:
    """Return the adjusted Rand index between the maps of every two filters."""
    from sklearn.metrics import adjusted_rand_score

    return {
        (a, b): float(adjusted_rand_score(labels[a].ravel(), labels[b].ravel()))
        for a, b in itertools.combinations(labels, 2)
    }


def match_clusters(labels: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Give the clusters of several maps common numbers: the same grain has the same number.

    Parameters
    ----------
    labels : sequence of (scan_y, scan_x) arrays of int
        -1 for no cluster.

    Returns
    -------
    list of (cluster,) arrays of int
        The common number of each cluster of each map. Those of the first map keep theirs; every
        other map takes the pairing that shares most positions with the maps before it, and gives
        new numbers to clusters that share less than half of the smaller one with any.
    """
    from scipy.optimize import linear_sum_assignment

    found: list[np.ndarray] = []
    numbers = 0
    for at, label in enumerate(labels):
        count = int(label.max(initial=-1)) + 1
        shared = np.zeros((count, numbers))
        for other, names in zip(labels[:at], found, strict=True):
            both = (label >= 0) & (other >= 0)
            table = np.zeros((count, numbers))
            np.add.at(table, (label[both], names[other[both]]), 1)
            smaller = np.minimum(
                np.bincount(label[label >= 0], minlength=count)[:, None],
                np.bincount(names[other[other >= 0]], minlength=numbers)[None],
            )
            shared += np.where(table >= LEAST_SHARED * np.maximum(smaller, 1), table, 0)
        matched = np.full(count, -1)
        rows, columns = linear_sum_assignment(shared, maximize=True)
        partners = shared[rows, columns] > 0
        matched[rows[partners]] = columns[partners]
        new = np.flatnonzero(matched < 0)
        matched[new] = numbers + np.arange(len(new))
        numbers += len(new)
        found.append(matched)
    return found


def renumbered(label: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return a map with the common numbers of its clusters; -1 stays."""
    return np.append(numbers, -1)[label]


def common_count(numbers: Sequence[np.ndarray]) -> int:
    """Return the number of common numbers that ``match_clusters`` gave."""
    return max((int(n.max(initial=-1)) for n in numbers), default=-1) + 1


@dataclass(frozen=True)
class Verdict:
    """Which filter the evidence favours.

    Parameters
    ----------
    favoured : tuple of str
        Names; more than one where the evidence does not tell them apart.
    headline : str
    reasons : list of str
        Sentences.
    """

    favoured: tuple[str, ...]
    headline: str
    reasons: list[str]


def judge(
    filters: Sequence[Filtered],
    agreements: Mapping[tuple[str, str], float],
    truth: Truth | None,
) -> Verdict:
    """Say which filter to take.

    Where the truth is known, the nearest map counts, and between maps that are equally near the
    right number of patterns. Where it is not: if all decide alike and draw the same map, none is
    better, and the first is the simplest; else what counts is a confident decision, a decision
    that other seeds repeat, and a map that the other filters confirm, each with one voice.
    """
    if truth is not None:
        favoured, headline, why = _nearest(filters, truth.grains)
    else:
        favoured, headline, why = _most_evidence(filters, agreements)
    reasons = _reasons(filters, agreements, truth, favoured)
    return Verdict(favoured, headline, [why, *reasons] if why else reasons)


def _nearest(filters: Sequence[Filtered], grains: int) -> tuple[tuple[str, ...], str, str]:
    """Return the filters nearest to the truth, and say which one to take."""
    best = max(f.scores["ari"] for f in filters)
    near = [f for f in filters if f.scores["ari"] >= best - SAME_INDEX]
    off = min(abs(f.decided_k - grains) for f in near)
    near = [f for f in near if abs(f.decided_k - grains) == off]
    truth = f"the truth of {words.count_text(grains, 'grain')}"
    return _advice(filters, near, f"nearest to {truth}", f"come equally near {truth}")


def _most_evidence(
    filters: Sequence[Filtered], agreements: Mapping[tuple[str, str], float]
) -> tuple[tuple[str, ...], str, str]:
    """Return the filters for which most evidence speaks, and say which one to take."""
    ks = {f.decided_k for f in filters}
    if len(ks) == 1 and min(agreements.values(), default=1.0) >= SAME_MAP:
        patterns = words.count_text(ks.pop(), "distinct pattern")
        return _advice(filters, filters, "", f"find {patterns} and the same map")
    confirmed = {
        f.name: round(np.mean([v for pair, v in agreements.items() if f.name in pair]), 2)
        if agreements
        else 1.0
        for f in filters
    }
    voices = dict.fromkeys((f.name for f in filters), 0)
    for measure, alike in (
        ({f.name: CONFIDENCE.get(f.confidence, 0) for f in filters}, 0.0),
        ({f.name: f.steady for f in filters}, 0.0),
        (confirmed, SAME_INDEX),
    ):
        # A voice for those that are as good as the best, unless all are.
        best = [name for name, value in measure.items() if value >= max(measure.values()) - alike]
        for name in best if len(best) < len(measure) else ():
            voices[name] += 1
    most = max(voices.values())
    favoured = [f for f in filters if voices[f.name] == most]
    first = favoured[0]
    patterns = words.count_text(first.decided_k, "distinct pattern")
    return _advice(
        filters, favoured, f"most evidence for its {patterns}", "have as much evidence each"
    )


def _advice(
    filters: Sequence[Filtered], favoured: Sequence[Filtered], best: str, equal: str
) -> tuple[tuple[str, ...], str, str]:
    """Return the names of the filters that are favoured, a headline and the first reason.

    Parameters
    ----------
    filters, favoured : sequences of Filtered
        All, and those that nothing is better than.
    best : str
        What is said of one that is better than all others.
    equal : str
        What is said of several that are alike, behind their names.
    """
    names = tuple(f.name for f in favoured)
    unsure = "" if any(f.confidence != "low" for f in favoured) else ", with low confidence"
    if len(filters) == 1:
        return names, f"Only {filters[0].title} was tried: nothing to compare it with", ""
    if len(favoured) == 1:
        return names, f"Take {favoured[0].title}: {best}{unsure}", ""
    take = "raw, the simplest" if "raw" in names else " or ".join(f.title for f in favoured)
    if len(favoured) == len(filters):
        headline = f"No filter is clearly better: take {take}{unsure}"
        return names, headline, f"All filters {equal}."
    return names, f"Take {take}: {_listed(favoured)} {equal}{unsure}", ""


def _reasons(
    filters: Sequence[Filtered],
    agreements: Mapping[tuple[str, str], float],
    truth: Truth | None,
    favoured: Sequence[str],
) -> list[str]:
    """Put the evidence in sentences."""
    decided = [f"{f.title} {f.decided_k} with {f.confidence} confidence" for f in filters]
    said = [f"Distinct patterns decided: {', '.join(decided)}."]
    if truth is not None:
        near = [f"{f.title} {words.figure_text(f.scores['ari'])}" for f in filters]
        said.append(
            f"Against the truth of {truth.grains} grains, the adjusted Rand index of the map (1 = "
            f"every position right) is: {', '.join(near)}."
        )
        found = [f"{f.title} {words.figure_text(f.scores['overlap_f1'])}" for f in filters]
        said.append(f"Overlaps are found with an F1 of: {', '.join(found)}.")
    if agreements:
        pairs = [
            f"{TITLES.get(a, a)} and {TITLES.get(b, b)} {words.figure_text(value)}"
            for (a, b), value in agreements.items()
        ]
        said.append("The maps agree with each other to an index of: " + ", ".join(pairs) + ".")
    number = max(len(f.seeds) for f in filters)
    if number > 1:
        spread = [f"{f.title} {_numbers(f)}" for f in filters]
        said.append(f"Decided with {number} seeds: {', '.join(spread)}.")
    if len(favoured) > 1 and "raw" in favoured:
        said.append(
            "Where filters are equal, raw is the one to take: it is the simplest, and its counts "
            "keep their statistics."
        )
    return said


def _numbers(filtered: Filtered) -> str:
    """Say what the seeds decided: 5, or 5 to 6."""
    ks = [run.decided_k for run in filtered.seeds]
    return str(min(ks)) if min(ks) == max(ks) else f"{min(ks)} to {max(ks)}"


def _listed(filters: Sequence[Filtered]) -> str:
    """Return names as one says them: raw, 3×3 mean and ePattern."""
    names = [f.title for f in filters]
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
