"""The crystal direction along an axis of the sample, as a colour: of clusters, and in a key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from orimap.tasks.report.orientations.colours import direction_colours, find_sector
from orimap.tasks.report.orientations.words import indices_text, nearest_zone

# Directions of the sample's frame, in the order in which they are shown.
ALONG = {"z": (0.0, 0.0, 1.0), "x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0)}


@dataclass(frozen=True)
class CrystalKey:
    """What the colours of one crystal's directions depend on.

    Parameters
    ----------
    name : str
    turns : (n, 3, 3) array
        Proper rotations of its Laue class.
    axes : (3, 3) array
        Columns are the edges of its cell.
    """

    name: str
    turns: np.ndarray
    axes: np.ndarray


def cluster_direction_colours(
    rotation: np.ndarray,
    phase: np.ndarray,
    crystals: Sequence[CrystalKey],
    along: Sequence[float],
) -> np.ndarray:
    """Return the colour of each cluster for one direction of the sample, NaN where not indexed.

    Parameters
    ----------
    rotation : (cluster, 3, 3) array
        From the crystal's frame into the sample's.
    phase : (cluster,) int array
    crystals : sequence of CrystalKey
    along : (3,) sequence
    """
    directions = np.swapaxes(rotation, 1, 2) @ np.asarray(along)
    colours = np.full((len(rotation), 3), np.nan)
    for number, crystal in enumerate(crystals):
        own = phase == number
        colours[own] = direction_colours(directions[own], crystal.turns)
    return colours


def crystal_keys(found: xr.Dataset) -> list[CrystalKey]:
    """Return the crystals of /orientations."""
    keys = []
    for name, turns, axes in zip(
        found.attrs["crystals"],
        found["crystal_turn"].values,
        found["crystal_axes"].values,
        strict=True,
    ):
        there = np.isfinite(turns).all(axis=(1, 2))
        keys.append(CrystalKey(str(name), turns[there], axes))
    return keys


def corner_names(crystal: CrystalKey) -> list[str]:
    """Return the indices of the corners of a crystal's colour key, as they are written."""
    corners = find_sector(crystal.turns).corners
    return [indices_text(nearest_zone(corner, crystal.axes)[0]) for corner in corners]
