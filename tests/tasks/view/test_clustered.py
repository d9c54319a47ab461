import numpy as np
import pytest
from scipy.stats import norm

from orimap.tasks.errors import InputError
from orimap.tasks.maps.decomposition import along_line, decompose
from orimap.tasks.view.clustered import Clustered, boundaries


@pytest.fixture
def clustered(clustered_run, tmp_path):
    """A run of three clusters, two of them pieces of one, in /clusters with what a run stores."""
    import zarr

    group = zarr.open_group(tmp_path / "analysis.zarr", path="clusters", mode="r+")
    size = np.bincount(group["cluster_label"][:].ravel())
    group.create_array("cluster_size", data=size, dimension_names=("cluster",))
    return Clustered(tmp_path / "analysis.zarr")


@pytest.mark.parametrize("position", [(4, 4), (0, 0), (8, 11), (3, 6)])
def test_a_pattern_is_taken_apart_as_in_its_images(clustered, clustered_run, position):
    whole = decompose(clustered_run[0], position)
    found = clustered.take_apart(position)
    # Images are summed in single precision there, their sums multiplied in double here.
    np.testing.assert_allclose(
        [part.intensity for part in found.parts], whole["decomposed_intensity"], rtol=1e-5
    )
    np.testing.assert_array_equal(
        np.float32([part.share for part in found.parts]), whole["decomposed_share"]
    )
    np.testing.assert_array_equal(
        np.float32([part.error for part in found.parts]), whole["decomposed_share_error"]
    )
    assert found.background == pytest.approx(float(whole["decomposed_background"].sum()), rel=1e-5)
    assert (found.label, found.second) == (whole.attrs["label"], whole.attrs["second_label"])
    assert found.ratio == whole.attrs["overlap_ratio"]
    total = whole["decomposed_contribution"].sum("cluster") + whole["decomposed_background"]
    np.testing.assert_allclose(clustered.fit.pattern(position), total, rtol=1e-5, atol=1e-6)


def test_a_line_has_a_point_for_each_row_or_column(clustered, clustered_run):
    places, distances = clustered.along((2, 0), (6, 8))
    whole = along_line(clustered_run[0], (2, 0), (6, 8), 9)
    np.testing.assert_array_equal(places, whole["line_position"])
    np.testing.assert_allclose(distances, whole["line_distance"])
    for ends in (((0, 0), (0, 0)), ((0, 0), (9, 3)), ((np.nan, 0), (2, 2)), ((-1, 0), (2, 2))):
        with pytest.raises(InputError, match=r"a line from|points along the line"):
            clustered.along(*ends)


def test_doubt_is_the_chance_that_the_second_pattern_is_the_stronger_one(clustered):
    doubt, (ratio, error) = clustered.doubt(), (clustered.ratio[4, 4], clustered.ratio_error[4, 4])
    assert ratio == pytest.approx(0.882, abs=1e-3)
    assert doubt[4, 4] == pytest.approx(norm.cdf(-(1 - ratio) / error), rel=1e-5)
    assert doubt[4, 4] == doubt.max()
    assert doubt[0, 0] < 1e-6
    clustered.label[4, 4] = -1
    assert clustered.doubt()[4, 4] == 0
    clustered.ratio_error[:] = np.nan
    assert clustered.doubt() is None


def test_boundaries_count_each_position_once_and_the_most_doubtful_comes_first():
    label = np.array(
        [
            [0, 0, 1, 1],
            [0, 1, 1, 1],
            [0, 0, -1, 2],
        ]
    )
    doubt = np.zeros(label.shape)
    doubt[1, 1], doubt[0, 2], doubt[2, 3] = 0.4, 0.1, 0.5
    found = boundaries(label, doubt)
    # Of 0 and 1: (0,1), (0,2), (1,0), (1,1) with three neighbours, (2,1). Of 1 and 2: (1,3), (2,3).
    assert [(each.clusters, each.positions) for each in found] == [((1, 2), 2), ((0, 1), 5)]
    assert found[0].doubt == pytest.approx(0.25)
    assert found[1].doubt == pytest.approx(0.5 / 5)
    assert [each.most for each in found] == [(2, 3), (1, 1)]
    assert boundaries(np.zeros((2, 3), int), doubt[:2, :3]) == []


def test_clusters_and_kinds_that_are_not_there_are_refused(clustered):
    for cluster in (0, 4):
        with pytest.raises(InputError, match="a cluster from 1 to 3"):
            clustered.pattern(cluster, "mean")
    with pytest.raises(InputError, match="mean, representative"):
        clustered.pattern(1, "median")
