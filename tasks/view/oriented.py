"""Crystals and orientations of clusters, as they are looked at: colours, words, reflections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr

from orimap.tasks.report.figures.palette import NO_CLUSTER, cluster_colours
from orimap.tasks.report.orientations.bent import BentGrain, bent_grains
from orimap.tasks.report.orientations.colours import colour_key
from orimap.tasks.report.orientations.directions import (
    ALONG,
    CrystalKey,
    cluster_direction_colours,
    corner_names,
    crystal_keys,
)
from orimap.tasks.report.orientations.section import BoundaryRow, boundary_rows
from orimap.tasks.report.orientations.words import (
    ClusterOrientation,
    cluster_orientations,
    indices_text,
    rotations,
)

KEY_PIXELS = 160


@dataclass(frozen=True)
class Reflection:
    """A simulated reflection: its place on the centred detector, indices, and amplitude.

    The brightest of a cluster has 1.
    """

    y: float
    x: float
    indices: str
    amplitude: float


class Oriented:
    """The orientations of the clusters of a result.

    Parameters
    ----------
    found : Dataset
        /orientations.
    """

    def __init__(self, found: xr.Dataset) -> None:
        self._found = found
        self.crystals: Sequence[CrystalKey] = crystal_keys(found)
        self.clusters: Sequence[ClusterOrientation] = cluster_orientations(found)
        self.colours_of_crystals = cluster_colours(len(self.crystals))

    def direction_colours(self, axis: str) -> list[str]:
        """Return the colour of each cluster by its crystal direction along x, y or z."""
        colours = cluster_direction_colours(
            rotations(self._found["cluster_quaternion"].values),
            self._phase,
            self.crystals,
            ALONG[axis],
        )
        return [_hexadecimal(each) for each in colours]

    @property
    def crystal_colours(self) -> list[str]:
        """The colour of the crystal of each cluster."""
        return [self.colours_of_crystals[n] if n >= 0 else NO_CLUSTER for n in self._phase]

    @property
    def _phase(self) -> np.ndarray:
        phase: np.ndarray = self._found["cluster_phase"].values
        return phase

    def key(self, crystal: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Return the colour key of a crystal: image, places of its corners in it, their names.

        The image is (height, width, 4) in 0..1, places are parts of its width and height.
        """
        image, corners = colour_key(self.crystals[crystal].turns, KEY_PIXELS)
        return image, corners, corner_names(self.crystals[crystal])

    def neighbours(self, cluster: int) -> list[tuple[int, BoundaryRow]]:
        """Return the clusters that one touches, with what is said of the boundary."""
        return [
            (row.second if row.first == cluster else row.first, row)
            for row in self._boundaries
            if cluster in (row.first, row.second)
        ]

    def misorientation(self, label: np.ndarray) -> np.ndarray:
        """Return by how much each position and its neighbours are turned, (scan_y, scan_x).

        The largest angle to one of the four, in degrees: 0 inside clusters, NaN outside of them and
        where no angle is known.

        Parameters
        ----------
        label : (scan_y, scan_x) array of int
            From 0, -1 none.
        """
        between = np.full((len(self.clusters), len(self.clusters)), np.nan)
        np.fill_diagonal(between, 0)
        first, second = self._found["boundary_cluster"].values.T.astype(int)
        between[first, second] = between[second, first] = self._found["boundary_angle"].values
        padded = np.pad(label, 1, constant_values=-1)
        largest, unknown = np.zeros(label.shape), np.zeros(label.shape, bool)
        for neighbour in (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]):
            both = (label >= 0) & (neighbour >= 0)
            angle = np.where(both, between[label, neighbour], 0)
            largest, unknown = np.fmax(largest, angle), unknown | np.isnan(angle)
        return np.where((label < 0) | (unknown & (largest == 0)), np.nan, largest)

    def bent(self, members: np.ndarray, weights: np.ndarray | None) -> list[BentGrain]:
        """Return the grains that bend, where it is known of what the clusters are made.

        Parameters
        ----------
        members : (component,) int array
            The cluster of each.
        weights : (scan_y, scan_x, component) array or None
        """
        turn = self._found.get("component_turn")
        if turn is None or weights is None or not len(turn) == len(members) == weights.shape[-1]:
            return []
        return bent_grains(turn.values, members)

    @cached_property
    def _boundaries(self) -> list[BoundaryRow]:
        return boundary_rows(self._found)

    def reflections(self, cluster: int) -> list[Reflection]:
        """Return the reflections that the best candidate of a cluster has, the brightest first."""
        own = np.flatnonzero(self._found["predicted_cluster"].values == cluster)
        place = self._found["predicted_position"].values[own]
        indices = self._found["predicted_indices"].values[own]
        amplitude = self._found["predicted_amplitude"].values[own]
        found = [
            Reflection(float(y), float(x), indices_text(hkl, ("", "")), float(strength))
            for (y, x), hkl, strength in zip(place, indices, amplitude, strict=True)
        ]
        return sorted(found, key=lambda each: -each.amplitude)


def _hexadecimal(colour: np.ndarray) -> str:
    """Return a colour (3,) in 0..1 as #rrggbb, that of no cluster where it is NaN."""
    if not np.isfinite(colour).all():
        return NO_CLUSTER
    return "#" + bytes(np.rint(255 * np.clip(colour, 0, 1)).astype(np.uint8)).hex()
