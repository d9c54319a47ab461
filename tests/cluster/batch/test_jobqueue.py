import asyncio
import json
import signal
import subprocess
import sys

import dask
import pytest

from orimap.cluster.batch.jobqueue import (
    CLASSES,
    cluster_class,
    configured,
    job_class,
    load_jobqueue,
    set_command,
)
from orimap.cluster.queue.commands import BATCH_SYSTEMS
from orimap.cluster.queue.ledger import FILE, JobLedger

ASKED = {"scheduler": "tls://here:1", "name": "orimap-x", "cores": 1, "memory": "1 GB"}
LOADED = """
import signal, sys, threading
from orimap.cluster.batch.jobqueue import load_jobqueue

handler = lambda *_: None
signal.signal(signal.SIGINT, handler)
before = signal.signal
if sys.argv[1] == "thread":
    failed = []
    threading.excepthook = failed.append
    loading = threading.Thread(target=load_jobqueue)
    loading.start(), loading.join()
    assert not failed, failed
assert load_jobqueue().SLURMCluster
assert signal.getsignal(signal.SIGINT) is handler
assert signal.signal is before
"""


@pytest.mark.parametrize("where", ["main", "thread"])
def test_loading_it_sets_no_handler_of_a_signal_and_works_in_any_thread(where):
    subprocess.run([sys.executable, "-c", LOADED, where], check=True)
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_DFL


def test_every_batch_system_has_its_class():
    assert set(CLASSES) == set(BATCH_SYSTEMS)
    for name in CLASSES.values():
        assert hasattr(load_jobqueue(), name)


def test_settings_of_dasks_own_are_found_by_our_names():
    with dask.config.set({"jobqueue.slurm.job-script-prologue": ["export A=b"]}):
        assert configured("slurm", "job_script_prologue") == ["export A=b"]
    assert configured("slurm", "no_such_setting") is None


def test_another_command_takes_the_place_of_the_workers(tmp_path):
    job = job_class("htcondor")(**ASKED, disk="1 GB", log_directory=str(tmp_path))
    set_command(job, "echo mine")
    script = job.job_script()
    assert "echo mine" in script
    assert "dask" not in script.split("Arguments = ")[1].splitlines()[0]


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A job on a machine without Slurm, the refusals, and the ids in the ledger."""
    monkeypatch.setenv("PATH", str(tmp_path))
    refusals = []
    ledger = JobLedger(tmp_path, "slurm")
    made = cluster_class("slurm", ledger, refusals).job_cls(**ASKED)
    return made, refusals, lambda: json.loads((tmp_path / FILE).read_text())["jobs"]


def test_a_job_is_in_the_ledger_from_the_moment_that_its_id_is_known(job):
    made, _, ids = job
    assert made._job_id_from_submit_output("Submitted batch job 7") == "7"
    assert ids() == ["7"]


def test_a_submission_that_fails_is_kept(job):
    made, refusals, ids = job
    with pytest.raises(FileNotFoundError, match="sbatch"):
        asyncio.run(made.start())
    assert [type(each) for each in refusals] == [FileNotFoundError]
    assert ids() == []


def test_credentials_are_not_written_a_second_time(tmp_path):
    made = cluster_class("slurm", JobLedger(tmp_path, "slurm"), [])
    assert made._get_worker_security(None, object()) is None
