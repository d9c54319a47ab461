"""What maps are drawn of: the weights of the components that were decided, and their noise."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from orimap.tasks.decide.components.merge import merge_by_look
from orimap.tasks.decide.grains.dark_fields import DarkFields
from orimap.tasks.decide.grains.fit import GrainFit, disc_variance, fit_grains
from orimap.tasks.decide.grains.presence import is_present, is_sure
from orimap.tasks.decide.grains.stored import find_grains, grains_dataset, read_dark_fields
from orimap.tasks.factorise.kernels.least_squares import solve_weights
from orimap.tasks.factorise.stored_fits import fit_group, on_detector, read_weighting
from orimap.tasks.maps.uncertainty import CountingNoise
from orimap.tasks.store import variables
from orimap.tasks.store.groups import open_group


@dataclass(frozen=True)
class Parts:
    """The components of the decided fit over the scan.

    Parameters
    ----------
    stored : xarray.Dataset
        The group /grains: whole patterns of the components, and their intensities.
    weights : (scan_y, scan_x, component) array
        What shares are taken of: intensities of reflections where there are some.
    component_cluster : (component,) array of int
        -1 for background and what is left over.
    present, sure : (scan_y, scan_x) arrays of bool
        Where some pattern is at all, and where it is beyond doubt.
    noise : CountingNoise or None
        Of the weights; None where the noise is not known.
    """

    stored: xr.Dataset
    weights: np.ndarray
    component_cluster: np.ndarray
    present: np.ndarray
    sure: np.ndarray | None
    noise: CountingNoise | None


def grain_parts(
    store: Path,
    k: int,
    dispersion: float | np.ndarray | None,
    *,
    split_bent: bool,
    component_cluster: np.ndarray | None = None,
    stored: xr.Dataset | None = None,
) -> Parts:
    """Return the grains that k components of the dark fields show.

    Parameters
    ----------
    store : Path
        ``analysis.zarr``.
    k : int
    dispersion : float, (scan_y, scan_x) array or None
        Variance of an intensity over its mean; None where it is not known.
    split_bent : bool
        See ``grains.group.group_grains``.
    component_cluster : (component,) array of int, optional
        Another grouping of the components, background left out.
    stored : xarray.Dataset, optional
        The group /grains where it was made of them before: whole patterns take longest.
    """
    fields = read_dark_fields(store)
    if component_cluster is None:
        fit, merged = find_grains(fields, k, split_bent=split_bent)
        component_cluster = merged.component_cluster
    else:
        fit = fit_grains(fields, k)
    every = np.concatenate([fit.weights, fields.background_weights[:, None]], axis=1)
    return Parts(
        grains_dataset(store, fields, fit) if stored is None else stored,
        every.reshape(*fields.scan_shape, -1),
        np.append(component_cluster, -1),
        is_present(fit, fields, component_cluster),
        is_sure(fit, fields, component_cluster),
        None if dispersion is None else _noise(fields, fit, every, dispersion),
    )


def parts_by_look(
    store: Path,
    k: int,
    dispersion: float | np.ndarray | None,
    *,
    component_cluster: np.ndarray | None = None,
) -> Parts:
    """Return the components of the fit of k, for scans that show no reflections.

    With another grouping of them where one is given.
    """
    fit, sketch = open_group(store, fit_group(k)), open_group(store, "sketch")
    weighting = read_weighting(sketch)
    patterns = variables.component_pattern.read(fit).values
    weights = variables.scan_weight.read(fit).values
    if component_cluster is None:
        left_out = on_detector(weighting.fitted, weighting.valid) == 0
        merged = merge_by_look(patterns.astype(float), weights, left_out)
        component_cluster = merged.component_cluster
    noise = None
    if dispersion is not None:
        noise = CountingNoise.of(patterns[:, weighting.valid], weighting.pixel, dispersion)
    stored = fit[[variables.component_pattern.name, variables.scan_weight.name]].load()
    stored.attrs = {}
    everywhere = np.ones(weights.shape[:2], bool)
    return Parts(stored, weights, component_cluster, everywhere, None, noise)


def _noise(
    fields: DarkFields, fit: GrainFit, weights: np.ndarray, dispersion: float | np.ndarray
) -> CountingNoise:
    """Return what gives the weights of dark fields their errors.

    Discs have the noise of all that lies in them, background included: ``weights`` has the
    background as its last component, which takes part in the noise alone.
    """
    gram = weights.T @ weights
    discs = solve_weights((weights.T @ fields.scan) @ fields.whole, gram)
    precision = 1 / disc_variance(fields)
    reflections = np.concatenate([fit.reflections, np.zeros((1, len(precision)))])
    weighted = reflections * precision
    spread = np.stack([(weighted * disc) @ weighted.T for disc in discs])
    fitted = np.arange(len(reflections)) < len(fit.reflections)
    return CountingNoise(weighted @ reflections.T, spread, dispersion, fitted)
