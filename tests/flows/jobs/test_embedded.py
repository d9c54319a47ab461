import os
import signal
import time

import psutil
import pytest

from orimap.flows.jobs.embedded import STARTS_AT_MOST, EmbeddedSubmitter
from orimap.flows.jobs.job import Job
from orimap.flows.jobs.outcome import Outcome, write_outcome
from orimap.flows.request.request import Request

pytestmark = pytest.mark.usefixtures("no_prefect")


@pytest.fixture
def job(tmp_path):
    """A job whose file is no block file: it fails once everything is loaded."""
    (tmp_path / "a.blo").write_text("only words, many of them, more than a header takes")
    request = Request(file=tmp_path / "a.blo", output=tmp_path / "results" / "a.blo")
    return Job(acquisition="0123456789ab", request=request)


def wait_while(submitter, reference, state):
    deadline = time.monotonic() + 120
    while (standing := submitter.standing(reference)).state == state:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return standing


def other(job, number):
    return Job(acquisition=f"0123456789ab-{number}", request=job.request)


def test_a_job_that_fails_tells_why_and_is_never_taken_for_unknown(tmp_path, job):
    with EmbeddedSubmitter(tmp_path / "state") as submitter:
        assert submitter.find(job) is None
        assert submitter.room() == 1
        reference = submitter.submit(job)
        assert (reference, submitter.find(job), submitter.room()) == (job.key, job.key, 0)
        ended = wait_while(submitter, reference, "running")
        assert ended.state == "failed"
        assert "begins with" in ended.reason
        assert submitter.room() == 1
        assert submitter.standing(reference) == ended
    with EmbeddedSubmitter(tmp_path / "state") as again:
        assert again.find(job) == reference
        assert again.standing(reference) == ended


def test_a_process_that_is_killed_is_lost_and_may_be_taken_again(tmp_path, job):
    with EmbeddedSubmitter(tmp_path / "state") as submitter:
        reference = submitter.submit(job)
        os.kill(submitter._process.pid, signal.SIGKILL)
        lost = wait_while(submitter, reference, "running")
        assert lost.state == "lost"
        assert "SIGKILL" in lost.reason
        assert submitter.find(job) is None
        assert submitter.standing(reference).state == "lost"
        assert submitter.submit(job) == reference
        assert submitter.standing(reference).state == "running"
        submitter.cancel(reference)
        assert submitter.find(job) is None
        assert submitter.room() == 1


def test_jobs_run_one_after_the_other_and_the_next_start_goes_on(tmp_path, job):
    with EmbeddedSubmitter(tmp_path / "state") as submitter:
        first, second = submitter.submit(job), submitter.submit(other(job, 2))
        assert submitter.standing(first).state == "running"
        assert submitter.standing(second).state == "waiting"
        process = submitter._process.pid
    assert not psutil.pid_exists(process)
    with EmbeddedSubmitter(tmp_path / "state") as submitter:
        assert submitter.room() == 0
        assert submitter.standing(first).state == "running"
        assert submitter.standing(second).state == "waiting"
        # A clean stop is no start that went wrong.
        assert submitter._starts(first) == 1


def test_a_job_that_takes_the_machine_down_is_not_started_for_ever(tmp_path, job):
    with EmbeddedSubmitter(tmp_path / "state") as submitter:
        reference = submitter.submit(job)
    submitter._write(reference, starts=STARTS_AT_MOST)
    with EmbeddedSubmitter(tmp_path / "state") as submitter:
        assert submitter.room() == 1
        lost = submitter.standing(reference)
        assert (lost.state, lost.reason) == (
            "lost",
            "3 times it was started, and each time the machine went down",
        )


def test_a_success_is_believed_only_with_its_results(tmp_path, job):
    with EmbeddedSubmitter(tmp_path / "state") as submitter:
        reference = submitter.submit(job)
        submitter._end()
        job.output.mkdir(parents=True, exist_ok=True)
        ended = Outcome(key=job.key, acquisition="", state="done", checked=True)
        write_outcome(job.output, ended)
        standing = submitter.standing(reference)
        assert standing.state == "failed"
        assert "are not complete" in standing.reason
