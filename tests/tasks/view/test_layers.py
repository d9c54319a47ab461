from types import SimpleNamespace

import numpy as np
import xarray as xr

from orimap.tasks.report.orientations.bent import bent_grains
from orimap.tasks.store import variables as v
from orimap.tasks.view.layers import (
    Layer,
    measured_positions,
    orientation_layers,
    reflection_layers,
    scan_layers,
)

SCAN = (3, 4)


def test_labels_travel_from_one_with_none_and_not_measured_apart():
    label = np.array([[0, -1, 2, 1]] * 3, np.int16)
    measured = np.ones(SCAN, bool)
    measured[1, 1:3] = False
    layer = Layer("clusters", "Clusters", "Clusters", "labels", "1", lambda: label)
    assert layer.map(None).dtype == np.int16
    np.testing.assert_array_equal(layer.map(None)[1], [1, 0, 3, 2])
    np.testing.assert_array_equal(layer.map(measured)[1], [1, -1, -1, 2])
    np.testing.assert_array_equal(layer.map(measured)[0], [1, 0, 3, 2])
    assert layer.map(measured).dtype == np.int16


def test_numbers_are_nan_where_nothing_was_measured():
    values = np.arange(12.0).reshape(SCAN)
    measured = values != 5
    found = Layer("n", "N", "Scan", "number", "electron", lambda: values).map(measured)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.where(measured, values, np.nan))


def test_a_scan_that_is_only_ingested_has_its_navigation_image_and_the_beam():
    shift = np.stack([np.full(SCAN, 2.0), np.full(SCAN, 3.0)], axis=-1)
    acquisition = v.dataset(
        {
            v.scan_total_intensity: np.arange(12.0).reshape(SCAN),
            v.scan_virtual_bright_field: np.ones(SCAN),
            v.scan_beam_shift: shift,
            v.scan_measured: np.ones(SCAN, np.uint8),
        },
        intensity_units="a.u.",
    )
    layers = {layer.id: layer for layer in scan_layers(acquisition)}
    assert list(layers) == ["navigation", "bright-field", "beam-y", "beam-x"]
    # The page lists them by what stands before the colon.
    assert len({layer.title.partition(":")[0] for layer in layers.values()}) == 4
    assert layers["navigation"].unit == "a.u."
    np.testing.assert_array_equal(layers["navigation"].map(None), np.arange(12.0).reshape(SCAN))
    assert (layers["beam-y"].map(None) == 2).all()
    assert (layers["beam-x"].map(None) == 3).all()
    assert measured_positions(acquisition) is None
    acquisition[v.scan_measured.name][2, 1] = 0
    np.testing.assert_array_equal(np.argwhere(~measured_positions(acquisition)), [[2, 1]])
    assert measured_positions(xr.Dataset()) is None


def test_reflections_give_their_maps_and_a_dark_field_for_each_cluster():
    dark = np.stack([np.full(SCAN, 1.0), np.full(SCAN, 7.0)], axis=-1)
    maps = v.dataset(
        {
            v.scan_reflection_count: np.full(SCAN, 5, np.int32),
            v.scan_virtual_dark_field: np.zeros(SCAN),
            v.cluster_dark_field: dark,
        },
        dark_field_region=[1, 4, 2, 5],
    )
    layers = {layer.id: layer for layer in reflection_layers(maps, "electron")}
    assert set(layers) == {"virtual-dark-field", "reflection-count", "dark-field-1", "dark-field-2"}
    assert layers["virtual-dark-field"].title == "Dark field of 1:4,2:5"
    assert (layers["reflection-count"].unit, layers["dark-field-2"].unit) == ("1", "electron")
    assert (layers["dark-field-2"].map(None) == 7).all()


def test_maps_of_orientations_are_clusters_in_other_colours():
    label = np.array([[0, 1], [1, -1]])
    clusters = SimpleNamespace(label=label, members=np.zeros(0), fit=None)
    oriented = SimpleNamespace(
        misorientation=lambda label: np.where(label < 0, np.nan, 12.5),
        bent=lambda members, weights: [],
        crystals=["silicon", "gold"],
        direction_colours=lambda axis: {"z": ["#ff0000", "#00ff00"]}.get(axis, ["#000000"] * 2),
        crystal_colours=["#0000ff", "#ffff00"],
    )
    found = {layer.id: layer for layer in orientation_layers(clusters, oriented)}
    directions = ["direction-z", "direction-x", "direction-y"]
    assert list(found) == [*directions, "crystals", "misorientation"]
    assert found["misorientation"].unit == "°"
    np.testing.assert_array_equal(found["misorientation"].map(None), [[12.5] * 2, [12.5, np.nan]])
    assert {layer.group for layer in found.values()} == {"Orientations"}
    assert found["direction-z"].title == "Along z: which crystal direction lies there"
    assert found["direction-z"].colours == ("#ff0000", "#00ff00")
    assert found["crystals"].colours == ("#0000ff", "#ffff00")
    np.testing.assert_array_equal(found["crystals"].map(None), [[1, 2], [2, 0]])
    oriented.crystals = ["silicon"]
    assert "crystals" not in {layer.id for layer in orientation_layers(clusters, oriented)}


def test_a_bent_grain_is_mapped_by_what_its_parts_contribute_where():
    # Of two parts, a degree apart, the first fades into the second.
    weights = np.array([[[1.0, 0], [0.5, 0.5], [0, 1]]])
    clusters = SimpleNamespace(
        label=np.array([[0, 0, 0]]), members=np.zeros(2, int), fit=SimpleNamespace(weights=weights)
    )
    turns = v.dataset({v.component_turn: np.array([[-0.5, 0, 0], [0.5, 0, 0]])})
    oriented = SimpleNamespace(
        crystals=["silicon"], direction_colours=lambda axis: ["#000000"],
        misorientation=lambda label: label * 0.0,
        bent=lambda members, _: bent_grains(turns["component_turn"].values, members),
    )  # fmt: skip
    found = {layer.id: layer for layer in orientation_layers(clusters, oriented)}
    np.testing.assert_allclose(found["bending"].map(None), [[-0.5, 0, 0.5]])
