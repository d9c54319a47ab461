from pathlib import Path

import dask
import pytest

from orimap.cluster.batch.jobqueue import load_jobqueue
from orimap.cluster.batch.profiles import Profile
from orimap.cluster.batch.settings import process_memory_bytes, worker_settings

FOLDER = Path("/data/results/.workers")


@pytest.fixture(autouse=True)
def _as_shipped():
    load_jobqueue()  # brings the defaults that these are laid over
    names = ("cores", "processes", "memory", "walltime", "worker-extra-args", "log-directory")
    with dask.config.set({f"jobqueue.slurm.{name}": None for name in names}):
        yield


def _settings(profile=None, **options):
    return worker_settings(
        "slurm", profile, name="orimap-x", folder=FOLDER, private=FOLDER / "private", **options
    )


def test_without_any_settings_a_worker_has_one_core_and_4_gib():
    found = _settings()
    assert (found["cores"], found["processes"], found["memory"]) == (1, 1, "4 GiB")
    assert found["job_name"] == "orimap-x"
    assert found["log_directory"] == str(FOLDER / "logs")
    assert "--lifetime" not in found["worker_extra_args"]
    assert process_memory_bytes("slurm", None) == 4 * 2**30


def test_a_profile_is_laid_over_dasks_own_settings():
    profile = Profile(system="slurm", cores=4, memory="8 GB", walltime="01:00:00")
    with dask.config.set({"jobqueue.slurm.cores": 2, "jobqueue.slurm.queue": "short"}):
        found = _settings(profile)
    assert (found["cores"], found["processes"], found["memory"]) == (4, 4, "8 GB")
    assert "--lifetime" in found["worker_extra_args"]
    assert process_memory_bytes("slurm", profile) == 2_000_000_000


def test_the_memory_of_a_process_that_is_asked_for_counts_for_all_processes_of_a_job():
    profile = Profile(system="slurm", cores=4, memory="8 GB")
    assert _settings(profile, memory_limit="3 GB")["memory"] == "12000000000 B"


def test_what_no_site_decides_is_there_whatever_the_settings_say():
    others = {
        "jobqueue.slurm.worker-extra-args": ["--lifetime", "5m"],
        "jobqueue.slurm.job-script-prologue": ["module load x"],
    }
    with dask.config.set(others):
        found = _settings(
            Profile(system="slurm", cores=1, memory="1 GB", walltime="01:00:00"), token="hidden"
        )
    extra = found["worker_extra_args"]
    assert found["protocol"] == "tls://"
    assert found["python"].endswith(" -P")
    assert extra[:4] == ["--lifetime", "5m", "--dashboard-address", "127.0.0.1:0"]
    assert extra.count("--lifetime") == 1
    assert extra[-1] == str(FOLDER / "private" / "key.pem")
    assert found["scheduler_options"] == {
        "dashboard_address": "127.0.0.1:0", "dashboard": False, "http_prefix": "/hidden",
    }  # fmt: skip
    assert "export OMP_NUM_THREADS=1" in found["job_script_prologue"]
    assert found["job_script_prologue"][-1] == "module load x"
