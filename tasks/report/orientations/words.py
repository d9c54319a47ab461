"""Orientations in words: zone axes as small whole numbers, how sure each cluster is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import xarray as xr

# Indices up to this are tried; the simplest direction within so many degrees names another one.
LARGEST_INDEX, NEAR_DEG = 6, 2.0
# Nearer than this, a direction is said to be the one that names it.
SAME_DEG = 0.05
# Two candidates whose zone axes are nearer than this differ by a turn about the beam.
ONE_ZONE_DEG = 3.0


@dataclass(frozen=True)
class ClusterOrientation:
    """What is said of one cluster.

    Parameters
    ----------
    cluster : int
        Counted from 0.
    indexed : bool
    phase : str
        Name of the crystal, a dash where none explains the pattern.
    zone : str
        Zone axis; where it is not reliable, of both candidates.
    reliability : str
    score : str
    margin : str
        Of the phase, empty where one crystal was given.
    ambiguous : bool
    shared : bool
        Whether another crystal explains its pattern nearly as well.
    """

    cluster: int
    indexed: bool
    phase: str
    zone: str
    reliability: str
    score: str
    margin: str
    ambiguous: bool
    shared: bool = False

    @property
    def sentence(self) -> str:
        """What was found, in a line."""
        if self.indexed:
            said = f"{self.phase} {self.zone}, reliability {self.reliability}"
            return f"{said}; {self.remark}" if self.remark else said
        if self.phase == "–":
            return f"not indexed: {self.remark}"
        return f"not indexed: {self.zone} (reliability {self.reliability})"

    @property
    def remark(self) -> str:
        """What is doubtful about it, in short."""
        if self.phase == "–":
            return "none of the crystals explains its pattern"
        said = []
        if self.ambiguous:
            said.append("turned by 180° about the beam it fits nearly as well")
        elif not self.indexed:
            said.append("not reliable")
        if self.shared:
            said.append("another crystal fits nearly as well")
        return "; ".join(said)


def cluster_orientations(found: xr.Dataset) -> list[ClusterOrientation]:
    """Return what is said of every cluster.

    Parameters
    ----------
    found : Dataset
        /orientations.
    """
    names = list(found.attrs["crystals"])
    axes, phases = found["crystal_axes"].values, found["cluster_candidate_phase"].values
    rotation = rotations(found["cluster_candidate_quaternion"].values)
    said = []
    for cluster, (phase, indexed) in enumerate(
        zip(found["cluster_phase"].values, found["cluster_indexed"].values, strict=True)
    ):
        zone = "–"
        if phase >= 0 and indexed:
            zone = zone_text(rotation[cluster, 0, 2], axes[phase])
        elif phase >= 0:
            zone = _candidates_text(rotation[cluster], phases[cluster], names, axes)
        margin = float(found["cluster_phase_margin"][cluster])
        has_others = len(names) > 1 and phase >= 0
        said.append(
            ClusterOrientation(
                cluster,
                bool(indexed),
                names[phase] if phase >= 0 else "–",
                zone,
                f"{float(found['cluster_reliability'][cluster]):.2f}",
                f"{float(found['cluster_score'][cluster]):.2f}",
                f"{margin:.2f}" if has_others else "",
                bool(found["cluster_ambiguous"][cluster]),
                has_others and margin < found.attrs["reliable_from"],
            )
        )
    return said


def orientation_rows(found: xr.Dataset) -> list[dict[str, Any]]:
    """Return a short table of /orientations: a row for each cluster, which count from 1."""
    return [
        {
            "cluster": each.cluster + 1,
            "crystal": each.phase,
            "zone axis": each.zone,
            "reliability": float(each.reliability),
            "flag": each.remark,
        }
        for each in cluster_orientations(found)
    ]


def _candidates_text(
    rotation: np.ndarray, phases: np.ndarray, names: Sequence[str], axes: np.ndarray
) -> str:
    """Return the best candidate and the best different one in words."""
    first = f"{names[phases[0]]} {zone_text(rotation[0, 2], axes[phases[0]])}"
    if phases[1] < 0:
        return f"one candidate, {first}"
    apart = np.degrees(np.arccos(np.clip(rotation[0, 2] @ rotation[1, 2], -1, 1)))
    if phases[0] == phases[1] and apart < ONE_ZONE_DEG:
        turn = rotation[1] @ rotation[0].T
        about = abs(np.degrees(np.arctan2(turn[1, 0], turn[0, 0])))
        return f"two candidates, {first} or the same turned by {about:.0f}° about the beam"
    second = f"{names[phases[1]]} {zone_text(rotation[1, 2], axes[phases[1]])}"
    if second == first:
        return f"two candidates, {first} or tilted to another side of that axis, {apart:.0f}° away"
    return f"two candidates, {first} or {second}"


def fit_remarks(attrs: Mapping[str, Any], indexed: np.ndarray) -> list[str]:
    """Say what was fitted for the scan, and what was assumed, in sentences.

    Parameters
    ----------
    attrs : mapping
        Of /orientations.
    indexed : (cluster,) array of bool
        Where none is, what was fitted says nothing of the camera.
    """
    said = []
    percent = 100 * (attrs["detector_step_factor"] - 1)
    if indexed.any() and abs(percent) >= 0.05:
        said.append(
            f"The detector's step is {attrs['detector_step']:.4g} 1/Å by the reflections, "
            f"{abs(percent):.1f} % {'more' if percent > 0 else 'less'} than calibrated"
        )
    if attrs["beam_energy_assumed"]:
        said.append(
            f"The beam energy is not known: {attrs['beam_energy_kev']:g} keV was assumed "
            "(--beam-energy)"
        )
    return said


def rotations(quaternions: np.ndarray) -> np.ndarray:
    """Return rotation matrices of quaternions with the scalar first, (..., 3, 3); or NaN."""
    w, x, y, z = np.moveaxis(np.asarray(quaternions, float), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


@cache
def _triples() -> np.ndarray:
    """Return indices without a common divisor, the simplest first."""
    side = np.arange(-LARGEST_INDEX, LARGEST_INDEX + 1)
    every = np.stack(np.meshgrid(side, side, side, indexing="ij"), -1).reshape(-1, 3)
    primitive = every[np.gcd.reduce(every, axis=1) == 1]
    return primitive[np.argsort((primitive**2).sum(axis=1), kind="stable")]


def zone_text(direction: np.ndarray, axes: np.ndarray) -> str:
    """Return a direction as the simplest one near it, and how far that is: ``[1 1 2] + 0.4°``.

    Parameters
    ----------
    direction : (3,) array
        In the crystal's Cartesian frame.
    axes : (3, 3) array
        Columns are the edges of the cell in that frame.
    """
    indices, away = nearest_zone(direction, axes)
    text = indices_text(indices)
    return text if away < SAME_DEG else f"{text} + {away:.1f}°"


def nearest_zone(direction: np.ndarray, axes: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the indices of the simplest direction near another, and the angle in degrees."""
    triples = _triples()
    directions = triples @ axes.T
    directions = directions / np.linalg.norm(directions, axis=1)[:, None]
    unit = np.asarray(direction) / np.linalg.norm(direction)
    away = np.degrees(2 * np.arcsin(np.clip(np.linalg.norm(directions - unit, axis=1) / 2, 0, 1)))
    near = np.flatnonzero(away < NEAR_DEG)
    best = int(near[0]) if near.size else int(np.argmin(away))
    return triples[best], float(away[best])


def indices_text(
    indices: Sequence[int] | np.ndarray, brackets: str | tuple[str, str] = "[]"
) -> str:
    """Return indices as they are written, ``[1 −1 2]``."""
    inside = " ".join(str(int(each)).replace("-", "−") for each in indices)
    return f"{brackets[0]}{inside}{brackets[1]}"
