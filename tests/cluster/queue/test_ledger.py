import json
import subprocess

import pytest

from orimap.cluster.queue.ledger import JobLedger, cancel_orphans, job_name
from orimap.tasks.errors import InputError


@pytest.fixture
def job(slurm, tmp_path):
    """A job of a folder's name that waits; its number."""

    def submit(name):
        command = ["sbatch", "--parsable", "--hold", f"--job-name={name}", "--wrap", "sleep 60"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
        return done.stdout.strip()

    return submit


def waiting():
    answer = subprocess.run(
        ["squeue", "-h", "-t", "PD", "-o", "%i"], capture_output=True, text=True
    )
    return set(answer.stdout.split())


def test_a_job_is_on_disk_until_it_has_ended(tmp_path):
    ledger = JobLedger(tmp_path, "slurm")
    ledger.add("7")
    ledger.add("8")
    file = tmp_path / "jobs.json"
    said = {"system": "slurm", "name": job_name(tmp_path), "jobs": ["7", "8"]}
    assert json.loads(file.read_text()) == said
    ledger.forget({"7"})
    assert json.loads(file.read_text())["jobs"] == ["8"]


def test_names_differ_between_folders_and_are_short(tmp_path):
    one, other = job_name(tmp_path / "one"), job_name(tmp_path / "other")
    assert one != other
    assert one == job_name(tmp_path / "one")
    assert len(one) == 15


def test_closing_cancels_what_was_submitted(tmp_path, job):
    ledger = JobLedger(tmp_path, "slurm")
    numbers = [job(ledger.name), job(ledger.name)]
    for number in numbers:
        ledger.add(number)
    ledger.close()
    assert not waiting() & set(numbers)
    assert list(tmp_path.glob("jobs*")) == []


def test_what_a_killed_run_left_is_cancelled_written_down_or_not_and_nothing_else(tmp_path, job):
    ledger = JobLedger(tmp_path, "slurm")
    written, unwritten, foreign = job(ledger.name), job(ledger.name), job("somebody")
    ledger.add(written)
    ledger.add(foreign)  # its number was used again
    assert set(cancel_orphans(tmp_path)) == {written, unwritten}
    assert waiting() >= {foreign}
    assert not waiting() & {written, unwritten}
    assert cancel_orphans(tmp_path) == []
    subprocess.run(["scancel", foreign], check=True)


def test_a_ledger_stays_where_nothing_can_be_cancelled(tmp_path, monkeypatch):
    ledger = JobLedger(tmp_path, "slurm")
    ledger.add("7")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="scancel"):
        ledger.close()
    assert json.loads((tmp_path / "jobs.json").read_text())["jobs"] == ["7"]
