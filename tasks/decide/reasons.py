"""The decision in words: what every criterion says, who doubts, and what would settle it."""

import numpy as np

from orimap.tasks.decide.candidates import PLATEAU, Candidate, clear_drops
from orimap.tasks.decide.countable import shows_crystal, why_not_countable
from orimap.tasks.decide.decision import knee_sentence
from orimap.tasks.decide.doubts import doubts, lies_on_others
from orimap.tasks.decide.evidence.evidence import Evidence

# Names of the criteria, in the results and in the report.
DISTINCT, HELD_OUT, SPECTRUM = "distinct patterns", "held-out counts", "spectrum"
REDUNDANCY, STABILITY, KNEE = "redundancy", "stability", "knee of the loss"
CROSS_VALIDATION = "cross-validation"
# So many directions for each pattern are a sign by themselves that diffraction changes in grains.
MANY_DIRECTIONS = 3
# Parts of a pattern that have less than this in common bend; what varies in thickness has more.
BENT = 0.45
# How the sentence begins on what became of the components of the fit that is used.
FIT_USED = "The fit used has"
# Criteria that count components; grains are not known to them.
COUNTING = (HELD_OUT, CROSS_VALIDATION, SPECTRUM, REDUNDANCY)


def reasons_of(
    evidence: Evidence,
    best: Candidate,
    votes: dict[str, int | None],
    confidence: str,
    other: Candidate | None,
) -> list[str]:
    """Explain the decision in plain words, the weightiest first."""
    reasons = [
        *filter(None, [why_not_countable(evidence, best.fit)]),
        *_no_crystal_sentences(evidence, best),
        _settling_sentence(evidence, best),
        merging_sentence(evidence, best.fit),
        *_bending_sentences(evidence, best),
        *doubt_sentences(evidence, best, None if confidence == "high" else votes),
        *_clear_sentences(votes, best, confidence),
        *_held_out_sentences(evidence, best, votes),
    ]
    reasons += _spectrum_sentences(evidence, best)
    if votes.get(REDUNDANCY) is not None:
        reasons.append(
            "Redundancy: without components that repeat another in pattern and in map, most fits "
            f"hold {votes[REDUNDANCY]}."
        )
    reasons += _stability_sentences(evidence, best)
    reasons.append(knee_sentence(evidence.interest.knee))
    reasons += [
        f"{name[0].upper()}{name[1:]} {'were' if name == HELD_OUT else 'was'} left out: {why}."
        for name, why in evidence.skipped.items()
    ]
    if confidence != "high":
        reasons.append(f"{_runner_up(other)} {_settle_sentence(evidence, best)}")
    elif other is not None:
        reasons.append(_runner_up(other))
    return reasons


def counting_votes(votes: dict[str, int | None]) -> list[int]:
    """Return the votes of all that counts components, and so knows nothing of grains."""
    named = (votes.get(name) for name in COUNTING)
    return [vote for vote in named if vote is not None]


def more_by_counting(best: Candidate, votes: dict[str, int | None]) -> str:
    """Say what names a larger number, where all does that counts components; empty otherwise.

    Held-out counts and the spectrum; cross-validation, and the spectrum where the noise is known,
    where values are not counts.
    """
    if HELD_OUT in votes:
        counted = {"held-out counts": votes[HELD_OUT], "the spectrum": votes.get(SPECTRUM)}
    else:
        counted = {"cross-validation": votes.get(CROSS_VALIDATION)}
        if votes.get(SPECTRUM) is not None:
            counted["the spectrum"] = votes[SPECTRUM]
    if any(vote is None or vote <= best.distinct for vote in counted.values()):
        return ""
    several = len(counted) > 1
    return f"{' and '.join(counted)} {'both name' if several else 'names'} more"


def doubt_sentences(
    evidence: Evidence, best: Candidate, votes: dict[str, int | None] | None = None
) -> list[str]:
    """Return a sentence on what is doubtful; none where nothing is."""
    found = doubts(evidence, best)
    more = more_by_counting(best, votes or {})
    if votes and more:
        found.append(
            f"{more}: what bends or turns is counted so, and so would be a pattern that the "
            "grouping has missed"
        )
    return [f"Doubtful: {'; '.join(found)}."] if found else []


def _bending_sentences(evidence: Evidence, best: Candidate) -> list[str]:
    """Return a sentence where a pattern has parts that differ as a bent crystal's do."""
    merged = evidence.components[best.fit].merged
    if not merged.has_reflections or merged.joined == 0 or merged.ends_alike >= BENT:
        return []
    return [
        f"A crystal bends or turns: the least alike parts of one pattern have "
        f"{100 * merged.ends_alike:.0f} % of their reflections in common."
    ]


