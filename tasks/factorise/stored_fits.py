"""The sketch and the fits in ``analysis.zarr``: what is written where, and read back.

They are kept in single precision and always used as read back, never as they were made: a run that
is resumed computes with the same numbers as one that was not disturbed.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
import zarr

from orimap.tasks.factorise.exact_pass import ExactPass
from orimap.tasks.factorise.fit_k import Fit, ReadySketch
from orimap.tasks.factorise.kernels.predictions import Stack
from orimap.tasks.factorise.sketch import Sketch
from orimap.tasks.factorise.weighting import Weighting
from orimap.tasks.store import variables
from orimap.tasks.store.groups import group_attributes, open_group, write_arrays

# Binary digits of the component patterns that are kept, 1e-4 of each value: they are not known
# better than to some per cent, and take half as much space as with all 24 digits.
DIGITS = 14


def write_sketch(
    store: Path,
    group: str,
    sketch: Sketch,
    weighting: Weighting,
    scan_shape: tuple[int, int],
    mark: str,
    **facts: object,
) -> None:
    """Write a sketch and its weighting; ``facts`` are recorded with them.

    Patterns are multiplied in single precision when it is made: no more is known of its vectors.
    """
    rank = len(sketch.values)
    excluded = np.zeros((rank, len(weighting.pixel)), np.float32)
    excluded[:, ~weighting.fitted] = sketch.excluded
    scan = (sketch.left * sketch.values[:, None]).T.astype(np.float32)
    v = variables
    arrays = {
        v.basis_pattern: on_detector(sketch.right.astype(np.float32), weighting.valid),
        v.basis_left_out: on_detector(excluded, weighting.valid),
        v.scan_basis: scan.reshape(*scan_shape, rank),
        v.singular_value: sketch.values,
        v.detector_weight: on_detector(weighting.pixel, weighting.valid),
        v.detector_fitted: on_detector(weighting.fitted, weighting.valid),
        v.detector_valid: weighting.valid,
        v.scan_row_weight: sketch.row_factor.reshape(scan_shape),
    }
    facts |= {"squares": sketch.squares, "poisson": weighting.poisson}
    write_arrays(store, group, arrays, mark, **facts)


def read_weighting(ds: xr.Dataset) -> Weighting:
    """Read back the weighting that a sketch was made with."""
    v = variables
    valid = v.detector_valid.read(ds).values
    return Weighting(
        valid,
        v.detector_fitted.read(ds).values[valid],
        v.detector_weight.read(ds).values[valid],
        bool(ds.attrs["poisson"]),
    )


def read_sketch(ds: xr.Dataset, weighting: Weighting) -> Sketch:
    """Read a sketch back, in double precision to compute with."""
    v = variables
    values = v.singular_value.read(ds).values
    scan = v.scan_basis.read(ds).values.reshape(-1, len(values)).T.astype(float)
    right = v.basis_pattern.read(ds).values[:, weighting.valid]
    excluded = v.basis_left_out.read(ds).values[:, weighting.valid][:, ~weighting.fitted]
    return Sketch(
        np.ascontiguousarray(scan / values[:, None]),
        values,
        np.ascontiguousarray(right, dtype=float),
        np.ascontiguousarray(excluded, dtype=float),
        v.scan_row_weight.read(ds).values.ravel(),
        float(ds.attrs["squares"]),
    )


def least_directions(store: Path, groups: Sequence[str]) -> int:
    """Return how many directions the sketches have, in the half of the counts which has fewer."""
    known = group_attributes(store, groups[0]).get("least_directions")
    if known is None:  # earlier versions did not say so, and kept both halves
        known = min(open_group(store, group).sizes["direction"] for group in groups)
    return int(known)


def read_sketches(store: Path, groups: Sequence[str]) -> list[ReadySketch]:
    """Read sketches from their groups of a store and make them ready for fits, on a worker."""
    ready = []
    for ds in (open_group(store, group) for group in groups):
        weighting = read_weighting(ds)
        ready.append(ReadySketch.of(read_sketch(ds, weighting), weighting))
    return ready


def rounded(values: np.ndarray, digits: int = DIGITS) -> np.ndarray:
    """Return values in single precision, rounded to so many binary digits each."""
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(np.ldexp(mantissa, digits)), exponent - digits).astype(np.float32)


def on_detector(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Put columns of valid pixels (..., pixels) back on the detector; 0 elsewhere."""
    whole = np.zeros((*values.shape[:-1], *valid.shape), values.dtype)
    whole[..., valid] = values
    return whole


