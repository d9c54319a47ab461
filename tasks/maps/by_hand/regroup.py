"""Regroup components until there is another number of patterns, in the order of the evidence.

To fewer: the most alike pair of patterns is joined. To more: the least sure merge is undone; where
all are undone, the strongest component that was left out becomes a pattern.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

# How alike two groups of components are, larger is more.
Likeness = Callable[[Sequence[int], Sequence[int]], float]
# How many patterns of a grouping own a position on the map.
Placed = Callable[[np.ndarray], int]


@dataclass(frozen=True)
class Change:
    """One step to another number of patterns.

    Parameters
    ----------
    groups : (component,) array of int
        After it; -1 for what belongs to no pattern.
    what : str
        "joined", "undone" or "brought back".
    likeness : float
        Of what was joined or taken apart; NaN for what was brought back.
    """

    groups: np.ndarray
    what: str
    likeness: float


def regroup(
    groups: np.ndarray, number: int, strength: np.ndarray, likeness: Likeness, placed: Placed
) -> list[Change] | None:
    """Return the steps from one grouping to another with some number of patterns.

    Parameters
    ----------
    groups : (component,) array of int
        -1 for what belongs to no pattern.
    number : int
        Patterns that are wanted.
    strength : (component,) array
        What components weigh over the scan; those of 0 are never a pattern.
    likeness, placed : callable
        A step that does not change the number of patterns on the map is passed over.

    Returns
    -------
    list of Change or None
        Empty where the grouping has that number already; None where no steps lead to it.
    """
    made: list[Change] = []
    count = placed(groups)
    while count != number:
        steps = (
            _to_more(groups, strength, likeness) if count < number else _to_fewer(groups, likeness)
        )
        for step in steps:
            after = placed(step.groups)
            if (count < after <= number) or (number <= after < count):
                break
        else:
            return None
        made.append(step)
        groups, count = step.groups, after
    return made


def _members(groups: np.ndarray) -> list[list[int]]:
    """Return the components of every pattern."""
    return [np.flatnonzero(groups == g).tolist() for g in np.unique(groups[groups >= 0])]


def _to_fewer(groups: np.ndarray, likeness: Likeness) -> Iterator[Change]:
    """Join two patterns, the most alike first."""
    members = _members(groups)
    pairs = {
        (i, j): likeness(members[i], members[j]) for i, j in combinations(range(len(members)), 2)
    }
    for i, j in sorted(pairs, key=lambda pair: -pairs[pair]):
        joined = groups.copy()
        joined[members[j]] = groups[members[i][0]]
        yield Change(joined, "joined", pairs[i, j])


def _to_more(groups: np.ndarray, strength: np.ndarray, likeness: Likeness) -> Iterator[Change]:
    """Undo a merge, the least sure first; then bring back components, the strongest first."""
    merges = [last_merge(members, likeness) for members in _members(groups) if len(members) > 1]
    new = int(groups.max(initial=-1)) + 1
    for value, part in sorted(merges, key=lambda merge: merge[0]):
        split = groups.copy()
        split[part] = new
        yield Change(split, "undone", value)
    left = [i for i in np.argsort(-strength, kind="stable") if groups[i] < 0 and strength[i] > 0]
    for i in left:
        more = groups.copy()
        more[i] = new
        yield Change(more, "brought back", np.nan)


def last_merge(members: Sequence[int], likeness: Likeness) -> tuple[float, list[int]]:
    """Merge components, the most alike first; return the likeness at the last merge, and one side.

    Parameters
    ----------
    members : sequence of int
        Two components or more.
    likeness : callable
    """
    parts = [[i] for i in members]
    while True:
        pairs = {
            (i, j): likeness(parts[i], parts[j]) for i, j in combinations(range(len(parts)), 2)
        }
        first, second = max(pairs, key=lambda pair: pairs[pair])
        if len(parts) == 2:
            return pairs[first, second], parts[1]
        parts[first] = parts[first] + parts.pop(second)
