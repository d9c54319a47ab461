import numpy as np
import pytest
import zarr

from orimap.flows.jobs.job import Job
from orimap.flows.jobs.outcome import (
    OUTCOME,
    Attempt,
    Outcome,
    checked_outcome,
    decided,
    read_outcome,
    what_is_missing,
    write_outcome,
)
from orimap.flows.request.request import Request


@pytest.fixture
def job(tmp_path):
    return Job(acquisition="abc", request=Request(file=tmp_path / "a.npy", output=tmp_path))


def _finish(job):
    """Write what a look at results looks at."""
    root = zarr.open_group(job.output / "analysis.zarr", mode="w")
    root.create_array("clusters/cluster_size", data=np.array([5, 3]))
    root.create_array("overlap/overlap_ratio", data=np.zeros((2, 4)))
    root.create_group("decision").attrs["confidence"] = "high"
    root.attrs.update(status="complete", decided_k=2, request=job.request.model_dump(mode="json"))
    (job.output / "report.html").write_text("<p>found</p>")
    return root


def _done(job, **facts):
    return Outcome(key=job.key, acquisition=job.acquisition, state="done", checked=True, **facts)


def test_an_outcome_is_read_as_it_was_written_and_checked_anew(job):
    attempt = Attempt(kind="transient", reason="gone", remedy="wait", ended="now", seconds=2.5)
    outcome = _done(job, attempts=[attempt], decided_k=2, confidence="high")
    assert read_outcome(job.output) is None
    write_outcome(job.output, outcome)
    assert [path.name for path in job.output.iterdir()] == [OUTCOME]
    assert read_outcome(job.output) == outcome.model_copy(update={"checked": False})
    _finish(job)
    assert read_outcome(job.output) == outcome
    failed = outcome.model_copy(update={"state": "failed"})
    write_outcome(job.output, failed)
    assert not read_outcome(job.output).checked


def test_an_outcome_of_a_later_version_is_read_as_far_as_it_is_known(job):
    write_outcome(job.output, _done(job))
    text = (job.output / OUTCOME).read_text()
    (job.output / OUTCOME).write_text(text.replace("{", '{"new": 1,', 1))
    assert read_outcome(job.output).key == job.key


def test_a_success_is_believed_after_a_look_at_its_results(job):
    with pytest.raises(LookupError, match="holds no outcome of it"):
        checked_outcome(job)
    write_outcome(job.output, _done(job))
    with pytest.raises(LookupError, match="are not complete"):
        checked_outcome(job)
    _finish(job)
    assert checked_outcome(job) == _done(job)
    assert decided(job.output) == {
        "decided_k": 2,
        "confidence": "high",
        "crystal_found": True,
        "countable": True,
    }
    write_outcome(job.output, _done(job).model_copy(update={"key": "another"}))
    with pytest.raises(LookupError, match="holds no outcome of it"):
        checked_outcome(job)


def test_what_is_missing_is_named(job):
    assert what_is_missing(job.output) == f"{job.output} holds no report.html"
    root = _finish(job)
    assert what_is_missing(job.output, job.request) is None
    other = job.request.model_copy(update={"seed": 1})
    assert what_is_missing(job.output, other).endswith("are those of another request")
    elsewhere = job.request.model_copy(update={"workers": 7, "restart": True})
    assert what_is_missing(job.output, elsewhere) is None
    indexed = job.request.model_copy(update={"crystals": (job.output / "a.cif",)})
    assert what_is_missing(job.output, indexed).endswith("are not indexed with a.cif")
    root.attrs["not_indexed"] = {"crystal_files": ["a.cif"]}
    assert what_is_missing(job.output, indexed) is None
    root.create_group("orientations").attrs["crystal_files"] = ["b.cif"]
    assert what_is_missing(job.output, indexed) is not None
    assert what_is_missing(job.output, job.request) is None
    root.attrs["decided_k"] = 3
    assert what_is_missing(job.output).endswith("hold 2 clusters instead of 3")
    root.attrs["status"] = "unfinished"
    assert what_is_missing(job.output).endswith("are not complete")
    del root["overlap"]
    assert "lack" in what_is_missing(job.output)
