from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from matplotlib.text import Text

from orimap.tasks.report.drawings import evidence, maps, overlap
from orimap.tasks.report.drawings.catalogue import FIGURES, report_drawings
from orimap.tasks.report.orientations import drawings as orientations
from orimap.tasks.report.results import read_results


def names(results):
    return [drawing.name for drawing in report_drawings(results, FIGURES)]


def test_every_drawing_has_its_place_on_the_page():
    written = {
        name.removeprefix("draw_"): drawing
        for module in (maps, evidence, overlap, orientations)
        for name, drawing in vars(module).items()
        if name.startswith("draw_") and drawing.__module__ == module.__name__
    }
    assert dict(FIGURES) == written


def test_a_whole_run_allows_every_figure_in_the_order_of_the_page(small_store):
    found = list(report_drawings(read_results(small_store), FIGURES))
    assert [drawing.name for drawing in found] == list(FIGURES)
    said = {drawing.name: drawing.alt for drawing in found}
    assert said["cluster_map"].endswith("in the colour of its cluster; 3 clusters.")
    assert said["loss"] == "Loss against the number of components, knee at 2."
    assert said["pairs"] == (
        "Pairwise SSIM, GMSD, MDSI, PSNR, cosine between the 5 fitted components."
    )
    assert said["camera"] == (
        "Variance of the noise against mean intensity, of single pixels and together with their "
        "neighbours. Measured: gain (intensity per electron): 1.020 ± 0.013; "
        "offset: 0.0020 ± 0.0011; read-out noise: 0.040 ± 0.021; "
        "noise shared with neighbours: 41.0 ± 1.2 %."
    )
    assert said["decomposition"].startswith("The pattern at row 9, column 11 as the sum")


@pytest.mark.parametrize(
    ("group", "lost"),
    [
        ("acquisition", ["acquisition", "camera", "beam_shift"]),
        ("decision", ["distinct", "held_out", "loss", "pairs"]),
        ("overlap", ["overlap", "levels", "line"]),
        ("baseline", ["baseline"]),
        ("decomposition", ["decomposition"]),
        ("line", ["line"]),
        ("reflection_maps", ["reflection_maps", "dark_field"]),
        ("grains", ["bending"]),
        (
            "clusters",
            [
                "cluster_map",
                "clusters",
                "overlap",
                "levels",
                "line",
                "fidelity",
                "orientations",
                "phases",
                "indexed",
                "boundaries",
                "bending",
                "shares",
                "baseline",
            ],
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


@pytest.mark.parametrize(
    ("attributes", "label"),
    [
        ({}, "mean intensity above the offset (electrons)"),
        ({"counts_like": False}, "mean intensity above the offset (a.u.)"),
        (
            {"counts_like": False, "intensity_units": "grey level"},
            "mean intensity above the offset (grey levels)",
        ),
    ],
)
def test_noise_over_brightness_is_in_units_that_are_known(small_store, attributes, label):
    results = read_results(small_store)
    acquired = results.groups["acquisition"].assign_attrs(attributes)
    found = replace(results, groups={**results.groups, "acquisition": acquired})
    (drawing,) = report_drawings(found, ["camera"])
    axes = drawing.draw().axes[0]
    assert axes.get_xlabel() == label
    line = next(line for line in axes.lines if line.get_label() == "gain × intensity + constant")
    np.testing.assert_allclose(line.get_ydata(), 1.02 * (line.get_xdata() + 0.002 - 0.0005))


@pytest.mark.parametrize("lost", ["brightness_mean", "brightness_whole_variance_error"])
def test_noise_over_brightness_needs_the_whole_curve(small_store, lost):
    results = read_results(small_store)
    acquired = results.groups["acquisition"].drop_vars(lost)
    found = replace(results, groups={**results.groups, "acquisition": acquired})
    assert names(found) == [name for name in FIGURES if name != "camera"]


def test_a_stretched_contrast_has_no_line(small_store):
    results = read_results(small_store)
    acquired = results.groups["acquisition"].copy()
    kept = {name: value for name, value in acquired.attrs.items() if "camera" not in name}
    acquired.attrs = {**kept, "camera_gamma": 0.55, "camera_gamma_error": 0.02}
    found = replace(results, groups={**results.groups, "acquisition": acquired})
    (drawing,) = report_drawings(found, ["camera"])
    assert drawing.alt.endswith(
        "neighbours. Measured: power of the stretch (gamma): 0.550 ± 0.020."
    )
    axes = drawing.draw().axes[0]
    assert axes.get_xlabel() == "mean intensity (electrons)"
    assert "gain × intensity + constant" not in {line.get_label() for line in axes.lines}


def test_texts_say_which_pattern_is_drawn_and_how_many_clusters(small_store):
    results = read_results(small_store)
    clusters = results.groups["clusters"]
    (drawing,) = report_drawings(results, ["clusters"])
    assert drawing.alt == "The cluster map and beside it the mean pattern of each cluster."
    without = {**results.groups, "clusters": clusters.drop_vars("cluster_mean_pattern")}
    (drawing,) = report_drawings(replace(results, groups=without), ["clusters"])
    assert drawing.alt.endswith("the pattern of each cluster from the factorisation.")


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("scan_virtual_bright_field", "Mean pattern with masked pixels marked, as acquired and as"),
        ("detector_mean", "Virtual bright field of the scan."),
    ],
)
def test_the_acquisition_s_text_names_what_is_there(small_store, lost, said):
    results = read_results(small_store)
    acquired = results.groups["acquisition"].drop_vars(lost)
    found = replace(results, groups={**results.groups, "acquisition": acquired})
    (drawing,) = report_drawings(found, ["acquisition"])
    assert drawing.alt.startswith(said)


@pytest.mark.parametrize("unit", ["grey level", "a.u."])
def test_no_figure_calls_other_values_electrons(small_store, unit):
    results = read_results(small_store)
    acquired = results.groups["acquisition"].assign_attrs(intensity_units=unit, counts_like=False)
    found = replace(results, groups={**results.groups, "acquisition": acquired})
    for drawing in report_drawings(found, FIGURES):
        figure = drawing.draw()
        texts = [text.get_text() for text in figure.findobj(Text)]
        # A gain is per electron whatever the unit is.
        assert not [t for t in texts if "electron" in t and "per electron" not in t], drawing.name


def test_chosen_colours_and_names_are_drawn(small_store):
    results = read_results(small_store)
    clusters = results.groups["clusters"].assign_attrs(
        cluster_colours=["#010203", "", ""], cluster_names=["matrix", "", ""]
    )
    found = replace(results, groups={**results.groups, "clusters": clusters})
    (drawing,) = report_drawings(found, ["cluster_map"])
    axes = drawing.draw().axes[0]
    drawn = np.unique(np.round(255 * axes.images[0].get_array()).reshape(-1, 3), axis=0)
    assert [1, 2, 3] in drawn.tolist()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["1 matrix"]
