"""Store what was indexed: the group /orientations of analysis.zarr."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from orimap.tasks.index.bending import component_images, component_turns
from orimap.tasks.index.boundaries import direct_indices, find_boundaries
from orimap.tasks.index.crystals.symmetry import as_quaternions
from orimap.tasks.index.index_results import (
    USUAL_ENERGY_KEV,
    Patterns,
    Setup,
    index_patterns,
    patterns_of_results,
)
from orimap.tasks.index.indexing import Indexing
from orimap.tasks.index.measure import Measured
from orimap.tasks.index.orientations.decide import RELIABLE, Indexed
from orimap.tasks.index.orientations.fit_scan import Scan
from orimap.tasks.index.predicted import predict_reflections
from orimap.tasks.store import variables as v
from orimap.tasks.store.fingerprint import fingerprint
from orimap.tasks.store.groups import group_attributes, open_group, write_arrays
from orimap.tasks.store.open_results import open_revised
from orimap.tasks.store.variables import Variable
from orimap.tasks.store.whole.seal import COMPLETE

GROUP = v.ORIENTATIONS.path
# Of the beam, against which zone axes point.
AGAINST_BEAM = np.array([0.0, 0.0, 1.0])
FRAME = (
    "quaternions turn the crystal's Cartesian frame (x along a, z along c*) into the sample's: x "
    "along the columns of the scan, y along its rows, electrons travel against z"
)

Stored = tuple[dict[Variable, np.ndarray], dict[str, Any]]


def index_stored(
    analysis: Path, patterns: Path, indexing: Indexing, revision: Path | None = None
) -> Stored:
    """Index the clusters of a run; return the arrays and attributes of /orientations.

    Parameters
    ----------
    analysis, patterns : Path
        The stores of the run, which stay as they are.
    indexing : Indexing
    revision : Path, optional
        The store of a revision, whose clusters are indexed in place of the automatic ones.

    Raises
    ------
    InputError
        If the detector is not calibrated, or the patterns show no reflections.
    """
    setup, crystals = indexing.setup, [each.crystal for each in indexing.crystals]
    clusters = open_revised(analysis, revision, "clusters")
    means, factors = (
        patterns_of_results(clusters, analysis, patterns, setup, representatives=each)
        for each in (False, True)
    )
    indexed, scan, measured = index_patterns(means, crystals, setup, others=factors)
    labels = v.cluster_label.read(clusters).values
    arrays = orientation_arrays(indexed, scan, measured, labels, setup)
    arrays[v.component_turn] = _component_turns(clusters, analysis, means, indexed, scan, setup)
    acquired = group_attributes(analysis, "acquisition")
    attrs = orientation_attributes(scan, indexing, acquired)
    # Which clusters they are of: others may be decided later, or made by hand.
    return arrays, {**attrs, "of": clusters.attrs.get(COMPLETE)}


def write_orientations(analysis: Path, stored: Stored, indexing: Indexing | None = None) -> None:
    """Write /orientations of a store of results, sealed.

    Parameters
    ----------
    analysis : Path
    stored : (dict, dict)
        Arrays and attributes.
    indexing : Indexing, optional
        Of which, and of the clusters, the fingerprint is; without it, of all that is stored.
    """
    arrays, attrs = stored
    if indexing is None:
        facts = {each.name: np.ascontiguousarray(a).tobytes().hex() for each, a in arrays.items()}
        mark = fingerprint(**facts, attributes=attrs)
    else:
        mark = indexing.mark_of(attrs["of"])
    write_arrays(analysis, GROUP, arrays, mark, **attrs)


def read_orientations(analysis: Path) -> xr.Dataset | None:
    """Return /orientations of a store of results; None where nothing was indexed."""
    try:
        return open_group(analysis, GROUP)
    except FileNotFoundError:
        return None


def orientation_arrays(
    indexed: Indexed, scan: Scan, measured: Measured, labels: np.ndarray, setup: Setup
) -> dict[Variable, np.ndarray]:
    """Return the arrays of /orientations.

    Parameters
    ----------
    indexed : Indexed
        Of each cluster.
    scan : Scan
    measured : Measured
    labels : (scan_y, scan_x) int array
    setup : Setup
    """
    crystals = [phase.crystal for phase in scan.phases]
    sure = indexed.indexed
    rotation = np.where(sure[:, None, None], indexed.rotation, np.nan)
    axis = np.full((len(sure), 3), np.nan)
    for n in np.flatnonzero(sure):
        axis[n] = direct_indices(crystals[indexed.phase[n]], rotation[n].T @ AGAINST_BEAM)
    candidates = np.stack([indexed.rotation, indexed.other_rotation], axis=1)
    turns = [phase.turns for phase in scan.phases]
    padded = np.full((len(turns), max(map(len, turns)), 3, 3), np.nan)
    for row, each in zip(padded, turns, strict=True):
        row[: len(each)] = each
    seen = predict_reflections(
        indexed, scan, measured, rotation_deg=setup.rotation_deg, flip=setup.flip
    )
    edges = find_boundaries(labels, rotation, indexed.phase, crystals)
    parameters = np.array([crystal.parameters for crystal in crystals])
    return {
        v.cluster_quaternion: _quaternions(rotation),
        v.cluster_phase: indexed.phase.astype(np.int16),
        v.cluster_zone_axis: axis,
        v.cluster_score: indexed.score,
        v.cluster_reliability: indexed.reliability,
        v.cluster_phase_margin: indexed.margin,
        v.cluster_indexed: sure,
        v.cluster_ambiguous: indexed.ambiguous,
        v.cluster_candidate_quaternion: _quaternions(candidates),
        v.cluster_candidate_phase: np.stack([indexed.phase, indexed.other_phase], 1).astype(
            np.int16
        ),
        v.cluster_candidate_score: np.stack([indexed.score, indexed.other_score], axis=1),
        v.crystal_edge: parameters[:, :3],
        v.crystal_angle: parameters[:, 3:],
        v.crystal_axes: np.array([crystal.axes for crystal in crystals]),
        v.crystal_turn: padded,
        v.predicted_cluster: seen.cluster.astype(np.int16),
        v.predicted_indices: seen.hkl.astype(np.int16),
        v.predicted_position: seen.position,
        v.predicted_amplitude: seen.amplitude,
        v.boundary_cluster: edges.cluster.astype(np.int16),
        v.boundary_length: edges.length.astype(np.int32),
        v.boundary_angle: edges.angle,
        v.boundary_axis: edges.axis,
        v.boundary_from_sigma3: edges.from_sigma3,
        v.component_turn: np.zeros((0, 3)),
    }


def _component_turns(
    clusters: xr.Dataset,
    analysis: Path,
    means: Patterns,
    indexed: Indexed,
    scan: Scan,
    setup: Setup,
) -> np.ndarray:
    """Return how far components are turned from their clusters; NaN in revisions by hand."""
    try:
        grains = open_group(analysis, v.GRAINS.path)
    except FileNotFoundError:  # decided by a rule that makes none
        return np.zeros((0, 3))
    pattern, weight = v.component_pattern.read(grains).values, v.scan_weight.read(grains).values
    owner = clusters.get(v.component_cluster.name)
    if owner is None or owner.size != len(pattern):
        return np.full((len(pattern), 3), np.nan)
    images, positions = component_images(pattern, weight)
    components = replace(means, images=images, positions=positions)
    return component_turns(components, owner.values, indexed, scan, setup)


def orientation_attributes(
    scan: Scan, indexing: Indexing, acquired: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the attributes of /orientations.

    Parameters
    ----------
    scan : Scan
    indexing : Indexing
    acquired : mapping
        Attributes of /acquisition.
    """
    setup = indexing.setup
    crystals = [phase.crystal for phase in scan.phases]
    known = setup.beam_energy_kev or acquired.get("beam_energy_kev")
    return {
        "crystals": [crystal.name for crystal in crystals],
        **indexing.attributes,
        "crystal_formulas": [crystal.formula for crystal in crystals],
        "crystal_space_groups": [crystal.space_group for crystal in crystals],
        "frame": FRAME,
        "detector_step_factor": scan.factor,
        "camera_length_factor": 1 / scan.factor,
        "detector_step": scan.camera.step,
        "rocking_width": scan.rocking.width,
        "rocking_edge": scan.rocking.edge,
        "rocking_saturation": scan.rocking.saturation,
        "rocking_power": scan.rocking.power,
        "beam_energy_kev": float(known or USUAL_ENERGY_KEV),
        "beam_energy_assumed": not known,
        "reliable_from": RELIABLE,
    }


def _quaternions(rotation: np.ndarray) -> np.ndarray:
    """Return quaternions of rotations, NaN where these are."""
    known = np.isfinite(rotation).all(axis=(-1, -2))
    found = np.full((*known.shape, 4), np.nan)
    if known.any():
        found[known] = as_quaternions(rotation[known])
    return found
