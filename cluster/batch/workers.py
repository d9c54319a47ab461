"""Open a Dask client whose workers are jobs of a batch system, and leave no job behind."""

import logging
import os
import re
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from orimap.cluster.batch import credentials
from orimap.cluster.batch.jobqueue import cluster_class, configured
from orimap.cluster.batch.profiles import Profile
from orimap.cluster.batch.settings import LOGS, worker_settings
from orimap.cluster.batch.watch import JobWatch
from orimap.cluster.dashboard import add_dashboard, link_of_dashboard
from orimap.cluster.queue.ledger import JobLedger
from orimap.tasks.errors import InputError

if TYPE_CHECKING:
    from distributed import Client, Scheduler

# Into job scripts without quotes by way of dask-jobqueue; "$" and "%" mean something there.
PLAIN_PATH = re.compile(r"[\w./@+=,:-]+")
CLOSE_SECONDS = 30  # workers are cancelled by then; a batch system allows little more before a kill


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
    dashboard: bool = True,
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
    dashboard : bool
        Whether there is a Dask dashboard.
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
    require_interface((profile.interface if profile else None) or configured(system, "interface"))
    folder.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(16)
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
            dask.config.set({"distributed.dashboard.link": link_of_dashboard(token)})
        )
        settings = worker_settings(
            system, profile, name=ledger.name, folder=folder, private=private,
            memory_limit=memory_limit, token=token,
        )  # fmt: skip
        refusals: list[Exception] = []
        cluster = cluster_class(system, ledger, refusals)(
            **settings, name=ledger.name, security=security, silence_logs=logging.CRITICAL
        )
        stack.callback(cluster.close, timeout=CLOSE_SECONDS)
        cluster.sync(_open_or_close_pages, cluster.scheduler, token, dashboard)
        client = stack.enter_context(Client(cluster))
        watch = JobWatch(
            cluster, client, ledger, refusals, fewest, most,
            logs=Path(settings["log_directory"]), shared=[folder, *shared],
            patience_seconds=first_worker_seconds, note=note,
        )  # fmt: skip
        # Before anything else, and at once: after a request to end, a kill follows soon.
        stack.callback(_cancel_now, ledger)
        with watch:
            watch.wait_for_first()
            if dashboard:
                note(_dashboard(client))
            try:
                yield client
            except Exception as error:
                if watch.failure is not None:
                    raise watch.failure from error
                raise
    shutil.rmtree(folder / LOGS, ignore_errors=True)
    _tidy(folder)


def require_interface(name: str | None) -> None:
    """Refuse a network interface that this machine, where the scheduler runs, does not have.

    Raises
    ------
    InputError
        With the names and addresses of those that there are.
    """
    import psutil

    if not name:
        return
    addresses = {
        each: [one.address for one in of if one.family == socket.AF_INET]
        for each, of in psutil.net_if_addrs().items()
    }
    if addresses.get(name):
        return
    there = [f"{each} ({', '.join(found)})" for each, found in addresses.items() if found]
    raise InputError(
        f"a network interface of this machine with an address (interface: {name})",
        f"{name} has none" if name in addresses else f"no {name}; there are {', '.join(there)}",
        f"name one of {', '.join(each for each, found in addresses.items() if found)} in the "
        "profile, or leave interface out: the usual one is then taken",
    )


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
    shared = shared or configured(system, "shared_temp_directory")
    if not shared:
        return folder
    private = Path(os.path.expandvars(shared)).expanduser() / name
    _require_plain(private)
    private.mkdir(parents=True, exist_ok=True)
    return private


def _dashboard(client: "Client") -> str:
    """Return how to reach the dashboard, which answers on this machine alone."""
    link = client.dashboard_link
    port = link.rsplit(":", 1)[-1].split("/")[0]
    host = socket.getfqdn()
    tunnel = f"ssh -L {port}:127.0.0.1:{port} {host}"
    return f"the Dask dashboard answers on {host} alone ({link}); from elsewhere: {tunnel}"


async def _open_or_close_pages(scheduler: "Scheduler", token: str, dashboard: bool) -> None:
    """Show the pages of a scheduler to who knows the token, or to nobody."""
    if dashboard:
        add_dashboard(scheduler, token)
    else:
        scheduler.http_server.stop()


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
