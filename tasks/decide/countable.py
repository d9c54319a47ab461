"""Tell whether a scan can be counted at all, and whether it shows a crystal.

A number of patterns says something where patterns are seen again and again, or where what was left
out of the fits bears it out. In a handful of positions noise alone makes as many patterns as there
are fits.
"""

from orimap.tasks.decide.components.coherence import FEWEST_POSITIONS
from orimap.tasks.decide.evidence.evidence import Evidence

# Noise was counted as up to eight patterns in nine positions, and repeats of one pattern as up to
# three in six; from twelve on one pattern is one, and two grains in a line of fourteen are two.
FEWEST_TO_COUNT = 12
# What a further component lowers the held-out score by may be chance up to so many standard errors.
CHANCE_ERRORS = 2.0


def why_not_countable(evidence: Evidence, i: int) -> str:
    """Say why the number of patterns of one fit means nothing; empty where it does.

    Parameters
    ----------
    evidence : Evidence
    i : int
        Place of the fit among all.
    """
    positions = evidence.limits.positions
    if positions is None or positions >= FEWEST_POSITIONS:
        return ""
    if positions < FEWEST_TO_COUNT:
        return (
            f"Too few positions to count: {positions} of the {FEWEST_TO_COUNT} that are needed at "
            "least, so that patterns are seen more than once."
        )
    merged = evidence.components[i].merged
    if merged.has_reflections or merged.distinct == 1 or evidence.held_out is not None:
        return ""
    return (
        f"Too few positions to count: nothing shows reflections, and of {positions} positions "
        f"({FEWEST_POSITIONS} are needed) none can be left out to check the number by."
    )


def shows_crystal(evidence: Evidence, i: int) -> bool:
    """Return whether there is a crystal at all, in the fit at one place among all.

    Either it shows reflections, or there are several patterns all the same, such as those of
    Kikuchi bands: where that can be counted, and further ones predict what no fit saw.
    """
    merged = evidence.components[i].merged
    several = merged.distinct > 1 and not why_not_countable(evidence, i)
    return merged.has_reflections or (several and not predicts_nothing(evidence))


def predicts_nothing(evidence: Evidence) -> bool:
    """Return whether no further pattern than the first predicts what the fits did not see.

    Not even as uncertainly as two grains in thirty positions do, whose share differs from one
    position to the next: noise makes what was left out worse.
    """
    if evidence.held_out is None or evidence.ks[0] != 1 or len(evidence.ks) == 1:
        return False
    drop, error = (values[1:] for values in evidence.held_out_drops())
    return not (drop > CHANCE_ERRORS * error).any()
