import shutil
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
def scan(small_run_scan):
    return small_run_scan


@pytest.fixture(scope="module")
def results(small_run):
    return small_run


def test_importing_loads_nothing_but_the_standard_library():
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert done.returncode == 0, done.stderr
    assert "orimap" in loaded
    assert loaded - {"orimap"} <= sys.stdlib_module_names


def test_names_of_the_package():
    assert orimap.__version__ == version("orimap")
    names = {"Results", "__version__", "decide", "edit", "export", "open", "run", "simulate"}
    assert names <= set(dir(orimap))
    assert (orimap.Results.__module__, orimap.Results.__name__) == ("orimap", "Results")
    with pytest.raises(AttributeError, match="no attribute 'close'"):
        orimap.close  # noqa: B018


def test_a_scan_is_simulated_with_its_truth(scan):
    array = zarr.open_group(scan)["pattern_intensity"]
    assert (array.shape, array.dtype) == ((6, 7, 48, 46), np.uint16)
    assert np.load(scan.with_suffix(".npz"))["labels"].max() == 1


def test_a_run_returns_its_results(results):
    assert isinstance(results, orimap.Results)
    assert results.attrs["request"]["k"] == [1, 4]
    assert results.report.exists()
    assert orimap.open(results).number == results.number == 2  # where a path is expected


def test_a_dry_run_tells_what_a_run_needs(scan, tmp_path):
    needs = orimap.run(scan, tmp_path / "out", k="1:4", dry_run=True)
    assert needs.range_of_k == (1, 4)
    assert needs.memory_bytes > 1e8
    assert not (tmp_path / "out").exists()


def test_options_may_stand_in_a_file(scan, tmp_path):
    (tmp_path / "run.yaml").write_text("k: 1:3\nbin: 2\n")
    file = tmp_path / "run.yaml"
    assert orimap.run(scan, tmp_path, config=file, dry_run=True).range_of_k == (1, 3)
    assert orimap.run(scan, tmp_path, config=file, k="1:2", dry_run=True).range_of_k == (1, 2)


def test_progress_is_shown_unless_quiet(scan, tmp_path, capsys):
    orimap.simulate(tmp_path / "a.npy", scan=(3, 4), detector=(24, 24), grains=2)
    assert capsys.readouterr().err.startswith("simulate a scan: done in ")
    orimap.simulate(tmp_path / "b.npy", scan=(3, 4), detector=(24, 24), grains=2, quiet=True)
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("same_workers")
def test_a_decision_is_made_anew(results, tmp_path):
    shutil.copytree(results.folder, tmp_path / "out")
    answer = orimap.decide(tmp_path / "out", strategy="knee", dry_run=True, quiet=True)
    assert (answer.strategy, answer.patterns) == ("knee", 2)
    assert orimap.open(tmp_path / "out").attrs["request"]["strategy"] == "evidence"
    decided = orimap.decide(tmp_path / "out", strategy="knee", quiet=True)
    assert decided.attrs["request"]["strategy"] == "knee"
    assert decided.number == 2


def test_a_decision_takes_no_options_of_the_fits(results):
    with pytest.raises(InputError, match="bin: the fits were made with"):
        orimap.decide(results, bin=2)


def test_a_folder_without_complete_results_is_refused(tmp_path):
    store = tmp_path / "analysis.zarr"
    none = r"no complete analysis\.zarr in"
    for prepare, said in (
        (lambda: None, none),
        (store.mkdir, r"analysis\.zarr is damaged \(its zarr\.json is cut or missing\)"),
        (lambda: zarr.create_group(store, path="sketch"), none),
    ):
        prepare()
        with pytest.raises(InputError, match=said):
            orimap.open(tmp_path)


def test_options_at_fault_are_named(tmp_path):
    with pytest.raises(InputError, match=r"did you mean filter\?"):
        orimap.run(tmp_path / "scan.npy", tmp_path / "results", fliter="mean")
    with pytest.raises(InputError, match="number of grains between 1 and"):
        orimap.simulate(tmp_path / "scan.npy", grains=0)
    # First what is wrong with the file, whatever the recipe is.
    with pytest.raises(InputError, match=r"ends in \.zarr"):
        orimap.simulate(tmp_path / "s.txt", scan=(4, 4))
    (tmp_path / "scan.npy").write_text("somebody's work")
    with pytest.raises(InputError, match=r"or replace it with force$"):
        orimap.simulate(tmp_path / "scan.npy", scan="4x5", grains=2)
    assert (tmp_path / "scan.npy").read_text() == "somebody's work"


def test_what_python_gives_goes_before_the_file_and_none_is_not_given(scan, tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("distinct: 2\nk: 1:3\n")
    needs = orimap.run(scan, tmp_path / "o", config=file, k=None, components=2, dry_run=True)
    assert needs.range_of_k == (1, 3)
