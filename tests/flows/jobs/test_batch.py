import json
import os
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orimap.cluster.batch.profiles import Profile, read_profile
from orimap.cluster.queue import systems
from orimap.flows.cli import jobs as submit_command
from orimap.flows.cli import main
from orimap.flows.jobs.batch import BatchSubmitter
from orimap.flows.jobs.job import Job
from orimap.flows.jobs.outcome import read_outcome
from orimap.flows.request.request import Request
from orimap.tasks.errors import InputError
from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.write_scan import write_scan

SITE = {"system": "slurm", "queue": "short", "cores": 2, "memory": "4 GB", "walltime": "00:10:00"}
END_SECONDS = 300  # on a machine that is busy with much else


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "two grains.blo"
    write_scan(ScanRecipe(scan=(6, 8), detector=(48, 48), grains=2, dose=3000, seed=4), path)
    return path


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Call the command line; what it submits finds no Prefect either."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_PROFILES_PATH", str(tmp_path / "none.toml"))
    return lambda *asked: CliRunner().invoke(main.app, [str(each) for each in asked])


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text("".join(f"{name}: {value}\n" for name, value in SITE.items()))
    return path


def _job(tmp_path, scan, **options):
    return Job(
        acquisition="3f2a",
        request=Request(file=scan, output=tmp_path / "it's results", k="1:4", **options),
    )


def _ended(submitter, reference):
    until = time.monotonic() + END_SECONDS
    while (standing := submitter.standing(reference)).state in ("waiting", "running"):
        assert time.monotonic() < until, standing
        time.sleep(0.5)
    return standing


def test_a_run_is_submitted_once_waited_for_and_checked(
    slurm, call, scan, site, tmp_path, monkeypatch
):
    monkeypatch.setattr(submit_command, "ASK_SECONDS_AT_MOST", 1)
    output = tmp_path / "results"
    asked = ("submit", scan, "--output", output, "--profile", site, "--k", "1:3")
    done = call(*asked, "--wait")
    assert done.exit_code == 0, done.stderr
    assert "submitted as job " in done.stdout
    assert "2 distinct patterns" in done.stdout
    assert f"report: {output / 'report.html'}" in done.stdout
    outcome = read_outcome(output)
    assert (outcome.state, outcome.checked, outcome.decided_k) == ("done", True, 2)
    run = json.loads((output / "run.json").read_text())
    assert run["request"]["workers"] == SITE["cores"]
    again = call(*asked)
    assert again.exit_code == 0
    assert "already holds the results of this request" in again.stdout
    submitter = BatchSubmitter(Profile(**SITE), output / "batch")
    job = Job.model_validate_json((output / "batch" / f"{outcome.key}.job.json").read_text())
    assert submitter.find(job) == outcome.key
    assert submitter.standing(outcome.key).state == "done"
    (output / "analysis.zarr" / "zarr.json").unlink()
    assert submitter.standing(outcome.key).state == "lost"
    assert submitter.find(job) is None


def test_what_waits_is_not_submitted_again(own_jobs, call, scan, tmp_path):
    site = tmp_path / "closed.yaml"
    site.write_text("".join(f"{k}: {v}\n" for k, v in {**SITE, "queue": "closed"}.items()))
    asked = ("submit", scan, "--output", tmp_path / "results", "--profile", site)
    first = call(*asked)
    [waiting] = own_jobs()
    try:
        assert f"submitted as job {waiting.id} of slurm" in first.stdout
        assert f"squeue --jobs={waiting.id}" in first.stdout
        second = call(*asked)
        assert second.exit_code == 0
        assert f"before as job {waiting.id} of slurm, which is waiting (Part" in second.stdout
        assert "not submitted again" in second.stdout
        assert [job.id for job in own_jobs()] == [waiting.id]
    finally:
        systems.cancel("slurm", [waiting.id])


def test_a_submission_whose_id_was_never_kept_is_found_by_its_name(own_jobs, scan, tmp_path):
    submitter = BatchSubmitter(Profile(**{**SITE, "queue": "closed"}), tmp_path / "b", limit=3)
    job = _job(tmp_path, scan)
    assert submitter.find(job) is None
    key = submitter.submit(job)
    [waiting] = own_jobs()
    assert (waiting.name, submitter.room()) == (key, 2)
    # As if killed between handing the job over and keeping its id; then with nothing kept.
    record = tmp_path / "b" / f"{key}.submission.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "job_id": None}))
    assert submitter.find(job) == key
    assert json.loads(record.read_text())["job_id"] == waiting.id
    record.unlink()
    assert submitter.find(job) == key
    assert submitter.standing(key).state == "waiting"
    submitter.cancel(key)
    submitter.cancel(key)
    assert _ended(submitter, key).state == "lost"
    assert submitter.find(job) is None
    assert submitter.room() == 3


@pytest.mark.slow
def test_a_watched_folder_is_analysed_by_jobs(own_jobs, call, scan, site, tmp_path, monkeypatch):
    watched, results, config = tmp_path / "in", tmp_path / "results", tmp_path / "run.yaml"
    (watched / "day 1").mkdir(parents=True)
    scan.rename(watched / "day 1" / scan.name)
    config.write_text(f"profile: {site}\nk: 1:4\n")
    asked = ("watch", watched, "--results", results, "--config", config, "--submit-to", "batch")
    done = call(*asked, "--settle", "0.5", "--poll", "1", "--once")
    assert done.exit_code == 0, done.stderr
    outcome = read_outcome(results / "day 1" / scan.name)
    assert (outcome.state, outcome.checked, outcome.decided_k) == ("done", True, 2)
    assert own_jobs() == []
    told = call("status", "--results", results).stdout
    assert "2 distinct patterns" in told


