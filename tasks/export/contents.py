"""What is taken from results to other programs, named and calibrated the same way everywhere.

Clusters and components count from 1 here; 0 is where there is none. Images can hold 0, but -1
only where their numbers have signs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from orimap.tasks.errors import InputError
from orimap.tasks.store.groups import group_attributes
from orimap.tasks.store.open_results import open_results

LABELS_SAY = (
    "Clusters count from 1; 0 is where a position belongs to no cluster or was not measured."
)
COMPONENTS_SAY = "Components count from 1."


@dataclass(frozen=True)
class Axis:
    """One axis of a map or of a pattern.

    Parameters
    ----------
    name : str
        y and x of the scan, ky and kx of the detector.
    size : int
    step, offset : float
        Of the values along it, in ``units``; the first one is ``offset``.
    units : str
        "nm" or "1/Å", "px" where the file gave no calibration.
    """

    name: str
    size: int
    step: float
    offset: float
    units: str

    @property
    def values(self) -> np.ndarray:
        """The values along the axis."""
        return self.offset + self.step * np.arange(self.size)

    @property
    def calibrated(self) -> bool:
        """Whether steps have a unit of length, or of its inverse."""
        return self.units != "px"


@dataclass(frozen=True)
class Layer:
    """One image, or a stack of images, read when it is asked for.

    Parameters
    ----------
    name : str
        Short and without spaces: the name of a file or of an array.
    title : str
        What it shows.
    units : str
        "1" for what has none.
    axes : (Axis, Axis)
        Rows before columns.
    array : DataArray
        Along these axes, and along one more where it is a stack.
    stacked : str or None
        What the images of a stack are of: "cluster" or "component".
    """

    name: str
    title: str
    units: str
    axes: tuple[Axis, Axis]
    array: xr.DataArray
    stacked: str | None = None
    label: bool = False

    @property
    def of_detector(self) -> bool:
        """Whether the images are patterns, not maps of the scan."""
        return "detector_y" in self.array.dims

    def values(self) -> np.ndarray:
        """Return the image (y, x) or the stack (n, y, x); labels as uint16, 0 for none."""
        plane = ("detector_y", "detector_x") if self.of_detector else ("scan_y", "scan_x")
        first = (self.stacked,) if self.stacked else ()
        values = self.array.transpose(*first, *plane).values
        if self.label:
            return (values + 1).astype(np.uint16)
        return np.ascontiguousarray(values, dtype=np.float32)


@dataclass(frozen=True)
class Contents:
    """What of a run is exported.

    Parameters
    ----------
    tree : DataTree
        The results, or a revision of them.
    name : str
        Of the acquisition's file, without its ending.
    scan, detector : (Axis, Axis)
        Along the detector, 0 is at the direct beam.
    """

    tree: xr.DataTree
    name: str
    revision: str | None
    scan: tuple[Axis, Axis]
    detector: tuple[Axis, Axis]

    @property
    def facts(self) -> dict[str, Any]:
        """What is known of the acquisition."""
        return dict(self.tree["acquisition"].attrs)

    @property
    def intensity_units(self) -> str:
        """The unit of patterns."""
        return str(self.facts.get("intensity_units", "electron"))

    @property
    def beam_energy_kev(self) -> float | None:
        """Of the electrons, None where nobody said."""
        energy = self.facts.get("beam_energy_kev")
        return None if energy is None else float(energy)

    @property
    def version(self) -> str:
        """The orimap that made the results."""
        return str(self.tree.attrs.get("orimap_version", ""))

    @property
    def count(self) -> int:
        """Number of clusters."""
        return int(self.tree["clusters"].sizes["cluster"])

    @cached_property
    def labels(self) -> np.ndarray:
        """The cluster of each position, (scan_y, scan_x) uint16, 0 for none."""
        return self.layer("labels").values()

    @property
    def measured(self) -> np.ndarray:
        """Which positions have a pattern, (scan_y, scan_x)."""
        acquisition = self.tree["acquisition"]
        if "scan_measured" not in acquisition:
            return np.ones(self.labels.shape, bool)
        return acquisition["scan_measured"].values > 0

    @property
    def left_out(self) -> np.ndarray:
        """Pixels that were masked, (detector_y, detector_x)."""
        group = "analysed" if "detector_mask" in self.tree.get("analysed", {}) else "acquisition"
        return self.tree[group]["detector_mask"].values > 0

    @property
    def component_cluster(self) -> np.ndarray:
        """The cluster of each component, 0 for background and what is left over."""
        return self.tree["clusters"]["component_cluster"].values + 1

    def components_of(self, cluster: int) -> list[int]:
        """Return the components of a cluster, which both count from 1.

        A piece of a split cluster has those of the whole.
        """
        clusters = self.tree["clusters"]
        whole = cluster
        if "cluster_parent" in clusters:
            whole = int(clusters["cluster_parent"].values[cluster - 1]) + 1
        return [int(at) + 1 for at in np.flatnonzero(self.component_cluster == whole)]

    @property
    def names(self) -> list[str]:
        """What somebody called each cluster, empty where nobody did."""
        given = list(self.tree["clusters"].attrs.get("cluster_names", ()))
        return [*given, *[""] * (self.count - len(given))][: self.count]

    @property
    def colours(self) -> tuple[str, ...]:
        """The colour of each cluster, as ``#rrggbb``."""
        from orimap.tasks.report.figures.palette import cluster_colours

        return cluster_colours(
            self.count, list(self.tree["clusters"].attrs.get("cluster_colours", ()))
        )

    def images_of(self, layer: Layer) -> list[str]:
        """Say which image of a stack is which: "component 1", "cluster 2: matrix"."""
        numbers = range(1, layer.array.sizes[layer.stacked] + 1) if layer.stacked else ()
        names = dict(enumerate(self.names, 1)) if layer.stacked == "cluster" else {}
        return [
            f"{layer.stacked} {number}" + (f": {names[number]}" if names.get(number) else "")
            for number in numbers
        ]

    @property
    def remarks(self) -> list[str]:
        """What somebody who opens an exported file has to know, in sentences."""
        origin = "The zero of the detector's axes is at the direct beam."
        said = [LABELS_SAY, COMPONENTS_SAY, origin]
        if not self.count:
            said.append("There are no clusters.")
        if self.tree.attrs.get("revision_outdated"):
            said.append(
                f"Revision {self.revision} is outdated: it was made from an earlier decision."
            )
        for cluster, name in enumerate(self.names, 1):
            if name:
                said.append(f"Cluster {cluster} is called {name}.")
            own = self.components_of(cluster)
            if own:
                plural = "s" if len(own) > 1 else ""
                said.append(f"Cluster {cluster} has component{plural} {', '.join(map(str, own))}.")
        rest = np.flatnonzero(self.component_cluster == 0) + 1
        if len(rest):
            said.append(f"Background, of no cluster: component {', '.join(map(str, rest))}.")
        exponent = int(self.facts.get("intensity_exponent", 0))
        if exponent:
            said.append(f"Intensities are those of the file times 2^{exponent}.")
        return said

    def layer(self, name: str) -> Layer:
        """Return a layer by its name."""
        return next(layer for layer in self.layers if layer.name == name)

    @property
    def images(self) -> list[Layer]:
        """All layers but stacks without an image: where there are no clusters."""
        return [layer for layer in self.layers if layer.array.size]

    @cached_property
    def layers(self) -> Sequence[Layer]:
        """All images and stacks, in the order of their interest."""
        clusters, overlap, parts = (
            self.tree[name] for name in ("clusters", "overlap", _parts(self.tree))
        )
        of = self.intensity_units
        patterns = {"units": of, "axes": self.detector, "stacked": "cluster"}
        return (
            Layer(
                "labels", "cluster of each position, 0 none", "1", self.scan,
                clusters["cluster_label"], label=True,
            ),
            Layer(
                "mean_patterns", "mean pattern of each cluster",
                array=clusters["cluster_mean_pattern"], **patterns,
            ),
            Layer(
                "representatives", "pattern that the factorisation gives each cluster",
                array=clusters["cluster_representative"], **patterns,
            ),
            Layer(
                "shares", "share of each cluster, 1 where it fills a position alone", "1",
                self.scan, clusters["cluster_share"], "cluster",
            ),
            Layer(
                "component_patterns", "pattern of each component, unit sum", "1",
                self.detector, parts["component_pattern"], "component",
            ),
            Layer(
                "component_weights", "intensity of each component", of,
                self.scan, parts["scan_weight"], "component",
            ),
            Layer(
                "second_labels", "cluster of the second share, 0 none", "1", self.scan,
                overlap["second_label"], label=True,
            ),
            Layer(
                "overlap_ratio", "second share over first share", "1", self.scan,
                overlap["overlap_ratio"],
            ),
        )  # fmt: skip


