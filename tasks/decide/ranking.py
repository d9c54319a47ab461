"""Rank candidates by several criteria at once: nearest to the best of all, farthest from the worst.

Every criterion is scaled so that its worst candidate has 0 and its best 1. A candidate's
preference is its distance from the worst of all criteria, as a share of its distances from the
worst and from the best (TOPSIS; Hwang & Yoon 1981, doi:10.1007/978-3-642-48318-9). Scaling by
the range rather than by the norm is ours: criteria here may be negative.

Cost: none to speak of, but the first call imports pymcdm, which takes seconds.

Valid for a handful of candidates that were chosen before. The scale of every criterion is its
range over the candidates: adding a very poor candidate makes the good ones more alike, and a
criterion that hardly differs between them counts as much as one that differs greatly, so weigh it
less. The margin is not a probability.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from orimap.tasks.errors import InputError

# A criterion whose values spread by less than this share of their size is the same for all.
SAME = 1e-12


@dataclass(frozen=True)
class Scores:
    """The score that one criterion gives every candidate.

    Parameters
    ----------
    name : str
    values : (candidates,) array
    larger_is_better : bool
    weight : float
        Relative to the other criteria.
    """

    name: str
    values: np.ndarray
    larger_is_better: bool
    weight: float = 1.0


@dataclass(frozen=True)
class Ranking:
    """Candidates in order of preference.

    Parameters
    ----------
    order : (candidates,) array
        The candidates themselves, best first; of equals the one that was named first.
    preference : (candidates,) array
        Between 0 and 1, in the order in which the candidates were given; 0.5 for all where no
        criterion tells them apart.
    votes : dict
        The candidate that each criterion alone would take (of equals the one that was named
        first); None where it prefers none of them.
    margin : float
        Preference of the first minus that of the second; 1 for a single candidate.
    skipped : tuple of str
        Criteria that are not known for every candidate.
    indifferent : tuple of str
        Criteria that are the same for every candidate, or weigh nothing.
    """

    order: np.ndarray
    preference: np.ndarray
    votes: dict[str, int | None]
    margin: float
    skipped: tuple[str, ...]
    indifferent: tuple[str, ...]


def rank_candidates(candidates: Sequence[int], criteria: Sequence[Scores]) -> Ranking:
    """Rank candidates by TOPSIS.

    Parameters
    ----------
    candidates : sequence of int
        Numbers of components, for instance.
    criteria : sequence of Scores

    Returns
    -------
    Ranking

    Raises
    ------
    InputError
        If there is no candidate, a criterion is not of their number, a weight is negative, or two
        criteria have one name.
    """
    numbers = np.asarray(candidates)
    _check(numbers, criteria)
    votes: dict[str, int | None] = {c.name: None for c in criteria}
    skipped, indifferent, used = [], [], []
    for c in criteria:
        values = np.asarray(c.values, float)
        if not np.all(np.isfinite(values)):
            skipped.append(c.name)
        elif c.weight == 0 or np.ptp(values) <= SAME * np.abs(values).max():
            indifferent.append(c.name)
        else:
            used.append(c)
            best = np.argmax(values if c.larger_is_better else -values)
            votes[c.name] = numbers[best].item()
    preference = _preference(used) if used else np.full(len(numbers), 0.5)
    places = np.argsort(-preference, kind="stable")
    margin = float(preference[places[0]] - preference[places[1]]) if len(numbers) > 1 else 1.0
    return Ranking(numbers[places], preference, votes, margin, tuple(skipped), tuple(indifferent))


def _preference(criteria: Sequence[Scores]) -> np.ndarray:
    """Return the preference of every candidate; each criterion tells some of them apart."""
    # pymcdm brings pandas and matplotlib along, which a command line has no need to wait for.
    from pymcdm.methods import TOPSIS
    from pymcdm.normalizations import minmax_normalization

    matrix = np.stack([np.asarray(c.values, float) for c in criteria], axis=1)
    weights = np.array([c.weight for c in criteria], float)
    kinds = np.array([1 if c.larger_is_better else -1 for c in criteria])
    topsis = TOPSIS(minmax_normalization)
    # Its own check of the input warns of a candidate that is best in everything: here the hope.
    return np.asarray(topsis(matrix, weights / weights.sum(), kinds, validation=False))


def _check(numbers: np.ndarray, criteria: Sequence[Scores]) -> None:
    """Report what cannot be ranked."""
    if numbers.ndim != 1 or not len(numbers):
        raise InputError(
            "at least one candidate", f"an array of shape {numbers.shape}", "name some candidates"
        )
    names = [c.name for c in criteria]
    if len(set(names)) < len(names):
        raise InputError("criteria of different names", ", ".join(names), "rename one of them")
    for c in criteria:
        if np.shape(c.values) != numbers.shape or not 0 <= c.weight < np.inf:
            raise InputError(
                f"{len(numbers)} values of {c.name} and a weight of 0 or more",
                f"values of shape {np.shape(c.values)}, weight {c.weight}",
                "score every candidate once",
            )
