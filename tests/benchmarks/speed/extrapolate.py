"""What a sweep would have taken, from the fits that there was time for.

A fit of k components takes ``start(k) + iterations(k) * cost(k)``, start and cost straight lines in
k: every product with the matrix is proportional to k, and reading it is not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from peers.answers import Fit


@dataclass(frozen=True)
class Line:
    """A straight line, never below 0."""

    intercept: float
    slope: float

    @classmethod
    def through(cls, ks: Sequence[float], values: Sequence[float]) -> "Line":
        """Fit a line by least squares; through one point it is level."""
        if len(set(ks)) < 2:
            return cls(float(np.mean(values)), 0.0)
        slope, intercept = np.polyfit(ks, values, 1)
        return cls(float(intercept), float(slope))

    def __call__(self, k: float) -> float:
        return max(0.0, self.intercept + self.slope * k)


@dataclass(frozen=True)
class Law:
    """Seconds of the start of a fit and of one iteration, by k."""

    start: Line
    cost: Line

    def seconds(self, k: int, iterations: float) -> float:
        """Return the seconds of a fit."""
        return self.start(k) + iterations * self.cost(k)

    @classmethod
    def of_sampled(cls, fits: Sequence[Fit]) -> "Law":
        """Find the law from two fits at each k that were stopped after few and more iterations."""
        ks, starts, costs = [], [], []
        for k in dict.fromkeys(fit.k for fit in fits):
            pair = sorted((fit for fit in fits if fit.k == k), key=lambda fit: fit.iterations)
            if len(pair) < 2:
                continue
            few, more = pair[0], pair[-1]
            between = more.iterations - few.iterations
            # A way that does not count iterations does all there is to do each time.
            cost = (more.seconds - few.seconds) / between if between else few.seconds
            if cost <= 0:  # other work on the machine took longer than the iterations
                continue
            ks.append(k)
            costs.append(cost)
            starts.append(max(0.0, few.seconds - few.iterations * cost))
        if not ks:
            raise ValueError("a law needs two fits of one k, with few and with more iterations")
        return cls(Line.through(ks, starts), Line.through(ks, costs))

    @classmethod
    def of_whole(cls, fits: Sequence[Fit]) -> "Law":
        """Find the law from whole fits; their start cannot be told apart and is in the cost."""
        ks = [fit.k for fit in fits]
        return cls(Line(0.0, 0.0), Line.through(ks, [f.seconds / f.iterations for f in fits]))


@dataclass(frozen=True)
class Estimate:
    """The seconds of a sweep, and how they were found where not all of it was measured."""

    seconds: float
    how: str | None = None


def sweep_seconds(
    fits: Sequence[Fit], ks: Sequence[int], known_iterations: Mapping[int, int]
) -> Estimate | None:
    """Return what a sweep takes, measured as far as it was.

    Parameters
    ----------
    fits : sequence of Fit
        All sampled, or whole ones of some or all k.
    ks : sequence of int
        Of the sweep.
    known_iterations : mapping
        Iterations of the same way on a smaller scan, by k; those of whole fits come first, and
        between two k that are known they lie on a straight line.
    """
    if not fits:
        return None
    whole = {fit.k: fit for fit in fits if not fit.sampled}
    if all(k in whole for k in ks):
        return Estimate(sum(whole[k].seconds for k in ks))
    if whole:
        law, source = Law.of_whole([*whole.values()]), f"whole fits at k = {_told(whole)}"
    else:
        sampled = [fit for fit in fits if fit.sampled]
        try:
            law = Law.of_sampled(sampled)
        except ValueError:
            return None
        source = f"seconds of an iteration at k = {_told({fit.k for fit in sampled})}"
    # Where a way does the same whatever limit it is given, it has no iterations.
    uncounted = not whole and len({fit.iterations for fit in fits}) == 1
    counted = {**known_iterations, **{k: fit.iterations for k, fit in whole.items()}}
    if uncounted:
        counted = dict.fromkeys(ks, fits[0].iterations)
    if not counted:
        return None
    at = sorted(counted)
    iterations = np.interp(ks, at, [counted[k] for k in at])
    seconds = sum(
        whole[k].seconds if k in whole else law.seconds(k, count)
        for k, count in zip(ks, iterations, strict=True)
    )
    from_smaller = bool(known_iterations) and not uncounted
    of_one_k = len({fit.k for fit in fits}) == 1
    return Estimate(
        float(seconds),
        f"from {source}, {'taken to be the same at every k' if of_one_k else 'linear in k'}"
        + (", with the iterations of the next smaller scan" if from_smaller else ""),
    )


def _told(ks: Sequence[int]) -> str:
    return ", ".join(map(str, sorted(ks)))


def spread(ks: Sequence[int]) -> list[int]:
    """Order k so that wherever time ends, the rest lies between what was fitted.

    The two ends come first, then what halves the widest gap.
    """
    left = sorted(ks)
    order = [left.pop(0), left.pop()] if len(left) > 1 else [left.pop()]
    while left:
        order.append(max(left, key=lambda k: (min(abs(k - done) for done in order), -k)))
        left.remove(order[-1])
    return order
