"""Crystals and orientations of clusters, as they are looked at: colours, words, reflections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr

from orimap.tasks.report.figures.palette import NO_CLUSTER, cluster_colours
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
