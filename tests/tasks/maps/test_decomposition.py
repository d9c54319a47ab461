import numpy as np
import pytest

from orimap.tasks.errors import InputError
from orimap.tasks.maps.decomposition import (
    along_line,
    decompose,
    line_through,
    strongest_overlap,
)
from orimap.tasks.store import variables

SCAN, DETECTOR = (9, 12), (6, 7)
MEMBERS = np.array([0, 1, -1, 0])


@pytest.fixture
def run(clustered_run):
    return clustered_run


@pytest.mark.parametrize("position", [(4, 4), (0, 0), (8, 11), (3, 6)])
def test_a_pattern_is_the_sum_of_its_parts_and_the_residual(run, position):
    folder, images, weights, counts, _ = run
    ds = decompose(folder, position)
    np.testing.assert_array_equal(ds["decomposed_pattern"], counts[position])
    total = ds["decomposed_contribution"].sum("cluster") + ds["decomposed_background"]
    np.testing.assert_allclose(
        total + ds["decomposed_residual"], ds["decomposed_pattern"], atol=1e-3
    )
    np.testing.assert_allclose(
        total, np.tensordot(weights[position], images, axes=1), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(ds["decomposed_background"].sum(), 40, rtol=1e-5)


def test_contributions_shares_and_errors_are_those_of_the_clusters(run):
    folder, images, _, _, maps = run
    ds = decompose(folder, (4, 4))
    # Cluster 0 and its piece 2 have the same components: the nearer one has the share here.
    np.testing.assert_allclose(
        ds["decomposed_contribution"][0], 150 * images[0] + 20 * images[3], rtol=1e-5
    )
    np.testing.assert_allclose(ds["decomposed_intensity"], [170, 250, 0], rtol=1e-5)
    np.testing.assert_allclose(ds["decomposed_share"], [170 / 300, 0.5, 0], rtol=1e-5)
    np.testing.assert_array_equal(ds["decomposed_share_error"], maps.share_error[4, 4])
    assert (ds.attrs["position"], ds.attrs["label"], ds.attrs["second_label"]) == ([4, 4], 0, 1)
    assert ds.attrs["overlap_ratio"] == pytest.approx(0.5 / (170 / 300))
    right = decompose(folder, (0, 11))
    np.testing.assert_allclose(right["decomposed_intensity"], [0, 0, 300], rtol=1e-5)
    for name, array in ds.data_vars.items():
        assert getattr(variables, name).read(ds).attrs["units"], array


def test_patterns_along_a_line_are_those_of_its_positions(run):
    folder, _, _, counts, maps = run
    ds = along_line(folder, (2, 0), (6, 8), 5)
    np.testing.assert_array_equal(ds["line_position"], [[2, 0], [3, 2], [4, 4], [5, 6], [6, 8]])
    np.testing.assert_allclose(ds["line_distance"], np.sqrt(5) * np.arange(5))
    rows, columns = ds["line_position"].values.T
    np.testing.assert_array_equal(ds["line_pattern"], counts[rows, columns])
    np.testing.assert_array_equal(ds["line_share"], maps.share[rows, columns])
    np.testing.assert_array_equal(ds["line_share_error"], maps.share_error[rows, columns])


@pytest.mark.parametrize(
    "position", [(9, 0), (0, 12), (-1, 3), ("a", 1), (float("nan"), 0), (1.5, 2), (True, 0)]
)
def test_a_position_outside_the_scan_is_refused(run, position):
    with pytest.raises(InputError, match="9 x 12") as raised:
        decompose(run[0], position)
    assert raised.value.found == f"row {position[0]!r}, column {position[1]!r}"


@pytest.mark.parametrize(
    "ends",
    [
        ((0, 0), (9, 0)),
        ((-1, 0), (3, 3)),
        ((0, float("nan")), (3, 3)),
        ((0, 0), (float("inf"), 3)),
        ((0,), (5,)),
        ((0, 0, 0), (3, 3, 3)),
        ((0, 0), (3,)),
        ("a", "b"),
        (0, 5),
    ],
)
def test_a_line_that_is_not_within_the_scan_is_refused(run, ends):
    with pytest.raises(InputError, match="rows 0 to 8 and columns 0 to 11") as raised:
        along_line(run[0], *ends)
    assert raised.value.found == f"from {ends[0]!r} to {ends[1]!r}"


@pytest.mark.parametrize("count", [1, -3, 2.5, "five", float("nan")])
def test_a_line_has_two_points_or_more(run, count):
    with pytest.raises(InputError, match="points along the line, 2 or more"):
        along_line(run[0], (0, 0), (3, 3), count)


def test_a_line_has_by_default_a_point_for_each_row_or_column_that_it_crosses(run):
    assert along_line(run[0], (2, 0), (3, 8)).sizes["point"] == 9


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"without analysis\.zarr"):
        decompose(tmp_path, (0, 0))


def test_the_strongest_overlap_is_the_surest_one_with_room_around_it():
    ratio, second = np.zeros((12, 12)), np.full((12, 12), -1)
    error = np.full((12, 12), 0.01)
    assert strongest_overlap(ratio, error, second) is None
    for place, value in {(1, 1): 0.99, (5, 5): 0.8, (6, 6): 0.9}.items():
        ratio[place], second[place] = value, 1
    error[6, 6] = 0.3
    assert strongest_overlap(ratio, error, second) == (5, 5)
    second[4:8, 4:8] = -1
    assert strongest_overlap(ratio, np.full((12, 12), np.nan), second) == (1, 1)


def test_a_line_runs_from_one_pattern_to_the_other():
    first = np.zeros((20, 20))
    first[:, :10] = 1
    first[:, 9:11] = 0.5
    (y0, x0), (y1, x1) = line_through((10, 10), first, 1 - first)
    assert x0 < 9
    assert x1 > 10
    assert max(abs(y1 - y0), abs(x1 - x0)) == 8
    # A wide border needs a longer line; a scan without room has none.
    wide = np.clip((np.arange(40) - 12) / 16, 0, 1) * np.ones((40, 1))
    (_, x0), (_, x1) = line_through((20, 20), 1 - wide, wide)
    assert (x0, x1) == (12, 28)
    assert line_through((1, 1), first[:4, :4], first[:4, :4]) is None
