"""Decide how many components to use: named strategies over the same evidence.

A strategy looks at the evidence of every k and names the fit to use. How many distinct patterns
that fit holds follows from merging (``merge.py``), whatever the strategy.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from orimap.tasks.errors import InputError
from orimap.tasks.evidence import METRICS, Evidence

# A component is kept while it lowers the held-out deviance by more than this share of the largest
# drop, and by more than this many standard errors. On the simulated scans a grain of 5 % of the
# scan gives .07, the first superfluous component .005 where nothing bends or drifts; bent and
# drifting grains give up to .08 and are joined again.
LEAST_DROP_SHARE = 0.01
LEAST_DROP_ERRORS = 4.0
# Fits beyond the chosen one whose number of distinct patterns is compared with it.
PLATEAU = 3
# The paper's own rule looks at one fit of this many components.
PUBLISHED_COMPONENTS = 12


@dataclass(frozen=True)
class Criterion:
    """One criterion's say.

    Parameters
    ----------
    name : str
    vote : int or None
        The number of components it speaks for.
    margin : float or None
        How clearly, in its own measure; larger is clearer.
    used : bool
        Whether the strategy went by it.
    why : str
    """

    name: str
    vote: int | None
    margin: float | None
    used: bool
    why: str


@dataclass(frozen=True)
class Decision:
    """Which fit to use, and why.

    Parameters
    ----------
    strategy : str
    fitted_k : int
    confidence : str
        "high", "moderate" or "low".
    runner_up : int or None
        The next best number of distinct patterns.
    reasons : list of str
        In plain words.
    criteria : list of Criterion
    drop_threshold : float or None
        Held-out drop above which a component is kept.
    """

    strategy: str
    fitted_k: int
    confidence: str
    runner_up: int | None
    reasons: list[str]
    criteria: list[Criterion] = field(default_factory=list)
    drop_threshold: float | None = None


class Strategy(Protocol):
    """A way to decide."""

    name: str

    def decide(self, evidence: Evidence) -> Decision:
        """Choose among the fits."""


def choose_k(evidence: Evidence, strategy: str, forced: int | None = None) -> Decision:
    """Decide by a named strategy, or take the number that was asked for.

    Raises
    ------
    InputError
        If there is no such strategy, or the forced number was not fitted.
    """
    decision = find_strategy(strategy).decide(evidence)
    if forced is None:
        return decision
    if forced not in evidence.ks:
        raise InputError(
            f"a number of components that was fitted ({evidence.ks[0]} to {evidence.ks[-1]})",
            f"--decided-k {forced}",
            f"choose one of these, or widen --k to hold {forced}",
        )
    note = f"{forced} components were asked for; the evidence speaks for {decision.fitted_k}."
    return Decision(
        "forced",
        forced,
        decision.confidence if forced == decision.fitted_k else "low",
        int(evidence.distinct[list(evidence.ks).index(decision.fitted_k)]),
        [note, *decision.reasons],
        decision.criteria,
        decision.drop_threshold,
    )


class ByEvidence:
    """Held-out counts decide where there are counts; the range of interest and redundancy else."""

    name = "evidence"

    def decide(self, evidence: Evidence) -> Decision:
        """Take the last k that lowers the held-out deviance clearly by a new distinct pattern.

        A component that lowers it without being a new pattern describes how a grain bends or how
        its patterns drift.
        """
        if evidence.deviance is None:
            return self._by_redundancy(evidence)
        ks = evidence.ks
        drop, error = evidence.held_out_drops()
        # Against one component the first k that was fitted stands for all below it.
        largest = np.nanmax(drop) if len(ks) > 1 else 0.0
        threshold = LEAST_DROP_SHARE * max(largest, 0.0)
        with np.errstate(invalid="ignore"):
            clear = (drop > threshold) & (drop > LEAST_DROP_ERRORS * error)
        last = 0
        for i in np.flatnonzero(clear):
            # Against the last one kept: what a superfluous fit seems to hold settles nothing.
            if evidence.distinct[i] > evidence.distinct[last]:
                last = int(i)
        fitted = int(ks[last])
        # Steps after it that are clear but no new pattern are bending or drift, not noise.
        rest = drop[last + 1 :][~clear[last + 1 :]]
        bending = int(np.count_nonzero(clear[last + 1 :]))
        refused = max(float(np.max(rest, initial=-np.inf)), 0.0)
        kept = float(drop[last]) if last else 0.0
        margin = kept / max(refused, threshold) if threshold > 0 else None
        distinct = int(evidence.distinct[last])
        beyond = evidence.distinct[last + 1 : last + 1 + PLATEAU]
        steady = len(beyond) > 0 and bool(np.all(beyond == distinct))
        confidence = "low"
        if steady and margin is not None and margin >= 3:
            confidence = "high"
        elif steady or (margin is not None and margin >= 3):
            confidence = "moderate"
        interest = evidence.interest
        reasons = [
            f"Held-out counts: {fitted} components explain the half of the electrons that no fit "
            "saw"
            + (
                f"; the last of them lowers the deviance by {100 * kept / largest:.2g} % of the "
                f"largest step, further ones by at most {100 * refused / largest:.2g} %."
                if largest > 0 and fitted > ks[0]
                else " no better than one would expect of more."
            ),
            *_bending_sentence(bending),
            _merging_sentence(evidence, last),
            f"The fits with up to {len(beyond)} more components hold "
            + (
                f"{distinct} distinct patterns as well."
                if steady
                else f"{_listed(beyond)} distinct patterns: the number has not settled."
            )
            if len(beyond)
            else "No fit with more components was made to confirm it.",
            _knee_sentence(interest.knee),
        ]
        others = Counter(int(d) for d in beyond if d != distinct)
        runner_up = others.most_common(1)[0][0] if others else max(1, distinct - 1)
        criteria = [
            Criterion(
                "held-out counts",
                fitted,
                margin,
                True,
                "last clear drop in the deviance by a new pattern",
            ),
            Criterion(
                "distinct patterns",
                distinct,
                float(np.mean(beyond == distinct)) if len(beyond) else None,
                True,
                "after merging; margin: share of the next fits that agree",
            ),
            *_level_one_and_two(evidence, used=False),
        ]
        return Decision(
            self.name,
            fitted,
            confidence,
            runner_up if runner_up != distinct else None,
            reasons,
            criteria,
            threshold,
        )

    def _by_redundancy(self, evidence: Evidence) -> Decision:
        """Take the smallest k in the range that holds the most distinct patterns."""
        interest = evidence.interest
        inside = np.flatnonzero((evidence.ks >= interest.low) & (evidence.ks <= interest.high))
        counts = evidence.distinct[inside]
        best = int(inside[np.argmax(counts)])
        distinct = int(evidence.distinct[best])
        agree = float(np.mean(counts == distinct))
        tally = Counter(int(c) for c in counts if c != distinct)
        reasons = [
            "The values are not Poisson counts, so no half of them can be held out.",
            _knee_sentence(interest.knee)
            + f" Fits with {interest.low} to {interest.high} components were compared.",
            f"{evidence.ks[best]} is the smallest number of components among them that holds the "
            f"largest number of distinct patterns ({distinct}).",
            _merging_sentence(evidence, best),
        ]
        criteria = [
            Criterion("held-out counts", None, None, False, "the values are not counts"),
            Criterion("distinct patterns", distinct, agree, True, "most in the range of interest"),
            *_level_one_and_two(evidence, used=True),
        ]
        return Decision(
            self.name,
            int(evidence.ks[best]),
            "moderate" if agree >= 0.5 and interest.knee is not None else "low",
            tally.most_common(1)[0][0] if tally else None,
            reasons,
            criteria,
        )


class ByKnee:
    """The knee of the K-component loss, for comparison."""

    name = "knee"

    def decide(self, evidence: Evidence) -> Decision:
        """Take the knee; the largest k where the loss has none."""
        interest = evidence.interest
        fitted = interest.knee or int(evidence.ks[-1])
        return Decision(
            self.name,
            fitted,
            "low",
            None,
            [
                _knee_sentence(interest.knee)
                + ("" if interest.knee else " The largest number that was fitted is taken."),
                "The knee depends on the range of k and is a matter of taste: it is kept for "
                "comparison.",
            ],
            _level_one_and_two(evidence, used=True),
        )


class AsPublished:
    """The rule of the paper's own scripts, faults included, for comparison.

    One fit of 12 components; the mean of each column of the pairwise matrices, diagonal included;
    the position of the smallest (SSIM) or the largest (GMSD, MDSI, PSNR) is read as k. It is the
    number of one component inside one fit, no model selection.
    """

    name = "published"

    def decide(self, evidence: Evidence) -> Decision:
        """Count the votes of the metrics; ties go to the first, SSIM."""
        ks = list(evidence.ks)
        size = min(max(PUBLISHED_COMPONENTS, ks[0]), ks[-1])
        matrices = evidence.components[ks.index(size)].metrics
        votes = {}
        for name in METRICS:
            column = matrices[name].mean(axis=0)
            if np.isnan(column).any():  # SSIM of patterns below its window
                continue
            place = int(column.argmin() if name == "ssim" else column.argmax())
            votes[name] = min(max(place + 1, ks[0]), ks[-1])
        tally = Counter(votes.values())
        most = max(tally.values())
        fitted = next(vote for vote in votes.values() if tally[vote] == most)
        reasons = [
            f"The published rule on one fit of {size} components: "
            + ", ".join(f"{name.upper()} votes for {vote}" for name, vote in votes.items())
            + ".",
            "It names the most dissimilar component of one fit rather than a number of patterns; "
            "it is kept for comparison with the paper.",
        ]
        criteria = [
            Criterion(name.upper(), vote, None, True, "column mean with diagonal")
            for name, vote in votes.items()
        ]
        return Decision(self.name, int(fitted), "low", None, reasons, criteria)


STRATEGIES: dict[str, Strategy] = {s.name: s for s in (ByEvidence(), ByKnee(), AsPublished())}


def find_strategy(name: str) -> Strategy:
    """Return a strategy by its name.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    if name not in STRATEGIES:
        raise InputError(
            f"a strategy: {', '.join(STRATEGIES)}", f"--strategy {name}", "choose one of these"
        )
    return STRATEGIES[name]