def _clear_sentences(votes: dict[str, int | None], best: Candidate, confidence: str) -> list[str]:
    """Return a sentence on why other votes do not lower the confidence; none where all agree."""
    if confidence != "high" or all(vote == best.distinct for vote in counting_votes(votes)):
        return []
    return [
        "The grouping itself is clear: in the fits that hold this number no two patterns are "
        "nearly as alike as parts of one grain, and none is near the noise. Criteria that count "
        "components count what bends or varies within grains as well, and so may name others."
    ]


def _no_crystal_sentences(evidence: Evidence, best: Candidate) -> list[str]:
    """Return a sentence where no crystal is found; none where there is one."""
    if shows_crystal(evidence, best.fit):
        return []
    return ["No fit shows reflections above its background: vacuum, an amorphous film, or noise."]


def _settling_sentence(evidence: Evidence, best: Candidate) -> str:
    """Return a sentence on where the number of distinct patterns settles, and how well."""
    number, first = best.distinct, int(evidence.ks[best.first])
    last = int(evidence.ks[-1])
    word = "pattern" if number == 1 else "patterns"
    if first == last:
        size = _counted(first, "component", "components")
        return f"The fit with {size}, the largest, holds {number} distinct {word}."
    of = len(evidence.ks) - best.first
    how = f"all {of}" if best.fits == of else f"{best.fits} of the {of}"
    return (
        f"The number of distinct patterns settles at {number}: {how} fits with {first} to {last} "
        "components hold it."
    )


def merging_sentence(evidence: Evidence, i: int) -> str:
    """Return a sentence on what became of the components of one fit."""
    merged, k = evidence.components[i].merged, int(evidence.ks[i])
    what = "grains that bend, vary in thickness or drift" if merged.has_reflections else "others"
    parts = [
        _counted(merged.background, "shows no reflections", "show no reflections"),
        _counted(
            merged.left_over, "is left-over noise or a mixture", "are left-over noise or mixtures"
        ),
        _counted(merged.joined, f"is a further part of {what}", f"are further parts of {what}"),
    ]
    said = ", ".join(part for part in parts if part)
    held = f"{merged.distinct} distinct pattern{'' if merged.distinct == 1 else 's'}"
    start = f"{FIT_USED} {k} component{'' if k == 1 else 's'}"
    if not merged.has_reflections:
        start += ", none with reflections, so that background could not be told apart"
    return f"{start}: {said + '; ' if said else ''}{held}."


def _counted(count: int, one: str, more: str) -> str:
    """Write a number with what it counts, or nothing."""
    return f"{count} {one if count == 1 else more}" if count else ""


def _percent(share: float) -> str:
    """Write a share in percent, to two digits where they say something."""
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"


def _held_out_sentences(
    evidence: Evidence, best: Candidate, votes: dict[str, int | None]
) -> list[str]:
    """Return sentences on the number that held-out counts, or blocks, favour and how clearly."""
    if evidence.held_out is None:
        return []
    counts = evidence.deviance is not None
    vote = votes[HELD_OUT if counts else CROSS_VALIDATION]
    drop, clear = evidence.held_out_drops()[0], clear_drops(evidence)
    what = "Held-out counts" if counts else "Cross-validation"
    largest = float(np.nanmax(drop, initial=0.0))
    if not clear.any():
        return [f"{what}: no further component predicts what the fits did not see any better."]
    measure = "deviance" if counts else "error"
    named = _counted(int(vote), "component", "components") if vote else "no number"
    said = [f"{what} speak{'' if counts else 's'} for {named}."]
    if best.first > 0:
        at, first = int(evidence.ks[best.first]), float(drop[best.first])
        how = f"by {_percent(first / largest)} of the largest step" if first > 0 else "by nothing"
        said[0] = (
            f"{said[0][:-1]}; component {at}, with which {_hold(best)}, lowers the {measure} {how}."
        )
    beyond = np.arange(len(drop)) > best.first
    if not beyond.any():
        return said
    more = np.flatnonzero(clear & beyond)
    if not len(more):
        left = _percent(max(float(np.nanmax(drop[beyond], initial=0.0)), 0.0) / largest)
        return [*said, f"No further one lowers it clearly: by {left} at most."]
    most = _percent(float(np.max(drop[more])) / largest)
    one = len(more) == 1
    known = (
        f"{len(more)} further component{'' if one else 's'} lower{'s' if one else ''} the "
        f"{measure} clearly, by {'' if one else 'up to '}{most} of the largest step"
    )
    still = int(np.count_nonzero(evidence.distinct[more] == best.distinct))
    if still == len(more):
        known += " without being a new pattern: grains bend, or patterns drift over the scan"
    elif still:
        known += f"; {still} of them without being a new pattern"
    return [*said, f"{known}."]


