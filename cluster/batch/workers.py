"""Open a Dask client whose workers are jobs of a batch system, and leave no job behind."""

import logging
import os
import re
import shlex
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orimap.cluster.batch import credentials
from orimap.cluster.batch.profiles import Profile, jobqueue_keywords
from orimap.cluster.batch.settings import load_jobqueue
from orimap.cluster.batch.walltime import lifetime_options
from orimap.cluster.batch.watch import JobWatch
from orimap.cluster.environment import WORKER_ENVIRONMENT
from orimap.cluster.queue.ledger import JobLedger
from orimap.tasks.errors import InputError

if TYPE_CHECKING:
    from dask_jobqueue import JobQueueCluster
    from distributed import Client

# Where neither a profile nor Dask's jobqueue settings say: a worker of one thread, with room for
# a few blocks of patterns and the fits of one number of components.
CORES, MEMORY, DISK = 1, "4 GiB", "4 GiB"
# Into job scripts without quotes by way of dask-jobqueue; "$" and "%" mean something there.
PLAIN_PATH = re.compile(r"[\w./@+=,:-]+")
# Of workers as of scheduler: pages that anybody can read stay on their own machine.
OWN_MACHINE = "127.0.0.1:0"
CLOSE_SECONDS = 30  # workers are cancelled by then; a batch system allows little more before a kill
LOGS = "logs"
CLASSES = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "lsf": "LSFCluster",
    "sge": "SGECluster",
    "oar": "OARCluster",
    "htcondor": "HTCondorCluster",
}


