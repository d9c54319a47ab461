"""Jobs are performed with an analysis that fails as it is told; the last one is real."""

import json
import zipfile

import numpy as np
import pytest
import zarr
from dask.utils import parse_bytes

from orimap.cluster.batch.profiles import read_profile
from orimap.cluster.batch.settings import worker_settings
from orimap.flows.jobs.job import Job
from orimap.flows.jobs.outcome import decided, read_outcome, what_is_missing
from orimap.flows.jobs.perform import IncompleteError, log_tail, perform, with_more_memory
from orimap.flows.request.request import Request
from orimap.tasks.errors import InputError


@pytest.fixture
def job(tmp_path):
    (tmp_path / "scan.npy").touch()
    asked = Request.read(file=tmp_path / "scan.npy", output=tmp_path / "out", workers=4)
    return Job(acquisition="abc", request=asked)


def _finish(request):
    """Write what the check of a success looks at."""
    request.output.mkdir(exist_ok=True)
    root = zarr.open_group(request.output / "analysis.zarr", mode="w")
    root.create_array("clusters/cluster_size", data=np.array([5, 3]))
    root.create_array("overlap/overlap_ratio", data=np.zeros((2, 4)))
    root.create_group("decision").attrs["confidence"] = "high"
    stored = request.model_dump(mode="json")
    root.attrs.update(status="complete", decided_k=2, request=stored, notes=[])
    (request.output / "report.html").write_text("<p>found</p>")
    return request.output


