"""Weight rows and columns so that least squares fit counts."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from orimap.tasks.patterns.rows import Rows


@dataclass(frozen=True)
class Weighting:
    """How patterns are weighted before they are factorised.

    Parameters
    ----------
    valid : (detector_y, detector_x) array of bool
        Pixels that are analysed; the columns of all rows.
    fitted : (valid pixels,) array of bool
        Columns that the fit sees: without the direct beam.
    pixel : (valid pixels,) array
        Factor of each column, 0 where it is not fitted.
    poisson : bool
        Whether each row is divided by the square root of its mean.
    """

    valid: np.ndarray
    fitted: np.ndarray
    pixel: np.ndarray
    poisson: bool

    def row_factor(self, rows: Rows) -> np.ndarray:
        """Return the factor of each row: one over the root of its mean, 0 where it is empty."""
        total = rows @ self.fitted.astype(float)
        if not self.poisson:
            return np.where(total > 0, 1.0, 0.0)
        mean = total / max(1, np.count_nonzero(self.fitted))
        return np.divide(1.0, np.sqrt(mean), out=np.zeros_like(mean), where=mean > 0)

    def on_pixels(self, table: np.ndarray) -> np.ndarray:
        """Return a table (valid pixels, columns), weighted along pixels, in single precision."""
        return (table * self.pixel[:, None]).astype(np.float32)

    def apply(self, rows: Rows, factor: np.ndarray) -> Rows:
        """Return the rows, weighted along positions and pixels; 0 where a pixel is not fitted."""
        if sp.issparse(rows):
            return sp.diags_array(factor) @ rows @ sp.diags_array(self.pixel)
        return rows * factor[:, None] * self.pixel


def poisson_weighting(
    detector_mean: np.ndarray, valid: np.ndarray, beam: np.ndarray, *, poisson: bool = True
) -> Weighting:
    """Weight pixels by one over the root of their mean, so that least squares suits counts.

    Parameters
    ----------
    detector_mean : (detector_y, detector_x) array
    valid, beam : (detector_y, detector_x) arrays of bool
        Pixels to analyse; pixels of the direct beam, which the fit leaves out. Pixels that never
        see an electron are left out as well.
    poisson : bool
        False for unit weights (plain Frobenius norm).

    References
    ----------
    Keenan & Kotula (2004), doi:10.1002/sia.1657.
    """
    mean = detector_mean[valid].astype(float)
    fitted = ~beam[valid] & (mean > 0)
    pixel = np.zeros_like(mean)
    pixel[fitted] = 1 / np.sqrt(mean[fitted]) if poisson else 1.0
    return Weighting(valid, fitted, pixel, poisson)
