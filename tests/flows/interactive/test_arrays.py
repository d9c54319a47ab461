import dask.array as da
import numpy as np
import pytest
import xarray as xr

import orimap
from orimap.flows.interactive import arrays
from orimap.tasks.errors import InputError, UnavailableError
from orimap.tasks.store.locks import held


@pytest.fixture(scope="module")
def scan(small_run_scan):
    return small_run_scan


@pytest.fixture(scope="module")
def results(small_run):
    return small_run


@pytest.fixture(scope="module")
def array(scan):
    """The scan as a labelled array with Dask."""
    return xr.open_zarr(scan, consolidated=False)["pattern_intensity"].chunk(scan_y=3)


@pytest.mark.usefixtures("same_workers")
def test_an_array_is_analysed_as_its_file_is(results, array, tmp_path, capsys):
    out = tmp_path / "out"
    found = orimap.run(array, out, k="1:4", workers=1)
    np.testing.assert_array_equal(found.labels, results.labels)
    assert found.labels["scan_y"].attrs["units"] == "nm"
    assert found.attrs["acquisition"] == "pattern_intensity"
    assert not (out / arrays.ARRAY_FOLDER).exists()
    said = capsys.readouterr().err
    assert said.startswith("take the array: done in ")
    assert "already holds" not in said
    # The same values in memory, with their axes, are the same array.
    orimap.run(array.load(), out, k="1:4", workers=1)
    assert "already holds the results of this request" in capsys.readouterr().err
    assert not (out / arrays.ARRAY_FOLDER).exists()


def test_a_dry_run_writes_nothing(array, tmp_path):
    needs = orimap.run(array, tmp_path / "out", k="1:3", dry_run=True)
    assert needs.range_of_k == (1, 3)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["scan.npy", "scan.npy/b", "/proc/foo", "a" * 300])
@pytest.mark.parametrize("kind", ["array", "file"])
def test_a_dry_run_checks_where_the_results_go(array, scan, tmp_path, kind, place):
    (tmp_path / "scan.npy").write_text("somebody's work")
    given = array if kind == "array" else scan
    with pytest.raises(InputError, match="a folder that can be written for the results"):
        orimap.run(given, tmp_path / place, k="1:3", dry_run=True)


def test_a_dry_run_of_an_array_counts_the_room_for_the_array_itself(tmp_path):
    array = da.zeros((1024,) * 4, dtype=np.uint16, chunks=(16, 16, 1024, 1024))
    with pytest.raises(InputError, match="disk space for the results") as raised:
        orimap.run(array, tmp_path / "out", k="1:3", dry_run=True, bin=64)
    assert "up to 2.2 TB" in raised.value.needed


@pytest.mark.parametrize(
    ("given", "asked", "said"),
    [
        (np.ones((4, 5)), {}, "NumPy array: 4×5"),
        (da.ones((4, 5, 6, 7)), {"k": "1:900"}, 'k="1:900"'),
        (da.ones((4, 5, 6, 7)), {"fliter": "mean"}, "did you mean filter"),
        (da.ones((4, 5, 6, 7)), {"crop": "0:9,0:9"}, "crop"),
        (["scan.npy"], {}, "found: list"),
    ],
    ids=["shape", "k", "name", "crop", "list"],
)
def test_what_is_at_fault_is_said_before_anything_is_written(given, asked, said, tmp_path):
    with pytest.raises(InputError, match=said):
        orimap.run(given, tmp_path / "out", quiet=True, **asked)
    assert not (tmp_path / "out").exists()


def test_the_array_of_another_run_is_left_alone(array, tmp_path):
    folder = tmp_path / arrays.ARRAY_FOLDER
    (folder / "theirs").mkdir(parents=True)
    with held(folder / ".lock"), pytest.raises(UnavailableError, match="another run is writing"):
        orimap.run(array, tmp_path, quiet=True)
    assert (folder / "theirs").exists()


@pytest.mark.usefixtures("same_workers")
def test_a_run_that_fails_leaves_no_array_behind(tmp_path):
    with pytest.raises(InputError, match="NumPy array is 0"):
        orimap.run(np.zeros((4, 5, 24, 24), np.uint16), tmp_path / "out", quiet=True)
    assert not (tmp_path / "out").exists()