def _parts(tree: xr.DataTree) -> str:
    """Return the group of the components that clusters are made of."""
    return "grains" if "grains" in tree.children else f"fits/k{int(tree.attrs['fitted_k']):02d}"


def read_contents(folder: Path, revision: str | None = None) -> Contents:
    """Open what is exported of the results in a folder; arrays are read later, one by one.

    Parameters
    ----------
    folder : Path
        Of a run.
    revision : str, optional

    Raises
    ------
    InputError
        If there are no complete results, or no such revision, or they hold no clusters.
    """
    tree = open_results(folder, revision)
    missing = [name for name in ("acquisition", "clusters", "overlap") if name not in tree.children]
    if missing:
        raise InputError(
            "results with the groups acquisition, clusters and overlap",
            f"{folder / 'analysis.zarr'} without {', '.join(missing)}",
            "run the analysis again: orimap run FILE --output DIR",
        )
    facts = tree["acquisition"].attrs
    source = str(facts.get("source_file", tree.attrs.get("acquisition", folder.name)))
    return Contents(
        tree, Path(source).stem, revision, _scan_axes(tree), _detector_axes(tree, folder)
    )


def _scan_axes(tree: xr.DataTree) -> tuple[Axis, Axis]:
    """Return the axes of maps; a scan of one row or column has no step of its own there."""
    facts = tree["acquisition"].attrs
    steps, units = facts.get("scan_step", (1.0, 1.0)), facts.get("scan_units", "px")
    axes = []
    for name, step in zip(("y", "x"), steps, strict=True):
        values = tree[f"scan_{name}"].values
        axes.append(Axis(name, len(values), float(step), float(values[0]), str(units)))
    return axes[0], axes[1]


def _detector_axes(tree: xr.DataTree, folder: Path) -> tuple[Axis, Axis]:
    """Return the axes of patterns, with 0 at the direct beam."""
    facts = tree["acquisition"].attrs
    sizes = tree["clusters"]["cluster_mean_pattern"].shape[1:]
    steps, units = facts.get("detector_step", (1.0, 1.0)), facts.get("detector_units", "px")
    centre = _beam(facts, folder) or [size // 2 for size in sizes]
    ky, kx = (
        Axis(name, size, float(step), float(-at * step), str(units))
        for name, size, step, at in zip(("ky", "kx"), sizes, steps, centre, strict=True)
    )
    return ky, kx


def _beam(facts: dict[str, Any], folder: Path) -> tuple[float, float] | None:
    """Return where the direct beam is (row, column): where patterns were centred, if known."""
    try:
        beam = group_attributes(folder / "patterns.zarr", "beam")
    except FileNotFoundError:  # patterns need not be kept
        beam = {}
    if beam.get("found"):
        return beam["reference_y"], beam["reference_x"]
    centre = facts.get("beam_centre")
    known = centre is not None and None not in centre and np.isfinite(centre).all()
    return (float(centre[0]), float(centre[1])) if known else None
