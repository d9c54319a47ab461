"""What makes the grouping of components to grains doubtful, however well their number has settled.

Criteria that count components cannot tell: where diffraction is dynamical they all count what bends
within grains. The grouping itself shows how clear it is.
"""

import numpy as np

from orimap.tasks.decide.candidates import Candidate
from orimap.tasks.decide.components.merge import Merged
from orimap.tasks.decide.evidence.evidence import Evidence
from orimap.tasks.decide.grains.group import ONE_GRAIN

# A pair that was joined or left apart by less than this could as well have been the other way.
CLOSE_CALL = 0.07
# A pattern that is weaker than this in the median of its positions may be what noise left over.
WEAK = 4.0
# A doubt that this share of the fits raise is heard.
HEARD = 0.25


def doubts(evidence: Evidence, best: Candidate) -> list[str]:
    """Return sentences on what is doubtful about a number of patterns, none where nothing is.

    Parameters
    ----------
    evidence : Evidence
    best : Candidate
        All fits that hold this number are asked.
    """
    holding = [c.merged for c in evidence.components if c.merged.distinct == best.distinct]
    holding = [merged for merged in holding if merged.has_reflections]
    raised = [
        (_nearly_joined, "two patterns are nearly as alike as parts of one grain"),
        (_nearly_apart, "parts of one pattern are nearly as different as grains"),
        (_weak, "a pattern is hardly stronger than its noise"),
        (
            _on_top,
            "some parts of a pattern have reflections that others lack: precipitates or a second "
            "phase in the same orientation would be counted as one pattern with the crystal "
            "around them",
        ),
    ]
    return [
        words
        for asked, words in raised
        if holding and np.mean([asked(merged) for merged in holding]) >= HEARD
    ]


def _nearly_joined(merged: Merged) -> bool:
    return merged.most_apart > ONE_GRAIN - CLOSE_CALL


def _nearly_apart(merged: Merged) -> bool:
    return merged.least_joined < ONE_GRAIN + CLOSE_CALL


def _weak(merged: Merged) -> bool:
    return merged.weakest < WEAK


def _on_top(merged: Merged) -> bool:
    return merged.on_top > 0
