"""The orientation of every position, through its cluster: what .ang and .ctf files are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from orimap.tasks.errors import InputError
from orimap.tasks.export.contents import Contents
from orimap.tasks.index.crystals.symmetry import as_matrices, laue_class
from orimap.tasks.lines import printable

MICROMETRES = {"nm": 1e-3, "px": 1.0}
# Nearer than this to 0 or 180 degrees, Phi leaves only the sum or the difference of the others.
LOCKED = 1e-8
# Cosine from which a direction is said to lie along another.
ALONG = 0.999


@dataclass(frozen=True)
class ExportedCrystal:
    """A crystal as a header names it.

    Parameters
    ----------
    name, formula : str
    edges : (3,) array, Å
    angles : (3,) array, degrees
    axes : (3, 3) array, Å
        Columns are the edges of the cell, in the frame with x along a and z along c*.
    laue : str
        Symbol of the Laue class, as `stated_class` has it.
    turns : (n, 3, 3) array
        Its proper rotations in that frame.
    space_group : int
        Number, 0 where it is not known.
    """

    name: str
    formula: str
    edges: np.ndarray
    angles: np.ndarray
    axes: np.ndarray
    laue: str
    turns: np.ndarray
    space_group: int


@dataclass(frozen=True)
class OrientationMap:
    """Orientations of the positions of a scan.

    Parameters
    ----------
    crystals : sequence of ExportedCrystal
    phase : (scan_y, scan_x) int array
        Number of the crystal, from 1; 0 where a position is not indexed.
    rotation : (cluster, 3, 3) array
        Crystal to sample, NaN where a cluster is not indexed.
    cluster : (scan_y, scan_x) int array
        From 0, -1 where a position is not indexed.
    score, reliability : (cluster,) arrays
    reflections : (cluster,) int array
        How many the orientation predicts on the detector.
    step : (float, float)
        Along y and x, in µm; 1 where the scan is not calibrated.
    calibrated : bool
    """

    crystals: Sequence[ExportedCrystal]
    phase: np.ndarray
    rotation: np.ndarray
    cluster: np.ndarray
    score: np.ndarray
    reliability: np.ndarray
    reflections: np.ndarray
    step: tuple[float, float]
    calibrated: bool

    def of_positions(self, of_clusters: np.ndarray, otherwise: float) -> np.ndarray:
        """Return for every position the value of its cluster, or another where it has none."""
        outside = np.full((1, *of_clusters.shape[1:]), otherwise, of_clusters.dtype)
        found: np.ndarray = np.concatenate([of_clusters, outside])[self.cluster]
        return found


def indexed_clusters(contents: Contents) -> xr.Dataset:
    """Return /orientations of the clusters that are exported.

    Raises
    ------
    InputError
        If they were not indexed, or others were.
    """
    tree, revision = contents.tree, contents.revision
    index_them = "index them: orimap index DIR --crystal FILE.cif"
    if "orientations" not in tree.children:
        raise InputError("clusters that were indexed", "orientations of none", index_them)
    found = tree["orientations"].to_dataset()
    if found.attrs.get("of") != tree["clusters"].attrs.get("complete"):
        raise InputError(
            "clusters that were indexed",
            f"orientations of the automatic result, not of revision {revision}"
            if revision
            else "orientations of clusters that were decided anew since",
            "export the automatic result" if revision else index_them,
        )
    return found


def read_orientation_map(contents: Contents) -> OrientationMap:
    """Return the orientation of every position; InputError where clusters were not indexed."""
    found = indexed_clusters(contents)
    indexed = found["cluster_indexed"].values.astype(bool)
    cluster = contents.labels.astype(int) - 1
    cluster[~contents.measured] = -1
    cluster[~np.append(indexed, False)[cluster]] = -1
    phases = np.append(found["cluster_phase"].values.astype(int), -1)
    rotation = np.full((len(indexed), 3, 3), np.nan)
    rotation[indexed] = as_matrices(found["cluster_quaternion"].values[indexed])
    y, x = contents.scan
    return OrientationMap(
        _crystals(found),
        phases[cluster] + 1,
        rotation,
        cluster,
        found["cluster_score"].values.astype(float),
        found["cluster_reliability"].values.astype(float),
        np.bincount(found["predicted_cluster"].values, minlength=len(indexed)),
        (y.step * MICROMETRES[y.units], x.step * MICROMETRES[x.units]),
        y.calibrated,
    )


def _crystals(found: xr.Dataset) -> list[ExportedCrystal]:
    """Return the crystals of /orientations."""
    attrs = found.attrs
    crystals = []
    for n, (name, formula, symbol) in enumerate(
        zip(
            attrs["crystals"],
            attrs["crystal_formulas"],
            attrs["crystal_space_groups"],
            strict=True,
        )
    ):
        turns = found["crystal_turn"].values[n]
        turns = turns[np.isfinite(turns).all(axis=(1, 2))]
        laue = stated_class(turns)
        crystals.append(
            ExportedCrystal(
                # Either file ends a name at a tabulator or at the end of its line.
                " ".join(printable(str(name)).split()) or f"phase {n + 1}",
                "".join(printable(str(formula)).split()),
                found["crystal_edge"].values[n],
                found["crystal_angle"].values[n],
                found["crystal_axes"].values[n],
                laue,
                turns,
                space_group_number(str(symbol), laue),
            )
        )
    return crystals


def stated_class(turns: np.ndarray) -> str:
    """Return the Laue class, or a lower one where readers would take its axes for others.

    They expect the main axis along c, and the twofold ones of -3m along a, b and a + b. Of a cell
    on rhombohedral axes, or of -31m, less symmetry is said than there is.

    Parameters
    ----------
    turns : (n, 3, 3) array
        Proper rotations, in the frame with x along a and z along c*.
    """
    laue = laue_class(turns)
    if laue in ("-1", "2/m", "mmm", "m-3", "m-3m"):
        return laue
    if (np.abs(turns[:, 2, 2]) < ALONG).any():
        return "-1"
    about_a = (turns[:, 0, 0] > ALONG) & (turns[:, 2, 2] < 0)
    return "-3" if laue == "-3m" and not about_a.any() else laue


def twofold_axis(turns: np.ndarray) -> str:
    """Return along which axis the twofold one of class 2/m lies: x, y or z; else none."""
    twofold = turns[np.argmin(np.trace(turns, axis1=1, axis2=2))]
    # Half a turn leaves what lies along its axis as it is.
    along = np.flatnonzero(np.diagonal(twofold) > ALONG)
    return "xyz"[along[0]] if along.size else ""


def space_group_number(symbol: str, laue: str) -> int:
    """Return the number of a space group by its symbol, 0 where it is none of this Laue class."""
    import gemmi

    group = gemmi.find_spacegroup_by_name(symbol)
    return group.number if group is not None and group.laue_str() == laue else 0


def write_rows(path: Path, lines: Sequence[str], columns: Sequence[np.ndarray], form: str) -> None:
    """Write lines and, below them, the columns (scan_y, scan_x) with a row for each position."""
    table = np.stack(columns, axis=-1).reshape(-1, len(columns))
    header = "\r\n".join(lines)
    np.savetxt(path, table, form, newline="\r\n", header=header, comments="", encoding="utf-8")


def bunge_angles(rotation: np.ndarray) -> np.ndarray:
    """Return the Euler angles phi1, Phi, phi2 of orientations, in radians.

    They turn the sample's axes into the crystal's: by phi1 about z, by Phi about the x that there
    is then, by phi2 about the z that there is then.

    Parameters
    ----------
    rotation : (..., 3, 3) array
        From the crystal's frame into the sample's: its columns are the crystal's axes.

    Returns
    -------
    (..., 3) array
        phi1 and phi2 from 0 to 2 pi, Phi from 0 to pi; phi2 is 0 where Phi is 0 or pi. NaN where
        the orientation is.

    References
    ----------
    Bunge (1982), Texture Analysis in Materials Science, section 2.1.2.
    """
    r = np.asarray(rotation, float)
    sine = np.hypot(r[..., 0, 2], r[..., 1, 2])
    tilt = np.arctan2(sine, r[..., 2, 2])
    locked = sine < LOCKED
    first = np.where(
        locked,
        np.arctan2(r[..., 1, 0], r[..., 0, 0]),
        np.arctan2(r[..., 0, 2], -r[..., 1, 2]),
    )
    last = np.where(locked, 0.0 * tilt, np.arctan2(r[..., 2, 0], r[..., 2, 1]))
    return np.stack([first % (2 * np.pi), tilt, last % (2 * np.pi)], axis=-1)
