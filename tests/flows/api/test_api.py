import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest
import zarr

import orimap
from orimap.tasks.errors import InputError

# What the import of orimap loads, beyond what Python has loaded at its start.
LOADED = "import sys; before = set(sys.modules); import orimap; print(*set(sys.modules) - before)"


@pytest.fixture(scope="module")
def results(sharing_workers, tmp_path_factory):
    """The folder of the results of a tiny simulated scan."""
    folder = tmp_path_factory.mktemp("api")
    scan = orimap.simulate(
        folder / "scan.npy", scan=(5, 6), detector=(24, 26), grains=2, dose=2000, quiet=True
    )
    with sharing_workers() as opened:
        written = orimap.run(str(scan), str(folder / "results"), k="1:3", workers=1, quiet=True)
    assert opened == [("threads", 1)]
    return written


def test_importing_loads_nothing_but_the_standard_library():
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert done.returncode == 0, done.stderr
    assert "orimap" in loaded
    assert loaded - {"orimap"} <= sys.stdlib_module_names


def test_names_of_the_package():
    assert orimap.__version__ == version("orimap")
    assert {"__version__", "edit", "open", "run", "simulate"} <= set(dir(orimap))
    with pytest.raises(AttributeError, match="no attribute 'close'"):
        orimap.close  # noqa: B018


def test_a_scan_is_simulated_with_its_truth(results):
    scan = np.load(results.parent / "scan.npy")
    assert (scan.shape, scan.dtype) == ((5, 6, 24, 26), np.uint16)
    assert np.load(results.parent / "scan.npz")["labels"].max() == 1


def test_a_run_returns_its_folder(results):
    assert results == results.parent / "results"
    assert (results / "report.html").exists()


def test_results_open_as_a_tree(results):
    tree = orimap.open(results)
    assert tree.attrs["status"] == "complete"
    assert tree.attrs["request"]["k"] == [1, 3]
    label = tree["clusters"]["cluster_label"]
    assert (label.dims, label.shape) == (("scan_y", "scan_x"), (5, 6))
    assert int(label.max()) + 1 == tree.attrs["decided_k"]


def test_a_folder_without_complete_results_is_refused(tmp_path):
    store = tmp_path / "analysis.zarr"
    for prepare in (lambda: None, store.mkdir, lambda: zarr.create_group(store, path="sketch")):
        prepare()
        with pytest.raises(InputError, match=r"no complete analysis\.zarr in"):
            orimap.open(tmp_path)


def test_options_at_fault_are_named(tmp_path):
    with pytest.raises(InputError, match="--fliter 'mean'"):
        orimap.run(tmp_path / "scan.npy", tmp_path / "results", fliter="mean")
    with pytest.raises(InputError, match="orchestrate='always'"):
        orimap.run(tmp_path / "scan.npy", tmp_path / "results", orchestrate="always")
    with pytest.raises(InputError, match="number of grains between 1 and"):
        orimap.simulate(tmp_path / "scan.npy", grains=0)
