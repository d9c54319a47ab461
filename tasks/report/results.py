"""Open what the report shows from ``analysis.zarr``; any part of it may be absent."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from orimap.tasks.errors import InputError
from orimap.tasks.report import words
from orimap.tasks.report.figures.images import NO_PATTERN, DetectorGrid, ScanGrid
from orimap.tasks.report.figures.palette import cluster_colours
from orimap.tasks.store.groups import group_attributes
from orimap.tasks.store.open_results import open_revised
from orimap.tasks.store.variables import METRICS

GROUPS = (
    *("acquisition", "analysed", "sketch", "decision", "clusters", "overlap", "baseline"),
    *("reflection_maps", "decomposition", "line", "orientations", "grains"),
)
COLOUR = re.compile("#[0-9a-fA-F]{6}")
METRIC_NAMES = {name.upper(): name for name in METRICS}
PAIR_METRICS = {**METRIC_NAMES, "cosine": "cosine"}
# What is measured of a camera: how it is called, what it is multiplied by, and its unit.
CAMERA = {
    "gain": ("gain (intensity per electron)", 1, ""),
    "offset": ("offset", 1, ""),
    "read_noise": ("read-out noise", 1, ""),
    "spread": ("noise shared with neighbours", 100, " %"),
    "gamma": ("power of the stretch (gamma)", 1, ""),
}
# Up to so many components the value of every pair is written into its cell.
MOST_WRITTEN = 16
NOISE_KINDS = ("whole", "corner", "robust")
# Maps drawn from registered reflections: what they are called, and matplotlib's colours for them.
REFLECTION_MAPS = {
    "scan_direct_intensity": ("bright field", "gray"),
    "scan_intensity_sum": ("sum of intensities", "gray"),
    "scan_prominence_sum": ("sum of prominences", "gray"),
    "scan_reflection_count": ("number of reflections", "cividis"),
    "scan_noise": ("noise", "cividis"),
    "scan_prominence_threshold": ("prominence needed", "cividis"),
    "scan_virtual_dark_field": ("dark field of {region}", "gray"),
}


@dataclass(frozen=True)
class Results:
    """What of ``analysis.zarr`` is there; groups that are not are empty data sets.

    Of a revision, ``automatic`` holds the attributes of the result that was edited.
    """

    attrs: Mapping[str, Any]
    groups: Mapping[str, xr.Dataset]
    fits: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    automatic: Mapping[str, Any] = field(default_factory=dict)

    def attr(self, group: str) -> Mapping[str, Any]:
        """Return the attributes of one group."""
        return self.groups[group].attrs

    @property
    def intensity_units(self) -> str:
        """The unit of the intensities; where none was stored, electrons unless they are none."""
        facts = self.groups["acquisition"].attrs
        counts = facts.get("counts_like")
        usual = "electron" if counts is None or counts else "a.u."
        return str(facts.get("intensity_units", usual))

    def values(self, group: str, name: str) -> np.ndarray | None:
        """Return an array, or None where it is absent or holds no number."""
        if name not in self.groups[group]:
            return None
        values = self.groups[group][name].values
        if values.size == 0 or (values.dtype.kind == "f" and not np.isfinite(values).any()):
            return None
        return values


def read_results(store: Path, revision: Path | None = None) -> Results:
    """Open the groups of ``analysis.zarr`` that are there.

    Those that the store of a revision has stand in their place.

    Raises
    ------
    InputError
        If there is no store, or it holds neither a decision nor clusters.
    """

    def group(name: str) -> xr.Dataset:
        try:
            return open_revised(store, revision, name)
        except (FileNotFoundError, KeyError):
            return xr.Dataset()

    def attributes(name: str) -> Mapping[str, Any]:
        try:
            return group_attributes(store, name)
        except (FileNotFoundError, KeyError):
            return {}

    groups = {name: group(name) for name in GROUPS}
    if not groups["decision"].variables and not groups["clusters"].variables:
        raise InputError(
            "results of a run (analysis.zarr with a decision or clusters)",
            f"{store} holds neither" if store.exists() else f"{store} is not there",
            "run the analysis first: orimap run FILE --output DIR",
        )
    # Clusters that somebody has edited were not indexed.
    of_these = groups["orientations"].attrs.get("of") == groups["clusters"].attrs.get("complete")
    if not of_these or "cluster_label" not in groups["clusters"]:
        groups["orientations"] = xr.Dataset()
    fits = {
        int(folder.name[1:]): attributes(f"fits/{folder.name}")
        for folder in sorted((store / "fits").glob("k[0-9]*"))
    }
    stored = attributes("/")
    if revision is None:
        return Results(stored, groups, fits)
    return Results({**stored, **group_attributes(revision, "")}, groups, fits, stored)


def cluster_names(results: Results) -> list[str]:
    """Return the names that somebody gave to clusters, empty where one has none."""
    return list(results.attr("clusters").get("cluster_names", ()))


def colours_of(results: Results, count: int) -> tuple[str, ...]:
    """Return the colours of ``count`` clusters: those that somebody chose, else the usual ones."""
    chosen = list(results.attr("clusters").get("cluster_colours", ()))
    return tuple(
        chosen[cluster]
        if cluster < len(chosen) and COLOUR.fullmatch(str(chosen[cluster]))
        else usual
        for cluster, usual in enumerate(cluster_colours(count))
    )


def units_of(results: Results, group: str, name: str) -> str:
    """Return the unit of an array; of intensities, that of the acquisition."""
    units = str(results.groups[group][name].attrs.get("units", "1"))
    # Declared as electrons, and stored so by earlier versions whatever they were.
    return results.intensity_units if units == "electron" else units


def stored_k(results: Results, name: str) -> int | None:
    """Return decided_k or fitted_k from the decision, else from the root."""
    return words.whole(results.attr("decision").get(name, results.attrs.get(name)))


def automatic_k(results: Results) -> int | None:
    """Return decided_k as it was before somebody edited the clusters."""
    stored = results.automatic or results.attrs
    return words.whole(results.attr("decision").get("decided_k", stored.get("decided_k")))


def source_name(facts: Mapping[str, Any]) -> str | None:
    """Return the name of the acquisition's file, without its folder."""
    source = facts.get("source_file", facts.get("source"))
    return None if source is None else Path(str(source)).name