def test_a_failed_job_tells_why_and_may_be_submitted_again(slurm, tmp_path):
    broken = tmp_path / "broken.blo"
    broken.write_bytes(b"no scan")
    submitter = BatchSubmitter(Profile(**SITE), tmp_path / "it's b")
    job = _job(tmp_path, broken)
    key = submitter.submit(job)
    standing = _ended(submitter, key)
    assert standing.state == "failed"
    assert "what to do: " in standing.reason
    assert submitter.find(job) is None
    assert len(submitter.logs(key)) == 2
    # The window of a kill: handed over, its id not kept, and it has failed since.
    record = tmp_path / "it's b" / f"{key}.submission.json"
    kept = json.loads(record.read_text())
    record.write_text(json.dumps({**kept, "job_id": None}))
    assert submitter.find(job) == key
    assert submitter.standing(key).state == "failed"
    # Submitted again and ended without a word, the old outcome is not taken for a new one.
    submitter.profile = Profile(**{**SITE, "queue": "closed"})
    submitter.submit(job)
    assert submitter.standing(key).state == "waiting"
    submitter.cancel(key)
    assert _ended(submitter, key).state == "lost"


def test_a_job_that_leads_workers_is_cancelled_with_them(own_jobs, scan, tmp_path):
    site = tmp_path / "site.yaml"
    workers = {**SITE, "interface": "lo", "cores": 1, "memory": "2 GB"}
    site.write_text("".join(f"{name}: {value}\n" for name, value in workers.items()))
    submitter = BatchSubmitter(read_profile(site), tmp_path / "b")
    # A folder that stands in the scripts of workers: no spaces.
    job = Job(
        acquisition="3f2a",
        request=Request(
            file=scan, output=tmp_path / "results", cluster="slurm",
            profile=str(site), workers=1, k="1:4", orchestrate="never",
        ),
    )  # fmt: skip
    key = submitter.submit(job)
    until = time.monotonic() + END_SECONDS
    while len(jobs := own_jobs()) < 2 or "waiting" in {j.state for j in jobs}:
        assert submitter.standing(key).state in ("waiting", "running")
        assert time.monotonic() < until, jobs
        time.sleep(0.2)
    assert {job.name == key for job in jobs} == {True, False}
    submitter.cancel(key)
    while jobs := own_jobs():
        assert time.monotonic() < until, jobs
        time.sleep(0.2)
    standing = submitter.standing(key)
    assert standing.state == "lost"
    assert "CANCELLED" in standing.reason
    assert read_outcome(tmp_path / "results") is None


def test_a_job_that_is_refused_leaves_nothing(slurm, scan, tmp_path):
    submitter = BatchSubmitter(Profile(**{**SITE, "queue": "nowhere"}), tmp_path / "b")
    with pytest.raises(InputError, match="invalid partition") as refused:
        submitter.submit(_job(tmp_path, scan))
    assert "profile" in refused.value.remedy
    assert not (tmp_path / "b").exists()


def test_what_cannot_be_submitted_is_said_before_anything_is(call, scan, site, tmp_path):
    output = tmp_path / "results"
    for options, words in (
        (("--output", output), "neither --profile nor --cluster"),
        (("--output", output, "--profile", "workstation"), "a profile of a batch system"),
        (("--output", output, "--profile", site, "--k", "9:2"), "--k"),
    ):
        refused = call("submit", scan, *options)
        assert refused.exit_code == 2
        assert words in refused.stderr
    assert call("submit", tmp_path / "none.blo", "--output", output).exit_code == 2
    assert not output.exists()


QUEUE = """#!/bin/sh
# One line of what is to be said for each call, "silent" for nothing but an error.
read -r words < "$0.says"
sed -i 1d "$0.says"
[ "$words" = silent ] && echo "Unable to contact slurm controller" >&2 && exit 1
[ -z "$words" ] || echo "$words"
"""


def test_waiting_goes_on_while_the_queue_is_silent_and_ends_with_the_job(
    call, scan, site, tmp_path, monkeypatch
):
    commands = {"squeue": QUEUE, "sbatch": "#!/bin/sh\necho 7\n", "sacct": "#!/bin/sh\n"}
    for name, text in commands.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(submit_command, "ASK_SECONDS", 0.01)
    says = tmp_path / "squeue.says"
    says.write_text("\n7|PENDING|Priority|x\nsilent\n7|RUNNING|None|x\n7|TIMEOUT|TimeLimit|x\n")
    output = tmp_path / "results"
    ended = call("submit", scan, "--output", output, "--profile", site, "--wait")
    assert ended.exit_code == 1
    words = [line.split(" ")[0] for line in ended.stderr.splitlines()]
    assert words == ["waiting:", "waiting:", "running", "lost:"]
    assert "asking again: Unable to contact slurm controller" in ended.stderr
    assert ended.stderr.endswith("lost: TIMEOUT, TimeLimit\n")


def test_a_job_names_whole_paths(tmp_path):
    submitter = BatchSubmitter(Profile(**SITE), tmp_path)
    job = Job(acquisition="3f2a", request=Request(file=Path("scan.blo"), output=tmp_path))
    with pytest.raises(InputError, match="whole paths"):
        submitter.submit(job)
