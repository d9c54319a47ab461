"""The default strategy: what the evidence together says about the number of patterns.

Where the number of distinct patterns settles leads; held-out counts, the spectrum of the counts,
redundancy and stability are independent enough of it to confirm or to doubt it. They are weighed
as a multi-criteria decision (``ranking.py``), and the confidence says how many of them agree.
"""

import numpy as np

from orimap.tasks.decide.candidates import (
    PLATEAU,
    Candidate,
    held_out_vote,
    leading_candidates,
    least_drop,
    settled_candidates,
)
from orimap.tasks.decide.components.redundancy import plateau
from orimap.tasks.decide.countable import predicts_nothing, why_not_countable
from orimap.tasks.decide.decision import Criterion, Decision, level_one_and_two
from orimap.tasks.decide.doubts import doubts, has_turned
from orimap.tasks.decide.evidence.evidence import Evidence
from orimap.tasks.decide.ranking import Ranking, Scores, rank_candidates
from orimap.tasks.decide.reasons import (
    CROSS_VALIDATION,
    DISTINCT,
    HELD_OUT,
    KNEE,
    REDUNDANCY,
    SPECTRUM,
    STABILITY,
    counting_votes,
    more_by_counting,
    reasons_of,
)

# Weights of the criteria, by how often each was right by itself on the even scans of the benchmark
# (the plateau 39 of 40, redundancy 29 of 30, the spectrum's largest step 20 of 21; held-out counts
# where little bends or drifts; the smallest silhouette and the knee are hints).
WEIGHTS = {
    DISTINCT: 0.35,
    HELD_OUT: 0.2,
    CROSS_VALIDATION: 0.2,
    SPECTRUM: 0.15,
    REDUNDANCY: 0.15,
    STABILITY: 0.1,
    KNEE: 0.05,
}
# A plateau is settled where at least this share of the fits from its start on hold it; where nearly
# all hold it, criteria that disagree do not rule out high confidence.
SETTLED_SHARE = 0.6
WELL_SETTLED_SHARE = 0.85
# Where no number settles by this much, where it settles best says nothing.
LEAST_SETTLED = 0.3
# So many criteria that name another number with one voice outweigh a clear grouping.
OUTWEIGH = 3
OUTWEIGH_LOOK = 2


class ByEvidence:
    """Weigh where the number of distinct patterns settles against every other evidence."""

    name = "evidence"

    def decide(self, evidence: Evidence) -> Decision:
        """Rank the two or three numbers of patterns that come into question."""
        candidates = leading_candidates(evidence)
        scores = score_candidates(evidence, candidates)
        ranking = rank_candidates([c.distinct for c in candidates], scores)
        by_number = {c.distinct: c for c in candidates}
        order = [by_number[int(number)] for number in ranking.order]
        votes = _votes(evidence, scores, ranking)
        order = _one_voice_first(evidence, order, votes)
        best, other = order[0], order[1] if len(order) > 1 else None
        confidence = _confidence(evidence, best, votes)
        return Decision(
            self.name,
            int(evidence.ks[best.fit]),
            confidence,
            other.distinct if other else None,
            reasons_of(evidence, best, votes, confidence, other),
            _criteria(evidence, scores, votes, ranking),
            least_drop(evidence),
            settled_k=int(evidence.ks[best.first]),
            preference={
                c.distinct: float(p) for c, p in zip(candidates, ranking.preference, strict=True)
            },
        )


def score_candidates(evidence: Evidence, candidates: list[Candidate]) -> list[Scores]:
    """Return every criterion's score for every candidate; NaN where it cannot score them."""
    numbers = np.array([c.distinct for c in candidates])

    def near(vote: int | None) -> np.ndarray:
        return np.full(len(numbers), np.nan) if vote is None else -np.abs(numbers - vote)

    counts = evidence.redundancy
    repeated = np.full(len(numbers), np.nan)
    if counts is not None:
        repeated = np.array([np.mean(counts[c.first :] == c.distinct) for c in candidates])
    stable = [evidence.stability.get(int(evidence.ks[c.first]), np.nan) for c in candidates]
    held_out = CROSS_VALIDATION if evidence.deviance is None else HELD_OUT
    settled = np.array([c.settled for c in candidates])
    if settled.max() < LEAST_SETTLED:
        settled = np.full(len(numbers), np.nan)
    values = {
        DISTINCT: settled,
        held_out: near(held_out_vote(evidence)),
        SPECTRUM: near(_spectrum_vote(evidence)),
        REDUNDANCY: repeated,
        STABILITY: np.array(stable),
        KNEE: near(evidence.interest.knee),
    }
    return [Scores(name, column, True, WEIGHTS[name]) for name, column in values.items()]


def _spectrum_vote(evidence: Evidence) -> int | None:
    """Return the number of directions before the spectrum's largest step down."""
    return evidence.spectrum.gap[0] if evidence.spectrum and evidence.spectrum.rank > 1 else None


