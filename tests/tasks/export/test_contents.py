import numpy as np
import pytest

from orimap.tasks.errors import InputError
from orimap.tasks.export.contents import read_contents
from orimap.tasks.store.groups import remove_group


def test_labels_count_from_1_and_0_is_none(finished):
    contents = read_contents(finished)
    assert contents.labels.tolist() == [[1, 1, 2, 2], [1, 0, 2, 2], [1, 1, 1, 2]]
    assert contents.labels.dtype == np.uint16
    assert contents.layer("second_labels").values()[0].tolist() == [0, 0, 1, 0]


def test_stacks_come_first_and_every_axis_is_calibrated(finished):
    contents = read_contents(finished)
    shapes = {layer.name: layer.values().shape for layer in contents.layers}
    assert shapes == {
        "labels": (3, 4), "mean_patterns": (2, 5, 7), "representatives": (2, 5, 7),
        "shares": (2, 3, 4), "component_patterns": (4, 5, 7), "component_weights": (4, 3, 4),
        "second_labels": (3, 4), "overlap_ratio": (3, 4),
    }  # fmt: skip
    weights = contents.layer("component_weights").values()
    assert weights[2, 1, 3] == 4 * (4 * 1 + 3) + 2
    y, x = contents.scan
    assert (y.values.tolist(), x.values.tolist()) == ([10, 12, 14], [0, 5, 10, 15])
    ky, kx = contents.detector
    np.testing.assert_allclose(ky.values, 0.02 * np.arange(-2, 3))
    np.testing.assert_allclose(kx.values, 0.02 * np.arange(-3, 4))
    assert (kx.units, contents.layer("mean_patterns").units) == ("1/Å", "grey level")


def test_without_patterns_the_beam_is_where_the_mean_pattern_has_it(uncalibrated):
    contents = read_contents(uncalibrated)
    assert [axis.offset for axis in contents.detector] == [-2, -3.25]
    assert "Intensities are those of the file times 2^-40." in contents.remarks


def test_remarks_say_what_clusters_are_made_of(finished):
    remarks = read_contents(finished).remarks
    assert "Cluster 1 has components 1, 3." in remarks
    assert "Cluster 2 has component 2." in remarks
    assert "Background, of no cluster: component 4." in remarks


def test_a_revision_takes_the_place_of_the_automatic_result(finished):
    assert read_contents(finished, "mine").labels.tolist() == [[2] * 4, [2, 0, 2, 2], [2] * 4]
    assert read_contents(finished).names == ["", ""]
    with pytest.raises(InputError, match="revisions there: mine"):
        read_contents(finished, "yours")


def test_names_that_somebody_gave_are_told(finished):
    contents = read_contents(finished, "mine")
    assert contents.names == ["", "β phase"]
    assert contents.images_of(contents.layer("shares")) == ["cluster 1", "cluster 2: β phase"]
    assert contents.images_of(contents.layer("component_weights"))[1] == "component 2"
    assert contents.images_of(contents.layer("labels")) == []
    assert "Cluster 2 is called β phase." in contents.remarks
    assert any(said.startswith("Revision mine is outdated") for said in contents.remarks)


def test_results_without_overlap_are_refused(finished, tmp_path):
    import shutil

    shutil.copytree(finished, tmp_path / "old")
    remove_group(tmp_path / "old" / "analysis.zarr", "overlap")
    with pytest.raises(InputError, match=r"analysis\.zarr without overlap"):
        read_contents(tmp_path / "old")
