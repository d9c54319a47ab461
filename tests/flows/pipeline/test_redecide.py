"""Deciding anew over the stored fits of a finished run."""

import functools
import json
import shutil

import numpy as np
import pytest
import xarray as xr
import zarr
from typer.testing import CliRunner

from orimap.flows.cli import main
from orimap.flows.cli.results import AS_STORED
from orimap.flows.pipeline import redecide
from orimap.flows.pipeline.pipeline import run_pipeline
from orimap.flows.pipeline.redecide import Answer
from orimap.flows.pipeline.runtime.runner import NoDisplay, PlainRunner
from orimap.flows.pipeline.steps import conclude, factorise
from orimap.flows.request.names import option_of
from orimap.flows.request.request import Request
from orimap.tasks.decide.evidence import published
from orimap.tasks.errors import InputError, Notice
from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.write_scan import write_scan
from orimap.tasks.store.whole.seal import seal

pytestmark = pytest.mark.usefixtures("same_workers")


@pytest.fixture(scope="module")
def original(sharing_workers, bare_pages, tmp_path_factory):
    """A finished run with k from 1 to 6 on a scan of three grains, whose file is gone."""
    folder = tmp_path_factory.mktemp("original")
    scan = folder / "three.zarr"
    write_scan(ScanRecipe(scan=(9, 10), detector=(48, 48), grains=3, dose=3000, seed=3), scan)
    request = Request.read(file=scan, output=folder / "results", k="1:6")
    with sharing_workers(), bare_pages():
        run_pipeline(request, PlainRunner(NoDisplay()))
    shutil.rmtree(scan)
    return folder / "results"


@pytest.fixture
def finished(original, tmp_path):
    """A copy of the finished run, in a place of its own."""
    shutil.copytree(original, tmp_path / "moved")
    return tmp_path / "moved"


def decide(folder, **changes):
    options = {"dry_run": changes.pop("dry_run", False)}
    return redecide.redecide(folder, changes, PlainRunner(NoDisplay()), **options)


def results(folder):
    return xr.open_datatree(folder / "analysis.zarr", engine="zarr", consolidated=False)


def facts(folder, group=""):
    return dict(zarr.open_group(folder / "analysis.zarr", path=group, mode="r").attrs)


class Told(PlainRunner):
    """Keeps what it is told of the steps."""

    def expect(self, seconds):
        self.expected = dict(seconds)


def test_steps_are_expected_to_take_as_long_as_when_the_results_were_made(finished):
    runner = Told(NoDisplay())
    record = finished / "run.json"
    run = json.loads(record.read_text())
    for step in run["steps"]:
        if step["name"] in ("clusters", "report"):
            step["seconds"] = 7.5
    record.write_text(json.dumps(run))
    redecide.redecide(finished, {}, runner, dry_run=True)
    assert list(runner.expected) == ["stored fits", "decide"]
    record.unlink()
    redecide.redecide(finished, {}, runner, dry_run=True)
    assert runner.expected == {"stored fits": 0.0, "decide": 0.0}
    record.write_text(json.dumps(run))
    redecide.redecide(finished, {"strategy": "knee"}, runner)
    names = ["stored fits", "decide", "clusters", "baseline", "report"]
    assert list(runner.expected) == names
    assert runner.expected["clusters"] == runner.expected["report"] == 7.5


def made_before(folder):
    """The bytes of everything that was made before the decision, and when they were written."""
    store = folder / "analysis.zarr"
    groups = ("acquisition", "analysed", "sketch", "sketch_training", "basis_fits", "fits")
    return {
        str(path.relative_to(store)): (path.read_bytes(), path.stat().st_mtime_ns)
        for group in groups
        for path in sorted((store / group).rglob("c/**/*"))
        if path.is_file()
    }


