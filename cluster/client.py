"""Open a Dask client, whatever computes: this machine, a running scheduler, a batch system."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from orimap.cluster.batch.profiles import Profile, read_profile
from orimap.cluster.environment import one_thread_for_blas
from orimap.cluster.local import (
    ADDRESSES,
    ON_THIS_MACHINE,
    available_cores,
    process_client,
    running_client,
    thread_client,
)
from orimap.cluster.queue.commands import BATCH_SYSTEMS
from orimap.cluster.queue.ledger import cancel_orphans
from orimap.tasks.errors import InputError

if TYPE_CHECKING:
    from distributed import Client

# A queue in the daytime; who computes after every acquisition has a reservation or less patience.
FIRST_WORKER_MINUTES = 30.0
SUBMIT_COMMANDS = {
    "slurm": "sbatch",
    "pbs": "qsub",
    "lsf": "bsub",
    "sge": "qsub",
    "oar": "oarsub",
    "htcondor": "condor_submit",
}


def open_client(
    cluster: str = "local",
    *,
    workers: int | None = None,
    adapt: tuple[int, int] | None = None,
    profile: str | Path | None = None,
    memory_limit: str | int | None = None,
    folder: Path | None = None,
    shared: Sequence[Path] = (),
    preload: Sequence[str] = (),
    first_worker_minutes: float = FIRST_WORKER_MINUTES,
    dashboard: bool = True,
    note: Callable[[str], None] = lambda _text: None,
) -> AbstractContextManager["Client"]:
    """Return a context that opens a client and closes it again.

    Parameters
    ----------
    cluster : str
        "local" or "processes", worker processes on this machine; "threads", workers that are
        threads of this process; the address of a running scheduler (tcp://HOST:PORT;
        tls://HOST:PORT with the certificates of Dask's own configuration); or a batch system:
        slurm, pbs, lsf, sge, oar or htcondor, with the settings of Dask's own ``jobqueue:`` YAML.
    workers : int, optional
        Worker processes: on this machine by default one for each core; on a batch system they
        are kept up, a job that is lost is replaced. A running scheduler keeps those it has.
    adapt : (int, int), optional
        Instead of ``workers``, on a batch system: fewest and most worker processes, as there is
        work for them.
    profile : str or Path, optional
        A site profile, its name or its file, laid over the settings of a batch system. With it
        "local" means what the profile is for.
    memory_limit : str or int, optional
        Of each worker process, "2 GiB" or bytes; by default an equal part of the memory of this
        machine, or what profile and settings of a batch system say.
    folder : Path, optional
        A folder that nobody else uses meanwhile and that workers see as well; a batch system
        needs one, for ids of jobs, credentials and logs. It is removed at the end. Jobs that
        a killed run with the same folder has left are cancelled first.
    shared : sequence of Path
        What workers of a batch system must find at the same place.
    preload : sequence of str
        Modules that worker processes on this machine will need.
    first_worker_minutes : float
        How long to wait for the first worker of a batch system, in minutes.
    dashboard : bool
        Whether there is a Dask dashboard; a scheduler that runs already keeps its own.
    note : callable
        Takes lines about workers that come and go.

    Raises
    ------
    InputError
        If what is asked for does not go together or is not there; on opening UnavailableError,
        if nobody answers at the address, or no worker comes.
    """
    site = check_cluster(cluster, workers=workers, adapt=adapt, profile=profile)
    system = site.system if site is not None else cluster
    if folder is not None:
        folder = folder.absolute()
        orphans = cancel_orphans(folder)
        if orphans:
            note(f"jobs that a killed run has left are cancelled: {', '.join(orphans)}")
    if system in BATCH_SYSTEMS:
        from orimap.cluster.batch.workers import batch_client

        if folder is None:
            raise InputError("a folder that workers see", "none", "give one")
        number = workers or _of_profile(site, adapt)
        jobs = batch_client(
            system,
            *(adapt or (number, number)),
            profile=site,
            memory_limit=memory_limit,
            folder=folder,
            shared=[path.absolute() for path in shared],
            first_worker_seconds=60 * first_worker_minutes,
            dashboard=dashboard,
            note=note,
        )
        return _summing_as_workers(jobs)
    if system in ON_THIS_MACHINE:
        number = workers or _of_profile(site, adapt) or available_cores()
        if system == "threads":
            return thread_client(number, dashboard=dashboard)
        return _summing_as_workers(
            process_client(number, memory_limit, preload, dashboard=dashboard, note=note)
        )
    return _summing_as_workers(running_client(cluster))


@contextmanager
def _summing_as_workers(opened: AbstractContextManager["Client"]) -> Iterator["Client"]:
    """Open a client in a process whose own sums come in the order of those of its workers.

    Part of the linear algebra of a run is done here, on what the workers return.
    """
    with one_thread_for_blas(), opened as client:
        yield client


def check_cluster(
    cluster: str = "local",
    *,
    workers: int | None = None,
    adapt: tuple[int, int] | None = None,
    profile: str | Path | None = None,
) -> Profile | None:
    """Check what can be known before anything is started; return the profile.

    Raises
    ------
    InputError
        If what is asked for does not go together or is not there.
    """
    site = read_profile(profile) if profile is not None else None
    system = cluster
    if site is not None:
        if cluster not in ("local", site.system):
            raise InputError(
                f"one and the same system: --profile {profile} is for {site.system}",
                f"--cluster {cluster}",
                "leave out --cluster, or choose another profile",
            )
        system = site.system
    if system in BATCH_SYSTEMS:
        _check_batch(system, workers or _of_profile(site, adapt), adapt)
    elif adapt is not None:
        raise InputError(
            "--adapt with a batch system", f"--cluster {cluster}", "give --workers instead"
        )
    elif system not in ON_THIS_MACHINE and not system.startswith(ADDRESSES):
        raise InputError(
            "local, threads, processes, the address of a running Dask scheduler "
            "(tcp://HOST:PORT or tls://HOST:PORT), "
            f"or a batch system ({', '.join(BATCH_SYSTEMS)})",
            f"--cluster {cluster}",
            "choose one of these",
        )
    return site


def _of_profile(site: Profile | None, adapt: tuple[int, int] | None) -> int | None:
    """Return how many workers a profile asks for where nobody else does."""
    return site.workers if site is not None and adapt is None else None


def _check_batch(system: str, workers: int | None, adapt: tuple[int, int] | None) -> None:
    """Check what a batch system is to be asked for."""
    asked = f"--cluster {system}"
    if (workers is None) == (adapt is None):
        raise InputError(
            f"how many workers for {asked}: either --workers N or --adapt MIN:MAX",
            "neither" if workers is None else "both",
            "a worker is a process of one thread; give one of the two",
        )
    command = SUBMIT_COMMANDS[system]
    if shutil.which(command) is None:
        raise InputError(
            f"{command} on this machine, for {asked}",
            "it is not on PATH",
            "work where jobs are submitted from, or load the module of the batch system",
        )
