"""The decision of a strategy: the fit to use, the confidence in it, and the reasons."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from orimap.tasks.decide.evidence.evidence import Evidence
from orimap.tasks.store.variables import METRICS


@dataclass(frozen=True)
class Criterion:
    """The vote of one criterion.

    Parameters
    ----------
    name : str
    vote : int or None
        The number of components it speaks for.
    margin : float or None
        How clear the vote is, in the criterion's own measure; larger is clearer.
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
    """The fit to use, and the reasons.

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
    settled_k : int or None
        Components from which on the fits hold the decided number of patterns.
    preference : dict of int to float
        Of the numbers of patterns that were ranked, 0 to 1.
    """

    strategy: str
    fitted_k: int
    confidence: str
    runner_up: int | None
    reasons: list[str]
    criteria: list[Criterion] = field(default_factory=list)
    drop_threshold: float | None = None
    settled_k: int | None = None
    preference: dict[int, float] = field(default_factory=dict)


class Strategy(Protocol):
    """A way to decide."""

    name: str

    def decide(self, evidence: Evidence) -> Decision:
        """Choose among the fits."""


def with_guesses(decision: Decision, guesses: Sequence[str]) -> Decision:
    """Return a decision about a file that was partly guessed: its confidence is never high.

    Parameters
    ----------
    decision : Decision
    guesses : sequence of str
        What the file does not say, and as what it was read.
    """
    if not guesses:
        return decision
    reasons = [*(f"Guessed: {guess.rstrip('.')}." for guess in guesses), *decision.reasons]
    if decision.confidence != "high":
        return replace(decision, reasons=reasons)
    reasons.append("But for what was guessed, the confidence would be high.")
    return replace(decision, confidence="moderate", reasons=reasons)


def level_one_and_two(evidence: Evidence, *, used: bool) -> list[Criterion]:
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


def knee_sentence(knee: int | None) -> str:
    """Return a sentence on where the knee of the loss is."""
    if knee is None:
        return "The K-component loss has no knee."
    return f"The K-component loss has its knee at {knee}."
