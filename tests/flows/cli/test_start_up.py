"""What commands load: time differs from machine to machine, the modules that take it do not."""

import json
import subprocess
import sys

import pytest

from orimap.flows.watch.journal import JOURNAL, Journal
from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.write_scan import write_scan

# Each takes 0.05 s or more, most of them a multiple of that.
HEAVY = {
    *("numpy", "scipy", "pandas", "pyarrow", "xarray", "zarr", "h5py", "dask", "distributed"),
    *("numba", "sparse", "sklearn", "skimage", "dask_ml", "matplotlib", "bokeh", "rsciio"),
    *("prefect", "dask_jobqueue", "rich", "pymcdm", "kneed"),
}
SCRIPT = """
import json, sys
from orimap.flows.cli.main import main

sys.argv[0] = "orimap"
code = 0
try:
    main()
except SystemExit as end:
    code = end.code
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def loaded_by(*arguments):
    """Run a command, which must succeed, and return what heavy it has loaded."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, arguments)], capture_output=True, text=True
    )
    code, modules = json.loads(done.stdout.splitlines()[-1])
    assert code == 0, done.stderr
    return HEAVY & set(modules)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Small scans in several formats, and the journal of a watched folder."""
    folder = tmp_path_factory.mktemp("start up")
    for ending in ("npy", "blo", "hspy", "zarr"):
        recipe = ScanRecipe(scan=(4, 5), detector=(32, 32), grains=2)
        write_scan(recipe, folder / f"scan.{ending}", force=True)
    (folder / ".orimap").mkdir()
    with Journal(folder / ".orimap" / JOURNAL) as journal:
        journal.set_meta("folder", str(folder))
    return folder


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",), ("--version",), ("run", "--help"), ("info", "--help"), ("watch", "--help"),
        ("status", "--help"), ("decide", "--help"), ("export", "--help"), ("view", "--help"),
        ("cluster", "check", "--help"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_help_loads_nothing_heavy(arguments):
    assert loaded_by(*arguments) == set()


def test_status_loads_nothing_heavy(folder):
    assert loaded_by("status", "--results", folder) == set()


@pytest.mark.parametrize("ending", ["npy", "blo", "hspy", "zarr"])
def test_info_loads_what_reads_and_describes_and_neither_workers_nor_figures(folder, ending):
    later = {"numba", "distributed", "bokeh", "matplotlib", "sklearn", "skimage", "prefect"}
    loaded = loaded_by("info", folder / f"scan.{ending}")
    assert "numpy" in loaded
    assert loaded & later == set()


def test_a_dry_run_loads_neither_workers_nor_figures_nor_prefect(folder):
    loaded = loaded_by("run", folder / "scan.blo", "--output", folder / "results", "--dry-run")
    assert "numba" in loaded
    later = {"distributed", "bokeh", "matplotlib", "sklearn", "skimage", "dask_ml", "prefect"}
    assert loaded & later == set()
