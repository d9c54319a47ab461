"""Fit one number of components: one Dask task per k, the sketch broadcast once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from orimap.tasks.factorise.kernels.least_squares import solve_weights
from orimap.tasks.factorise.nmf import Factors, LowRank, factorise
from orimap.tasks.factorise.sketch import Sketch
from orimap.tasks.factorise.weighting import Weighting
from orimap.tasks.stream.blocks import submit


@dataclass(frozen=True)
class Fit:
    """The components of one k, before the exact pass.

    Parameters
    ----------
    images : (k, valid pixels) array
        Component patterns in the unit of the counts up to a factor each, with the direct beam.
    iterations : int
    converged : bool
    """

    images: np.ndarray
    iterations: int
    converged: bool


@dataclass(frozen=True)
class ReadySketch:
    """A sketch made ready once for the fits of every k, in single precision: that is enough here.

    Parameters
    ----------
    patterns : LowRank
        On the pixels that are fitted.
    left : (l, positions) array
    excluded : (l, other valid pixels) array
        As in ``Sketch``.
    """

    patterns: LowRank
    left: np.ndarray
    excluded: np.ndarray

    @classmethod
    def of(cls, sketch: Sketch, weighting: Weighting) -> "ReadySketch":
        """Make a sketch ready; pixels that never see an electron take no part."""
        right = sketch.right[:, weighting.fitted]
        patterns = LowRank.of(
            sketch.left, sketch.values, right, squares=sketch.squares, kind=np.float32
        )
        return cls(patterns, sketch.left, sketch.excluded)


def fit_components(
    sketch: ReadySketch, weighting: Weighting, k: int, l1: tuple[float, float]
) -> Fit:
    """Fit k components to a sketch and give each the pixels that the fit left out.

    Parameters
    ----------
    sketch : ReadySketch
    weighting : Weighting
        That the sketch was made with.
    k : int
    l1 : pair of float
        Relative weights of the L1 penalties on patterns and on scan weights.
    """
    fitted = weighting.fitted
    factors = factorise(sketch.patterns, k, l1_patterns=l1[0], l1_weights=l1[1])
    images = np.empty((k, len(weighting.pixel)), np.float32)
    images[:, fitted] = factors.patterns / weighting.pixel[fitted].astype(np.float32)
    images[:, ~fitted] = left_out_pixels(sketch, factors)
    return Fit(images, factors.iterations, factors.converged)


def left_out_pixels(sketch: ReadySketch, factors: Factors) -> np.ndarray:
    """Return component patterns (k, pixels) on the pixels that the fit did not see.

    With the weights fixed, every pixel is a small non-negative least-squares problem of its own.
    """
    weights = factors.weights.astype(float)
    numerator = (weights @ sketch.left.T) @ sketch.excluded
    return solve_weights(numerator, weights @ weights.T)


def fit_on_worker(
    client: Any, sketches: Any, weighting: Any, k: int, l1: tuple[float, float], keep: Any
) -> Any:
    """Fit every sketch with k components in one Dask task; wait for it, cancel it on the way out.

    Parameters
    ----------
    client : distributed.Client
    sketches, weighting : futures of a list of ReadySketch and of a Weighting
        On every worker already, see ``streaming.broadcast``.
    k : int
    l1 : pair of float
    keep : callable
        Called on the worker with k, the list of Fit and the Weighting; what it returns comes back.
    """
    future = submit(client, "fit", _fit_and_keep, sketches, weighting, k, l1, keep)
    try:
        return future.result()
    finally:
        future.cancel()


def _fit_and_keep(
    sketches: Sequence[ReadySketch],
    weighting: Weighting,
    k: int,
    l1: tuple[float, float],
    keep: Any,
) -> Any:
    """Fit all counts and the training half, on a worker."""
    return keep(k, [fit_components(sketch, weighting, k, l1) for sketch in sketches], weighting)