def write_basis_fit(
    store: Path, k: int, fits: Sequence[Fit], weighting: Weighting, mark: str
) -> None:
    """Write the fits of one k on the sketch, of all counts and of the training half."""
    arrays = {
        name: on_detector(fit.images, weighting.valid)
        for name, fit in zip(HALVES, fits, strict=False)
    }
    write_arrays(
        store,
        basis_fit_group(k),
        arrays,
        mark,
        iterations=[f.iterations for f in fits],
        converged=[f.converged for f in fits],
    )


def basis_fit_group(k: int) -> str:
    """Return the group of a fit on the sketch."""
    return f"basis_fits/k{k:02d}"


def fit_group(k: int) -> str:
    """Return the group of a fit after the exact pass."""
    return f"fits/k{k:02d}"


HALVES = (variables.component_image, variables.component_training_image)


def read_images(store: Path, k: int, valid: np.ndarray, half: int = 0) -> np.ndarray:
    """Read the component images (k, valid pixels) of one k: of all counts, or half 1, training."""
    group = zarr.open_group(store, path=basis_fit_group(k), mode="r")
    return group[HALVES[half].name][:][:, valid]


def read_stack(
    half: int,
    store: Path,
    ks: Sequence[int],
    valid: np.ndarray,
    wanted: Sequence[int] | None = None,
) -> Stack:
    """Read the component images of several k for the exact pass, on a worker.

    Those that are not ``wanted`` only keep their place; their images may be gone.
    """
    stack = Stack.empty(ks, int(np.count_nonzero(valid)))
    for number, k in enumerate(ks):
        if wanted is None or k in wanted:
            stack.put(number, read_images(store, k, valid, half))
        else:
            stack.put(number, np.arange(len(stack.table)) % k == np.arange(k)[:, None])
    return stack


def fit_datasets(
    passed: ExactPass,
    images: Iterable[np.ndarray],
    attrs: Sequence[dict],
    valid: np.ndarray,
    scan_shape: tuple[int, int],
    squares: float,
) -> Iterator[xr.Dataset]:
    """Yield the groups /fits/kNN: component patterns of unit sum, weights in counts, scores.

    Parameters
    ----------
    passed : ExactPass
    images : iterable of (k, valid pixels) arrays
        Those the pass was made with, in the same order; one at a time is enough.
    attrs : sequence of dict
        What to record with each (iterations, converged).
    valid : (detector_y, detector_x) array of bool
    scan_shape : pair of int
    squares : float
        Sum of squares of the weighted patterns.
    """
    v = variables
    for i, (image, weights) in enumerate(zip(images, passed.weights, strict=True)):
        sums = image.sum(axis=1, dtype=float)
        unit = np.divide(image, sums[:, None], out=np.zeros(image.shape), where=sums[:, None] > 0)
        arrays = {
            v.component_pattern: rounded(on_detector(unit, valid)),
            v.scan_weight: (weights * sums).reshape(*scan_shape, -1).astype(np.float32),
        }
        if passed.deviance is not None:
            arrays[v.scan_held_out_deviance] = passed.deviance[i].reshape(scan_shape)
        sampled = passed.loss[i][~np.isnan(passed.loss[i])]
        entries = valid.sum()
        loss = float(sampled.mean() / entries)
        error = 0.0
        if len(sampled) < len(passed.loss[i]):
            error = float(sampled.std() / np.sqrt(len(sampled)) / entries)
        facts = {
            "loss": loss,
            "loss_error": error,
            "loss_positions": len(sampled),
            "relative_error": float(np.sqrt(passed.residual[i].sum() / squares)),
            "empty_components": int(np.count_nonzero(weights.sum(axis=0, dtype=float) * sums <= 0)),
        }
        yield v.dataset(arrays, **facts, **attrs[i])