def everything(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


@pytest.fixture
def no_fitting(monkeypatch):
    """Whoever fits or reads the file again fails."""

    def forbidden(*_args, **_kwargs):
        raise AssertionError("this must not be done again")

    for name in ("sketch", "fit", "score"):
        monkeypatch.setattr(factorise, name, forbidden)
    monkeypatch.setattr("orimap.flows.pipeline.steps.prepare.ingest", forbidden)


def test_the_knee_decides_from_the_fits_as_they_are(finished, no_fitting):
    before = made_before(finished)
    assert before
    patterns = sorted(p.stat().st_mtime_ns for p in (finished / "patterns.zarr").rglob("*"))
    was, now = decide(finished, strategy="knee")
    tree = results(finished)
    knee = tree["decision"].attrs["knee"]
    assert now.components == tree.attrs["fitted_k"] == (knee or 6)
    assert tree.attrs["decided_k"] == now.patterns == tree["clusters"].sizes["cluster"]
    assert (was.strategy, now.strategy) == ("evidence", "knee")
    assert tree.attrs["request"]["strategy"] == "knee"
    assert tree.attrs["status"] == "complete"
    # The last one is the background.
    assert len(tree["clusters"]["component_cluster"]) == now.components + 1
    assert made_before(finished) == before
    assert sorted(p.stat().st_mtime_ns for p in (finished / "patterns.zarr").rglob("*")) == patterns
    assert any("Decided anew" in note for note in tree.attrs["notes"])
    assert not (finished / ".unfinished").exists()


def test_the_report_and_the_record_are_those_of_the_new_decision(finished):
    decide(finished, strategy="elbow")
    assert json.loads((finished / "report.html").read_text())["strategy"] == "elbow"
    record = json.loads((finished / "run.json").read_text())
    assert record["request"]["strategy"] == "elbow"
    assert [(step["name"], step["reused"]) for step in record["steps"]] == [
        ("stored fits", True), ("decide", False), ("clusters", False), ("baseline", False),
        ("report", False),
    ]  # fmt: skip


def test_the_same_strategy_gives_the_same_answer(finished):
    label = results(finished)["clusters"]["cluster_label"].values
    was, now = decide(finished, strategy="evidence")
    assert now == was
    np.testing.assert_array_equal(results(finished)["clusters"]["cluster_label"].values, label)


def test_a_number_can_be_forced_and_set_free_again(finished, no_fitting):
    _, forced = decide(finished, components=5)
    assert (forced.components, forced.strategy) == (5, "forced")
    assert facts(finished)["fitted_k"] == 5
    assert facts(finished)["request"]["components"] == 5
    # Nothing asked for: as it was.
    _, again = decide(finished)
    assert again == forced
    was, freed = decide(finished, strategy="evidence")
    assert (was, freed.strategy) == (forced, "evidence")
    assert facts(finished)["request"]["components"] is None


# No fit holds five; three are decided anyway.
@pytest.mark.parametrize("number", [2, pytest.param(3, marks=pytest.mark.slow), 5])
def test_exactly_as_many_patterns_as_were_asked_for(finished, no_fitting, number):
    was, now = decide(finished, distinct=number)
    assert was.patterns == 3
    tree = results(finished)
    assert now.patterns == tree.attrs["decided_k"] == tree["clusters"].sizes["cluster"] == number
    label = tree["clusters"]["cluster_label"].values
    np.testing.assert_array_equal(np.unique(label[label >= 0]), np.arange(number))
    assert f"{number} distinct pattern" in now.reasons[0]
    held = set(tree["decision"]["k_distinct"].values.tolist())
    assert ("No fit holds exactly" in now.reasons[1]) == (number not in held)
    assert now.confidence == (was.confidence if number == 3 else "low")


@pytest.mark.slow
def test_nothing_is_merged_where_that_is_asked_for(finished, no_fitting):
    _, merged = decide(finished, components=5)
    _, now = decide(finished, no_merge=True)
    assert (now.components, merged.patterns) == (5, 3)
    assert now.patterns > merged.patterns
    assert "--no-merge" in now.reasons[0]
    # Another way to choose takes its place.
    _, two = decide(finished, distinct=2)
    assert two.patterns == 2
    request = facts(finished)["request"]
    assert (request["components"], request["no_merge"]) == (None, False)


def test_decisions_of_before_have_the_marks_of_before(finished):
    mark = facts(finished, "decision")["complete"]
    decide(finished, distinct=2)
    assert facts(finished, "decision")["complete"] != mark
    decide(finished, strategy="evidence")
    assert facts(finished, "decision")["complete"] == mark


def test_the_old_name_of_components_is_read_with_a_note(finished):
    with pytest.warns(Notice, match="--decided-k"):
        answer = CliRunner().invoke(
            main.app, ["decide", str(finished), "--quiet", "--dry-run", "--decided-k", "4"]
        )
    assert answer.exit_code == 0
    assert "fit of 4 components (forced" in answer.stdout


@pytest.mark.slow
def test_a_run_that_follows_uses_the_fits_again(finished, tmp_path):
    scan = tmp_path / "three.zarr"
    write_scan(ScanRecipe(scan=(9, 10), detector=(48, 48), grains=3, dose=3000, seed=3), scan)
    request = Request.read(file=scan, output=finished, k="1:6")
    run_pipeline(request, PlainRunner(NoDisplay()))
    decide(finished, strategy="silhouette")
    before = made_before(finished)
    run_pipeline(request.model_copy(update={"strategy": "knee"}), PlainRunner(NoDisplay()))
    assert made_before(finished) == before
    assert facts(finished, "decision")["strategy"] == "knee"


def test_a_dry_run_says_what_would_be_decided_and_changes_nothing(finished):
    before = everything(finished)
    was, would = decide(finished, distinct=4, dry_run=True)
    assert (was.patterns, would.patterns) == (3, 4)
    assert everything(finished) == before
    assert Answer.of(finished / "analysis.zarr") == was


@pytest.fixture
def small_published(monkeypatch):
    """Images of the paper's size take minutes, whatever the scan."""
    made = []

    def small(*args, **options):
        made.append(1)
        return fits(*args, side=16, **options)

    fits = published.published_fits
    monkeypatch.setattr(published, "published_fits", functools.wraps(fits)(small))
    return made


@pytest.mark.slow
def test_the_published_rule_has_fits_of_its_own_which_stay(finished, no_fitting, small_published):
    before = made_before(finished)
    _, now = decide(finished, strategy="published")
    tree = results(finished)
    np.testing.assert_array_equal(tree["published"]["k"], np.arange(3, 21))
    assert tree["published"].attrs["paired_k"] == 12
    assert tree["published"]["k_component_loss"].attrs["units"] == "1"
    criteria = {c["name"]: c["vote"] for c in tree["decision"].attrs["criteria"]}
    assert {"SSIM", "GMSD", "MDSI", "PSNR", "knee of the Kullback-Leibler loss"} == set(criteria)
    named = int(now.reasons[0].split(".")[0].split()[-1])
    assert now.components == min(named, 6)
    assert made_before(finished) == before
    decide(finished, strategy="knee")
    assert "published" in results(finished)
    assert decide(finished, strategy="published")[1] == now
    assert len(small_published) == 1


def test_a_scan_too_large_for_the_published_fits_is_refused(finished, monkeypatch):
    monkeypatch.setattr(published, "MOST_POSITIONS", 80)
    before = everything(finished)
    with pytest.raises(InputError, match="9 x 10 = 90"):
        decide(finished, strategy="published")
    assert everything(finished) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"components": 7}, r"fitted \(1 to 6\)"),
        ({"distinct": 7}, r"has components \(6\)\n.*--distinct 7\n.*--k 1:9"),
        ({"distinct": 2, "no_merge": True}, "--distinct 2 and --no-merge"),
        ({"strategy": "coin"}, "a strategy: evidence"),
        ({"components": "0"}, "--components"),
    ],
)
def test_what_cannot_be_had_is_refused_and_the_results_stay(finished, changes, message):
    before = everything(finished)
    with pytest.raises(InputError, match=message):
        decide(finished, **changes)
    assert everything(finished) == before


