"""Results that are whole are indexed and nothing else: other crystals, the same fits."""

import json
import shutil
from pathlib import Path

import pytest

import orimap
from orimap.flows.pipeline.index import index
from orimap.flows.pipeline.runtime.runner import NoDisplay, PlainRunner
from orimap.tasks.errors import InputError
from orimap.tasks.index.index_results import Setup
from orimap.tasks.store.groups import complete_mark, group_attributes
from orimap.tasks.store.whole.damage import DamagedError

CRYSTALS = Path(__file__).parents[2] / "tasks" / "index" / "crystals"
LNMO, GOLD = CRYSTALS / "lnmo_disordered.cif", CRYSTALS / "gold.cif"
ASKED = {"k": "1:4", "workers": 1, "quiet": True}


@pytest.fixture
def copied(small_run, tmp_path):
    """The results of two grains, which nobody has indexed."""
    return shutil.copytree(small_run.folder, tmp_path / "results")


def files_of(folder):
    """Return name, size and time of all that no orientation is in."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for store in ("analysis.zarr", "patterns.zarr")
        for path in (folder / store).rglob("c/**/*")
        if path.is_file() and "orientations" not in path.parts
    }


def test_a_run_with_other_crystals_only_indexes(copied, small_run_scan, same_workers, tmp_path):
    before, record = files_of(copied), json.loads((copied / "run.json").read_text())
    orimap.run(small_run_scan, copied, crystals=LNMO, **ASKED)
    assert orimap.open(copied).orientations.attrs["crystals"] == ["lnmo_disordered"]
    orimap.run(small_run_scan, copied, crystals=[GOLD, LNMO], precession=0.1, **ASKED)
    found = orimap.open(copied).orientations
    assert found.attrs["crystals"] == ["gold", "lnmo_disordered"]
    assert found["cluster_phase"].values.tolist() == [1, 1]
    assert same_workers == []
    assert files_of(copied) == before
    asked = group_attributes(copied / "analysis.zarr", "")["request"]
    assert asked["crystals"] == [str(GOLD), str(LNMO)]
    assert asked["precession"] == 0.1
    now = json.loads((copied / "run.json").read_text())
    assert now["request"] == asked
    assert now["steps"] == record["steps"]
    # Neither the same crystals elsewhere nor none at all are anything new; other bytes are.
    mark = complete_mark(copied / "analysis.zarr", "orientations")
    moved = [Path(shutil.copy(each, tmp_path)) for each in (GOLD, LNMO)]
    orimap.run(small_run_scan, copied, crystals=moved, precession=0.1, **ASKED)
    orimap.run(small_run_scan, copied, **ASKED)
    assert complete_mark(copied / "analysis.zarr", "orientations") == mark
    moved[1].write_text(LNMO.read_text() + "# looked through\n")
    orimap.run(small_run_scan, copied, crystals=moved, precession=0.1, **ASKED)
    assert complete_mark(copied / "analysis.zarr", "orientations") != mark
    assert same_workers == []


def test_what_cannot_be_is_refused_and_the_results_stay(copied):
    before = files_of(copied)
    runner = PlainRunner(NoDisplay())
    for crystals, setup, said in (
        ([], Setup(), "give --crystal"),
        ([LNMO], Setup(precession_deg=70), "--precession 70"),
        ([LNMO], Setup(rotation_deg=400), "--detector-rotation 400"),
    ):
        with pytest.raises(InputError, match=said):
            index(copied, crystals, setup, runner)
    assert files_of(copied) == before


def test_orientations_that_are_damaged_are_made_anew_and_anything_else_is_named(copied):
    runner = PlainRunner(NoDisplay())
    index(copied, [LNMO], Setup(), runner)
    analysis = copied / "analysis.zarr"
    before = orimap.open(copied).orientations
    for chunk in (analysis / "orientations").rglob("c/**/*"):
        if chunk.is_file():
            chunk.write_bytes(b"")
    assert list(orimap.verify(copied)) == ["analysis.zarr/orientations"]
    index(copied, [LNMO], Setup(), runner)
    assert orimap.verify(copied) == {}
    assert orimap.open(copied).orientations.identical(before)
    shutil.rmtree(analysis / "overlap")
    with pytest.raises(DamagedError, match=r"analysis\.zarr/overlap is damaged"):
        index(copied, [LNMO], Setup(), runner)
