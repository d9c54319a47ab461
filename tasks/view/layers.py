"""The maps of a scan that there are to look at, by names that stay the same."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr

from orimap.tasks.report.orientations.bent import local_turn
from orimap.tasks.report.orientations.directions import ALONG
from orimap.tasks.report.results import REFLECTION_MAPS
from orimap.tasks.report.words import cluster_text, region_text
from orimap.tasks.store import variables
from orimap.tasks.view.clustered import Clustered
from orimap.tasks.view.oriented import Oriented

LABELS, NUMBER = "labels", "number"
OF_CLUSTERS, OF_SHARES, OF_SCAN, OF_REFLECTIONS = "Clusters", "Shares", "Scan", "Reflections"
OF_ORIENTATIONS = "Orientations"
NOT_MEASURED = -1
AXES = ("y", "x")


@dataclass(frozen=True)
class Layer:
    """One map.

    Parameters
    ----------
    id, title, group : str
    kind : str
        "labels": int16, clusters from 1, 0 none, -1 not measured. "number": float32, NaN where
        nothing was measured.
    unit : str
        "1" for none.
    values : callable
        Returns the map (scan_y, scan_x).
    colours : tuple of str
        Of labels: one for each cluster, where it is not the cluster's own.
    """

    id: str
    title: str
    group: str
    kind: str
    unit: str
    values: Callable[[], np.ndarray]
    colours: tuple[str, ...] = ()

    def map(self, measured: np.ndarray | None) -> np.ndarray:
        """Return the map as it travels.

        Parameters
        ----------
        measured : (scan_y, scan_x) array of bool, or None
            False where there is no pattern; None where each position has one.
        """
        values = self.values()
        if self.kind == LABELS:
            return labels_map(values, measured)
        found = values.astype(np.float32)
        return found if measured is None else np.where(measured, found, np.float32(np.nan))


def labels_map(label: np.ndarray, measured: np.ndarray | None) -> np.ndarray:
    """Return labels as they travel: int16, from 1, 0 none, -1 not measured.

    Parameters
    ----------
    label : (scan_y, scan_x) array of int
        From 0, -1 none.
    measured : (scan_y, scan_x) array of bool, or None for everywhere
    """
    counted = label.astype(np.int16) + np.int16(1)
    return counted if measured is None else np.where(measured, counted, np.int16(NOT_MEASURED))


def cluster_layers(found: Clustered, oriented: Oriented | None = None) -> list[Layer]:
    """Return the maps that follow from clusters, and from their orientations where known."""
    layers = [
        Layer("clusters", "Clusters", OF_CLUSTERS, LABELS, "1", lambda: found.label),
    ]
    if found.has_overlap:
        layers += [
            Layer("overlap", "Overlap: second share over first", OF_CLUSTERS, NUMBER, "1",
                  lambda: found.ratio),
            Layer("second", "Second pattern where two overlap", OF_CLUSTERS, LABELS, "1",
                  lambda: found.second),
        ]  # fmt: skip
    doubt = found.doubt()
    if doubt is not None:
        title = "Doubt: chance that the second pattern is the stronger one"
        layers.append(Layer("doubt", title, OF_CLUSTERS, NUMBER, "1", lambda: doubt))
    if oriented is not None:
        layers += orientation_layers(found, oriented)
    for cluster in range(found.count):
        title = f"Share of {cluster_text(cluster, found.names)}"
        layers.append(
            Layer(
                f"share-{cluster + 1}", title, OF_SHARES, NUMBER, "1",
                lambda cluster=cluster: found.share[..., cluster],
            )
        )  # fmt: skip
    return layers


def orientation_layers(found: Clustered, oriented: Oriented) -> list[Layer]:
    """Return the maps of crystal directions, of crystals where there are several, and of turns."""
    coloured = {
        f"direction-{axis}": (
            f"Along {axis}: which crystal direction lies there",
            oriented.direction_colours(axis),
        )
        for axis in ALONG
    }
    if len(oriented.crystals) > 1:
        coloured["crystals"] = ("Crystals", oriented.crystal_colours)
    layers = [
        Layer(id_, words, OF_ORIENTATIONS, LABELS, "1", lambda: found.label, tuple(colours))
        for id_, (words, colours) in coloured.items()
    ]
    title = "Misorientation: largest turn to a neighbour"
    layers.append(
        Layer("misorientation", title, OF_ORIENTATIONS, NUMBER, "°",
              lambda: oriented.misorientation(found.label))
    )  # fmt: skip
    weights = None if found.fit is None else found.fit.weights
    bent = oriented.bent(found.members, weights)
    if bent and weights is not None:
        title = "Bending: turn from the grain as a whole"
        layers.append(
            Layer("bending", title, OF_ORIENTATIONS, NUMBER, "°",
                  lambda: local_turn(bent, weights, found.label))
        )  # fmt: skip
    return layers


def scan_layers(acquisition: xr.Dataset, baseline: xr.Dataset | None = None) -> list[Layer]:
    """Return the maps that are there as soon as the scan is ingested, and the baseline's."""
    unit = str(acquisition.attrs.get("intensity_units", "electron"))
    layers = []
    for id_, title, variable in (
        ("navigation", "Navigation image: sum of each pattern", variables.scan_total_intensity),
        ("bright-field", "Bright field: direct beam", variables.scan_virtual_bright_field),
    ):
        if variable.name in acquisition:
            stored = acquisition[variable.name]
            layers.append(Layer(id_, title, OF_SCAN, NUMBER, unit, lambda a=stored: a.values))
    if variables.scan_beam_shift.name in acquisition:
        shift = acquisition[variables.scan_beam_shift.name]
        for axis, name in enumerate(AXES):
            title = f"Direct beam along {name}: its shift"
            layers.append(
                Layer(
                    f"beam-{name}", title, OF_SCAN, NUMBER, "px",
                    lambda axis=axis: shift[..., axis].values,
                )
            )  # fmt: skip
    if baseline is not None and variables.kmeans_label.name in baseline:
        kmeans = baseline[variables.kmeans_label.name]
        layers.append(
            Layer("k-means", "k-means, for comparison", OF_SCAN, LABELS, "1", lambda: kmeans.values)
        )
    return layers


def reflection_layers(maps: xr.Dataset, unit: str) -> list[Layer]:
    """Return the maps drawn from registered reflections."""
    region = region_text(maps.attrs.get("dark_field_region"))
    layers = []
    for name, (title, _) in REFLECTION_MAPS.items():
        if name in maps:
            stored = maps[name]
            of = "1" if name == variables.scan_reflection_count.name else unit
            words = title.format(region=region)
            layers.append(
                Layer(
                    name.removeprefix("scan_").replace("_", "-"),
                    words[0].upper() + words[1:],
                    OF_REFLECTIONS,
                    NUMBER,
                    of,
                    lambda a=stored: a.values,
                )
            )
    name = variables.cluster_dark_field.name
    if name in maps:
        stored = maps[name]
        for cluster in range(stored.shape[2]):
            layers.append(
                Layer(
                    f"dark-field-{cluster + 1}", f"Dark field of {cluster + 1}", OF_REFLECTIONS,
                    NUMBER, unit, lambda cluster=cluster: stored[..., cluster].values,
                )
            )  # fmt: skip
    return layers


def measured_positions(acquisition: xr.Dataset) -> np.ndarray | None:
    """Return where there is a pattern; None where there is one everywhere, or nobody has asked."""
    stored = acquisition.get(variables.scan_measured.name)
    if stored is None:
        return None
    measured = stored.values > 0
    return None if measured.all() else measured
