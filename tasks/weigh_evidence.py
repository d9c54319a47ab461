"""The default strategy: what the evidence together says about the number of patterns."""

from collections import Counter

import numpy as np

from orimap.tasks.decision import Criterion, Decision, knee_sentence, level_one_and_two
from orimap.tasks.evidence import Evidence

# A component is kept while it lowers the held-out deviance by more than this share of the largest
# drop, and by more than this many standard errors. On the simulated scans a grain of 5 % of the
# scan gives .07, the first superfluous component .005 where nothing bends or drifts; bent and
# drifting grains give up to .08 and are joined again.
LEAST_DROP_SHARE = 0.01
LEAST_DROP_ERRORS = 4.0
# Fits beyond the chosen one whose number of distinct patterns is compared with it.
PLATEAU = 3


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
            knee_sentence(interest.knee),
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
            *level_one_and_two(evidence, used=False),
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
            knee_sentence(interest.knee)
            + f" Fits with {interest.low} to {interest.high} components were compared.",
            f"{evidence.ks[best]} is the smallest number of components among them that holds the "
            f"largest number of distinct patterns ({distinct}).",
            _merging_sentence(evidence, best),
        ]
        criteria = [
            Criterion("held-out counts", None, None, False, "the values are not counts"),
            Criterion("distinct patterns", distinct, agree, True, "most in the range of interest"),
            *level_one_and_two(evidence, used=True),
        ]
        return Decision(
            self.name,
            int(evidence.ks[best]),
            "moderate" if agree >= 0.5 and interest.knee is not None else "low",
            tally.most_common(1)[0][0] if tally else None,
            reasons,
            criteria,
        )


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


def _listed(values: np.ndarray) -> str:
    """Write numbers as a person would."""
    return ", ".join(str(int(v)) for v in values)
