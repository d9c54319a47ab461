import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import dask
import pytest

from orimap.cluster.batch.jobqueue import load_jobqueue
from orimap.cluster.batch.watch import FRUITLESS_JOBS, JobWatch
from orimap.cluster.batch.workers import require_interface
from orimap.cluster.client import open_client
from orimap.tasks.errors import InputError, UnavailableError

# Loopback, for a Slurm whose only node is this machine.
HERE = {"jobqueue.slurm.interface": "lo"}


@pytest.fixture
def notes():
    return []


@contextmanager
def workers(folder, notes, *, settings=None, **asked):
    load_jobqueue()  # brings the settings that these are laid over
    with (
        dask.config.set({**HERE, **(settings or {})}),
        open_client("slurm", folder=folder / "w", note=notes.append, **asked) as client,
    ):
        yield client


def wait_for(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_an_interface_that_is_not_there_is_named_with_those_that_are(tmp_path, notes):
    with (
        pytest.raises(InputError, match=r"ib7.*\n.*lo \(127\.0\.0\.1\)") as raised,
        workers(tmp_path, notes, settings={"jobqueue.slurm.interface": "ib7"}, workers=1),
    ):
        pytest.fail("there is no such network")
    assert "leave interface out" in raised.value.remedy
    assert not (tmp_path / "w").exists()
    for fine in (None, "", "lo"):
        require_interface(fine)


def test_no_worker_in_time_ends_with_the_reason_of_the_batch_system(own_jobs, tmp_path, notes):
    with (
        pytest.raises(UnavailableError, match=r"none: 1 waiting \(.*(Down|DOWN|Partition).*\)"),
        workers(
            tmp_path,
            notes,
            settings={"jobqueue.slurm.queue": "closed"},
            workers=1,
            first_worker_minutes=0.1,
        ),
    ):
        pytest.fail("there is no worker")
    assert any(note.startswith("slurm: 0 of 1 workers; jobs: 1 waiting") for note in notes)
    wait_for(lambda: not own_jobs())
    assert not (tmp_path / "w").exists()


def test_a_job_that_is_refused_ends_the_wait_with_the_words_of_the_batch_system(
    own_jobs, tmp_path, notes
):
    with (
        pytest.raises(UnavailableError, match="invalid partition"),
        workers(tmp_path, notes, settings={"jobqueue.slurm.queue": "absent"}, workers=1),
    ):
        pytest.fail("there is no worker")
    assert not (tmp_path / "w").exists()


def test_jobs_that_end_before_a_worker_is_up_are_not_submitted_for_ever(own_jobs, tmp_path, notes):
    (tmp_path / "python").write_text("#!/bin/sh\necho no such module >&2\nexit 3\n")
    (tmp_path / "python").chmod(0o755)
    with (
        pytest.raises(UnavailableError, match=r"ended before; .*err: no such module"),
        workers(
            tmp_path,
            notes,
            settings={"jobqueue.slurm.python": str(tmp_path / "python")},
            workers=1,
        ),
    ):
        pytest.fail("there is no worker")
    lost = [note for note in notes if "lost, replaced" in note]
    assert len(lost) == FRUITLESS_JOBS - 1
    wait_for(lambda: not own_jobs())
    assert [path.name for path in (tmp_path / "w").iterdir()] == ["logs"]


def set_closed(state):
    subprocess.run(["scontrol", "update", "partition=closed", f"state={state}"], check=True)


@pytest.fixture
def watches(monkeypatch):
    """Whoever watches jobs, from the moment that there is a worker."""
    watches = []
    wait_for_first = JobWatch.wait_for_first

    def wait(watch):
        wait_for_first(watch)
        watches.append(watch)

    monkeypatch.setattr(JobWatch, "wait_for_first", wait)
    return watches


def test_work_ends_when_all_workers_are_lost_and_none_comes(own_jobs, tmp_path, notes, watches):
    set_closed("up")

    def lose_all():
        with workers(
            tmp_path, notes, settings={"jobqueue.slurm.queue": "closed"}, workers=1
        ) as client:
            watches[0].patience_seconds = 3
            set_closed("down")
            subprocess.run(["scancel", *(job.id for job in own_jobs())], check=True)
            client.submit(time.sleep, 600).result()

    with pytest.raises(UnavailableError, match=r"within 0.05 min .*\n.*waiting"):
        lose_all()
    set_closed("down")
    wait_for(lambda: not own_jobs())


def test_workers_come_and_go_with_the_work(own_jobs, tmp_path, notes):
    with workers(tmp_path, notes, adapt=(1, 2)) as client:
        assert len(client.nthreads()) == 1
        futures = client.map(lambda _: time.sleep(1), range(60))
        wait_for(lambda: "slurm: 2 of 1 to 2 workers" in notes)
        client.cancel(futures)
    wait_for(lambda: not own_jobs())


SCRIPT = """
import signal, sys, time
from pathlib import Path
import dask
from orimap.cluster.client import open_client
from orimap.cluster.batch.jobqueue import load_jobqueue
if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    load_jobqueue()
    dask.config.set({"jobqueue.slurm.interface": "lo"})
    with open_client("slurm", workers=1, folder=Path("w")) as client:
        print("ready", flush=True)
        client.submit(time.sleep, 600).result()
"""


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, -2)])
def test_who_is_told_to_end_leaves_no_job(own_jobs, tmp_path, sent, code):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, script], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "ready\n"
        assert len(own_jobs()) == 1
        process.send_signal(sent)
        assert process.wait(60) == code
    finally:
        process.kill()
    wait_for(lambda: not own_jobs())
    assert {path.name for path in (tmp_path / "w").glob("*")} <= {"logs"}
