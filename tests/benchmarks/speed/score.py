"""Score factors, whoever found them, by the same functions against the same matrix."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import scipy.sparse as sp

Factors = dict[int, tuple[np.ndarray, np.ndarray]]
Blocks = Iterable[tuple[np.ndarray, np.ndarray | sp.csr_matrix]]


def read_factors(folder: Path) -> Factors:
    """Return weights (position, k) and patterns (k, pixel) of every k that was fitted."""
    found = {}
    for file in sorted(folder.glob("k*.npz")):
        with np.load(file) as content:
            weights, patterns = content["weights"], content["patterns"]
        found[len(patterns)] = weights.astype(float), patterns.astype(float)
    return found


def relative_errors(blocks: Blocks, factors: Factors) -> dict[int, float]:
    """Return ``|V - weights @ patterns| / |V|`` (Frobenius) of every k.

    Parameters
    ----------
    blocks : iterable of (positions, rows)
        V, a few rows at once, each with the numbers of its positions.
    factors : dict

    Notes
    -----
    By ``|V|^2 - 2 <V, HW> + |HW|^2``, where only the entries of V that are not 0 count; in double
    precision the cancellation costs nothing at errors above 1e-4.
    """
    ks = list(factors)
    if not ks:
        return {}
    stacked = np.concatenate([factors[k][1] for k in ks]).T  # (pixel, all components)
    ends = np.cumsum(ks)
    crossed, squares = dict.fromkeys(ks, 0.0), 0.0
    for positions, rows in blocks:
        entries = rows.data if sp.issparse(rows) else rows
        squares += float(np.vdot(entries, entries))
        products = np.asarray(rows @ stacked)
        for k, end in zip(ks, ends, strict=True):
            crossed[k] += float(np.vdot(products[:, end - k : end], factors[k][0][positions]))
    errors = {}
    for k in ks:
        weights, patterns = factors[k]
        fitted = float(np.vdot(weights.T @ weights, patterns @ patterns.T))
        errors[k] = float(np.sqrt(max(squares - 2 * crossed[k] + fitted, 0.0) / squares))
    return errors


def label(weights: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Return the component with the largest weight at each position, components scaled to unit sum.

    Parameters
    ----------
    weights : (positions, k) array
    sums : (k,) array
        Sum of each component pattern in counts.
    """
    return np.argmax(weights * sums, axis=1)


def adjusted_rand_index(truth: np.ndarray, found: np.ndarray) -> float:
    """Return how well two maps agree over all positions: 1 the same, 0 as chance has it."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(truth.ravel(), found.ravel()))