class Analysis:
    """Raises one error after the other, then succeeds; remembers what it was asked."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.asked = []

    def __call__(self, request):
        self.asked.append(request)
        if self.errors:
            raise self.errors.pop(0)
        return _finish(request)


def _perform(job, analysis):
    waited, notes = [], []
    try:
        return perform(job, analysis, notes.append, wait=waited.append), waited, notes
    except Exception as error:
        return error, waited, notes


def test_a_success_is_kept_and_checked(job):
    outcome, waited, notes = _perform(job, Analysis())
    assert (outcome.state, outcome.decided_k, outcome.confidence) == ("done", 2, "high")
    assert outcome.checked
    assert outcome.key == job.key
    assert waited == notes == []
    assert read_outcome(job.output) == outcome


def test_what_may_pass_is_tried_again_after_longer_and_longer(job):
    analysis = Analysis(OSError(5, "I/O error"), ConnectionError("gone"), TimeoutError("late"))
    outcome, waited, notes = _perform(job, analysis)
    assert outcome.state == "done"
    assert [each.kind for each in outcome.attempts] == ["transient"] * 3
    assert waited == sorted(waited)
    assert len(notes) == len(waited) == 3
    assert "I/O error" in notes[0]


def test_what_does_not_pass_is_given_up(job):
    error, waited, _ = _perform(job, Analysis(*[OSError(5, "I/O error")] * 9))
    assert isinstance(error, OSError)
    assert len(waited) == 3
    outcome = read_outcome(job.output)
    assert (outcome.state, outcome.kind, len(outcome.attempts)) == ("failed", "transient", 4)


def test_bad_data_is_not_tried_again(job):
    error, waited, _ = _perform(job, Analysis(InputError("a scan", "a spectrum", "choose")))
    assert isinstance(error, InputError)
    assert waited == []
    outcome = read_outcome(job.output)
    assert (outcome.kind, outcome.reason) == ("bad data", "needed: a scan; found: a spectrum")
    assert outcome.remedy == "choose"
    assert outcome.bundle is None
    assert "Traceback" not in log_tail(job.output)


def test_a_file_that_is_gone_may_come_back(job):
    job.request.file.unlink()
    outcome, waited, _ = _perform(job, Analysis(InputError("a file", "none", "mount the disk")))
    assert outcome.state == "done"
    assert len(waited) == 1


def test_out_of_memory_is_tried_once_more_with_twice_as_much_for_each_worker(job):
    analysis = Analysis(MemoryError())
    outcome, waited, _ = _perform(job, analysis)
    assert [asked.workers for asked in analysis.asked] == [4, 2]
    assert outcome.state == "done"
    assert waited == [0]
    error, _, _ = _perform(job, Analysis(MemoryError(), MemoryError()))
    assert isinstance(error, MemoryError)
    assert read_outcome(job.output).kind == "resources"


def test_a_batch_system_is_asked_for_twice_the_memory_of_each_worker(job, tmp_path, monkeypatch):
    (tmp_path / "sbatch").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    site = tmp_path / "site.yaml"
    site.write_text("system: slurm\ncores: 4\nmemory: 8 GiB\n")
    asked = job.request.model_copy(update={"profile": str(site)})
    more = with_more_memory(asked)
    assert parse_bytes(more.worker_memory) == 4 * 2**30
    assert more.workers == asked.workers
    assert parse_bytes(with_more_memory(more).worker_memory) == 8 * 2**30
    assert Request.read(**more.model_dump(mode="json")) == more
    settings = worker_settings(
        "slurm", read_profile(site), name="x", folder=tmp_path, private=tmp_path,
        memory_limit=more.worker_memory,
    )  # fmt: skip
    assert parse_bytes(settings["memory"]) == 16 * 2**30


def test_a_scheduler_that_runs_keeps_the_workers_it_has(job):
    there = job.request.model_copy(update={"cluster": "tcp://127.0.0.1:8786"})
    assert with_more_memory(there) is None


def test_one_worker_cannot_have_more_memory(job):
    alone = job.model_copy(update={"request": job.request.model_copy(update={"workers": 1})})
    error, waited, _ = _perform(alone, Analysis(MemoryError()))
    assert isinstance(error, MemoryError)
    assert waited == []


def test_a_bug_leaves_a_bundle_that_shows_where_and_holds_no_patterns(job):
    def broken(request):
        root = zarr.open_group(request.output / ".unfinished" / "analysis.zarr", mode="w")
        root.create_array("fits/k01/component_pattern", data=np.ones(3))
        raise ZeroDivisionError("in the middle")

    error, waited, _ = _perform(job, broken)
    assert isinstance(error, ZeroDivisionError)
    assert waited == []
    outcome = read_outcome(job.output)
    assert outcome.kind == "bug"
    with zipfile.ZipFile(outcome.bundle) as bundle:
        assert "in the middle" in bundle.read("error.txt").decode()
        assert "def broken" not in bundle.read("job.json").decode()
        assert json.loads(bundle.read("job.json"))["job"]["acquisition"] == "abc"
        assert not [name for name in bundle.namelist() if "/c/" in name]
        assert [name for name in bundle.namelist() if name.endswith("k01/zarr.json")]


def test_an_analysis_that_ends_without_whole_results_has_failed(job):
    error, _, _ = _perform(job, lambda request: request.output)
    assert isinstance(error, IncompleteError)
    assert read_outcome(job.output).state == "failed"


def test_results_of_another_request_are_no_success(job):
    def other(request):
        return _finish(request.model_copy(update={"filter": "mean"}))

    error, _, _ = _perform(job, other)
    assert "another request" in str(error)


def test_an_interruption_leaves_no_outcome(job):
    with pytest.raises(KeyboardInterrupt):
        perform(job, Analysis(KeyboardInterrupt()), print)
    assert read_outcome(job.output) is None


def test_results_that_were_lost_since_are_no_success(job):
    _perform(job, Analysis())
    (job.output / "report.html").unlink()
    outcome = read_outcome(job.output)
    assert outcome.state == "done"
    assert not outcome.checked
    assert "report.html" in what_is_missing(job.output)


def test_the_key_depends_on_what_is_asked_and_not_on_where_or_how(job):
    def key(**changed):
        changed_request = job.request.model_copy(update=changed)
        return job.model_copy(update={"request": changed_request}).key

    assert key(workers=1, output=job.output / "elsewhere") == job.key
    assert key(seed=1) != job.key


@pytest.mark.slow
def test_a_real_job_ends_with_whole_results(tmp_path, client):
    from orimap.flows.pipeline.pipeline import run_pipeline
    from orimap.flows.pipeline.runtime.runner import NoDisplay, PlainRunner
    from orimap.tasks.simulate.recipe import ScanRecipe
    from orimap.tasks.simulate.write_scan import write_scan

    recipe = ScanRecipe(scan=(9, 12), detector=(48, 48), grains=2, dose=3000, seed=4)
    write_scan(recipe, tmp_path / "scan.zarr")
    asked = Request.read(
        file=tmp_path / "scan.zarr",
        output=tmp_path / "out",
        k="1:4",
        cluster=client.scheduler.address,
    )
    job = Job(acquisition="abc", request=asked)
    outcome = perform(job, lambda each: run_pipeline(each, PlainRunner(NoDisplay())), print)
    assert outcome.checked
    assert decided(job.output) == outcome.model_dump(include=set(decided(job.output)))
    assert outcome.decided_k == 2
