"""Where components of dark fields are present, as far as counting noise lets one tell."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from orimap.tasks.decide.components.shares import cluster_weights, full_weights
from orimap.tasks.decide.grains.dark_fields import DarkFields
from orimap.tasks.decide.grains.fit import GrainFit

# A weight counts from this many standard deviations above nothing.
PRESENT = 3.0
# It is beyond doubt from here on, however small a share it is of what is usual in its grain,
BEYOND_DOUBT = 6.0
# ... where the position itself has at least this part of the mean around it.
OWN_PART = 0.4
# Sides of the squares. A weak grain shows in larger ones, in which it needs so many standard
# deviations; near by is at least this part of its mean weight there.
SIDES = (3, 5)
WEAK = 4.0
NOT_LENT = 0.7


@dataclass(frozen=True)
class CertainWeights:
    """Weights of single positions, or means over squares of them.

    Parameters
    ----------
    weights, variance : (positions, component) arrays
    side : int
        Of the squares; 1 for single positions.
    """

    weights: np.ndarray
    variance: np.ndarray
    side: int

    def averaged(self, scan_shape: tuple[int, int], side: int) -> "CertainWeights":
        """Take means over squares around each position."""
        there = _mean_of(np.ones((*scan_shape, 1)), side)
        mean, variance = (
            (_mean_of(values.reshape(*scan_shape, -1), side) / there).reshape(values.shape)
            for values in (self.weights, self.variance)
        )
        # At the edges there are fewer positions in a square. Running sums leave rounding below 0.
        number = there.reshape(-1, 1) * side**2
        return CertainWeights(np.maximum(mean, 0.0), np.maximum(variance, 0.0) / number, side)

    def of_clusters(self, component_cluster: np.ndarray) -> "CertainWeights":
        """Add up the components of each cluster; -1 for those that belong to none."""
        weights, variance = (
            cluster_weights(values, component_cluster) for values in (self.weights, self.variance)
        )
        return CertainWeights(weights, variance, self.side)

    @property
    def sureness(self) -> np.ndarray:
        """Weights in standard deviations, (positions, component)."""
        return self.weights / np.sqrt(np.maximum(self.variance, 1e-300))


def _mean_of(values: np.ndarray, side: int) -> np.ndarray:
    """Return means over squares of a scan, with nothing beyond its edges."""
    return ndimage.uniform_filter(values, (side, side, 1), mode="constant")


def weight_variance(fit: GrainFit, fields: DarkFields) -> np.ndarray:
    """Return the variance (positions, component) of weights by counting noise.

    As if each component were alone: that of a weighted sum over its own reflections.
    """
    squares = fit.reflections**2
    size = np.maximum(squares.sum(axis=1), 1e-300)
    seen = fields.scan @ (fields.whole @ squares.T)
    return np.maximum(seen, 0) * fields.dispersion / size**2


def certain_weights(fit: GrainFit, fields: DarkFields) -> tuple[CertainWeights, CertainWeights]:
    """Return the weights of single positions, and means over squares: weak grains need those."""
    single = CertainWeights(fit.weights, weight_variance(fit, fields), 1)
    return single, single.averaged(fields.scan_shape, SIDES[0])


def is_present(fit: GrainFit, fields: DarkFields, component_cluster: np.ndarray) -> np.ndarray:
    """Return where some grain is surely present, (scan_y, scan_x) array of bool.

    Parameters
    ----------
    fit : GrainFit
    fields : DarkFields
    component_cluster : (component,) array of int
        -1 for components that belong to no grain.
    """
    grains = component_cluster >= 0
    weights, variance = fit.weights[:, grains], weight_variance(fit, fields)[:, grains]
    single = CertainWeights(weights, variance, 1)
    near, wide = (single.averaged(fields.scan_shape, side) for side in SIDES)
    # What is weak needs more positions to be sure; beside a bright grain they must not lend it.
    weak = (wide.sureness >= WEAK) & (near.weights >= NOT_LENT * wide.weights)
    sure = ((near.sureness >= PRESENT) | weak).any(axis=1)
    return sure.reshape(fields.scan_shape)


def is_sure(fit: GrainFit, fields: DarkFields, component_cluster: np.ndarray) -> np.ndarray:
    """Return where the strongest grain is beyond doubt, (scan_y, scan_x) array of bool.

    Parameters
    ----------
    fit : GrainFit
    fields : DarkFields
    component_cluster : (component,) array of int
        -1 for components that belong to no grain.
    """
    single, near = (one.of_clusters(component_cluster) for one in certain_weights(fit, fields))
    if not near.weights.shape[1]:
        return np.zeros(fields.scan_shape, bool)
    strongest = (near.weights / full_weights(single.weights)).argmax(axis=1)[:, None]
    sureness, mean, own = (
        np.take_along_axis(values, strongest, axis=1)
        for values in (near.sureness, near.weights, single.weights)
    )
    # Beside a bright grain, it must not lend it.
    sure = (sureness >= BEYOND_DOUBT) & (own >= OWN_PART * mean)
    return sure.reshape(fields.scan_shape)
