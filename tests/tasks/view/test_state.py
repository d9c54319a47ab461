import numpy as np
import pytest
import zarr

from orimap.tasks.store import variables as v
from orimap.tasks.store.groups import write_group
from orimap.tasks.store.locks import held
from orimap.tasks.view.state import read_state, state_key


def write(store, group, mark="m"):
    ds = v.dataset({v.scan_total_intensity: np.ones((2, 3))})
    write_group(store, group, ds, mark)


@pytest.fixture
def complete(tmp_path):
    """A folder of complete results with their patterns."""
    for group in ("acquisition", "clusters"):
        write(tmp_path / "analysis.zarr", group, "a")
    zarr.open_group(tmp_path / "analysis.zarr", mode="r+").attrs["status"] = "complete"
    write(tmp_path / "patterns.zarr", "raw", "a")
    return tmp_path


def test_a_run_is_as_far_as_the_groups_that_it_has_completed(tmp_path):
    assert read_state(tmp_path).words == "no results"
    unfinished = tmp_path / ".unfinished"
    with held(tmp_path / ".lock"):
        assert read_state(tmp_path).words == "running: ingest"
        unfinished.mkdir()
        state = read_state(tmp_path)
        assert (state.words, state.analysis, state.complete) == ("running: ingest", None, False)
        write(unfinished / "patterns.zarr", "raw")
        for group, step in (
            ("acquisition", "centre and filter"),
            ("analysed", "sketch"),
            ("sketch", "fit and decide"),
            ("decision", "clusters"),
            ("clusters", "baseline"),
            ("baseline", "report"),
        ):
            before = state_key(tmp_path)
            write(unfinished / "analysis.zarr", group)
            state = read_state(tmp_path)
            assert state.words == f"running: {step}"
            assert state.analysis == unfinished / "analysis.zarr"
            assert state.patterns == unfinished / "patterns.zarr"
            assert state_key(tmp_path) != before
    assert read_state(tmp_path).words == "stopped: report"


def test_complete_results_are_shown_while_a_run_writes_others(complete):
    state = read_state(complete)
    assert (state.words, state.complete) == ("complete", True)
    assert state.patterns == complete / "patterns.zarr"
    before = state_key(complete)
    write(complete / ".unfinished" / "analysis.zarr", "acquisition")
    with held(complete / ".lock"):
        state = read_state(complete)
        # What was read of them need not be read again.
        assert state_key(complete) == before
    assert (state.words, state.complete) == ("running: centre and filter", True)
    assert state.analysis == complete / "analysis.zarr"
    assert read_state(complete).words == "complete"
    write(complete / "analysis.zarr", "clusters", "b")
    assert state_key(complete) != before


def test_patterns_of_another_ingestion_are_not_those_of_the_results(complete):
    write(complete / "patterns.zarr", "raw", "b")
    assert read_state(complete).patterns is None


def test_a_group_that_is_half_written_is_not_there(tmp_path):
    store = tmp_path / ".unfinished" / "analysis.zarr"
    write(store, "acquisition")
    write(store, "analysed", mark=None)
    assert read_state(tmp_path).words == "stopped: centre and filter"
    (tmp_path / "analysis.zarr").mkdir()
    (tmp_path / "analysis.zarr" / "zarr.json").write_text("{")  # being written
    assert not read_state(tmp_path).complete
