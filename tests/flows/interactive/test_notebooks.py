"""The notebooks of the documentation, run as a reader would: one cell after the other."""

import json
from pathlib import Path

import matplotlib as mpl
import pytest
from rsciio.hspy import file_reader

NOTEBOOKS = sorted((Path(__file__).parents[3] / "docs" / "notebooks").glob("*.ipynb"))


@pytest.fixture
def run_cells(same_workers, tmp_path, monkeypatch):
    """Run the cells of a notebook in a folder of its own; return the names that are left."""
    monkeypatch.chdir(tmp_path)

    def run(name):
        names = {}
        with mpl.rc_context({"backend": "agg"}):
            for cell in cells(next(path for path in NOTEBOOKS if path.stem == name)):
                exec(compile(cell, name, "exec"), names)
        return names

    return run


def cells(notebook):
    """The code of a notebook, but for what needs programs that are not installed here."""
    found = json.loads(notebook.read_text())["cells"]
    return [
        "".join(cell["source"])
        for cell in found
        if cell["cell_type"] == "code" and "needs-hyperspy" not in cell["metadata"].get("tags", ())
    ]


@pytest.mark.slow
def test_a_first_look(run_cells, capsys):
    names = run_cells("first_look")
    assert names["results"].number == names["same"].number == 3
    assert names["brightest"].shape == (48, 48)
    assert 0 < names["parts"].attrs["overlap_ratio"] <= 1
    said = capsys.readouterr().out
    assert said.startswith("3 distinct patterns, high confidence\n- The number of distinct")
    assert said.endswith("3 patterns by the knee of the loss, 3 by all the evidence\n")


def test_results_to_hyperspy(run_cells, tmp_path):
    names = run_cells("results_to_hyperspy")
    (signal,) = file_reader(tmp_path / "mean_patterns.hspy")
    assert signal["data"].shape == (3, 48, 48)
    assert [axis["units"] for axis in signal["axes"]] == ["", "1/Å", "1/Å"]
    assert [axis["navigate"] for axis in signal["axes"]] == [True, False, False]
    step = names["means"]["detector_x"].diff("detector_x").values[0]
    assert signal["axes"][2]["scale"] == pytest.approx(step)
    described = names["axes"](names["cluster"], ("detector_y", "detector_x"))
    assert [axis["size"] for axis in described] == list(names["cluster"].shape)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs(notebook):
    stored = json.loads(notebook.read_text())
    assert stored["nbformat"] == 4
    code = [cell for cell in stored["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert {cell["cell_type"] for cell in stored["cells"]} == {"code", "markdown"}


def test_both_notebooks_are_there():
    assert [path.stem for path in NOTEBOOKS] == ["first_look", "results_to_hyperspy"]
