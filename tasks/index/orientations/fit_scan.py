"""Fit what all patterns of a scan share: the camera length and the rocking curve.

The camera length is looked for first, coarsely, by how well the patterns with the most reflections
agree with any orientation of any crystal; then by least squares on positions. This and the fit of
the rocking curve take turns with the orientations, which depend on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from orimap.tasks.errors import InputError
from orimap.tasks.index.crystals.read_cif import Crystal
from orimap.tasks.index.crystals.reflections import Reflections, find_reflections
from orimap.tasks.index.crystals.symmetry import laue_turns, zone_directions
from orimap.tasks.index.measure import Measured
from orimap.tasks.index.orientations.compare import OUTLIER, PLACE_PX
from orimap.tasks.index.orientations.fit_rocking import fit_rocking
from orimap.tasks.index.orientations.match import (
    SAME_DEG,
    correlate,
    distinct,
    find_candidates,
    pattern_harmonics,
)
from orimap.tasks.index.orientations.refine import Camera, Candidates, Refinement
from orimap.tasks.index.orientations.rocking import Rocking
from orimap.tasks.index.orientations.templates import Templates, make_templates
from orimap.tasks.stream.in_threads import in_threads

# Factors on the camera length that are tried, in steps that rings of the templates bridge.
FACTORS = np.linspace(0.925, 1.075, 11)
# The patterns with the most reflections tell the camera length; so many are asked, and half where
# there are many zone directions.
ASKED, MANY_DIRECTIONS = 8, 1000
# Directions that are correlated at a time for that, in as many threads as there are cores.
AGREEMENT_DIRECTIONS = 64
# Zone directions are this far apart; further for crystals of low symmetry, of whose directions
# there are a dozen times as many, and of whose reflections, too.
SPACING_DEG, SPACING_LOW_DEG = 2.0, 3.0
# Candidates of each pattern and crystal, before each is turned by half about the beam: so many
# over the number of its reflections, since few reflections say little. Counted are those brighter
# than this share of the brightest: fainter ones may be another grain's.
CANDIDATES, CANDIDATE_SHARE = 240, 0.08
FEWEST_CANDIDATES, MOST_CANDIDATES = 10, 40
# After the first refinement.
MOST_KEPT = 10
# Of these go on who are behind the best of any crystal by no more than this score, and so many in
# any case.
BEHIND, ALWAYS_KEPT = 0.3, 3
# Rounds of orientations, camera length and curve in turns.
ROUNDS = 3
# Two camera lengths that differ by at least this factor compete where the agreement of the second
# is so near that of the first.
APART, NEAR = 0.02, 0.02
# Corners of the detector lie this much further out than its edges.
CORNERS = 1.42


@dataclass(frozen=True)
class Phase:
    """One crystal and what is worked out for it before anything is matched.

    Parameters
    ----------
    crystal : Crystal
    reflections : Reflections
    turns : (n, 3, 3) array
        `laue_turns`.
    templates : Templates
    """

    crystal: Crystal
    reflections: Reflections
    turns: np.ndarray
    templates: Templates


@dataclass(frozen=True)
class Scan:
    """What was fitted for a scan.

    Parameters
    ----------
    phases : list of Phase
    camera : Camera
        With the fitted step.
    factor : float
        Fitted step over the one that was given.
    rocking : Rocking
    candidates : list of Candidates
        For every crystal, refined and scored.
    refinements : list of Refinement
    """

    phases: list[Phase]
    camera: Camera
    factor: float
    rocking: Rocking
    candidates: list[Candidates]
    refinements: list[Refinement]


def prepare_phases(
    crystals: Sequence[Crystal], q_max: float, wavelength: float, power: float = 0.6
) -> list[Phase]:
    """Work out reflections and templates of crystals; the same are worked out once.

    Parameters
    ----------
    crystals : sequence of Crystal
    q_max : float, 1/Å
        Largest radius on the detector.
    wavelength : float, Å
    power : float
        As in `Rocking`.
    """
    return [_prepared(crystal, q_max, wavelength, power) for crystal in crystals]


_known: dict[tuple, Phase] = {}


def _prepared(crystal: Crystal, q_max: float, wavelength: float, power: float) -> Phase:
    """Return a prepared crystal, one that was prepared before if it is the same."""
    key = (id(crystal), round(q_max, 4), round(wavelength, 6), power)
    if key not in _known or _known[key].crystal is not crystal:
        reflections = find_reflections(crystal, q_max)
        turns = laue_turns(crystal)
        if not len(reflections.hkl):
            raise InputError(
                f"a crystal with reflections up to {q_max:.2f} 1/Å, the edge of the detector",
                f"none of {crystal.name}",
                "check --detector-step, and the cell of the crystal",
            )
        spacing = SPACING_DEG if len(turns) > 4 else SPACING_LOW_DEG
        templates = make_templates(
            reflections, zone_directions(turns, spacing), wavelength, q_max, power
        )
        while len(_known) >= 8:  # a triclinic crystal takes some tens of megabytes
            _known.pop(next(iter(_known)))
        _known[key] = Phase(crystal, reflections, turns, templates)
    return _known[key]


def fit_scan(
    measured: Measured,
    crystals: Sequence[Crystal],
    camera: Camera,
    *,
    precession: float = 0.0,
    fit_camera: bool = True,
) -> Scan:
    """Fit orientations of all patterns, and what they share.

    Parameters
    ----------
    measured : Measured
    crystals : sequence of Crystal
    camera : Camera
        As calibrated.
    precession : float, radians
        Half angle of the cone of the beam.
    fit_camera : bool
        Whether the calibrated step may be wrong.

    Raises
    ------
    InputError
        If no pattern has a reflection, or two camera lengths explain the patterns alike.
    """
    if not measured.counts.any():
        raise InputError(
            "reflections in the patterns of the clusters",
            f"none in any of {len(measured)}",
            "index patterns of a crystal, with a detector that reaches beyond the direct beam",
        )
    rocking = Rocking(precession=precession)
    # Reflections beyond the corners may come in where the camera length is fitted.
    q_max = (
        camera.step * max(measured.seen.shape) / 2 * CORNERS * (FACTORS[-1] if fit_camera else 1)
    )
    q_max = round(q_max, 2)
    phases = prepare_phases(crystals, q_max, camera.wavelength, rocking.power)
    if not fit_camera:
        return _fit(measured, phases, camera, 1.0, rocking, q_max, False)
    agreement = _agreement(measured, phases, camera, q_max)
    first, second = _peaks(agreement)
    fitted = _fit(measured, phases, camera, FACTORS[first], rocking, q_max, True)
    if second is not None:
        other = _fit(measured, phases, camera, FACTORS[second], rocking, q_max, True)
        scores = [_total_score(scan, measured) for scan in (fitted, other)]
        if abs(np.log(fitted.factor / other.factor)) > APART:
            if abs(scores[0] - scores[1]) < NEAR * max(scores):
                raise InputError(
                    "a camera length that the patterns decide",
                    f"a detector step of {fitted.camera.step:.4g} 1/Å explains them as well as "
                    f"one of {other.camera.step:.4g} 1/Å ({scores[0]:.3f} and {scores[1]:.3f} of "
                    "1)",
                    "give a calibrated --detector-step and leave the camera length as it is",
                )
            fitted = fitted if scores[0] > scores[1] else other
    return fitted


def _agreement(measured: Measured, phases: list[Phase], camera: Camera, q_max: float) -> np.ndarray:
    """Return the mean agreement of the richest patterns with any orientation, by the factor."""
    directions = sum(len(phase.templates.rotation) for phase in phases)
    asked = ASKED if directions < MANY_DIRECTIONS else ASKED // 2
    richest = np.argsort(-measured.counts, kind="stable")[:asked]
    some = measured.take(richest)
    weight = np.sqrt(some.counts)
    spectra = [pattern_harmonics(some, camera.step * each, q_max) for each in FACTORS]
    together = np.concatenate(spectra)
    blocks = [block for phase in phases for block in phase.templates.blocks(AGREEMENT_DIRECTIONS)]
    found = in_threads(lambda block: correlate(together, block).max(axis=(1, 2, 3)), blocks)
    best = np.max(found, axis=0, initial=0).reshape(len(FACTORS), len(some))
    return best @ weight / weight.sum()


def _peaks(agreement: np.ndarray) -> tuple[int, int | None]:
    """Return where the agreement is largest, and the next of its maxima if it is near that."""
    padded = np.concatenate([[-np.inf], agreement, [-np.inf]])
    is_peak = (agreement >= padded[:-2]) & (agreement >= padded[2:])
    order = np.argsort(-np.where(is_peak, agreement, -np.inf), kind="stable")
    first, second = int(order[0]), int(order[1])
    near = is_peak[second] and agreement[second] > (1 - 5 * NEAR) * agreement[first]
    return first, second if near and abs(second - first) > 1 else None


def _fit(
    measured: Measured,
    phases: list[Phase],
    camera: Camera,
    start: float,
    rocking: Rocking,
    q_max: float,
    fit_camera: bool,
) -> Scan:
    """Fit everything from one factor on the camera length on."""
    now = replace(camera, step=camera.step * float(start))
    spectra = pattern_harmonics(measured, now.step, q_max)
    candidates, refinements = [], []
    heights = np.nan_to_num(measured.height)
    bright = (heights > CANDIDATE_SHARE * heights.max(axis=1, initial=0)[:, None]).sum(axis=1)
    most = CANDIDATES // np.maximum(bright, 1)
    most = np.clip(most, FEWEST_CANDIDATES, MOST_CANDIDATES)
    for phase in phases:
        found = find_candidates(spectra, phase.templates, phase.turns, most)
        refinement = Refinement(measured, phase.reflections, now)
        candidates.append(refinement.run(found, rocking, 6, widen=2.0))
        refinements.append(refinement)
        candidates[-1] = _pruned(candidates[-1], phase.turns, len(measured))
    candidates = _in_question(candidates, len(measured))
    for number in range(ROUNDS):
        chosen = _best_of_all(candidates, len(measured))
        if fit_camera:
            now = replace(now, step=now.step / _growth(refinements, chosen, rocking))
        refinements = [each.seen_by(now) for each in refinements]
        rocking = fit_rocking(refinements, chosen, rocking)
        last = number == ROUNDS - 1
        candidates = [
            refinement.run(each, rocking, 5 if last else 3)
            for refinement, each in zip(refinements, candidates, strict=True)
        ]
    return Scan(phases, now, now.step / camera.step, rocking, candidates, refinements)


def _pruned(candidates: Candidates, turns: np.ndarray, patterns: int) -> Candidates:
    """Return the best candidates of each pattern, of those that have become the same only one."""
    kept = []
    for number in range(patterns):
        own = np.flatnonzero(candidates.pattern == number)
        own = own[np.argsort(-candidates.score[own], kind="stable")]
        kept.append(own[distinct(candidates.rotation[own], turns, SAME_DEG, MOST_KEPT)])
    return candidates.take(np.concatenate(kept))


def _in_question(candidates: list[Candidates], patterns: int) -> list[Candidates]:
    """Return the candidates that may yet win, and for each crystal a few of every pattern."""
    best = np.full(patterns, -np.inf)
    for each in candidates:
        np.maximum.at(best, each.pattern, each.score)
    kept = []
    for each in candidates:
        # Those of a pattern stand together, the best first.
        _, first = np.unique(each.pattern, return_index=True)
        rank = np.arange(len(each.pattern)) - np.repeat(first, np.diff([*first, len(each.pattern)]))
        near = each.score > best[each.pattern] - BEHIND
        kept.append(each.take(np.flatnonzero(near | (rank < ALWAYS_KEPT))))
    return kept


def _best_of_all(candidates: list[Candidates], patterns: int) -> list[Candidates]:
    """Return for each crystal the candidates that are the best of all of their pattern."""
    best = np.full((len(candidates), patterns), -np.inf)
    for row, each in zip(best, candidates, strict=True):
        np.maximum.at(row, each.pattern, each.score)
    winner = best.argmax(axis=0)
    chosen = []
    for phase, each in enumerate(candidates):
        top = (each.score >= best[phase, each.pattern]) & (winner[each.pattern] == phase)
        _, first = np.unique(each.pattern[top], return_index=True)
        chosen.append(each.take(np.flatnonzero(top)[first]))
    return chosen


def _total_score(scan: Scan, measured: Measured) -> float:
    """Return the mean of the best scores, of patterns with many reflections more than of others."""
    weight = np.sqrt(measured.counts)
    best = np.zeros(len(measured))
    for each in scan.candidates:
        np.maximum.at(best, each.pattern, each.score)
    return float(best @ weight / weight.sum())


def _growth(refinements: list[Refinement], chosen: list[Candidates], rocking: Rocking) -> float:
    """Return by what factor measured positions lie further out than predicted ones."""
    up, down = 0.0, 1e-9
    for refinement, each in zip(refinements, chosen, strict=True):
        if not len(each.pattern):
            continue
        compared = refinement.compare(each, rocking, *refinement.choose(each, rocking.reach))
        measured = refinement.measured
        at = np.maximum(compared.spot_of, 0)
        pattern = each.pattern[:, None]
        found = np.stack([measured.y[pattern, at], measured.x[pattern, at]], -1)
        place = np.nan_to_num(found - compared.away) - each.shift[:, None]
        robust = compared.weight / (1 + ((compared.away / PLACE_PX) ** 2).sum(-1) / OUTLIER**2)
        up += float((robust[..., None] * compared.away * place).sum())
        down += float((robust[..., None] * place**2).sum())
    return float(np.clip(1 + up / down, 0.97, 1.03))