@contextmanager
def batch_client(
    system: str,
    fewest: int,
    most: int,
    *,
    profile: Profile | None,
    memory_limit: str | int | None = None,
    folder: Path,
    shared: Sequence[Path],
    first_worker_seconds: float,
    note: Callable[[str], None],
) -> Iterator["Client"]:
    """Start workers as jobs; cancel the jobs whatever ends the context.

    Parameters
    ----------
    system : str
        slurm, pbs, lsf, sge, oar or htcondor.
    fewest, most : int
        Worker processes: the same number keeps that many up, otherwise as there is work.
    profile : Profile, optional
    memory_limit : str or int, optional
        Of each worker process; by default what profile and settings say.
    folder : Path
        For this run alone, read by workers at the same place.
    shared : sequence of Path
        What else workers must find at the same place.
    first_worker_seconds : float
        How long to wait where there is no worker at all.
    note : callable
        Takes lines about workers that come and go.

    Raises
    ------
    InputError
        If the folder cannot stand in a job script; UnavailableError if no job is taken, no
        worker comes, those that come do not fit, or all are lost for good.
    """
    import dask
    from distributed import Client

    _require_plain(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.callback(_tidy, folder)
        ledger = JobLedger(folder, system)
        stack.callback(_close_ledger, ledger, note)
        private = _private_folder(profile, folder, system, ledger.name)
        stack.callback(_tidy, private)
        security = credentials.write_credentials(private)
        stack.callback(credentials.remove_credentials, private)
        stack.enter_context(dask.config.set(credentials.client_settings(private)))
        stack.enter_context(
            dask.config.set({"distributed.dashboard.link": "{scheme}://127.0.0.1:{port}/status"})
        )
        settings = worker_settings(
            system, profile, name=ledger.name, folder=folder, private=private,
            memory_limit=memory_limit,
        )  # fmt: skip
        refusals: list[Exception] = []
        cluster = _cluster_class(system, ledger, refusals)(
            **settings, name=ledger.name, security=security, silence_logs=logging.CRITICAL
        )
        stack.callback(cluster.close, timeout=CLOSE_SECONDS)
        client = stack.enter_context(Client(cluster))
        watch = JobWatch(
            cluster, client, ledger, refusals, fewest, most,
            logs=Path(settings["log_directory"]), shared=[folder, *shared],
            patience_seconds=first_worker_seconds, note=note,
        )  # fmt: skip
        # Before anything else, and at once: who ends a run does not wait long before a kill.
        stack.callback(_cancel_now, ledger)
        with watch:
            watch.wait_for_first()
            note(_dashboard(client))
            try:
                yield client
            except Exception as error:
                if watch.failure is not None:
                    raise watch.failure from error
                raise
    shutil.rmtree(folder / LOGS, ignore_errors=True)
    _tidy(folder)


def worker_settings(
    system: str,
    profile: Profile | None,
    *,
    name: str,
    folder: Path,
    private: Path,
    memory_limit: str | int | None = None,
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
    """
    from dask.utils import parse_bytes

    said = jobqueue_keywords(profile) if profile is not None else {}

    def setting(key: str, default: Any = None) -> Any:
        return said.get(key) or _configured(system, key) or default

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
            *(f"export {name}={value}" for name, value in WORKER_ENVIRONMENT.items()),
            *setting("job_script_prologue", []),
        ],
        "scheduler_options": {
            **setting("scheduler_options", {}), "dashboard_address": OWN_MACHINE,
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


def _configured(system: str, name: str) -> Any:
    """Return a setting of Dask's own for a batch system."""
    import dask

    load_jobqueue()  # brings the defaults
    return dask.config.get(f"jobqueue.{system}.{name.replace('_', '-')}", None)


def _cluster_class(
    system: str, ledger: JobLedger, refusals: list[Exception]
) -> type["JobQueueCluster"]:
    """Return dask-jobqueue's class for a batch system, with jobs that are written down."""
    from distributed.core import Status

    base = getattr(load_jobqueue(), CLASSES[system])

    class LedgerJob(base.job_cls):
        """A job that is in the ledger from the moment that its id is known."""

        def _job_id_from_submit_output(self, out: str) -> str:
            job_id = super()._job_id_from_submit_output(out)
            ledger.add(job_id)
            return job_id

        async def start(self) -> None:
            # Whoever scales a cluster never hears of a submission that failed.
            self.submitted = time.monotonic()
            try:
                await super().start()
            except Exception as error:
                refusals.append(error.with_traceback(None))
                raise

        async def close(self) -> None:
            await super().close()
            self.status = Status.closed

    class LedgerCluster(base):
        """A cluster whose workers find their credentials where we have put them."""

        job_cls = LedgerJob

        def _get_worker_security(self, _security: Any) -> None:
            return None

    return LedgerCluster


def _require_plain(folder: Path) -> None:
    """Refuse a folder that means something else in a job script."""
    if not PLAIN_PATH.fullmatch(str(folder)):
        raise InputError(
            "a folder for the results whose path has letters, digits and ./@+=,:_- alone: it "
            "stands in job scripts",
            str(folder),
            "choose another folder with --output",
        )


def _private_folder(profile: Profile | None, folder: Path, system: str, name: str) -> Path:
    """Return the folder for credentials, for us alone to read."""
    shared = profile.shared_directory if profile is not None else None
    shared = shared or _configured(system, "shared_temp_directory")
    if not shared:
        return folder
    private = Path(os.path.expandvars(shared)).expanduser() / name
    _require_plain(private)
    private.mkdir(parents=True, exist_ok=True)
    return private


def _dashboard(client: "Client") -> str:
    """Tell how the dashboard is reached, which answers on this machine alone."""
    port = client.dashboard_link.rsplit(":", 1)[-1].split("/")[0]
    host = socket.getfqdn()
    tunnel = f"ssh -L {port}:127.0.0.1:{port} {host}"
    return f"the Dask dashboard answers on {host} alone; from elsewhere: {tunnel}"


def _cancel_now(ledger: JobLedger) -> None:
    """Cancel all jobs; what does not work now is tried again when the ledger is closed."""
    try:
        ledger.cancel()
    except InputError:
        return


def _close_ledger(ledger: JobLedger, note: Callable[[str], None]) -> None:
    """Cancel what was submitted meanwhile as well; say so where it cannot be done."""
    try:
        ledger.close()
    except InputError as error:
        note(
            f"jobs of {ledger.system} may be left ({error.found}); the next run with the same "
            "--output cancels them, and their workers end by themselves"
        )


def _tidy(folder: Path) -> None:
    """Leave nothing behind but logs of what went wrong."""
    for each in (folder / LOGS, folder):
        if each.is_dir() and not any(each.iterdir()):
            each.rmdir()
