"""orimap index on a small simulated scan whose orientations are known."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import orimap
from orimap.flows.cli import main
from orimap.tasks.errors import InputError
from orimap.tasks.index.crystals.read_cif import read_crystal
from orimap.tasks.index.crystals.symmetry import as_matrices, laue_turns, misorientation_deg
from orimap.tasks.store.groups import complete_mark
from orimap.tasks.store.whole.metadata import read_metadata, write_metadata
from orimap.tasks.store.whole.seal import seal

CRYSTALS = Path(__file__).parents[2] / "tasks" / "index" / "crystals"
LNMO = CRYSTALS / "lnmo_disordered.cif"
# The simulator's z goes with the electrons, that of orientations against them.
AGAINST = np.diag([-1.0, -1, 1])


def _call(*arguments):
    return CliRunner().invoke(main.app, ["index", *map(str, arguments)])


@pytest.fixture(autouse=True)
def fast(few_figures):
    """Reports have few figures."""
    with few_figures():
        yield


@pytest.fixture
def copied(small_run, tmp_path):
    """The results of two grains, to be changed."""
    folder = tmp_path / "results"
    shutil.copytree(small_run.folder, folder)
    return folder


def files_of(folder):
    """Return name, size and time of every file but the lock."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_known_orientations_are_found_stored_and_shown(copied, small_run_scan):
    before = {name: complete_mark(copied / "analysis.zarr", name) for name in ("clusters", "")}
    answer = _call(copied, "--crystal", LNMO, "--beam-energy", "200keV", "--quiet")
    assert answer.exit_code == 0, answer.output
    lines = answer.stdout.splitlines()
    assert lines[0].startswith("1  lnmo_disordered [")
    assert "reliability 0." in lines[1]
    assert lines[-1] == f"report: {copied / 'report.html'}"
    assert "assumed" not in answer.stdout
    results = orimap.open(copied)
    found = results.orientations
    truth = np.load(small_run_scan.with_suffix(".npz"))
    turns = laue_turns(read_crystal(LNMO))
    for number in (1, 2):
        grain = np.bincount(truth["labels"][results.labels.values == number]).argmax()
        quaternion = found["cluster_quaternion"].sel(cluster=number).values
        error = misorientation_deg(
            as_matrices(quaternion), AGAINST @ truth["rotations"][grain], turns
        )
        assert error < 0.3
    assert found["boundary_cluster"].values.tolist() == [[1, 2]]
    assert float(found["boundary_angle"][0]) == pytest.approx(
        truth["misorientation_deg"][0, 1], abs=0.5
    )
    assert found.attrs["beam_energy_assumed"] is False
    page = (copied / "report.html").read_text()
    assert "Which crystal each cluster is, and how it is oriented" in page
    assert (copied / "figures" / "orientations.png").is_file()
    # Everything else is as it was, and all of it whole.
    after = {name: complete_mark(copied / "analysis.zarr", name) for name in before}
    assert after == before
    assert orimap.verify(copied) == {}
    assert not (copied / ".unfinished").exists()
    # Whatever is lost is noticed.
    shutil.rmtree(copied / "analysis.zarr" / "orientations")
    assert "analysis.zarr/orientations" in orimap.verify(copied)


def test_the_same_from_python_replaces_what_was_indexed_before(copied):
    with pytest.raises(InputError, match=r"orimap\.index"):
        _ = orimap.open(copied).orientations
    files = [CRYSTALS / "gold.cif", LNMO]
    found = orimap.index(copied, files, precession=0.1, beam_energy=200, quiet=True).orientations
    assert found.attrs["crystals"] == ["gold", "lnmo_disordered"]
    assert found.attrs["precession_deg"] == 0.1
    assert found["cluster_phase"].values.tolist() == [1, 1]
    assert (copied / "figures" / "phases.png").is_file()
    again = orimap.index(copied, LNMO, quiet=True).orientations
    assert again.attrs["crystals"] == ["lnmo_disordered"]
    assert not (copied / "figures" / "phases.png").exists()


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cif")
    (folder / "wrong.cif").write_text("this is no crystal\n")
    lines = LNMO.read_text().splitlines()
    first = next(n for n, line in enumerate(lines) if "_atom_site" in line) - 1
    (folder / "bare.cif").write_text("\n".join(lines[:first]) + "\n")
    return folder


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--crystal", "wrong.cif"], "no CIF"),
        (["--crystal", "missing.cif"], "No such file"),
        (["--crystal", "bare.cif"], "no atoms"),
        ([], "give --crystal FILE.cif"),
        (["--crystal", LNMO, "--precession", "70"], "--precession 70"),
        (["--crystal", LNMO, "--beam-energy", "much"], "--beam-energy much"),
    ],
)
def test_a_fault_is_said_once_and_the_results_stay(small_run, faulty, options, said):
    before = files_of(small_run.folder)
    given = [faulty / each if str(each).endswith(".cif") else each for each in options]
    answer = _call(small_run.folder, *given, "--quiet")
    assert answer.exit_code == 2
    assert said in answer.stderr
    assert len(answer.stderr.strip().splitlines()) <= 3
    assert files_of(small_run.folder) == before


def test_patterns_without_a_calibration_are_refused(copied):
    node = copied / "analysis.zarr" / "acquisition"
    metadata = read_metadata(node)
    metadata["attributes"] |= {"detector_units": "px", "detector_step": [1.0, 1.0]}
    write_metadata(node, metadata)
    seal(copied / "analysis.zarr", "acquisition")
    before = files_of(copied)
    answer = _call(copied, "--crystal", LNMO, "--quiet")
    assert answer.exit_code == 2
    assert "run again with --detector-step" in answer.stderr
    assert files_of(copied) == before


def test_a_folder_without_results_is_refused(tmp_path):
    answer = _call(tmp_path, "--crystal", LNMO)
    assert answer.exit_code == 2
    assert "the folder of a finished run" in answer.stderr
    assert not list(tmp_path.iterdir())


def test_a_revision_has_the_orientations_of_its_own_clusters(copied):
    orimap.edit(copied, merge=[(1, 2)], revision="before", quiet=True)
    orimap.index(copied, LNMO, quiet=True)
    orimap.edit(copied, merge=[(1, 2)], revision="one", quiet=True)
    assert orimap.open(copied, "one").orientations.sizes["cluster"] == 1
    with pytest.raises(InputError, match="not of revision 'before'"):
        _ = orimap.open(copied, "before").orientations
    for name, there in (("one", True), ("before", False)):
        report = CliRunner().invoke(main.app, ["report", str(copied), "--revision", name])
        assert report.exit_code == 0
        assert ('id="orientations"' in (copied / f"report-{name}.html").read_text()) is there
    assert json.loads((copied / "run.json").read_text())["request"]["k"] == [1, 4]
