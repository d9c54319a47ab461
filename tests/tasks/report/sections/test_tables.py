from dataclasses import replace

import numpy as np
import xarray as xr

from orimap.tasks.report.results import read_results
from orimap.tasks.report.sections import tables


def test_overlap_counts_are_those_worked_by_hand():
    labels = np.array([[0, 1, 1], [0, 2, -1]])
    second = np.array([[1, 0, -1], [1, 0, -1]])
    ratio = np.array([[0.8, 0.96, 0.0], [0.5, 0.3, 0.0]])
    level = np.array([[80, 95, 0], [0, 0, 0]])
    rows = tables.overlap_rows(labels, ratio, level)
    assert [row.positions for row in rows] == [3, 2, 2, 1, 1, 1]
    assert rows[0].share == "60 %"
    assert tables.overlap_pairs(labels, second, ratio) == [
        tables.OverlapPair(first=0, second=1, positions=3)
    ]


def test_bars_are_in_per_cent_of_the_largest_step():
    rows = tables.step_rows(
        [
            {"name": "sketch", "seconds": 5.0, "peak_bytes": 4e8, "reused": True},
            {"name": "fits", "seconds": 20.0, "peak_bytes": 1e8},
            {},
        ]
    )
    assert rows[0] == tables.StepRow("sketch", True, "5.0 s", 25.0, "400 MB", 100.0)
    assert rows[1] == tables.StepRow("fits", False, "20 s", 100.0, "100 MB", 25.0)
    assert rows[2] == tables.StepRow("?", False, "–", 0.0, "–", 0.0)
    assert tables.step_rows([]) == []


def test_amounts_of_memory_of_a_machine_have_their_unit():
    found = tables.machine_rows({"memory_bytes": 8e9, "cores": 2, "cpu_model": "a"})
    assert found == {"memory": "8.0 GB", "cores": "2", "cpu model": "a"}


def test_criteria_are_read_as_stored():
    stored = {"criteria": '[{"name": "knee", "vote": 5, "margin": 0.25, "used": true}]'}
    expected = tables.Criterion(name="knee", vote="5", margin="0.25", used=True, why="")
    assert tables.criteria_rows(stored) == [expected]
    assert tables.criteria_rows({}) == []


def test_every_k_has_a_row_and_every_stored_quantity_a_column(small_store):
    results = read_results(small_store)
    table = tables.k_table(results)
    names = [column.name for column in table.columns]
    assert names[:2] == ["component loss", "relative loss"]
    assert names[-1] == "SSIM"
    assert table.columns[-1].meaning == "mean SSIM between different components"
    assert [row[0] for row in table.rows] == ["1", "2", "3", "4", "5"]
    assert [row[1 + names.index("distinct")] for row in table.rows] == ["1", "2", "3", "3", "3"]
    assert {row[1 + names.index("in range")] for row in table.rows} == {"yes"}
    nothing = replace(results, groups={**results.groups, "decision": xr.Dataset()})
    assert tables.k_table(nothing) == tables.KTable([], [])


def test_noise_that_was_not_measured_has_no_column(small_store):
    results = read_results(small_store)
    found = tables.noise_rows(results)
    assert found.kinds == ["whole", "robust"]
    assert found.units == "electrons"
    assert found.rows == [["6.6", "0.25"], ["7.6", "0.25"], ["8.6", "0.25"]]
    nothing = replace(results, groups={**results.groups, "clusters": xr.Dataset()})
    assert tables.noise_rows(nothing) is None


def test_the_knee_s_reason_is_that_there_is_none():
    facts = {
        "criteria": [
            {"name": "knee of the loss", "vote": None, "margin": 240.0, "why": "not known"},
            {"name": "spectrum", "vote": None, "margin": None, "why": "not known"},
            {"name": "knee of the loss", "vote": 5, "why": "range of interest 1 to 9"},
        ]
    }
    knee, spectrum, found = tables.criteria_rows(facts)
    assert knee.why == "the loss has no knee"
    assert knee.margin == "240"
    assert spectrum.why == "no value for some of the numbers that come into question"
    assert found.why == "range of interest 1 to 9"


def test_noise_of_some_positions_is_told_from_that_of_all(small_store):
    results = read_results(small_store)
    assert tables.noise_rows(results).whole_clusters
    sizes = results.values("clusters", "cluster_size")
    for measured, all_of_them in ((sizes, True), (np.minimum(sizes, 3), False)):
        clusters = results.groups["clusters"].assign_attrs(noise_positions=measured.tolist())
        some = replace(results, groups={**results.groups, "clusters": clusters})
        assert tables.noise_rows(some).whole_clusters is all_of_them
