"""NMFk: the largest number of components that come out the same when the data are perturbed.

Written from the method (Alexandrov and Stanev, Water Resources Research 2014,
doi:10.1002/2013WR015037) with the settings that T-ELF documents (github.com/lanl/T-ELF, which is
on no package registry): NMF by 100 multiplicative updates of the Frobenius norm; components of the
perturbed copies matched one to one by cosine, the nearest first; silhouettes of the groups by
cosine distance; a k is stable where the mean silhouette of the worst group is .8 or
more. Two rules then choose, both T-ELF's: the largest stable k, and the last stable k that lowers
the errors of the patterns significantly (Wilcoxon, p < .05).

What serves it best here, found on the tuning half: starts from random numbers (from an SVD, T-ELF's
default, components too many come out the same as well: 8 for 6 grains), perturbed copies drawn anew
from Poisson's distribution, which T-ELF offers beside uniform noise, and pixels and positions
divided by the roots of their means (Keenan and Kotula), without which it finds too few patterns.
To end in minutes: patterns binned 2 x 2, k measured on at most 1,000 scan positions drawn at random
(the map is of all), 6 perturbed copies where T-ELF makes 20.
"""

import numpy as np
from answers import MOST_K, Answer, bin_patterns, from_weights

BINNING = 2
MOST_POSITIONS = 1000
COPIES = 6
UPDATES = 100
STABLE_SILHOUETTE = 0.8
SIGNIFICANT = 0.05
TINY = np.float32(1e-12)


def prepare(patterns: np.ndarray) -> dict:
    """Measure every k on (scan_y, scan_x, detector_y, detector_x) counts."""
    rng = np.random.default_rng(0)
    binned = bin_patterns(patterns, BINNING)
    counts = binned.reshape(-1, binned.shape[-2] * binned.shape[-1])
    counts = counts[:, counts.any(axis=0)]
    scale = poisson_scale(counts)
    drawn = rng.permutation(len(counts))[:MOST_POSITIONS]
    chosen = counts[drawn] * scale[drawn]
    brightness = np.maximum(np.linalg.norm(chosen, axis=1), TINY)
    components, silhouettes, errors = [], [], []
    for k in range(1, MOST_K + 1):
        found, silhouette = stable_components(counts[drawn], scale[drawn], k, rng)
        residual = chosen - regress(chosen, found) @ found
        components.append(found)
        silhouettes.append(silhouette)
        errors.append(np.linalg.norm(residual, axis=1) / brightness)
    return {
        "scaled": counts * scale,
        "scan": binned.shape[:2],
        "components": components,
        "silhouettes": silhouettes,
        "errors": errors,
    }


def by_silhouette(measured: dict) -> Answer:
    """Take the largest stable k."""
    return _map(measured, largest_stable(measured["silhouettes"]))


def by_significance(measured: dict) -> Answer:
    """Take the last stable k that fits better than the one before."""
    return _map(measured, last_significant(measured["silhouettes"], measured["errors"]))


def _map(measured: dict, k: int) -> Answer:
    """Label every position by its largest weight, of components of unit sum."""
    weights = regress(measured["scaled"], measured["components"][k - 1])
    return from_weights(weights.reshape(*measured["scan"], k))


def largest_stable(silhouettes: list[float]) -> int:
    """Return the largest k, from 1, whose smallest silhouette is high enough."""
    return max(k for k, s in enumerate(silhouettes, start=1) if s >= STABLE_SILHOUETTE)


def last_significant(silhouettes: list[float], errors: list[np.ndarray]) -> int:
    """Return the last stable k, from 1, that fits patterns better than the one accepted before."""
    from scipy.stats import wilcoxon

    best = 0
    for i in range(1, len(silhouettes)):
        stable = silhouettes[i] >= STABLE_SILHOUETTE
        if stable and wilcoxon(errors[best], errors[i]).pvalue < SIGNIFICANT:
            best = i
    return best + 1


def poisson_scale(counts: np.ndarray) -> np.ndarray:
    """Return what to multiply (position, pixel) counts with so that their noise is alike."""
    of_pixels, of_positions = counts.mean(axis=0), np.maximum(counts.mean(axis=1), TINY)
    return (1 / np.sqrt(of_positions[:, None] * of_pixels)).astype(np.float32)


def stable_components(
    counts: np.ndarray, scale: np.ndarray, k: int, rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """Return the mean components (k, pixel), unit sum, of perturbed copies; smallest silhouette."""
    copies = []
    for _ in range(COPIES):
        perturbed = rng.poisson(counts).astype(np.float32) * scale
        copies.append(_unit_length(factorise(perturbed, k, rng)))
    centres = copies[0]
    for _ in range(100):
        before = centres
        copies = [match(centres, patterns) for patterns in copies]
        centres = _unit_length(np.mean(copies, axis=0))
        if np.allclose(before, centres, atol=1e-6):
            break
    return centres / centres.sum(axis=1, keepdims=True), smallest_silhouette(np.array(copies))


def _unit_length(patterns: np.ndarray) -> np.ndarray:
    return patterns / np.maximum(np.linalg.norm(patterns, axis=1, keepdims=True), TINY)


def factorise(counts: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Return component patterns (k, pixel) by multiplicative updates."""
    weights = rng.random((len(counts), k), np.float32)
    patterns = rng.random((k, counts.shape[1]), np.float32)
    for _ in range(UPDATES):
        weights *= (counts @ patterns.T) / (weights @ (patterns @ patterns.T) + TINY)
        patterns *= (weights.T @ counts) / ((weights.T @ weights) @ patterns + TINY)
    return patterns


def regress(counts: np.ndarray, patterns: np.ndarray) -> np.ndarray:
    """Return the weights (position, k) of fixed patterns, by multiplicative updates."""
    weights = np.ones((len(counts), len(patterns)), np.float32)
    of_counts, gram = counts @ patterns.T, patterns @ patterns.T
    for _ in range(5 * UPDATES):
        weights *= of_counts / (weights @ gram + TINY)
    return weights


def match(centres: np.ndarray, patterns: np.ndarray) -> np.ndarray:
    """Return patterns in the order of the centres, the most alike pair first."""
    cosine = centres @ patterns.T
    order = np.zeros(len(centres), int)
    for _ in range(len(centres)):
        row, column = np.unravel_index(np.argmax(cosine), cosine.shape)
        order[row] = column
        cosine[row, :] = cosine[:, column] = -np.inf
    return patterns[order]


def smallest_silhouette(copies: np.ndarray) -> float:
    """Return the smallest mean silhouette of the groups of matched (copy, k, pixel) components."""
    from sklearn.metrics import silhouette_samples

    number, k, pixels = copies.shape
    if k == 1:
        return 1.0
    flat = copies.reshape(-1, pixels)
    distance = np.clip(1 - flat @ flat.T, 0, None)
    np.fill_diagonal(distance, 0)
    group = np.tile(np.arange(k), number)
    silhouette = silhouette_samples(distance, group, metric="precomputed")
    return float(silhouette.reshape(number, k).mean(axis=0).min())


WAYS = {"nmfk-silhouette": by_silhouette, "nmfk-significance": by_significance}
