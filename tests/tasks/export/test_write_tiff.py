import numpy as np
import pytest
import tifffile
from rsciio.tiff import file_reader

from orimap.tasks.export.contents import read_contents
from orimap.tasks.export.write_tiff import write_folder
from orimap.tasks.report.figures.palette import cluster_colours, rgb


@pytest.fixture(scope="module")
def folder(finished, tmp_path_factory):
    path = tmp_path_factory.mktemp("tiff")
    said = write_folder(read_contents(finished), path)
    assert {file.name for file in path.iterdir()} == set(said)
    return path


def opened(path):
    """Return an image, what ImageJ is told of it, and pixels per unit across and down."""
    with tifffile.TiffFile(path) as file:
        tags = file.pages[0].tags
        across, down = (tags[name].value for name in ("XResolution", "YResolution"))
        return (
            file.asarray(),
            file.imagej_metadata,
            (across[0] / across[1], down[0] / down[1]),
            file.series[0].axes,
        )


def test_a_stack_says_which_image_is_which_and_where_the_beam_is(folder, finished):
    values, told, per_unit, axes = opened(folder / "mean_patterns.tif")
    np.testing.assert_array_equal(values, read_contents(finished).layer("mean_patterns").values())
    assert (axes, told["frames"], told["Labels"]) == ("TYX", 2, ["cluster 1", "cluster 2"])
    assert (told["unit"], per_unit) == ("1/nm", (pytest.approx(5), pytest.approx(5)))
    assert (told["xorigin"], told["yorigin"]) == (pytest.approx(3), pytest.approx(2))
    assert "In units of grey level." in told["Info"]


def test_labels_are_whole_numbers_in_the_colours_of_the_report(folder):
    values, told, per_unit, _ = opened(folder / "labels.tif")
    assert values.dtype == np.uint8
    assert values.tolist() == [[1, 1, 2, 2], [1, 0, 2, 2], [1, 1, 1, 2]]
    assert (told["unit"], per_unit) == ("nm", (pytest.approx(1 / 5), pytest.approx(1 / 2)))
    with tifffile.TiffFile(folder / "labels.tif") as file:
        table = file.pages[0].colormap[:, :4].T / 65535
    np.testing.assert_array_equal(table, [[0, 0, 0], *rgb(cluster_colours(2)), [0, 0, 0]])
    assert "0 is where a position belongs to no cluster" in told["Info"]


def test_the_coloured_map_has_the_same_colours(folder):
    values, *_, axes = opened(folder / "cluster_map.tif")
    assert (values.shape, values.dtype, axes) == ((3, 4, 3), np.uint8, "YXS")
    np.testing.assert_array_equal(values[0, [0, 3]], 255 * rgb(cluster_colours(2)))


def test_hyperspy_reads_steps_units_and_offsets(folder):
    (signal,) = file_reader(folder / "shares.tif")
    assert [(a["scale"], a["offset"], a["units"]) for a in signal["axes"][1:]] == [
        (2, 10, "nm"), (5, 0, "nm"),
    ]  # fmt: skip
    (signal,) = file_reader(folder / "mean_patterns.tif")
    assert [axis["units"] for axis in signal["axes"][1:]] == ["1/nm", "1/nm"]
    assert signal["axes"][2]["scale"] == pytest.approx(0.2)
    assert signal["axes"][2]["offset"] == pytest.approx(-0.6)


def test_names_of_clusters_may_have_any_letters(finished, tmp_path):
    write_folder(read_contents(finished, "mine"), tmp_path)
    _, told, *_ = opened(tmp_path / "shares.tif")
    assert told["Labels"] == ["cluster 1", "cluster 2: β phase"]
    assert "Cluster 2 is called β phase." in told["Info"]


def test_what_is_not_calibrated_is_in_pixels(uncalibrated, tmp_path):
    write_folder(read_contents(uncalibrated), tmp_path)
    _, told, per_unit, _ = opened(tmp_path / "overlap_ratio.tif")
    assert (told["unit"], per_unit) == ("pixel", (1, 1))
