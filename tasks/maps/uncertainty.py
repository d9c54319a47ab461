"""How far counting noise moves the weights of a position, and so its shares and their ratio.

With the component patterns fixed, the weights of a position are linear in its counts, as long as
the same components stay above zero: least squares over those. So the variance of the counts, which
is their mean, goes straight into a covariance of the weights. The patterns themselves are averages
over many positions: their own noise is left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

# Covariances are worked out for this number of entries at once.
ENTRIES_AT_ONCE = 2_000_000
# Patterns that are combinations of others would have no inverse.
RIDGE = 1e-9


@dataclass(frozen=True)
class CountingNoise:
    """What the weights of any position need to get a covariance.

    Parameters
    ----------
    gram : (component, component) array
        Component patterns times themselves, in the weighting of the fit.
    spread : (component, component, component) array
        ``spread[c]`` is the covariance of what least squares is solved for, in a position that
        holds one electron of component c.
    dispersion : float or (scan_y, scan_x) array
        Variance of an intensity over its mean: 1 for counts; less where patterns were averaged.
    fitted : (component,) array of bool, optional
        Components that the weights are fitted for; others only add their noise. By default all.
    """

    gram: np.ndarray
    spread: np.ndarray
    dispersion: float | np.ndarray = 1.0
    fitted: np.ndarray | None = None

    @classmethod
    def of(
        cls, patterns: np.ndarray, pixel: np.ndarray, dispersion: float | np.ndarray = 1.0
    ) -> "CountingNoise":
        """Work out the products of the component patterns.

        Parameters
        ----------
        patterns : (component, pixels) array, unit sum over all pixels
        pixel : (pixels,) array
            What the fit multiplies the patterns by (``detector_weight``), 0 where it does not look.
        dispersion : float or (scan_y, scan_x) array
        """
        seen = pixel > 0
        images, weight = patterns[:, seen].astype(float), pixel[seen].astype(float) ** 2
        weighted = images * weight
        spread = np.stack([(weighted * image) @ weighted.T for image in images])
        return cls(weighted @ images.T, spread, dispersion)

    def blocks(
        self, weights: np.ndarray, component_cluster: np.ndarray
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield the covariance of cluster weights, for slices of the positions.

        Parameters
        ----------
        weights : (positions, component) array, electrons
        component_cluster : (component,) array of int
            -1 takes no part.

        Yields
        ------
        slice, (positions of the slice, cluster, cluster) array, electron²
            0 for clusters without a weight above 0: what noise would bring up there is held at 0.
        """
        count = int(component_cluster.max(initial=-1)) + 1
        members = (component_cluster[:, None] == np.arange(count)).astype(float)
        dispersion = np.broadcast_to(np.asarray(self.dispersion, float).ravel(), len(weights))
        step = max(1, ENTRIES_AT_ONCE // self.gram.size)
        for start in range(0, len(weights), step):
            part = slice(start, min(start + step, len(weights)))
            covariance = weight_covariance(weights[part], self.gram, self.spread, self.fitted)
            covariance *= dispersion[part, None, None]
            yield part, members.T @ covariance @ members


def weight_covariance(
    weights: np.ndarray,
    gram: np.ndarray,
    spread: np.ndarray,
    fitted: np.ndarray | None = None,
) -> np.ndarray:
    """Return the covariance of the weights of Poisson counts under weighted least squares.

    Parameters
    ----------
    weights : (positions, component) array, electrons
    gram : (component, component) array
    spread : (component, component, component) array
    fitted : (component,) array of bool, optional
        As in ``CountingNoise``.

    Returns
    -------
    (positions, component, component) array, electron²
        With A the patterns, D the squared pixel weights and S the components above 0:
        ``(A D Aᵀ)⁻¹ (A D diag(model) D Aᵀ) (A D Aᵀ)⁻¹`` over S, 0 elsewhere. Where D is one over
        the model this is ``(A diag(1/model) Aᵀ)⁻¹``, the least that any estimate can reach.
    """
    count = len(gram)
    weights = np.asarray(weights, float)
    active = weights > 0 if fitted is None else (weights > 0) & fitted
    both = active[:, :, None] & active[:, None, :]
    scale = np.sqrt(np.maximum(np.diag(gram), 1e-300))
    # At unit diagonal, with ones where a component takes no part.
    unit = gram / scale[:, None] / scale + RIDGE * np.eye(count)
    inverse = np.linalg.inv(np.where(both, unit, np.eye(count)))
    inverse = np.where(both, inverse, 0.0) / scale[:, None] / scale
    middle = (np.maximum(weights, 0) @ spread.reshape(count, -1)).reshape(-1, count, count)
    return inverse @ middle @ inverse


def ratio_error(
    first: np.ndarray,
    second: np.ndarray,
    first_variance: np.ndarray,
    second_variance: np.ndarray,
    covariance: np.ndarray,
) -> np.ndarray:
    """Return the standard error of ``second / first`` to first order; 0 where either is 0."""
    there = (first > 0) & (second > 0)
    a, b = np.where(there, first, 1.0), np.where(there, second, 1.0)
    relative = first_variance / a**2 + second_variance / b**2 - 2 * covariance / (a * b)
    return np.where(there, b / a * np.sqrt(np.maximum(relative, 0)), 0.0)
