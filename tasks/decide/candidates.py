"""Find the numbers of distinct patterns that come into question, and a fit for each.

With too few components patterns are mixed and their number grows with k; from the true number on,
further components describe how grains bend, how patterns drift, or noise, and the number of
distinct patterns stays: a plateau. On the 40 even scans of the benchmark the plateau lies at the
true number on 39 (the other one has 14 grains in 510 electrons a pattern).
"""

from dataclasses import dataclass

import numpy as np

from orimap.tasks.decide.evidence.evidence import Evidence

# This number of fits that agree are a plateau; fewer are weighed down.
PLATEAU = 3
# So many fits hold a number that is not there by chance.
FEWEST_BEFORE = 2
# Two or three numbers are looked at closely.
MOST_CANDIDATES = 3
# A further component that lowers the held-out deviance by more than this share of the largest drop,
# and by more than this many standard errors, describes something that is there. On the simulated
# scans a grain of 5 % of the scan gives .07, the first superfluous component .005 where nothing
# bends or drifts; bent and drifting grains give up to .08.
LEAST_DROP_SHARE = 0.02
LEAST_DROP_ERRORS = 4.0


@dataclass(frozen=True)
class Candidate:
    """A number of distinct patterns.

    Parameters
    ----------
    distinct : int
    first : int
        Index of the first fit with this number of distinct patterns.
    fit : int
        Index of the fit that stands for it: the last one on the plateau whose components are all
        there, so that a bent grain has the components that it needs.
    fits : int
        The number of fits that hold it.
    share : float
        Their share among the first one and all that follow.
    """

    distinct: int
    first: int
    fit: int
    fits: int
    share: float

    @property
    def settled(self) -> float:
        """How well the number has settled, 0 to 1."""
        return self.share * min(1.0, self.fits / PLATEAU)


def least_drop(evidence: Evidence) -> float | None:
    """Return the held-out drop above which a component counts; None where nothing is held out."""
    if evidence.held_out is None:
        return None
    largest = np.nanmax(evidence.held_out_drops()[0], initial=0.0)
    return LEAST_DROP_SHARE * float(largest)


def clear_drops(evidence: Evidence) -> np.ndarray:
    """Return which k lower the held-out score clearly, (number of k,) array of bool."""
    threshold = least_drop(evidence)
    if threshold is None:
        return np.zeros(len(evidence.ks), bool)
    drop, error = evidence.held_out_drops()
    with np.errstate(invalid="ignore"):
        return (drop > threshold) & (drop > LEAST_DROP_ERRORS * error)


def settled_candidates(evidence: Evidence) -> list[Candidate]:
    """Return the numbers that the fits hold, the best settled first, the larger of equals."""
    counts, clear = evidence.distinct, clear_drops(evidence)
    fallen = _fallen(counts)
    found = []
    for number in np.unique(counts):
        holding = np.flatnonzero((counts == number) & ~fallen)
        if not len(holding):
            continue
        first = int(holding[0])
        share = len(holding) / len(counts[first:])
        fit = max([first, *(int(i) for i in holding if clear[i])])
        found.append(Candidate(int(number), first, fit, len(holding), share))
    if evidence.held_out is not None:
        found = [c for c in found if clear[c.first] or not _is_late(c, found)] or found
    return sorted(found, key=lambda c: (-c.settled, -c.distinct))


def _is_late(candidate: Candidate, every: list[Candidate]) -> bool:
    """Return whether more fits hold a smaller number.

    The component that a further pattern begins with then has to show in what was held out.
    """
    least = max(candidate.fits + 1, PLATEAU)
    return any(c.distinct < candidate.distinct and c.fits >= least for c in every)


def _fallen(counts: np.ndarray) -> np.ndarray:
    """Return where a number lies below one that fits with fewer components held, (fits,).

    By more than one, and two of those fits at least: there, patterns that share reflections have
    been joined through what is left over of them, and do not settle at anything.
    """
    fallen = np.zeros(len(counts), bool)
    for i in range(len(counts)):
        before = counts[:i][~fallen[:i]]
        held = [n for n in np.unique(before) if np.count_nonzero(before == n) >= FEWEST_BEFORE]
        fallen[i] = counts[i] < max(held, default=0) - 1
    return fallen


def held_out_vote(evidence: Evidence) -> int | None:
    """Return the number of components after which the held-out score falls least of all.

    Of the clear drops, the one that is largest beside all that follow: grains come before what
    bends within them. It knows nothing of grains, and so is independent of their number. None where
    nothing was held out.
    """
    if evidence.held_out is None:
        return None
    drop, error = evidence.held_out_drops()
    clear = np.flatnonzero(clear_drops(evidence))
    if not len(clear):
        return int(evidence.ks[0])
    floor = np.maximum(least_drop(evidence) or 0.0, LEAST_DROP_ERRORS * error[clear])
    after = [np.max(drop[i + 1 :], initial=0.0) for i in clear]
    return int(evidence.ks[clear[np.argmax(drop[clear] / np.maximum(after, floor))]])


def leading_candidates(evidence: Evidence) -> list[Candidate]:
    """Return the two or three numbers to look at closely, the best settled first."""
    found = settled_candidates(evidence)
    leading = found[:MOST_CANDIDATES]
    vote = held_out_vote(evidence)
    for candidate in found[MOST_CANDIDATES:]:
        if candidate.distinct == vote:
            leading[-1] = candidate
    return leading