def test_a_missing_fit_is_not_made_again(finished):
    shutil.rmtree(finished / "analysis.zarr" / "fits" / "k04")
    before = everything(finished)
    with pytest.raises(InputError, match=r"fits/k04 is damaged \(it is not there\)"):
        decide(finished, strategy="knee")
    assert everything(finished) == before


def test_patterns_that_were_removed_are_asked_for(finished):
    shutil.rmtree(finished / "patterns.zarr")
    with pytest.raises(InputError, match="none that are complete"):
        decide(finished, strategy="knee")


@pytest.mark.parametrize("what", ["no folder", "empty folder", "unfinished results"])
def test_a_folder_without_complete_results_is_refused_and_left_alone(tmp_path, finished, what):
    folder = finished if what == "unfinished results" else tmp_path / "other"
    if what == "empty folder":
        folder.mkdir()
    if what == "unfinished results":
        zarr.open_group(folder / "analysis.zarr", mode="r+").attrs["status"] = "writing"
        seal(folder / "analysis.zarr", "")
    before = everything(folder) if folder.exists() else None
    with pytest.raises(InputError, match="the folder of a finished run"):
        decide(folder, strategy="knee")
    assert (everything(folder) if folder.exists() else None) == before


def test_the_results_stay_when_deciding_breaks(finished, monkeypatch):
    def broken(*_args, **_kwargs):
        raise OSError("disk full")

    before = everything(finished)
    with monkeypatch.context() as patch:
        patch.setattr(conclude, "compare_baseline", broken)
        with pytest.raises(OSError, match="disk full"):
            decide(finished, strategy="knee")
    assert everything(finished) == before
    assert decide(finished, strategy="knee")[1].strategy == "knee"


