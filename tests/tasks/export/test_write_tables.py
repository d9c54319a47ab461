import csv
import json

import numpy as np
import pandas as pd
import pytest

from orimap.tasks.export.contents import read_contents
from orimap.tasks.export.write_tables import write_csv, write_npz


@pytest.fixture(scope="module")
def folder(finished, tmp_path_factory):
    path = tmp_path_factory.mktemp("csv")
    said = write_csv(read_contents(finished), path)
    assert {file.name for file in path.iterdir()} == set(said)
    return path


def test_clusters_have_a_row_each(folder):
    table = pd.read_csv(folder / "clusters.csv", index_col="cluster")
    assert table.index.tolist() == [1, 2]
    assert table["positions"].tolist() == [6, 5]
    assert table["scan_share"].tolist() == pytest.approx([6 / 12, 5 / 12])
    assert table["components"].tolist() == ["1 3", "2"]
    assert table["mean_intensity"].tolist() == pytest.approx([110 / 35, 220 / 35])
    assert table["ssim"].iloc[0] == 0.875
    assert np.isnan(table["ssim"].iloc[1])
    assert table["noise_whole"].tolist() == [1.5, 2.5]


def test_positions_have_a_row_each(folder):
    table = pd.read_csv(folder / "positions.csv")
    assert len(table) == 12
    there = table[(table.row == 0) & (table.column == 2)].iloc[0]
    assert (there.y_nm, there.x_nm) == (10, 10)
    assert (there.cluster, there.second_cluster, there.overlap_ratio) == (2, 1, 0.25)
    assert (there.share_1, there.share_2) == (0, 0.5)
    nowhere = table[(table.row == 1) & (table.column == 1)].iloc[0]
    assert (nowhere.cluster, nowhere.measured) == (0, 0)
    assert "share_1_error" not in table


def test_every_column_is_explained(folder):
    explained = {}
    with (folder / "columns.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            explained.setdefault(row["table"], {})[row["column"]] = row["meaning"]
    for table in ("clusters.csv", "positions.csv"):
        assert list(explained[table]) == list(pd.read_csv(folder / table).columns)
    assert "0 is where a position belongs to no cluster" in explained["positions.csv"]["cluster"]
    assert explained["clusters.csv"]["mean_intensity"].endswith("in units of grey level")


def test_all_arrays_are_in_one_file(finished, tmp_path):
    contents = read_contents(finished)
    write_npz(contents, tmp_path / "without an ending")
    with np.load(tmp_path / "without an ending") as found:  # nothing is pickled
        np.testing.assert_array_equal(found["labels"], contents.labels)
        assert found["component_cluster"].tolist() == [1, 2, 1, 0]
        np.testing.assert_allclose(found["detector_x"], 0.02 * np.arange(-3, 4))
        assert found["scan_y"].tolist() == [10, 12, 14]
        assert not found["scan_measured"][1, 1]
        assert found["detector_masked"].sum() == 1
        about = json.loads(str(found["about"]))
        assert set(about["arrays"]) == {layer.name for layer in contents.layers}
        for name, described in about["arrays"].items():
            assert len(described["axes"]) == found[name].ndim
    assert about["arrays"]["mean_patterns"]["units"] == "grey level"
    assert about["axes"]["detector_y"] == "1/Å"
