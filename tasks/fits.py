"""Fit every number of components in parallel: one Dask task per k, the sketch broadcast once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import numpy as np

from orimap.tasks.factorise import Factors, descend, factorise
from orimap.tasks.sketch import Sketch, Weighting
from orimap.tasks.streaming import broadcast


@dataclass(frozen=True)
class Fit:
    """The components of one k, before the exact pass.

    Parameters
    ----------
    patterns : (k, fitted pixels) array
        Weighted component patterns: what positions' weights are solved with.
    images : (k, valid pixels) array
        Component patterns in the unit of the counts, with the direct beam. Together with
        ``patterns`` of the same component they belong to the same weights.
    iterations : int
    converged : bool
    """

    patterns: np.ndarray
    images: np.ndarray
    iterations: int
    converged: bool


def fit_components(sketch: Sketch, weighting: Weighting, k: int, l1: tuple[float, float]) -> Fit:
    """Fit k components to a sketch and give each its pixels that the fit left out."""
    factors = factorise(
        sketch.left, sketch.values, sketch.right, k, l1_patterns=l1[0], l1_weights=l1[1]
    )
    images = np.zeros((k, len(weighting.pixel)))
    images[:, weighting.fitted] = factors.patterns / weighting.pixel[weighting.fitted]
    images[:, ~weighting.fitted] = left_out_pixels(sketch, factors)
    return Fit(factors.patterns, images, factors.iterations, factors.converged)


def left_out_pixels(sketch: Sketch, factors: Factors) -> np.ndarray:
    """Return component patterns (k, pixels) on the pixels that the fit did not see.

    With the weights fixed, every pixel is a small non-negative least-squares problem of its own.
    """
    numerator = (factors.weights @ sketch.left.T) @ sketch.excluded
    gram = factors.weights @ factors.weights.T
    images = np.zeros_like(numerator)
    descend(images, numerator, gram, 0.0, 200)
    return images


def fit_every_k(
    client: Any,
    sketches: Sequence[Sketch],
    weighting: Weighting,
    ks: Sequence[int],
    *,
    l1: tuple[float, float] = (0.0, 0.0),
) -> dict[int, Any]:
    """Submit one task per k to the workers and return their futures.

    Parameters
    ----------
    client : distributed.Client
    sketches : sequence of Sketch
        That of all counts and, if there is one, that of the training half.
    weighting : Weighting
    ks : sequence of int
    l1 : pair of float
        Relative weights of the L1 penalties on patterns and on scan weights.

    Returns
    -------
    dict
        k to the future of a list of Fit, one per sketch. Large k are submitted first, since they
        take longest.
    """
    shared = broadcast(client, list(sketches), weighting)
    return {
        k: client.submit(
            _fit_sketches, *shared, k, l1, pure=False, key=f"fit-k{k:02d}-{uuid4().hex}"
        )
        for k in sorted(ks, reverse=True)
    }


def _fit_sketches(
    sketches: list[Sketch], weighting: Weighting, k: int, l1: tuple[float, float]
) -> list[Fit]:
    """Fit all counts and the training half, on a worker."""
    return [fit_components(sketch, weighting, k, l1) for sketch in sketches]
