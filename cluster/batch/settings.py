"""The settings of worker jobs: site profile over Dask's own jobqueue settings."""

import shlex
import sys
from pathlib import Path
from typing import Any

from orimap.cluster.batch import credentials
from orimap.cluster.batch.jobqueue import configured
from orimap.cluster.batch.profiles import Profile, jobqueue_keywords
from orimap.cluster.batch.walltime import lifetime_options
from orimap.cluster.dashboard import OWN_MACHINE, scheduler_options
from orimap.cluster.environment import WORKER_ENVIRONMENT

# Where neither a profile nor Dask's jobqueue settings say: a worker of one thread, with room for
# a few blocks of patterns and the fits of one number of components.
CORES, MEMORY, DISK = 1, "4 GiB", "4 GiB"
# Other accounts are on the machines of a cluster, too: workers tell nothing of themselves.
JOB_ENVIRONMENT = {**WORKER_ENVIRONMENT, "DASK_DISTRIBUTED__WORKER__HTTP__ROUTES": "[]"}
LOGS = "logs"


def worker_settings(
    system: str,
    profile: Profile | None,
    *,
    name: str,
    folder: Path,
    private: Path,
    memory_limit: str | int | None = None,
    token: str = "",
) -> dict[str, Any]:
    """Return what a cluster class of dask-jobqueue is given.

    Dask's own ``jobqueue:`` settings, a profile laid over them, and over both what no site
    decides: encryption, pages on their own machine alone, one thread a process, leaving in time.

    Parameters
    ----------
    system : str
    profile : Profile, optional
    name : str
        Of the jobs.
    folder : Path
        For logs, where no other folder is named for them.
    private : Path
        Where the credentials are.
    memory_limit : str or int, optional
        Of each worker process.
    token : str
        What addresses of the scheduler's pages begin with.
    """
    from dask.utils import parse_bytes

    said = jobqueue_keywords(profile) if profile is not None else {}

    def setting(key: str, default: Any = None) -> Any:
        return said.get(key) or configured(system, key) or default

    cores = int(setting("cores", CORES))
    processes = int(setting("processes", cores))
    memory = setting("memory", MEMORY)
    if memory_limit is not None:
        memory = f"{processes * parse_bytes(memory_limit)} B"
    dashboard = ["--dashboard-address", OWN_MACHINE]
    extra = list(setting("worker_extra_args", []))
    # HTCondor is told of a walltime in a way of its own.
    walltime = setting("walltime") or (profile.walltime if profile is not None else None)
    lifetime = [] if "--lifetime" in extra else lifetime_options(system, walltime)
    own = {
        "cores": cores,
        "memory": memory,
        "processes": processes,
        # -P: a file tasks.py or random.py in the folder where a job starts is not imported.
        "python": f"{setting('python', shlex.quote(sys.executable))} -P",
        "log_directory": setting("log_directory", str(folder / LOGS)),
        "protocol": "tls://",
        "worker_extra_args": [
            *extra, *dashboard, *lifetime, *credentials.worker_options(private),
        ],
        "job_script_prologue": [
            *(f"export {name}={value}" for name, value in JOB_ENVIRONMENT.items()),
            *setting("job_script_prologue", []),
        ],
        "scheduler_options": {
            **setting("scheduler_options", {}), **scheduler_options(token),
        },
    }  # fmt: skip
    if system == "htcondor":
        own["disk"] = setting("disk", DISK)
    return {**said, **own, "job_name": name}


def process_memory_bytes(system: str, profile: Profile | None) -> int:
    """Return the memory of each worker process where nobody asks for another."""
    from dask.utils import parse_bytes

    nowhere = Path("/")
    asked = worker_settings(system, profile, name="", folder=nowhere, private=nowhere)
    return parse_bytes(asked["memory"]) // asked["processes"]