def test_the_work_of_an_interrupted_run_is_not_thrown_away(finished):
    waiting = zarr.open_group(finished / ".unfinished" / "analysis.zarr", mode="w")
    waiting.create_group("fits/k09").attrs["complete"] = "of another request"
    with pytest.raises(InputError, match="unfinished work"):
        decide(finished, strategy="knee")
    assert (finished / ".unfinished" / "analysis.zarr" / "fits" / "k09").exists()
    # What an interrupted decision copied is no loss.
    shutil.rmtree(finished / ".unfinished")
    copied = finished / ".unfinished" / "analysis.zarr" / "fits" / "k02"
    shutil.copytree(finished / "analysis.zarr" / "fits" / "k02", copied)
    assert decide(finished, strategy="knee")[1].strategy == "knee"


def test_options_are_those_that_do_not_shape_the_fits():
    fields = set(Request.model_fields)
    assert set(AS_STORED) <= fields
    offered = fields - set(AS_STORED)
    assert {
        "strategy",
        "distinct",
        "components",
        "no_merge",
        "regularity",
        "split_unconnected",
        "workers",
    } <= offered
    answer = CliRunner().invoke(main.app, ["decide", "--help"]).stdout
    assert all(option_of(name) in answer for name in offered)
    assert not any(f"{option_of(name)} " in answer for name in AS_STORED)


def test_the_command_tells_before_after_and_why(finished):
    def call(*options):
        return CliRunner().invoke(main.app, ["decide", str(finished), "--quiet", *options])

    answer = call("--components", "4", "--split-unconnected")
    assert answer.exit_code == 0, answer.stderr
    lines = answer.stdout.splitlines()
    assert "distinct patterns, low confidence" in lines[0]
    assert lines[1].startswith("before")
    assert "(evidence, confidence" in lines[1]
    assert lines[2].startswith("now")
    assert "fit of 4 components (forced" in lines[2]
    assert lines[3].startswith("because")
    assert "4 components were asked for" in lines[3]
    assert lines[-1] == f"report: {finished / 'report.html'}"
    assert facts(finished)["request"]["split_unconnected"] is True
    assert answer.stderr == ""

    # The flag stays until it is taken back.
    assert call("--strategy", "knee", "--dry-run").stdout.splitlines()[-1].startswith("nothing was")
    assert call("--strategy", "knee").exit_code == 0
    assert facts(finished)["request"]["split_unconnected"] is True
    assert call("--no-split-unconnected").exit_code == 0
    assert facts(finished)["request"]["split_unconnected"] is False

    answer = call("--components", "60")
    assert answer.exit_code == 2
    assert [line.split(":")[0] for line in answer.stderr.splitlines()] == [
        "needed", "found", "what to do",
    ]  # fmt: skip
