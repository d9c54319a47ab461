"""What was indexed is stored as declared, sealed, with what it rests on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from orimap.tasks.index.crystals.symmetry import as_matrices, laue_turns, misorientation_deg
from orimap.tasks.index.index_results import Setup, index_patterns
from orimap.tasks.index.indexing import Indexing
from orimap.tasks.index.stored import (
    FRAME,
    orientation_arrays,
    orientation_attributes,
    read_orientations,
    write_orientations,
)
from orimap.tasks.store import variables as v
from orimap.tasks.store.groups import complete_mark
from orimap.tasks.store.whole.damage import damage

CRYSTALS = Path(__file__).parent / "crystals"
LABELS = np.array([[0, 0, 1, 1, 2], [0, 0, 1, 2, 2]])


def _asked(setup):
    return Indexing.read([CRYSTALS / "silicon.cif"], setup)


@pytest.fixture(scope="module")
def indexed(known):
    """Three silicon crystals; the last of them was not reliable."""
    made = known("silicon", 3)
    found, scan, measured = index_patterns(made.patterns, [made.crystal])
    found = replace(
        found,
        indexed=np.array([True, True, False]),
        reliability=np.array([*found.reliability[:2], 0.01]),
    )
    return made, found, scan, measured


def test_orientations_are_stored_as_declared_and_sealed(indexed, tmp_path):
    made, found, scan, measured = indexed
    setup = Setup(precession_deg=0.5, beam_energy_kev=300.0)
    arrays = orientation_arrays(found, scan, measured, LABELS, setup)
    assert list(arrays) == list(v.ORIENTATIONS.variables.values())
    asked = _asked(setup)
    attrs = orientation_attributes(scan, asked, {"beam_energy_kev": 80.0}) | {"of": "clusters"}
    store = tmp_path / "analysis.zarr"
    assert read_orientations(store) is None
    write_orientations(store, (arrays, attrs), asked)
    assert complete_mark(store, "orientations") == asked.mark_of("clusters")
    write_orientations(tmp_path / "other.zarr", (arrays, attrs))
    assert complete_mark(tmp_path / "other.zarr", "orientations") is not None
    assert damage(store, "orientations", sums=True) is None
    stored = read_orientations(store)
    for variable in arrays:
        variable.read(stored)
    quaternion = stored["cluster_quaternion"].values
    assert np.isnan(quaternion[2]).all()
    np.testing.assert_allclose(np.linalg.norm(quaternion[:2], axis=1), 1)
    assert (quaternion[:2, 0] >= 0).all()
    turns = laue_turns(made.crystal)
    error = misorientation_deg(as_matrices(quaternion[:2]), made.rotation[:2], turns)
    assert (error < 1).all()
    # What is not reliable is a candidate still.
    best = as_matrices(stored["cluster_candidate_quaternion"].values[:, 0])
    assert (misorientation_deg(best, made.rotation, turns) < 1).all()
    assert stored["cluster_phase"].dtype == np.int16
    np.testing.assert_array_equal(stored["cluster_phase"], [0, 0, 0])
    np.testing.assert_array_equal(stored["cluster_indexed"], [True, True, False])


def test_the_zone_axis_is_the_crystal_s_direction_against_the_electrons(known):
    # b to z, c to x: 010 lies against the beam, whatever the cell.
    rotation = np.array([[[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]])
    made = known("forsterite", rotation=rotation)
    found, scan, measured = index_patterns(made.patterns, [made.crystal])
    found = replace(found, rotation=rotation, phase=np.array([0]), indexed=np.array([True]))
    arrays = orientation_arrays(found, scan, measured, np.zeros((2, 3), int), Setup())
    np.testing.assert_allclose(arrays[v.cluster_zone_axis], [[0, 1, 0]], atol=1e-12)
    assert arrays[v.boundary_cluster].shape == (0, 2)
    np.testing.assert_allclose(arrays[v.crystal_edge][0], made.crystal.parameters[:3])
    assert arrays[v.crystal_turn].shape == (1, 4, 3, 3)


def test_boundaries_are_those_of_reliable_clusters(indexed):
    made, found, scan, measured = indexed
    arrays = orientation_arrays(found, scan, measured, LABELS, Setup())
    np.testing.assert_array_equal(arrays[v.boundary_cluster], [[1, 2], [0, 1]])
    np.testing.assert_array_equal(arrays[v.boundary_length], [3, 2])
    angle = arrays[v.boundary_angle]
    turns = laue_turns(made.crystal)
    true = misorientation_deg(made.rotation[0], made.rotation[1], turns)
    assert angle[1] == pytest.approx(true, abs=1)
    assert np.isnan(angle[0])


def test_attributes_say_what_was_given_fitted_and_assumed(indexed):
    _, _, scan, _ = indexed
    facts = orientation_attributes(scan, _asked(Setup(flip=True)), {"beam_energy_kev": None})
    assert facts["crystals"] == ["silicon"]
    assert facts["crystal_files"] == ["silicon.cif"]
    assert facts["crystal_texts"] == [(CRYSTALS / "silicon.cif").read_text()]
    assert facts["crystal_space_groups"][0].startswith("F d -3 m")
    assert facts["frame"] == FRAME
    assert facts["detector_step_factor"] == pytest.approx(1, abs=0.003)
    assert facts["camera_length_factor"] == pytest.approx(1 / facts["detector_step_factor"])
    assert 0.002 < facts["rocking_width"] < 0.02
    assert facts["detector_flip"] is True
    assert (facts["beam_energy_kev"], facts["beam_energy_assumed"]) == (200.0, True)
    told = orientation_attributes(scan, _asked(Setup()), {"beam_energy_kev": 80.0})
    assert (told["beam_energy_kev"], told["beam_energy_assumed"]) == (80.0, False)