def _hold(best: Candidate) -> str:
    """Say that fits begin to hold a number."""
    return f"{_counted(best.distinct, 'pattern is', 'patterns are')} there for the first time"


def _spectrum_sentences(evidence: Evidence, best: Candidate) -> list[str]:
    """Return sentences on the directions that stand out, and why there are more than patterns."""
    spectrum = evidence.spectrum
    if not spectrum or spectrum.rank <= 1:
        return []
    said = [
        f"Spectrum of the counts: {'at least ' if spectrum.capped else ''}{spectrum.rank} "
        f"directions stand out from counting noise; the largest step down, by a factor of "
        f"{spectrum.gap[1]:.2g}, comes after {spectrum.gap[0]}."
    ]
    if spectrum.rank > MANY_DIRECTIONS * best.distinct:
        said.append(
            f"That is more than {MANY_DIRECTIONS} directions a pattern: grains bend, vary in "
            "thickness, or diffract dynamically."
        )
    elif spectrum.rank > best.distinct:
        said.append(
            f"That is {spectrum.rank - best.distinct} more than patterns: a pattern that changes "
            "within its grain, by bending or thickness, has further directions, and so may the "
            "background."
        )
    return said


def _stability_sentences(evidence: Evidence, best: Candidate) -> list[str]:
    """Return sentences on how well fits of the numbers in question come out again."""
    found = evidence.stability
    if not found:
        return []
    counts = dict(zip(evidence.ks.tolist(), evidence.distinct.tolist(), strict=True))
    decided = int(evidence.ks[best.first])

    def of(k: int) -> str:
        count = _counted(counts[k], "pattern", "patterns")
        return f"{found[k]:.2f} for {count} ({_counted(k, 'component', 'components')})"

    order = [decided] if decided in found else []
    order += [k for k in sorted(found) if k != decided]
    listed = [of(k) + (", which was decided" if k == decided else "") for k in order]
    said = [
        "Stability: when other positions are fitted, the least stable component comes out alike "
        f"(silhouette, 1 at best) by {'; '.join(listed)}."
    ]
    if decided not in found:
        said.append(f"{_counted(best.distinct, 'pattern', 'patterns')} were not fitted so.")
    elif max(found.values()) > found[decided]:
        said.append(
            "By this alone another number would be taken; it weighs little beside where the number "
            "settles."
        )
    return said


def _runner_up(other: Candidate | None) -> str:
    """Return a sentence that names the second best number."""
    if other is None:
        return "No fit holds another number."
    return (
        f"Runner-up: {_counted(other.distinct, 'distinct pattern', 'distinct patterns')} "
        f"(--distinct {other.distinct} shows {'it' if other.distinct == 1 else 'them'})."
    )


def _settle_sentence(evidence: Evidence, best: Candidate) -> str:
    """Return a sentence that names what would settle the question."""
    last, positions = int(evidence.ks[-1]), evidence.limits.positions
    if _needs_more_components(evidence, best):
        more = 2 * last if positions is None else min(2 * last, positions - 1)
        return f"To be sure, fit more components, for instance --k {evidence.ks[0]}:{more}."
    return f"It would be settled by {_what_would_settle(evidence, best)}."


def _needs_more_components(evidence: Evidence, best: Candidate) -> bool:
    """Return whether the answer is so near to the last fit that larger ones may differ."""
    return (
        not why_not_countable(evidence, best.fit)
        and best.first > len(evidence.ks) - PLATEAU
        and evidence.limits.more_components
    )


def _what_would_settle(evidence: Evidence, best: Candidate) -> str:
    """Return what can be done, with this acquisition or another, to settle the question."""
    last, limits = int(evidence.ks[-1]), evidence.limits
    if why_not_countable(evidence, best.fit):
        return "a scan of more positions"
    near_the_end = best.first > len(evidence.ks) - PLATEAU
    if near_the_end and limits.positions is not None and last >= limits.positions - 1:
        return "a scan of more positions"
    if lies_on_others(evidence, best):
        return (
            "a look at the shares: what lies on top of a crystal is dark in the share of its "
            "pattern"
        )
    if np.count_nonzero(clear_drops(evidence)[best.first + 1 :]) >= PLATEAU:
        return (
            "a look at the borders on the map: where patterns fade into each other a grain bends, "
            "where they end there are two"
        )
    if not evidence.components[best.fit].merged.has_reflections:
        if best.distinct == 1:
            return "a longer exposure, if there should be a crystal"
        return "a longer exposure, in which reflections show"
    counts = evidence.deviance is not None or evidence.held_out is None
    exposure = "more electrons a pattern" if counts else "a longer exposure"
    if limits.next_bin is None:
        return exposure
    return f"{exposure}, or summing detector pixels (--bin {limits.next_bin})"
