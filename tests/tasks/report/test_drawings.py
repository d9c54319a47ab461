from dataclasses import replace

import pytest
import xarray as xr

from orimap.tasks.report.drawings import FIGURES, report_drawings
from orimap.tasks.report.results import read_results


def names(results):
    return [drawing.name for drawing in report_drawings(results, FIGURES)]


def test_a_whole_run_allows_every_figure_in_the_order_of_the_page(small_store):
    found = list(report_drawings(read_results(small_store), FIGURES))
    assert [drawing.name for drawing in found] == list(FIGURES)
    said = {drawing.name: drawing.alt for drawing in found}
    assert said["cluster_map"].endswith("in the colour of its cluster; 3 clusters.")
    assert said["loss"] == "Loss against the number of components, knee at 2."
    assert said["pairs"] == (
        "Pairwise SSIM, GMSD, MDSI, PSNR, cosine between the 5 fitted components."
    )
    assert said["decomposition"].startswith("The pattern at row 9, column 11 as the sum")


@pytest.mark.parametrize(
    ("group", "lost"),
    [
        ("acquisition", ["acquisition", "beam_shift"]),
        ("decision", ["distinct", "held_out", "loss", "pairs"]),
        ("overlap", ["overlap", "line"]),
        ("baseline", ["baseline"]),
        ("decomposition", ["decomposition"]),
        ("line", ["line"]),
        ("reflection_maps", ["reflection_maps", "dark_field"]),
        (
            "clusters",
            ["cluster_map", "clusters", "overlap", "line", "fidelity", "shares", "baseline"],
        ),
    ],
)
def test_a_figure_needs_what_it_shows(small_store, group, lost):
    results = read_results(small_store)
    without = replace(results, groups={**results.groups, group: xr.Dataset()})
    assert names(without) == [name for name in FIGURES if name not in lost]


def test_the_representative_stands_in_for_a_mean_pattern(small_store):
    results = read_results(small_store)
    clusters = results.groups["clusters"].drop_vars("cluster_mean_pattern")
    found = names(replace(results, groups={**results.groups, "clusters": clusters}))
    assert "clusters" in found
    assert "fidelity" not in found


def test_singular_values_of_either_origin_are_drawn(small_store):
    results = read_results(small_store)
    only_sketch = replace(results, groups={**results.groups, "baseline": xr.Dataset()})
    assert "scree" in names(only_sketch)
    neither = {**only_sketch.groups, "sketch": xr.Dataset()}
    assert "scree" not in names(replace(results, groups=neither))
