"""That a whole map is the one of orimap decide is tested in tests/flows/viewer."""

import numpy as np

from orimap.tasks.report.figures.palette import COLOURS
from orimap.tasks.store import variables as v
from orimap.tasks.store.groups import write_group
from orimap.tasks.view.numbers import NumberMap, Numbers, colours_like


def test_a_first_look_is_the_strongest_component_numbered_by_intensity(tmp_path):
    weights = np.zeros((3, 4, 3))
    weights[0, :, 1], weights[1, :, 2], weights[2, 1:, 0] = 5, 9, 2
    weights[0, 0] = [7, 5, 1]
    fit = v.dataset({v.scan_weight: weights})
    write_group(tmp_path / "analysis.zarr", "fits/k03", fit, "m")
    decision = v.dataset({}).assign_coords(k=[1, 2, 3])
    write_group(tmp_path / "analysis.zarr", "decision", decision, "m")
    numbers = Numbers(
        tmp_path / "analysis.zarr", split_bent=False, split_unconnected=False, regularity=0.0
    )
    found = numbers.quick(3)
    # In all: component 2 has 37, component 1 has 20, component 0 has 13.
    np.testing.assert_array_equal(found.label, [[2, 1, 1, 1], [0, 0, 0, 0], [-1, 2, 2, 2]])
    assert found.quick
    assert found.sizes == [4, 3, 4]
    assert found.how.startswith("A first look")
    assert numbers.quick(9).components == 3  # the nearest that there is


def test_clusters_have_the_colours_of_those_that_lie_where_they_do():
    shown = np.array([[0, 0, 1, 1], [0, 0, 1, 2]])
    label = np.array([[1, 1, 0, 0], [1, 2, 0, 3]])
    blue, orange, red = "#0000ff", "#ff8800", "#ff0000"
    found = colours_like(label, 5, shown, [blue, orange, red])
    assert found[:2] == [orange, blue]
    assert found[3] == red
    # The others, one of them nowhere, have colours that nobody has.
    assert found[2] in COLOURS
    assert len(set(found)) == 5


def test_sizes_are_those_of_the_labels():
    label = np.array([[0, 2, 2], [-1, 0, 0]], np.int16)
    assert NumberMap(3, 3, label, "").sizes == [3, 0, 2]
    assert NumberMap(1, 1, np.full((2, 2), -1, np.int16), "").sizes == []
