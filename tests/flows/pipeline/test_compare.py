"""``orimap compare-filters`` on a tiny scan, from file to page."""

import inspect
import json
import os
import sys

import numpy as np
import pytest
import zarr
from typer.testing import CliRunner

from orimap.flows.cli import analyse as commands
from orimap.flows.cli import main
from orimap.flows.pipeline import compare
from orimap.flows.pipeline.compare import Named, compare_filters
from orimap.flows.pipeline.pipeline import run_pipeline
from orimap.flows.pipeline.runtime.runner import Lines, NoDisplay, PlainRunner
from orimap.flows.request.names import RENAMED
from orimap.flows.request.request import Request
from orimap.tasks.acquire.ingest import ingest
from orimap.tasks.errors import InputError
from orimap.tasks.patterns.filters import FILTERS
from orimap.tasks.report.comparison.compare import SeedRun
from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.write_scan import write_scan

SCAN = (6, 8)


pytestmark = pytest.mark.usefixtures("no_prefect")


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """A scan of two grains, its truth beside it."""
    path = tmp_path_factory.mktemp("scan") / "two grains.zarr"
    write_scan(ScanRecipe(scan=SCAN, detector=(48, 48), grains=2, dose=3000, seed=4), path)
    return path


@pytest.fixture(scope="module", autouse=True)
def fast(sharing_workers, bare_pages):
    """Runs share workers and write bare pages for reports."""
    with sharing_workers(), bare_pages():
        yield


def analyse(request, display):
    return run_pipeline(request, PlainRunner(display))


def request(scan, output, **options):
    return Request.read(file=scan, output=output, k="1:3", orchestrate="never", **options)


@pytest.fixture(scope="module")
def times_read():
    """How often an acquisition was read."""
    return []


@pytest.fixture(scope="module")
def compared(scan, tmp_path_factory, times_read, display):
    """All filters with two seeds; not to be written to."""
    output = tmp_path_factory.mktemp("compared") / "filters"
    whole = ingest.ingest_acquisition

    def count(*given, **options):
        times_read.append(1)
        return whole(*given, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest, "ingest_acquisition", count)
        compare_filters(request(scan, output), display, analyse, seeds=2)
    return output


class Told(NoDisplay):
    """Keeps what it is told of the steps, and which there were."""

    def __init__(self):
        self.expected = []
        self.steps = []

    def expect(self, seconds):
        self.expected.append(dict(seconds))

    def step(self, name):
        self.steps.append(name)
        return super().step(name)


@pytest.fixture(scope="module")
def display():
    return Told()


def content(output):
    return json.loads((output / "comparison.json").read_text())


def steps(output, name):
    run = json.loads((output / name / "run.json").read_text())
    return {step["name"]: step["reused"] for step in run["steps"]}


def test_every_filter_has_whole_results_and_all_are_on_one_page(compared):
    page = (compared / "comparison.html").read_text()
    for name in FILTERS:
        assert zarr.open_group(compared / name / "analysis.zarr").attrs["status"] == "complete"
        assert (compared / name / "report.html").exists()
        assert f'href="{name}/report.html"' in page
        assert f"{name}" in content(compared)["filters"]
    assert {path.name for path in compared.iterdir()} <= {
        *FILTERS, ".lock", "comparison.html", "comparison.json", "figures",
    }  # fmt: skip


def test_the_file_is_read_once_and_its_patterns_are_stored_once(compared, times_read):
    assert times_read == [1]
    first, *others = FILTERS
    assert not steps(compared, first)["ingest"]
    chunks = (compared / first / "patterns.zarr" / "raw" / "pattern_intensity" / "c").rglob("*")
    chunk = next(path for path in chunks if path.is_file())
    for name in others:
        assert steps(compared, name)["ingest"]
        assert os.path.samefile(chunk, compared / name / chunk.relative_to(compared / first))


def test_the_time_of_the_whole_comparison_is_known_from_its_first_step_on(compared, display):
    (seconds,) = display.expected
    assert list(seconds)[-2:] == ["further seeds", "compare"]
    assert [name for name in seconds if name.endswith(": ingest")] == [
        f"{name}: ingest" for name in FILTERS
    ]
    assert set(display.steps) <= set(seconds)
    first, *others = (seconds[f"{name}: ingest"] for name in FILTERS)
    assert first > 0
    assert others == [0.0] * len(others)  # the patterns are read once
    # One more seed does again all but taking in the patterns.
    again = sum(s for name, s in seconds.items() if name.endswith((": sketch", ": fit", ": score")))
    assert seconds["further seeds"] > again


def test_a_truth_beside_the_file_is_taken_and_named(compared, scan):
    found = content(compared)
    assert found["truth"] == {
        "file": str(scan.with_suffix(".npz")), "grains": 2, "found_beside": True,
    }  # fmt: skip
    assert found["filters"]["raw"]["decided_k"] == 2
    assert found["filters"]["raw"]["ari"] > 0.9
    assert 0 <= found["filters"]["raw"]["overlap_f1"] <= 1


def test_further_seeds_leave_numbers_alone(compared):
    for name in FILTERS:
        own, further = (SeedRun(**run) for run in content(compared)["filters"][name]["seeds"])
        assert (own.seed, further.seed) == (0, 1)
        assert own.mark != further.mark
        assert own.k == further.k[: len(own.k)]
        # The halves that are held out differ; the loss of all counts hardly does.
        np.testing.assert_allclose(own.relative_loss, further.relative_loss[: len(own.k)], rtol=0.1)
        assert further.ari is not None


