"""Chunks that are lost or changed: noticed, and just that part made anew.

Of every array of both stores in `make faults`; here of one array of patterns, fits and maps.
"""

import json
import shutil

import numpy as np
import pytest
import xarray as xr
import zarr

from orimap.flows.pipeline.redecide import redecide
from orimap.flows.pipeline.runtime.runner import NoDisplay, PlainRunner
from orimap.tasks.export.export import export_results
from orimap.tasks.store.open_results import open_results
from orimap.tasks.store.whole.damage import DamagedError
from orimap.tasks.store.whole.results import damage_of_results

STORES = ("patterns.zarr", "analysis.zarr")


@pytest.fixture(scope="module")
def whole(sharing_workers, bare_pages, run, tiny, tmp_path_factory):
    """A finished run with all that can be kept; not to be written to."""
    with sharing_workers(), bare_pages():
        return run(tiny, tmp_path_factory.mktemp("whole") / "results", k="1:2", keep="all")


@pytest.fixture
def output(whole, tmp_path):
    """A folder of its own with the results of that run."""
    return shutil.copytree(whole, tmp_path / "output")


@pytest.fixture
def again(run, tiny, same_workers):
    """Give the request of that run again."""
    return lambda output: run(tiny, output, k="1:2", keep="all")


def arrays_of(folder):
    """Return all arrays of both stores by their names."""
    return {
        f"{store}/{name}": node
        for store in STORES
        for name, node in zarr.open_group(folder / store, mode="r").members(None)
        if isinstance(node, zarr.Array)
    }


def require_equal(folder, whole):
    made, expected = arrays_of(folder), arrays_of(whole)
    assert made.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(made[name][...], array[...], err_msg=name)


def chunks_of(folder, name):
    return sorted(path for path in (folder / name / "c").rglob("*") if path.is_file())


def lose(chunk):
    chunk.unlink()


def empty(chunk):
    chunk.write_bytes(b"")


def flip(chunk):
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 4
    chunk.write_bytes(content)


def slowly(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


def steps_of(folder):
    """Return for every step whether all of it was there already; a wider range repeats steps."""
    steps = json.loads((folder / "run.json").read_text())["steps"]
    return {
        name: all(step["reused"] for step in steps if step["name"] == name)
        for name in {step["name"] for step in steps}
    }


@pytest.mark.parametrize(
    ("harm", "name", "anew"),
    [
        (lose, "patterns.zarr/raw/pattern_intensity", {"ingest"}),
        slowly(flip, "patterns.zarr/raw/scan_y", {"ingest"}),
        slowly(flip, "patterns.zarr/beam/scan_beam_shift", {"centre"}),
        slowly(empty, "analysis.zarr/sketch/scan_basis", {"sketch"}),
        (flip, "analysis.zarr/fits/k02/scan_weight", {"score"}),
        (flip, "analysis.zarr/decision/k", {"decide"}),
        (empty, "analysis.zarr/clusters/cluster_label", {"clusters"}),
    ],
)
def test_what_is_damaged_is_made_anew_and_nothing_else(
    again, output, whole, harm, name, anew, capsys
):
    harm(chunks_of(output, name)[0])
    group = name.rpartition("/")[0]
    assert list(damage_of_results(output)) == [group]
    again(output)
    require_equal(output, whole)
    steps = steps_of(output)
    assert {step for step, reused in steps.items() if not reused} <= anew | {"decide", "report"}
    assert not any(steps[step] for step in anew)
    assert damage_of_results(output) == {}


@pytest.mark.slow
@pytest.mark.parametrize("harm", [lose, flip])
def test_every_array_of_both_stores_is_made_anew(again, output, whole, tmp_path, harm):
    done = 0
    for name, array in arrays_of(whole).items():
        chunks = chunks_of(whole, name)
        if not chunks:  # nothing but zeros
            assert not np.any(array[...])
            continue
        damaged = shutil.copytree(whole, tmp_path / f"{done}")
        harm(damaged / chunks[-1].relative_to(whole))
        assert list(damage_of_results(damaged)) == [name.rpartition("/")[0]]
        again(damaged)
        require_equal(damaged, whole)
        shutil.rmtree(damaged)
        done += 1
    assert done > 100


@pytest.mark.parametrize("content", [b"", b'{"zarr_format": 3, "node_ty'])
@pytest.mark.parametrize(
    "place",
    [
        "analysis.zarr",
        "analysis.zarr/fits",
        "analysis.zarr/fits/k01",
        "analysis.zarr/decision/k_distinct",
        "patterns.zarr",
        "patterns.zarr/raw",
        "patterns.zarr/beam/scan_pixel_shift",
    ],
)
@pytest.mark.slow
def test_metadata_that_a_power_cut_has_cut_is_made_anew(again, output, whole, place, content):
    (output / place / "zarr.json").write_bytes(content)
    with pytest.raises(DamagedError, match=r"zarr\.json"):
        open_results(output)
    again(output)
    require_equal(output, whole)


def test_a_root_that_a_power_cut_has_emptied_is_made_anew(again, output, whole):
    (output / "analysis.zarr" / "zarr.json").write_bytes(b"")
    with pytest.raises(DamagedError, match="cut or missing"):
        redecide(output, {}, PlainRunner(NoDisplay()))
    again(output)
    require_equal(output, whole)
    assert {step for step, reused in steps_of(output).items() if not reused} <= {
        *("decide", "report")
    }


@pytest.mark.parametrize("name", ["run.json", "report.html"])
def test_pages_and_records_that_are_cut_or_of_other_results_are_written_anew(again, output, name):
    whole = (output / name).read_bytes()
    (output / name).write_bytes(whole[:40] if name == "run.json" else b"")
    again(output)
    assert len((output / name).read_bytes()) >= len(whole) // 2
    assert {step for step, reused in steps_of(output).items() if not reused} <= {
        *("decide", "report")
    }


def test_all_that_reads_results_names_the_damaged_group_and_what_to_do(output):
    flip(chunks_of(output, "analysis.zarr/clusters/cluster_share")[0])
    readers = (
        lambda: open_results(output),
        lambda: redecide(output, {}, PlainRunner(NoDisplay())),
        lambda: export_results(output, "npz"),
    )
    for read in readers:
        with pytest.raises(DamagedError) as refused:
            read()
        assert (
            "analysis.zarr/clusters is damaged (cluster_share: the checksum" in refused.value.found
        )
        assert "orimap run" in refused.value.remedy


def test_a_chunk_that_is_lost_meanwhile_is_an_error_and_no_zeros(output):
    tree = open_results(output)
    chunks_of(output, "analysis.zarr/clusters/cluster_label")[0].unlink()
    assert isinstance(tree, xr.DataTree)
    with pytest.raises(DamagedError, match="/clusters"):
        open_results(output)