def _level_one_and_two(evidence: Evidence, *, used: bool) -> list[Criterion]:
    """Return the paper's two levels as criteria: the knee, and the metrics off the diagonal."""
    interest = evidence.interest
    inside = np.flatnonzero((evidence.ks >= interest.low) & (evidence.ks <= interest.high))
    criteria = [
        Criterion(
            "knee of the loss",
            interest.knee,
            None,
            used,
            f"range of interest {interest.low} to {interest.high}",
        )
    ]
    for name in METRICS:
        values = np.array([evidence.components[i].off_diagonal(name) for i in inside])
        if np.all(np.isnan(values)):
            continue
        # Components should differ: low SSIM and PSNR, high GMSD and MDSI.
        sign = 1 if name in ("ssim", "psnr") else -1
        order = np.argsort(np.where(np.isnan(values), np.inf, sign * values))
        best = order[0]
        margin = abs(values[order[1]] - values[best]) if len(order) > 1 else np.nan
        criteria.append(
            Criterion(
                name.upper(),
                int(evidence.ks[inside[best]]),
                float(margin) if np.isfinite(margin) else None,
                False,
                "components least alike, mean off the diagonal, in the range of interest",
            )
        )
    return criteria


def _merging_sentence(evidence: Evidence, i: int) -> str:
    """Say what became of the components of one fit."""
    merged = evidence.components[i].merged
    k = int(evidence.ks[i])
    if not merged.has_reflections:
        return (
            "No reflections stand out from the background, so background could not be told apart: "
            f"the {k} components hold {merged.distinct} distinct patterns."
        )
    joined = k - merged.background - merged.distinct
    parts = [f"Of its {k} component{'s' if k > 1 else ''}"]
    parts.append(
        f"{merged.background} {'is' if merged.background == 1 else 'are'} background"
        if merged.background
        else "none is background"
    )
    parts.append(
        f"{joined} {'was' if joined == 1 else 'were'} joined to a neighbour with the same "
        "reflections"
        if joined
        else "none had to be joined"
    )
    return f"{parts[0]}, {parts[1]} and {parts[2]}: {merged.distinct} distinct patterns."


def _bending_sentence(count: int) -> list[str]:
    """Say that further components describe how known patterns change."""
    if not count:
        return []
    return [
        f"{count} further component{'s' if count > 1 else ''} would lower the deviance clearly, "
        "but none is a new pattern: grains bend, or patterns drift over the scan."
    ]


def _knee_sentence(knee: int | None) -> str:
    """Say where the knee of the loss is."""
    if knee is None:
        return "The K-component loss has no knee."
    return f"The K-component loss has its knee at {knee}."


def _listed(values: np.ndarray) -> str:
    """Write numbers as a person would."""
    return ", ".join(str(int(v)) for v in values)
