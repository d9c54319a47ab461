import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from orimap.flows.jobs import claim
from orimap.flows.jobs.claim import CLAIM, claimed
from orimap.flows.jobs.job import Job
from orimap.flows.jobs.outcome import OUTCOME, Outcome, write_outcome
from orimap.flows.request.request import Request

NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.fixture
def job(tmp_path):
    request = Request(file=tmp_path / "a.npy", output=tmp_path / "results")
    return Job(acquisition="3f2a", request=request)


def _ended(job, state, *, checked=False, key=None):
    """Keep how an earlier run has ended, as it would be read."""
    job.output.mkdir(exist_ok=True)
    write_outcome(
        job.output,
        Outcome(
            key=key or job.key, acquisition=job.acquisition, state=state, reason="too dark",
            ended=NOW.isoformat(timespec="seconds"), checked=checked,
        ),
    )  # fmt: skip


def test_the_first_run_has_the_job_until_it_ends_and_the_second_has_nothing_to_do(job):
    with claimed(job) as first:
        with claimed(job) as second:
            assert second == f"another run (process {os.getpid()}) is at work on this job"
        assert sorted(path.name for path in job.output.iterdir()) == [CLAIM]
    assert first is None
    with claimed(job) as third:  # the first one left no outcome, as if it was interrupted
        assert third is None


def test_a_run_that_was_killed_has_no_claim_any_more(job):
    script = (
        "import os, signal, sys\n"
        "from orimap.flows.jobs.claim import claimed\n"
        "from orimap.flows.jobs.job import Job\n"
        "with claimed(Job.model_validate_json(sys.argv[1])) as taken:\n"
        "    assert taken is None\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, job.model_dump_json()])
    assert done.returncode == -signal.SIGKILL
    with claimed(job) as taken:
        assert taken is None


def test_a_job_that_is_done_is_not_done_again_while_its_results_are_whole(job, monkeypatch):
    _ended(job, "done", checked=True)
    with claimed(job) as taken:
        assert taken is None  # there are no results beside it
    looked_at = Outcome.model_validate_json((job.output / OUTCOME).read_text())
    monkeypatch.setattr(claim, "read_outcome", lambda output: looked_at)
    with claimed(job, made=NOW + timedelta(days=9)) as taken:
        assert taken == "another run has done this job"


@pytest.mark.parametrize(
    ("seconds", "tried_again"), [(None, True), (-60, False), (0.5, False), (1.5, True)]
)
def test_a_failed_job_is_tried_again_by_a_run_that_was_asked_for_afterwards(
    job, seconds, tried_again
):
    _ended(job, "failed")
    made = None if seconds is None else NOW + timedelta(seconds=seconds)
    with claimed(job, made=made) as taken:
        words = "another run of this job has failed meanwhile: too dark"
        assert taken == (None if tried_again else words)


def test_how_another_job_has_ended_in_the_same_folder_does_not_matter(job):
    _ended(job, "failed", key="orimap-other-00000000")
    with claimed(job, made=NOW - timedelta(days=1)) as taken:
        assert taken is None
