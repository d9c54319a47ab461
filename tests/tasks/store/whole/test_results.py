import shutil

import numpy as np
import pytest
import xarray as xr
import zarr

from orimap.tasks.store.groups import mark_complete, write_group
from orimap.tasks.store.whole import results
from orimap.tasks.store.whole.damage import DamagedError
from orimap.tasks.store.whole.results import (
    complete_groups,
    damage_of_results,
    in_words,
    is_small,
    mark_of,
    recorded_groups,
    recorded_patterns,
    require_whole_results,
)


@pytest.fixture
def folder(tmp_path):
    """Complete results of two groups, and patterns of one."""
    numbers = xr.Dataset({"full": (("y", "x"), np.arange(1.0, 13).reshape(3, 4))})
    analysis, patterns = tmp_path / "analysis.zarr", tmp_path / "patterns.zarr"
    for store, groups in ((analysis, ("clusters", "fits/k01")), (patterns, ("raw",))):
        for group in groups:
            write_group(store, group, numbers, "mark")
    zarr.open_group(patterns, mode="a")
    mark_complete(
        analysis, "", "all", groups=complete_groups(analysis), patterns=complete_groups(patterns)
    )
    return tmp_path


def flip(chunk):
    content = bytearray(chunk.read_bytes())
    content[3] ^= 1
    chunk.write_bytes(content)


def test_what_belongs_to_results_is_recorded_with_them(folder):
    analysis = folder / "analysis.zarr"
    assert complete_groups(analysis) == ["clusters", "fits/k01"]
    assert recorded_groups(analysis) == ["clusters", "fits/k01"]
    assert recorded_patterns(analysis) == ["raw"]
    assert (mark_of(analysis), mark_of(analysis / "fits")) == ("all", None)
    assert damage_of_results(folder) == {}
    require_whole_results(folder)


def test_a_group_that_has_gone_and_one_that_has_changed_are_named(folder):
    shutil.rmtree(folder / "analysis.zarr" / "fits" / "k01")
    flip(folder / "patterns.zarr" / "raw" / "full" / "c" / "0" / "0")
    expected = {
        "analysis.zarr/fits/k01": "it is not there",
        "patterns.zarr/raw": "full: the checksum of c/0/0 does not fit",
    }
    assert damage_of_results(folder) == expected
    with pytest.raises(DamagedError, match=r"fits/k01 is damaged \(it is not there\); patterns"):
        require_whole_results(folder)
    with pytest.raises(DamagedError) as told:
        require_whole_results(folder, but=["fits/k01"])
    assert "fits/k01" not in str(told.value)


def test_patterns_that_somebody_has_removed_are_not_damaged(folder):
    shutil.rmtree(folder / "patterns.zarr")
    assert damage_of_results(folder) == {}


def test_of_large_stores_chunks_are_counted_alone_unless_all_is_asked_for(folder, monkeypatch):
    assert is_small(folder / "analysis.zarr")
    monkeypatch.setattr(results, "QUICK_BYTES", 100)
    assert not is_small(folder / "analysis.zarr")
    chunk = folder / "analysis.zarr" / "clusters" / "full" / "c" / "0" / "0"
    flip(chunk)
    assert damage_of_results(folder) == {}
    assert list(damage_of_results(folder, sums=True)) == ["analysis.zarr/clusters"]
    chunk.unlink()
    assert list(damage_of_results(folder)) == ["analysis.zarr/clusters"]


def test_words_name_some_and_count_the_rest():
    found = {f"a.zarr/{n}": "it is not there" for n in range(5)}
    assert in_words(found, 2) == (
        "a.zarr/0 is damaged (it is not there); a.zarr/1 is damaged (it is not there); and 3 more "
        "groups"
    )
    assert in_words({"a.zarr": "x"}) == "a.zarr is damaged (x)"