def _votes(evidence: Evidence, scores: list[Scores], ranking: Ranking) -> dict[str, int | None]:
    """Return the number that each criterion alone would take, whether a candidate or not."""
    votes = {s.name: ranking.votes[s.name] for s in scores}
    own = {
        HELD_OUT: held_out_vote(evidence),
        CROSS_VALIDATION: held_out_vote(evidence),
        SPECTRUM: _spectrum_vote(evidence),
        REDUNDANCY: None
        if evidence.redundancy is None
        else plateau(evidence.ks, evidence.redundancy).count,
        KNEE: evidence.interest.knee,
    }
    votes.update({name: vote for name, vote in own.items() if name in votes})
    if len(ranking.order) == 1:
        votes[DISTINCT] = int(ranking.order[0])
    return votes


def _one_voice_first(
    evidence: Evidence, order: list[Candidate], votes: dict[str, int | None]
) -> list[Candidate]:
    """Put the number that all independent votes name first, where some fit holds it.

    Sharp borders between crystals that share reflections are told by counting alone. Where there
    are no reflections to group by, two votes are enough, and one is if nothing but a single
    pattern predicts what the fits did not see: noise looks like several.
    """
    others = counting_votes(votes)
    seen = evidence.components[order[0].fit].merged.has_reflections
    if not seen and predicts_nothing(evidence):
        others = [1] * OUTWEIGH_LOOK
    one_voice = len(set(others)) == 1 and len(others) >= (OUTWEIGH if seen else OUTWEIGH_LOOK)
    # Counting alone misses what is weak: it never speaks for fewer crystals.
    if not one_voice or (seen and others[0] < order[0].distinct):
        return order
    named = [c for c in settled_candidates(evidence) if c.distinct == others[0]]
    return [*named, *(c for c in order if c.distinct != others[0])]


def _confidence(evidence: Evidence, best: Candidate, votes: dict[str, int | None]) -> str:
    """Return the confidence: whether the number has settled, and what confirms or doubts it.

    What counts components agrees with the number of patterns where nothing bends, and then no doubt
    about the grouping is left. Where it does not agree, the grouping must be clear by itself, and
    not all that counts may name more: something that lies on top, or turns, would be counted too.
    Where all of it agrees on another number, that is likelier. Of a few positions nothing can be
    told.
    """
    if why_not_countable(evidence, best.fit):
        return "low"
    settled = best.fits >= PLATEAU and best.share >= SETTLED_SHARE
    others = counting_votes(votes)
    agreeing = others.count(best.distinct)
    well_settled = settled and best.share >= WELL_SETTLED_SHARE
    one_voice = len(others) >= 2 and len(set(others)) == 1
    if one_voice and not agreeing and len(others) >= OUTWEIGH:
        return "low"
    if settled and one_voice and agreeing and not has_turned(evidence, best):
        return "high"
    if not evidence.components[best.fit].merged.has_reflections:
        if well_settled and agreeing >= 2:
            return "high"
        return "moderate" if (settled and agreeing) or agreeing >= 2 else "low"
    clear = not doubts(evidence, best) and not more_by_counting(best, votes)
    if well_settled and others and clear:
        return "high"
    return "moderate" if settled or agreeing >= 2 else "low"


def _criteria(
    evidence: Evidence,
    scores: list[Scores],
    votes: dict[str, int | None],
    ranking: Ranking,
) -> list[Criterion]:
    """Return every criterion with its vote, its margin between the first two, and its reason."""
    why = {
        DISTINCT: "where the number settles as k grows; margin: in the share of fits that hold it",
        HELD_OUT: "clear drop in the deviance that is largest beside all that follow",
        CROSS_VALIDATION: "clear drop in the error of unseen blocks that is largest beside others",
        SPECTRUM: "largest step down among the directions that stand out from counting noise",
        REDUNDANCY: "components that repeat no other in pattern and map, over all fits",
        STABILITY: "smallest silhouette of components over resampled fits",
        KNEE: f"range of interest {evidence.interest.low} to {evidence.interest.high}",
    }
    without = {DISTINCT: "no number settles", KNEE: "the loss has no knee"}
    made = []
    for s in scores:
        values = np.sort(np.asarray(s.values, float))[::-1]
        known = bool(np.all(np.isfinite(values)))
        # A single candidate leaves nothing to tell apart; what speaks for it is used all the same.
        used = known and (len(values) == 1 or s.name not in ranking.indifferent)
        margin = float(values[0] - values[1]) if known and len(values) > 1 else None
        unknown = without.get(s.name, "no value for some of the numbers that come into question")
        reason = why[s.name] if known else evidence.skipped.get(s.name, unknown)
        made.append(Criterion(s.name, votes[s.name] if known else None, margin, used, reason))
    named = {c.name for c in made}
    rest = [c for c in level_one_and_two(evidence, used=False) if c.name not in named]
    gone = [
        Criterion(n, None, None, False, w) for n, w in evidence.skipped.items() if n not in named
    ]
    return [*made, *rest, *gone]
