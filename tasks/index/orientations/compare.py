"""Compare what was measured of a pattern with what an orientation predicts.

Each reflection, found or predicted, is one residual in units of its error, which holds that of
counting, of the kinematical prediction, and of where the sphere lies.

Tested in tests/tasks/index/orientations/test_refine.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Excitation errors are not known better than this, 1/Å: a reflection that begins or ends there may
# be there or not.
SPHERE_INV_ANGSTROM = 0.0015
# Nor is any reflection known better than this share of the brightest, in amplitude.
FLOOR_SHARE = 0.03
# Positions: error of the lens and the calibration, beside that of the disc.
PLACE_PX = 0.2
# In a score, a spot that lies so far from where it is predicted counts half.
HALF_SCORE_PX = 0.7
# Rounds in which outliers are weighed down before the common factor of brightness.
FACTOR_ROUNDS = 2
# Residuals beyond so many errors count less and less (Cauchy).
OUTLIER = 2.0


@dataclass(frozen=True)
class Comparison:
    """What was measured and what is predicted, for m candidates.

    Spots are the found reflections, predictions the reflections of the crystal near the sphere.

    Parameters
    ----------
    spot_measured, spot_error, spot_predicted : (m, spots) arrays
        Amplitudes, the predicted ones before their common factor.
    spot_slope : (m, spots, 3) array
        Derivatives of the predicted ones by a turn about x, y, z.
    spot_doubt : (m, spots) array
        Of the predicted ones, from the place of the sphere.
    other_measured, other_error, other_predicted, other_doubt : (m, predictions) arrays
        The same at predictions where no spot is; error infinite where not seen.
    other_slope : (m, predictions, 3) array
    spot_of : (m, predictions) int array
        The spot that is compared, -1 none.
    away : (m, predictions, 2) array, pixels
        From the prediction to its spot (y, x), 0 where none.
    place : (m, predictions, 3) array, pixels
        The reflection in the sample's frame: how a turn moves it follows from there.
    weight : (m, predictions) array
        Share of the prediction in the brightness of its spot.
    spot_away : (m, spots) array, pixels
        From where a spot is predicted, over all predictions that fall on it.
    misfit : float
        As in `Rocking`.
    """

    spot_measured: np.ndarray
    spot_error: np.ndarray
    spot_predicted: np.ndarray
    spot_slope: np.ndarray
    spot_doubt: np.ndarray
    other_measured: np.ndarray
    other_error: np.ndarray
    other_predicted: np.ndarray
    other_slope: np.ndarray
    other_doubt: np.ndarray
    spot_of: np.ndarray
    away: np.ndarray
    place: np.ndarray
    weight: np.ndarray
    spot_away: np.ndarray
    misfit: float


def amplitude_error(height: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Return the standard error of the root of a height."""
    return error / (2 * np.sqrt(np.maximum(height, error)))


def factor(compared: Comparison) -> np.ndarray:
    """Return the factor that takes predicted amplitudes to measured ones, (m,).

    By least squares, with outliers weighed down: one strong reflection that is missing must not
    make all others too bright.
    """
    seen = np.isfinite(compared.other_error)
    both = compared.spot_measured * compared.spot_predicted
    others = compared.other_measured * compared.other_predicted * seen
    square, other_square = compared.spot_predicted**2, compared.other_predicted**2 * seen
    scale = both.sum(axis=1) + others.sum(axis=1)
    scale = scale / np.maximum(square.sum(axis=1) + other_square.sum(axis=1), 1e-24)
    for _ in range(FACTOR_ROUNDS):
        spot, _, other, _ = residuals(compared, scale)
        weight, other_weight = (1 / (1 + (each / OUTLIER) ** 2) for each in (spot, other))
        up = (both * weight).sum(axis=1) + (others * other_weight).sum(axis=1)
        down = (square * weight).sum(axis=1) + (other_square * other_weight).sum(axis=1)
        scale = up / np.maximum(down, 1e-24)
    return scale


def cosine(compared: Comparison) -> np.ndarray:
    """Return the cosine of measured and predicted amplitudes over all that is seen, (m,)."""
    seen = np.isfinite(compared.other_error)
    near = 1 / (1 + (compared.spot_away / HALF_SCORE_PX) ** 2)
    up = (compared.spot_measured * compared.spot_predicted * near).sum(axis=1)
    up += (compared.other_measured * compared.other_predicted * seen).sum(axis=1)
    first = (compared.spot_measured**2).sum(axis=1)
    first += (compared.other_measured**2 * seen).sum(axis=1)
    second = (compared.spot_predicted**2).sum(axis=1)
    second += (compared.other_predicted**2 * seen).sum(axis=1)
    return up / np.sqrt(np.maximum(first * second, 1e-30))


def residuals(
    compared: Comparison, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return residuals of amplitudes in units of their errors, and one over these errors.

    Parameters
    ----------
    compared : Comparison
    scale : (m,) array
        `factor`.

    Returns
    -------
    spot_residual, spot_certainty : (m, spots) arrays
    other_residual, other_certainty : (m, predictions) arrays
    """
    scale = scale[:, None]
    brightest = compared.spot_measured.max(axis=1, initial=1e-12)[:, None]

    def certainty(predicted: np.ndarray, doubt: np.ndarray, error: np.ndarray) -> np.ndarray:
        model = (compared.misfit * scale * predicted) ** 2 + (scale * doubt) ** 2
        return 1 / np.sqrt(error**2 + model + (FLOOR_SHARE * brightest) ** 2)

    spot = certainty(compared.spot_predicted, compared.spot_doubt, compared.spot_error)
    other = certainty(compared.other_predicted, compared.other_doubt, compared.other_error)
    return (
        (compared.spot_measured - scale * compared.spot_predicted) * spot,
        spot,
        (compared.other_measured - scale * compared.other_predicted) * other,
        other,
    )


def misfits(compared: Comparison) -> tuple[np.ndarray, np.ndarray]:
    """Return what speaks against candidates, as half logarithms of odds (Cauchy).

    Returns
    -------
    spots : (m, spots) array
        Of each found reflection: brightness and place.
    others : (m, predictions) array
        Of each predicted one that was not found.
    """
    scale = factor(compared)
    spot, _, other, _ = residuals(compared, scale)
    alone, _, _, _ = residuals(compared, 0 * scale)
    together = np.hypot(spot, compared.spot_away / PLACE_PX)
    spots, others, nothing = (np.log1p((each / OUTLIER) ** 2) for each in (together, other, alone))
    # A spot that lies far off is at worst one that is not predicted.
    spots = np.where(compared.spot_predicted > 0, np.minimum(spots, nothing), spots)
    return spots, others
