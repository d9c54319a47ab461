"""Dark fields and grains in ``analysis.zarr``: made from the sketch, read back on workers."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from orimap.tasks.decide.components.merge import Merged
from orimap.tasks.decide.grains.dark_fields import DarkFields, dark_fields
from orimap.tasks.decide.grains.fit import GrainFit, fit_grains
from orimap.tasks.decide.grains.group import group_grains
from orimap.tasks.decide.grains.places import block_sums, find_places
from orimap.tasks.factorise.kernels.least_squares import solve_weights
from orimap.tasks.factorise.sketch import Sketch
from orimap.tasks.factorise.stored_fits import on_detector, read_sketch, read_weighting
from orimap.tasks.factorise.weighting import Weighting
from orimap.tasks.store import variables
from orimap.tasks.store.groups import open_group, write_arrays

# Where they are kept: the dark fields, and the components of the grains that were decided.
DARK_FIELDS, GRAINS = "dark_fields", "grains"
# Patterns smaller than this along an edge show no background around their reflections.
SMALLEST_DETECTOR_PX = 24
# Patterns that are looked at together: bounds the memory.
PATTERNS_AT_ONCE = 8


def write_dark_fields(
    store: Path,
    fits: Sequence[str],
    mark: str,
    *,
    radius_px: float,
    centre: tuple[float, float] | None,
    dispersion: float,
    pedestal: float = 0.0,
    odd_lines: tuple[Sequence[int], Sequence[int]] = ((), ()),
) -> int:
    """Find the places of reflections and the dark fields there; return how many there are.

    Parameters
    ----------
    store : Path
        ``analysis.zarr``.
    fits : sequence of str
        Groups of fits whose components show where reflections are.
    mark : str
    radius_px : float
        Of the discs of reflections.
    centre : pair of float or None
        Of the direct beam; None for the middle of the detector.
    dispersion : float
        Variance of an intensity over its mean: 1 for counts.
    pedestal : float
        Part of every pixel's intensity that stands for the noise of read-out.
    odd_lines : pair of sequences of int
        Rows and columns of the detector that are brighter, darker or noisier than those beside
        them: along them every pattern would seem to have reflections.
    """
    stored = open_group(store, "sketch")
    weighting = read_weighting(stored)
    sketch = read_sketch(stored, weighting)
    scan, images = _coordinates(sketch), _images(sketch, weighting)
    rows, columns = stored[variables.scan_row_weight.name].shape
    scan_shape = (rows, columns)
    left_out = ~on_detector(_seen(sketch, weighting), weighting.valid).astype(bool)
    odd = np.zeros(left_out.shape, bool)
    odd[list(odd_lines[0])] = True
    odd[:, list(odd_lines[1])] = True
    if centre is None:
        centre = (left_out.shape[0] - 1) / 2, (left_out.shape[1] - 1) / 2

    def summed_patterns() -> Iterator[np.ndarray]:
        sums = block_sums(scan, scan_shape)
        for at in range(0, len(sums), PATTERNS_AT_ONCE):
            yield np.tensordot(sums[at : at + PATTERNS_AT_ONCE], images, axes=1)
        for group in fits:
            fit = open_group(store, group)
            total = variables.scan_weight.read(fit).sum(variables.SCAN).values
            patterns = variables.component_pattern.read(fit)
            for at in range(0, len(total), PATTERNS_AT_ONCE):
                part = slice(at, at + PATTERNS_AT_ONCE)
                yield patterns[part].values.astype(float) * total[part, None, None]

    places = np.zeros((0, 2), int)
    if min(left_out.shape) >= SMALLEST_DETECTOR_PX:
        places = find_places(summed_patterns(), left_out, radius_px, dispersion, odd)
    found = dark_fields(
        scan,
        images,
        places,
        left_out | odd,
        centre,
        radius_px=radius_px,
        scan_shape=scan_shape,
        dispersion=dispersion,
        pedestal=pedestal,
    )
    v = variables
    arrays = {
        v.place_position: places.astype(np.int32),
        v.basis_dark_field: found.net,
        v.basis_disc: found.whole,
        v.basis_background: found.background,
    }
    noise = {"dispersion": dispersion, "pedestal": pedestal, "disc_pixels": found.disc_pixels}
    write_arrays(store, DARK_FIELDS, arrays, mark, radius_px=radius_px, **noise)
    return len(places)


def read_dark_fields(store: Path) -> DarkFields:
    """Read the dark fields of a scan back."""
    stored, fields = open_group(store, "sketch"), open_group(store, DARK_FIELDS)
    v = variables
    scan_shape = stored[v.scan_row_weight.name].shape
    return DarkFields(
        _coordinates(read_sketch(stored, read_weighting(stored))),
        v.basis_dark_field.read(fields).values,
        v.basis_disc.read(fields).values,
        v.basis_background.read(fields).values,
        v.place_position.read(fields).values,
        (scan_shape[0], scan_shape[1]),
        float(fields.attrs["dispersion"]),
        float(fields.attrs.get("pedestal", 0.0)),
        float(fields.attrs.get("disc_pixels", 0.0)),
    )


def find_grains(fields: DarkFields, k: int, *, split_bent: bool) -> tuple[GrainFit, Merged]:
    """Fit k components to dark fields and group them into grains; the same for the same input."""
    fit = fit_grains(fields, k)
    return fit, group_grains(fit, fields, split_bent=split_bent)


def grains_dataset(store: Path, fields: DarkFields, fit: GrainFit) -> xr.Dataset:
    """Return the group /grains: what whole patterns belong to the components of dark fields.

    Parameters
    ----------
    store : Path
        ``analysis.zarr``.
    fields : DarkFields
    fit : GrainFit

    Returns
    -------
    xarray.Dataset
        As a fit: component patterns and scan weights, in electrons. The last component is the
        background: what changes with the smooth part of the patterns. With the weights fixed,
        every pixel is a non-negative least-squares problem of its own.
    """
    stored = open_group(store, "sketch")
    weighting = read_weighting(stored)
    sketch = read_sketch(stored, weighting)
    weights = np.concatenate([fit.weights, fields.background_weights[:, None]], axis=1)
    weights = weights / np.maximum(weights.mean(axis=0), 1e-300)
    weighted = weights * sketch.row_factor[:, None]
    mixed = weighted.T @ sketch.left.T
    numerator = np.zeros((weights.shape[1], len(weighting.pixel)))
    seen = weighting.fitted & (weighting.pixel > 0)
    numerator[:, seen] = (mixed * sketch.values) @ sketch.right[:, seen] / weighting.pixel[seen]
    numerator[:, ~weighting.fitted] = mixed @ sketch.excluded
    images = solve_weights(numerator, weighted.T @ weighted)
    total = images.sum(axis=1)
    patterns = images / np.where(total > 0, total, 1.0)[:, None]
    v = variables
    reflections = np.concatenate([fit.reflections, np.zeros((1, fit.reflections.shape[1]))])
    return v.dataset(
        {
            v.component_pattern: on_detector(patterns.astype(np.float32), weighting.valid),
            v.scan_weight: (weights * total)
            .astype(np.float32)
            .reshape(*fields.scan_shape, len(images)),
            v.component_reflection: reflections.astype(np.float32),
        }
    )


def _coordinates(sketch: Sketch) -> np.ndarray:
    """Return the coordinates (positions, l) of every pattern, as it was counted."""
    factor = sketch.row_factor
    scale = np.divide(1.0, factor, out=np.zeros_like(factor, float), where=factor > 0)
    return (sketch.left.T * sketch.values) * scale[:, None]


def _images(sketch: Sketch, weighting: Weighting) -> np.ndarray:
    """Return the images (l, detector_y, detector_x) of the sketch's directions, unweighted."""
    seen = weighting.fitted & (weighting.pixel > 0)
    scale = np.divide(1.0, weighting.pixel, out=np.zeros_like(weighting.pixel), where=seen)
    return on_detector(sketch.right * scale, weighting.valid)


def _seen(sketch: Sketch, weighting: Weighting) -> np.ndarray:
    """Return the pixels to look for reflections in, of the valid ones: all but the direct beam.

    Pixels that no electron has met are not fitted, but dark they are all the same.
    """
    seen = weighting.fitted.copy()
    seen[~weighting.fitted] = ~sketch.excluded.any(axis=0)
    return seen
