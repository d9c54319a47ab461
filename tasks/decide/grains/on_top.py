"""Tell what lies on top of a crystal: a second phase in the same orientation, or precipitates.

It has the reflections of the crystal around it, as bright as there, and many more. A tilt takes
reflections away as well as it brings some; what lies on top only adds. Thin parts of a grain look
like that at times: it is a doubt, and no proof.
"""

from dataclasses import dataclass

import numpy as np

from orimap.tasks.decide.components.likeness import SIGNIFICANT

# Reflections count from this many standard deviations on.
SURE = 8.0
# One pattern lacks a reflection of another that should stand out from it by so many standard
# deviations, and has less than this part of what is expected.
SHOULD_STAND_OUT = 12.0
LACKING = 0.15
# A pattern lies on top of another where at least this number of its reflections, and this part of
# those that would be seen, are lacking there; and of this many the other way round, next to none.
FEWEST_ON_TOP = 6
PART_ON_TOP = 0.5
FEWEST_COMPARED = 5
PART_LACKED = 0.12
# To compare brightness takes reflections that both have.
FEWEST_COMMON = 2


@dataclass(frozen=True)
class Pattern:
    """The reflections of a pattern over the whole scan.

    Parameters
    ----------
    excess, noise : (place,) arrays
        Intensity without background, and its standard deviation.
    """

    excess: np.ndarray
    noise: np.ndarray

    def lacking_in(self, other: "Pattern") -> tuple[int, int]:
        """Count the reflections that another pattern lacks, and those that it would show."""
        own = self.excess >= SURE * self.noise
        there, noise = other.excess[own], other.noise[own]
        common = there >= SIGNIFICANT * noise
        if np.count_nonzero(common) < FEWEST_COMMON:
            return 0, 0
        expected = np.median(there[common] / self.excess[own][common]) * self.excess[own]
        would_show = expected >= SHOULD_STAND_OUT * noise
        lacking = would_show & (there < LACKING * expected)
        return int(np.count_nonzero(lacking)), int(np.count_nonzero(would_show))


def lies_on_top(one: Pattern, other: Pattern) -> bool:
    """Return whether one pattern has all that the other one has, and much more."""
    lacking, shown = one.lacking_in(other)
    back, compared = other.lacking_in(one)
    return (
        lacking >= max(FEWEST_ON_TOP, PART_ON_TOP * shown)
        and compared >= FEWEST_COMPARED
        and back <= PART_LACKED * compared
    )
