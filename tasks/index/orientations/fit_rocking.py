"""Fit the rocking curve that all patterns of a scan share to the brightness of their reflections.

Those that are missing count as well: they say where the curve ends.

Tested in tests/tasks/index/orientations/test_fit_scan.py.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from orimap.tasks.index.orientations.compare import OUTLIER, factor, residuals
from orimap.tasks.index.orientations.refine import Candidates, Refinement
from orimap.tasks.index.orientations.rocking import Rocking

# Of the rocking curve, by the logarithm: what is expected, how far from there it may lie, and the
# limits.
EXPECTED = {
    "width": (0.008, 0.7, 0.0012, 0.06),
    "edge": (0.022, 0.4, 0.008, 0.06),
    "saturation": (0.1, 2.0, 1e-3, 100.0),
    "power": (0.6, 0.4, 0.2, 1.2),
}
# How far amplitudes depart from the curve is told by spots brighter than this share of the
# brightest, of which there must be so many; orientations are fitted to them, so that they depart by
# more than is seen.
BRIGHT_SHARE, FEWEST_BRIGHT, MISFIT_MARGIN, MISFIT_LIMITS = 0.25, 12, 1.5, (0.1, 0.35)


def fit_rocking(
    refinements: list[Refinement], chosen: list[Candidates], rocking: Rocking
) -> Rocking:
    """Fit the rocking curve to orientations as they are.

    Parameters
    ----------
    refinements, chosen : lists
        For each crystal what compares, and the orientations of the patterns that are its own.
    rocking : Rocking
        To start from.
    """
    from scipy.optimize import least_squares

    used = [(a, b) for a, b in zip(refinements, chosen, strict=True) if len(b.pattern)]
    widest = EXPECTED["edge"][0] * 1.6
    selected = [(a, b, *a.choose(b, widest)) for a, b in used]
    middle = np.log([each[0] for each in EXPECTED.values()])
    spread = np.array([each[1] for each in EXPECTED.values()])
    low, high = (np.log([each[side] for each in EXPECTED.values()]) for side in (2, 3))

    def curve(logarithms: np.ndarray) -> Rocking:
        return replace(rocking, **dict(zip(EXPECTED, np.exp(logarithms).tolist(), strict=True)))

    def misfit(logarithms: np.ndarray) -> np.ndarray:
        parts = [(logarithms - middle) / spread]
        for refinement, each, reflections, there in selected:
            compared = refinement.compare(each, curve(logarithms), reflections, there)
            spot, _, other, _ = residuals(compared, factor(compared))
            parts += [spot.ravel(), other.ravel()]
        return np.concatenate(parts)

    now = np.log([max(getattr(rocking, name), 1e-3) for name in EXPECTED])
    found = least_squares(
        misfit, np.clip(now, low + 0.01, high - 0.01), bounds=(low, high), loss="cauchy",
        f_scale=OUTLIER, diff_step=0.02, max_nfev=12,
    )  # fmt: skip
    fitted = curve(found.x)
    return replace(fitted, misfit=_misfit(selected, fitted))


def _misfit(selected: list[tuple], rocking: Rocking) -> float:
    """Return by what share amplitudes of bright spots depart from the curve, by their median."""
    parts = [np.zeros(0)]
    for refinement, each, reflections, there in selected:
        compared = refinement.compare(each, rocking, reflections, there)
        predicted = factor(compared)[:, None] * compared.spot_predicted
        bright = predicted > BRIGHT_SHARE * predicted.max(axis=1, initial=1e-12)[:, None]
        parts.append(np.abs(compared.spot_measured / np.where(bright, predicted, 1) - 1)[bright])
    departures = np.concatenate(parts)
    if len(departures) < FEWEST_BRIGHT:
        return rocking.misfit
    return float(np.clip(1.48 * MISFIT_MARGIN * np.median(departures), *MISFIT_LIMITS))