def mean_patterns(results: Results) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """Return the mean pattern and its mask by title; as analysed, too, where that is another."""
    acquired, analysed = (
        (results.values(group, "detector_mean"), results.values(group, "detector_mask"))
        for group in ("acquisition", "analysed")
    )
    if acquired[0] is None:
        return {}
    if analysed[0] is None or all(map(np.array_equal, acquired, analysed)):
        return {"mean pattern": acquired}
    return {"mean pattern as acquired": acquired, "mean pattern as analysed": analysed}


def analysed_mask(results: Results) -> np.ndarray | None:
    """Return the pixels left out of the patterns of clusters: after centring, where it was done."""
    mask = results.values("analysed", "detector_mask")
    return results.values("acquisition", "detector_mask") if mask is None else mask


def drawn_labels(results: Results) -> np.ndarray | None:
    """Return the map of clusters, -1 where there is none and -2 where nothing was measured."""
    labels = results.values("clusters", "cluster_label")
    return None if labels is None else where_measured(results, labels, NO_PATTERN)


def cluster_patterns(results: Results) -> np.ndarray | None:
    """Return the mean pattern of each cluster, or else its pattern from the factorisation."""
    means = results.values("clusters", "cluster_mean_pattern")
    return results.values("clusters", "cluster_representative") if means is None else means


def cluster_count(labels: np.ndarray, patterns: np.ndarray | None) -> int:
    """Return the number of clusters; the last ones may have no position."""
    return max(int(labels.max()) + 1, 0 if patterns is None else len(patterns))


def where_measured(results: Results, values: np.ndarray, instead: float) -> np.ndarray:
    """Return a map (scan_y, scan_x, ...) with another value at positions not measured."""
    missing = not_measured(results)
    if missing is None or missing.shape != values.shape[:2]:
        return values
    return np.where(missing.reshape(*missing.shape, *[1] * (values.ndim - 2)), instead, values)


