"""What makes the grouping of components to grains doubtful, however well their number has settled.

Criteria that count components cannot tell: where diffraction is dynamical they all count what bends
within grains. The grouping itself shows how clear it is.
"""

from collections.abc import Callable

import numpy as np

from orimap.tasks.decide.candidates import Candidate
from orimap.tasks.decide.components.merge import Merged
from orimap.tasks.decide.evidence.evidence import Evidence
from orimap.tasks.decide.grains.group import ONE_GRAIN

# A pair that was joined or left apart by less than this could as well have been the other way.
CLOSE_CALL = 0.04
# A pattern that is weaker than this in the median of its positions may be what noise left over.
WEAK = 2.5
# Parts of one pattern whose places are less alike than this have no more in common than any two
# crystals: it turns so far over the scan that there is no telling where one ends.
TURNED = 0.15
# A doubt that more than this share of the fits raise is heard.
HEARD = 0.25


def doubts(evidence: Evidence, best: Candidate) -> list[str]:
    """Return sentences on what is doubtful about a number of patterns, none where nothing is.

    Parameters
    ----------
    evidence : Evidence
    best : Candidate
        All fits that hold this number are asked.
    """
    raised = [
        (_nearly_joined, "two patterns are nearly as alike as parts of one grain"),
        (_nearly_apart, "parts of one pattern are nearly as different as grains"),
        (_weak, "a pattern is hardly stronger than its noise"),
        (
            _turned,
            "the ends of a pattern have hardly a reflection in common: where a crystal bends or "
            "turns so far, how many patterns it is counted as is a matter of choice",
        ),
        (
            _split,
            "bent grains were to be taken apart, and how many patterns each of them is counted as "
            "is a matter of choice",
        ),
        (
            _on_top,
            "some parts of a pattern have reflections that others lack: precipitates or a second "
            "phase in the same orientation would be counted as one pattern with the crystal "
            "around them",
        ),
    ]
    return [words for asked, words in raised if _heard(asked, evidence, best)]


def has_turned(evidence: Evidence, best: Candidate) -> bool:
    """Return whether some patterns turn, so that their number is a matter of choice."""
    return _heard(_turned, evidence, best) or _heard(_split, evidence, best)


def lies_on_others(evidence: Evidence, best: Candidate) -> bool:
    """Return whether something may lie on top of a pattern."""
    return _heard(_on_top, evidence, best)


def _heard(asked: Callable[[Merged], bool], evidence: Evidence, best: Candidate) -> bool:
    """Return whether enough of the fits that hold a number raise a doubt."""
    holding = [c.merged for c in evidence.components if c.merged.distinct == best.distinct]
    raised = [asked(merged) for merged in holding if merged.has_reflections]
    return bool(raised) and float(np.mean(raised)) > HEARD


def _nearly_joined(merged: Merged) -> bool:
    return merged.most_apart > ONE_GRAIN - CLOSE_CALL


def _nearly_apart(merged: Merged) -> bool:
    return merged.least_joined < ONE_GRAIN + CLOSE_CALL


def _weak(merged: Merged) -> bool:
    return merged.weakest < WEAK


def _turned(merged: Merged) -> bool:
    return merged.ends_alike < TURNED


def _split(merged: Merged) -> bool:
    return merged.split_bent


def _on_top(merged: Merged) -> bool:
    return merged.on_top > 0