def test_a_second_call_computes_nothing_and_other_seeds_only_themselves(
    compared, scan, monkeypatch
):
    made = []

    def pipeline(asked, runner):
        made.append(asked.output.name)
        return run_pipeline(asked, runner)

    monkeypatch.setattr(compare, "run_pipeline", pipeline)
    before = {name: (compared / name / "run.json").stat().st_mtime_ns for name in FILTERS}
    earlier = content(compared)
    compare_filters(request(scan, compared), NoDisplay(), analyse, seeds=2)
    assert made == []
    for name in FILTERS:
        assert (compared / name / "run.json").stat().st_mtime_ns == before[name]
    later = content(compared)
    assert {**later, "written": ""} == {**earlier, "written": ""}


@pytest.mark.slow
def test_a_filter_that_fails_fails_the_comparison_and_the_next_call_goes_on(
    scan, tmp_path, monkeypatch
):
    monkeypatch.setattr(compare, "FILTERS", ("raw", "mean"))
    output = tmp_path / "out"

    def fail(asked, display):
        if asked.filter == "mean":
            raise RuntimeError("the mean broke")
        return analyse(asked, display)

    with pytest.raises(RuntimeError, match="the mean broke"):
        compare_filters(request(scan, output), NoDisplay(), fail)
    assert not (output / "comparison.html").exists()
    written = (output / "raw" / "run.json").stat().st_mtime_ns
    compare_filters(request(scan, output), NoDisplay(), analyse)
    assert (output / "raw" / "run.json").stat().st_mtime_ns == written
    assert steps(output, "mean")["ingest"]


def test_a_refusal_by_the_first_run_leaves_nothing(scan, tmp_path):
    def refuse(asked, display):
        raise InputError("something", "nothing", "give it")

    with pytest.raises(InputError):
        compare_filters(request(scan, tmp_path / "out"), NoDisplay(), refuse)
    assert list(tmp_path.iterdir()) == []


def test_steps_are_shown_under_the_name_of_their_filter(capsys):
    shown = Named(Lines(sys.stdout), "mean")
    with shown.step("sketch"):
        shown.note("a line")
    assert capsys.readouterr().out.splitlines()[0] == "mean: a line"
    with shown.step("fit") as progress:
        progress(1, 1)
    assert capsys.readouterr().out.startswith("mean: fit: done in")


def _call(*arguments):
    return CliRunner().invoke(main.app, ["compare-filters", *map(str, arguments)])


def test_the_command_takes_what_run_takes_but_for_what_it_decides_itself():
    parameters = set(inspect.signature(commands.compare).parameters)
    own = {"seeds", "truth", "config", "quiet", "debug", *RENAMED}
    assert parameters == set(Request.model_fields) - {"filter", "keep", "restart"} | own
    answer = _call("--help").stdout
    assert "--seeds" in answer
    assert "--epattern-lengths" in answer
    assert "\n  --filter " not in answer


def test_the_command_prints_the_verdict_every_filter_and_the_page(compared, scan):
    answer = _call(scan, "--output", compared, "--k", "1:3", "--seeds", 2, "--quiet")
    assert answer.exit_code == 0, answer.stderr
    assert answer.stderr == ""
    verdict, *filters, page = answer.stdout.splitlines()
    assert verdict == content(compared)["verdict"]["headline"]
    assert [line.split()[0] for line in filters] == list(FILTERS)
    assert "2 distinct patterns, " in filters[0]
    assert "adjusted Rand index" in filters[0]
    assert page == f"comparison: {compared / 'comparison.html'}"


@pytest.fixture
def bad_input(scan, tmp_path):
    """Arguments that are at fault, and a word of what was found."""
    config = tmp_path / "run.yaml"
    config.write_text("filter: mean\n")
    np.savez(tmp_path / "other.npz", labels=np.zeros((3, 4), int), weights=np.ones((3, 4, 1)))
    (tmp_path / "file").write_text("")
    return {
        "missing file": ((tmp_path / "absent.blo",), "absent.blo"),
        "k from 0": ((scan, "--k", "0:3"), "smallest number of components is 1"),
        "no seed": ((scan, "--seeds", "0"), "--seeds 0"),
        "absent truth": ((scan, "--truth", tmp_path / "no.npz"), "it is not there"),
        "truth of another scan": ((scan, "--truth", tmp_path / "other.npz"), "(3, 4)"),
        "one filter": ((scan, "--config", config), "filter: mean"),
        "output": ((scan, "--output", tmp_path / "file" / "out"), "out"),
        "no file": ((), "no FILE"),
    }


CASES = (
    *("missing file", "k from 0", "no seed", "absent truth", "truth of another scan"),
    *("one filter", "output", "no file"),
)


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_reported_and_leaves_nothing_behind(bad_input, tmp_path, case):
    assert set(bad_input) == set(CASES)
    arguments, found = bad_input[case]
    output = () if "--output" in arguments else ("--output", tmp_path / "out")
    before = sorted(tmp_path.rglob("*"))
    answer = _call(*arguments, *output)
    assert answer.exit_code == 2
    assert answer.stdout == ""
    needed, met, remedy = answer.stderr.strip().splitlines()
    assert needed.startswith("needed: ")
    assert met.startswith("found: ")
    assert remedy.startswith("what to do: ")
    assert found in answer.stderr
    assert sorted(tmp_path.rglob("*")) == before
