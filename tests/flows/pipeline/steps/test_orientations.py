"""Runs that name crystals index their clusters, and what is decided later is indexed as well."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

import orimap
from orimap.flows.pipeline import results as pipeline_results
from orimap.flows.pipeline.steps import orientations as step
from orimap.flows.pipeline.steps.orientations import NOTHING, earlier_indexing, is_indexed
from orimap.tasks.errors import InputError
from orimap.tasks.index import indexing
from orimap.tasks.index.crystals.read_cif import read_crystal
from orimap.tasks.index.crystals.symmetry import as_matrices, laue_turns, misorientation_deg
from orimap.tasks.index.index_results import Setup
from orimap.tasks.index.indexing import Indexing
from orimap.tasks.store.groups import complete_mark, group_attributes

CRYSTALS = Path(__file__).parents[3] / "tasks" / "index" / "crystals"
# The simulator's z goes with the electrons, that of orientations against them.
AGAINST = np.diag([-1.0, -1, 1])
ASKED = {"k": "1:4", "workers": 1, "quiet": True}


@pytest.fixture(scope="module")
def crystal(tmp_path_factory):
    """The CIF of what is simulated; it goes before anything is decided anew."""
    return Path(shutil.copy(CRYSTALS / "lnmo_disordered.cif", tmp_path_factory.mktemp("cif")))


@pytest.fixture(scope="module")
def indexed(sharing_workers, bare_pages, small_run_scan, crystal, tmp_path_factory):
    """A run of two grains that names its crystal; not to be changed."""
    folder = tmp_path_factory.mktemp("indexed") / "results"
    with sharing_workers(), bare_pages():
        orimap.run(small_run_scan, folder, crystals=crystal, **ASKED)
    return folder


@pytest.fixture
def copied(indexed, tmp_path):
    return shutil.copytree(indexed, tmp_path / "copied")


def errors_of(folder, truth, number_of):
    """Return by how much the orientation of each cluster is off, in degrees."""
    results = orimap.open(folder)
    found, turns = results.orientations, laue_turns(read_crystal(CRYSTALS / "lnmo_disordered.cif"))
    return [
        float(
            misorientation_deg(
                as_matrices(found["cluster_quaternion"].sel(cluster=number).values),
                AGAINST @ truth["rotations"][grain],
                turns,
            )
        )
        for number, grain in number_of(results).items()
    ]


def grains_of(results, truth):
    return {
        number: np.bincount(truth["labels"][results.labels.values == number]).argmax()
        for number in range(1, results.number + 1)
    }


def root(folder):
    return group_attributes(folder / "analysis.zarr", "")


def test_a_run_finds_the_orientations_that_were_simulated(indexed, small_run_scan, crystal):
    truth = np.load(small_run_scan.with_suffix(".npz"))
    errors = errors_of(indexed, truth, lambda results: grains_of(results, truth))
    assert len(errors) == 2
    assert max(errors) < 0.3
    attrs = orimap.open(indexed).orientations.attrs
    assert attrs["crystals"] == ["lnmo_disordered"]
    assert attrs["crystal_texts"] == [crystal.read_text()]
    assert (attrs["beam_energy_kev"], attrs["beam_energy_assumed"]) == (200.0, False)
    record = json.loads((indexed / "run.json").read_text())
    assert [step["name"] for step in record["steps"]][-2:] == ["index", "report"]
    assert record["request"]["crystals"] == [str(crystal)]
    asked = Indexing.read([crystal], Setup())
    assert is_indexed(indexed / "analysis.zarr", asked)
    assert not is_indexed(indexed / "analysis.zarr", Indexing.read([crystal], Setup(flip=True)))
    assert earlier_indexing(indexed / "analysis.zarr") == (asked, "")


def test_crystals_are_no_part_of_what_else_is_made(indexed, small_run):
    for group in ("", "decision", "clusters", "fits/k02", "baseline"):
        marks = {complete_mark(f / "analysis.zarr", group) for f in (indexed, small_run.folder)}
        assert len(marks) == 1


def test_another_decision_is_indexed_without_the_file(
    copied, small_run_scan, crystal, same_workers, tmp_path
):
    kept = crystal.rename(tmp_path / "elsewhere.cif")
    try:
        orimap.decide(copied, distinct=1, quiet=True)
        found = orimap.open(copied).orientations
        assert found.sizes["cluster"] == 1
        assert found.attrs["crystals"] == ["lnmo_disordered"]
        # Also by a run that does not name the crystal.
        orimap.run(small_run_scan, copied, distinct=2, **ASKED)
        truth = np.load(small_run_scan.with_suffix(".npz"))
        errors = errors_of(copied, truth, lambda results: grains_of(results, truth))
        assert max(errors) < 0.3
    finally:
        kept.rename(crystal)
    assert not [note for note in root(copied)["notes"] if note.startswith("The orientations")]


def test_orientations_that_cannot_follow_are_left_out_with_a_note(
    copied, crystal, same_workers, monkeypatch
):
    monkeypatch.setattr(indexing, "LARGEST_STORED_BYTES", 10)
    orimap.index(copied, crystal, quiet=True)
    assert orimap.open(copied).orientations.sizes["cluster"] == 2
    orimap.decide(copied, distinct=1, quiet=True)
    said = [note for note in root(copied)["notes"] if note.startswith("The orientations")]
    assert len(said) == 1
    assert f"orimap index {copied} --crystal lnmo_disordered.cif" in said[0]
    with pytest.raises(InputError, match=r"orimap\.index"):
        _ = orimap.open(copied).orientations


def test_other_patterns_are_not_indexed_with_earlier_crystals(copied, small_run_scan, same_workers):
    orimap.run(small_run_scan, copied, bin=2, **ASKED)
    assert "orientations" not in orimap.open(copied).tree
    said = [note for note in root(copied)["notes"] if note.startswith("The orientations")]
    assert len(said) == 1
    assert "other patterns" in said[0]


@pytest.mark.slow
def test_what_an_interrupted_run_has_indexed_is_not_of_one_without_crystals(
    small_run_scan, crystal, same_workers, tmp_path, monkeypatch
):
    def raising(*_args, **_kwargs):
        raise RuntimeError("interrupted")

    folder = tmp_path / "results"
    with monkeypatch.context() as patch:
        patch.setattr(pipeline_results, "write_report", raising)
        with pytest.raises(RuntimeError, match="interrupted"):
            orimap.run(small_run_scan, folder, crystals=[crystal], **ASKED)
    waiting = folder / ".unfinished" / "analysis.zarr"
    assert complete_mark(waiting, "orientations") is not None
    orimap.run(small_run_scan, folder, **ASKED)
    assert not (folder / "analysis.zarr" / "orientations").exists()


def test_patterns_that_are_not_calibrated_leave_the_run_whole_and_say_why(
    small_run_scan, crystal, same_workers, tmp_path
):
    patterns = tmp_path / "scan.npy"
    np.save(patterns, zarr.open_group(small_run_scan, mode="r")["pattern_intensity"][:])
    folder = tmp_path / "results"
    results = orimap.run(patterns, folder, crystals=[crystal], **ASKED)
    assert results.number == 2
    said = [note for note in root(folder)["notes"] if note.startswith(NOTHING)]
    assert len(said) == 1
    assert "a calibrated detector" in said[0]
    assert "--detector-step" in said[0]
    assert "orientations" not in results.tree
    before = (folder / "run.json").stat().st_mtime_ns
    orimap.run(patterns, folder, crystals=[crystal], **ASKED)
    assert (folder / "run.json").stat().st_mtime_ns == before
    # Asked otherwise it is tried again, and decided anew as well; it is said once.
    orimap.run(patterns, folder, crystals=[crystal], precession=1, **ASKED)
    orimap.decide(folder, distinct=1, quiet=True)
    assert [note for note in root(folder)["notes"] if note.startswith(NOTHING)] == said
    found, _ = earlier_indexing(folder / "analysis.zarr")
    assert found.setup.precession_deg == 1
    # What the file lacks can be told.
    orimap.run(patterns, folder, crystals=[crystal], detector_step="0.0609/Å", **ASKED)
    assert orimap.open(folder).orientations.sizes["cluster"] == 2
    assert "not_indexed" not in root(folder)


def test_an_error_while_indexing_costs_orientations_alone(
    copied, small_run_scan, crystal, same_workers, tmp_path, monkeypatch
):
    def raising(*_args, **_kwargs):
        raise ArithmeticError("no convergence")

    folder = tmp_path / "results"
    with monkeypatch.context() as patch:
        patch.setattr(step, "index_stored", raising)
        with pytest.raises(ArithmeticError, match="no convergence"):
            orimap.run(small_run_scan, folder, crystals=[crystal], **ASKED)
        with pytest.raises(ArithmeticError, match="no convergence"):
            orimap.decide(copied, distinct=1, quiet=True)
    for whole, number in ((folder, 2), (copied, 1)):
        results = orimap.open(whole)
        assert results.number == number
        assert "orientations" not in results.tree
        assert len([note for note in root(whole)["notes"] if note.startswith(NOTHING)]) == 1
        assert not (whole / ".unfinished").exists()
        assert earlier_indexing(whole / "analysis.zarr")[0] == Indexing.read([crystal], Setup())
    # The same command again only indexes.
    del same_workers[:]
    orimap.run(small_run_scan, folder, crystals=[crystal], **ASKED)
    assert same_workers == []
    assert orimap.open(folder).orientations.sizes["cluster"] == 2
    assert not [note for note in root(folder)["notes"] if note.startswith(NOTHING)]


def test_clusters_that_are_corrected_by_hand_are_indexed_too(copied, same_workers):
    orimap.edit(copied, rename={1: "matrix"}, revision="named", quiet=True)
    orimap.edit(copied, merge=[(1, 2)], revision="one", quiet=True)
    automatic = orimap.open(copied).orientations
    named, one = (orimap.open(copied, name).orientations for name in ("named", "one"))
    np.testing.assert_array_equal(named["cluster_quaternion"], automatic["cluster_quaternion"])
    assert one.sizes["cluster"] == 1
    assert one.attrs["crystals"] == ["lnmo_disordered"]
    assert orimap.verify(copied).keys() <= {"report.html"}  # a bare page


def test_a_crystal_at_fault_is_refused_before_anything_is_made(small_run_scan, tmp_path):
    (tmp_path / "wrong.cif").write_text("this is no crystal\n")
    with pytest.raises(InputError, match="no CIF"):
        orimap.run(small_run_scan, tmp_path / "r", crystals=[tmp_path / "wrong.cif"], **ASKED)
    with pytest.raises(InputError, match="crystals"):
        orimap.run(small_run_scan, tmp_path / "r", crystals=[5], **ASKED)
    assert not (tmp_path / "r").exists()
