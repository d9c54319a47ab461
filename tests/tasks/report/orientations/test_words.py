import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from orimap.tasks.report.orientations.words import (
    cluster_orientations,
    fit_remarks,
    indices_text,
    nearest_zone,
    orientation_rows,
    rotations,
    zone_text,
)
from orimap.tasks.report.results import read_results

CUBE, HEXAGON = np.eye(3) * 4, np.array([[3, -1.5, 0], [0, 1.5 * np.sqrt(3), 0], [0, 0, 5.0]])


def test_a_direction_is_named_by_the_simplest_one_nearby():
    assert zone_text(np.array([1, -1, 2.0]), CUBE) == "[1 −1 2]"
    near = Rotation.from_rotvec(np.radians([0, 0, 1.2])).apply([1, 0, 0])
    assert zone_text(near, CUBE) == "[1 0 0] + 1.2°"
    # Along a + b of a hexagonal cell, 60 degrees from a.
    assert zone_text(np.array([0.5, np.sqrt(3) / 2, 0]), HEXAGON) == "[1 1 0]"
    indices, away = nearest_zone(np.array([0, 0, -1.0]), HEXAGON)
    assert indices.tolist() == [0, 0, -1]
    assert away == pytest.approx(0, abs=1e-6)
    assert indices_text([1, 0, -2], "()") == "(1 0 −2)"


def test_quaternions_turn_as_scipy_s_do():
    turns = Rotation.random(5, random_state=2)
    found = rotations(turns.as_quat()[:, [3, 0, 1, 2]])
    np.testing.assert_allclose(found, turns.as_matrix(), atol=1e-12)
    assert np.isnan(rotations(np.full((2, 4), np.nan))).all()


def test_each_cluster_is_said_in_a_line(small_store):
    found = read_results(small_store).groups["orientations"]
    first, second, last = cluster_orientations(found)
    assert first.sentence == "silicon [0 1 6] + 3.7°, reliability 0.45"
    assert second.indexed
    assert not last.indexed
    assert last.sentence == (
        "not indexed: two candidates, silicon [0 1 6] + 3.7° or the same turned by 180° about the "
        "beam (reliability 0.02)"
    )
    assert first.margin == "0.31"
    none = found.assign(cluster_phase=found["cluster_phase"] * 0 - 1)
    said = cluster_orientations(none.assign(cluster_indexed=found["cluster_indexed"] & False))
    assert said[0].sentence == "not indexed: none of the crystals explains its pattern"


def test_a_crystal_that_is_not_told_from_another_is_said_to_be(small_store):
    found = read_results(small_store).groups["orientations"]
    close = found.assign(cluster_phase_margin=found["cluster_phase_margin"] * 0 + 0.01)
    first, _, last = cluster_orientations(close)
    assert first.sentence == (
        "silicon [0 1 6] + 3.7°, reliability 0.45; another crystal fits nearly as well"
    )
    assert last.remark == (
        "turned by 180° about the beam it fits nearly as well; another crystal fits nearly as well"
    )
    alone = close.assign_attrs(crystals=close.attrs["crystals"][:1])
    assert cluster_orientations(alone)[0].remark == ""


def test_what_was_fitted_is_told_where_something_is_indexed():
    facts = {"detector_step": 0.02, "detector_step_factor": 1.056, "beam_energy_kev": 200.0}
    facts["beam_energy_assumed"] = False
    (said,) = fit_remarks(facts, np.array([False, True]))
    assert said == "The detector's step is 0.02 1/Å by the reflections, 5.6 % more than calibrated"
    assert fit_remarks(facts, np.array([False, False])) == []


def test_a_short_table_counts_clusters_from_1(small_store):
    first, _, last = orientation_rows(read_results(small_store).groups["orientations"])
    assert first == {
        "cluster": 1,
        "crystal": "silicon",
        "zone axis": "[0 1 6] + 3.7°",
        "reliability": 0.45,
        "flag": "",
    }
    assert last["zone axis"].startswith("two candidates, silicon [0 1 6]")
    assert last["flag"] == "turned by 180° about the beam it fits nearly as well"