def not_measured(results: Results) -> np.ndarray | None:
    """Return which positions have no pattern, (scan_y, scan_x); None where each has one."""
    measured = results.values("acquisition", "scan_measured")
    return None if measured is None or (measured > 0).all() else measured == 0


def uniform_value(values: np.ndarray) -> float | None:
    """Return the value that a map has everywhere, or None where it has several, or none."""
    some = values[np.isfinite(values)]
    return float(some[0]) if some.size and np.all(some == some[0]) else None


def reflection_map_titles(results: Results) -> tuple[dict[str, str], dict[str, str]]:
    """Return the titles of the stored maps: of those to draw, and of those of one value."""
    region = words.region_text(results.attr("reflection_maps").get("dark_field_region"))
    varied, uniform = {}, {}
    for name, (title, _) in REFLECTION_MAPS.items():
        values = results.values("reflection_maps", name)
        if values is not None:
            which = varied if uniform_value(values) is None else uniform
            which[name] = title.format(region=region)
    return varied, uniform


def noise_table(results: Results) -> dict[str, np.ndarray]:
    """Return the kinds of noise standard deviation that are there, one value a cluster."""
    found = {kind: results.values("clusters", f"cluster_nsd_{kind}") for kind in NOISE_KINDS}
    return {kind: values for kind, values in found.items() if values is not None}


def scan_grid(facts: Mapping[str, Any]) -> ScanGrid:
    """Return the grid of the scan; in positions where it is not calibrated."""
    step, units = words.decoded(facts.get("scan_step")), facts.get("scan_units", "px")
    if step is None or units == "px" or not all((words.number(v) or 0) > 0 for v in step):
        return ScanGrid()
    return ScanGrid(float(step[0]), float(step[1]), str(units))


def detector_grid(results: Results) -> DetectorGrid:
    """Return the grid of the detector; in pixels where it is not calibrated."""
    facts = results.attr("acquisition")
    step, units = words.decoded(facts.get("detector_step")), facts.get("detector_units", "px")
    if step is None or units == "px" or not all((words.number(v) or 0) > 0 for v in step):
        return DetectorGrid()
    return DetectorGrid(float(step[1]), str(units))


def fidelity_scores(results: Results) -> dict[str, np.ndarray]:
    """Return the fidelity metrics that are there."""
    found = {
        name: results.values("clusters", f"cluster_{key}") for name, key in METRIC_NAMES.items()
    }
    return {name: values for name, values in found.items() if values is not None}


def pair_matrices(results: Results, fitted: int | None) -> dict[str, np.ndarray]:
    """Return the pairwise matrices of the fit used; empty where there is nothing to compare."""
    k = results.values("decision", "k")
    if fitted is None or fitted < 2 or k is None or fitted not in k:
        return {}
    at, found = int(np.flatnonzero(k == fitted)[0]), {}
    for name, key in PAIR_METRICS.items():
        if f"pair_{key}" in results.groups["decision"]:
            matrix = results.groups["decision"][f"pair_{key}"][at, :fitted, :fitted].values
            if np.isfinite(matrix[~np.eye(len(matrix), dtype=bool)]).any():
                found[name] = matrix
    return found


def camera_text(facts: Mapping[str, Any], name: str) -> str:
    """Return one thing that was measured of the camera, with its standard error."""
    _, times, unit = CAMERA[name]
    value, error = (words.number(facts.get(f"camera_{name}{end}")) for end in ("", "_error"))
    if value is None:
        return words.figure_text(None)
    return words.measured_text(times * value, None if error is None else times * error) + unit


def camera_rows(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return all that was measured of the camera by what it is.

    Parameters
    ----------
    facts : mapping
        Attributes of /acquisition.
    """
    return {
        title: camera_text(facts, name)
        for name, (title, _, _) in CAMERA.items()
        if words.number(facts.get(f"camera_{name}")) is not None
    }
