"""Bring up everything on one machine: Prefect's server, a worker, the watcher, the viewer.

Each is a process of its own; one that dies is started again, at first at once and then ever more
slowly. All of them end with this one. Everything they keep is in one folder.
"""

import contextlib
import hashlib
import json
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from orimap.cluster.environment import SAFE_PATH, own_temporary_folder
from orimap.cluster.processes.leftovers import clear_temporary
from orimap.flows.jobs.page import RESULTS_VARIABLE, VIEW_VARIABLE
from orimap.flows.jobs.privacy import keep_private
from orimap.flows.machine.api_password import CLIENT, SERVER, api_password, password_file
from orimap.flows.machine.service import Service, kill_group
from orimap.flows.machine.warm_run import SOCKET_VARIABLE
from orimap.flows.request.allowed import ROOTS_VARIABLE
from orimap.tasks.errors import InputError, UnavailableError, words_of
from orimap.tasks.store.locks import HeldError, held, holder

LOOPBACK = "127.0.0.1"
POOL = "orimap"
LOCK = "up.lock"
DEPLOYMENTS = Path(__file__).parents[2] / "deploy" / "prefect.yaml"
# Making its database takes half a minute on a slow machine.
SERVER_SECONDS = 180
DEPLOY_SECONDS = 180
# A run that is told to end closes its workers first.
END_SECONDS = 12
SERVER_END_SECONDS = 5
# What someone has set for a Prefect elsewhere does not go with a server of our own.
NOT_INHERITED = ("PREFECT_PROFILE", "PREFECT_PROFILES_PATH", "PREFECT_API_KEY", "PREFECT_UI_URL")


@dataclass(frozen=True)
class Site:
    """What is brought up, and where it keeps what it knows.

    Parameters
    ----------
    watched, results, state : Path
        The folder that acquisitions appear in, the one that results go to, and the one for
        database, journal and logs. Absolute.
    port : int
        Of the Prefect server, on loopback.
    view_port : int
        Of the viewer, on loopback.
    watch_options : tuple of str
        Further options of ``orimap watch``.
    group : str, optional
        Whose members may read the results.
    """

    watched: Path
    results: Path
    state: Path
    port: int
    view_port: int
    watch_options: tuple[str, ...] = ()
    group: str | None = None

    @property
    def address(self) -> str:
        """Of the Prefect page."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def viewer(self) -> str:
        """Address of the table of all runs."""
        return f"http://{LOOPBACK}:{self.view_port}"

    @property
    def logs(self) -> Path:
        """The folder of the logs."""
        return self.state / "logs"

    def environment(self) -> dict[str, str]:
        """Return the environment of all that is brought up."""
        kept = {name: text for name, text in os.environ.items() if name not in NOT_INHERITED}
        named = [os.environ.get(ROOTS_VARIABLE, ""), str(self.watched), str(self.results)]
        return kept | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "PREFECT_HOME": str(self.state / "prefect"),
            "PREFECT_API_URL": f"{self.address}/api",
            # Every account of the machine reaches the port; who knows this can start runs.
            **dict.fromkeys((SERVER, CLIENT), api_password(self.state)),
            # The page is put together where Prefect is installed, by default; and all accounts of
            # a machine share one folder for runs, which belongs to the first that had one.
            "PREFECT_UI_STATIC_DIRECTORY": str(self.state / "prefect" / "page"),
            "TMPDIR": str(own_temporary_folder()),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            # A proxy of the institute knows nothing of this machine's loopback.
            "NO_PROXY": ",".join(filter(None, (os.environ.get("NO_PROXY"), LOOPBACK))),
            # By default a run waits for up to 30 s after the one before it has ended.
            "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "2",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
            ROOTS_VARIABLE: os.pathsep.join(filter(None, named)),
            "ORIMAP_WATCHED": str(self.watched),
            RESULTS_VARIABLE: str(self.results),
            VIEW_VARIABLE: self.viewer,
            SOCKET_VARIABLE: str(self.state / "warm.socket"),
            **SAFE_PATH,
        }


def check(site: Site) -> None:
    """Check what can be known before anything is started.

    Raises
    ------
    InputError
        If a folder is missing or cannot be written, results would be watched, or a port is
        taken.
    """
    if not site.watched.is_dir():
        raise InputError(
            "a folder to watch",
            f"--watch {site.watched}: there is none",
            "make it, or name another",
        )
    if site.results.is_relative_to(site.watched) or site.state.is_relative_to(site.watched):
        raise InputError(
            "results and state outside the folder that is watched",
            f"--results {site.results}, --state {site.state}, --watch {site.watched}",
            "choose folders that lie elsewhere",
        )
    # The journal, the database and the socket are for this user alone.
    keep_private(site.results, site.state, site.group)
    for folder in (site.results, site.state, site.logs):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"a folder that can be written ({folder})", words_of(error), "choose another"
            ) from error
    _require_free(site.port, "Prefect's server", "--port")
    if site.view_port == site.port:
        raise InputError(
            "two ports, for Prefect's server and for the viewer",
            f"--port {site.port}, --view-port {site.view_port}",
            "give another with --view-port",
        )
    _require_free(site.view_port, "the viewer", "--view-port")


def _require_free(port: int, what: str, option: str) -> None:
    """Refuse a port that another program has."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((LOOPBACK, port))
        except OSError as error:
            raise InputError(
                f"the port {port} for {what}",
                words_of(error),
                f"end what uses it, or choose another with {option}",
            ) from error


def running(state: Path) -> dict | None:
    """Return the process and the address of what is up with this state, None if nothing is."""
    if holder(state / LOCK) is None:
        return None
    return json.loads((state / "up.json").read_text())


@contextmanager
def _only_one(site: Site) -> Iterator[None]:
    """Hold the state for this process; say under which address."""
    site.state.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(held(site.state / LOCK))
        except HeldError as error:
            raise UnavailableError(
                f"{site.state} for this process alone",
                f"another orimap up has just started with it (process {error.owner})",
                "wait until it is up, or choose another folder with --state",
            ) from error
        facts = {
            "pid": os.getpid(),
            "address": site.address,
            "viewer": site.viewer,
            "watched": str(site.watched),
        }
        (site.state / "up.json").write_text(json.dumps(facts))
        yield


def bring_up(site: Site, note: Callable[[str], None]) -> None:
    """Start everything and keep it up, until Ctrl-C or SIGTERM; leave nothing behind.

    Raises
    ------
    InputError
        If a folder or the port is at fault.
    RuntimeError
        If the server does not start, or the deployments cannot be made; says what the log says.
    """
    check(site)
    clear_temporary()
    with _only_one(site), _supervised(site, note) as up:
        note(f"starting Prefect's server; {SERVER_SECONDS} s at the longest")
        server = up.start("server", "prefect", "server", "start", "--host", LOOPBACK,
                          "--port", str(site.port))  # fmt: skip
        _wait_for_server(site, server)
        _deploy(site, note)
        up.start("warm", "orimap.flows.machine.warm_keeper", up.environment[SOCKET_VARIABLE])
        up.start("worker", "prefect", "worker", "start", "--pool", POOL, "--type", "process",
                 "--name", "orimap")  # fmt: skip
        up.start("watch", "orimap.flows", "watch", str(site.watched), "--results",
                 str(site.results), "--state", str(site.state), "--submit-to", "prefect",
                 *(("--group", site.group) if site.group else ()),
                 *site.watch_options)  # fmt: skip
        up.start("view", "orimap.flows", "view", str(site.results), "--state", str(site.state),
                 "--port", str(site.view_port), "--no-browser")  # fmt: skip
        token = f"orimap view --token --state {shlex.quote(str(site.state))}"
        password = f"cat {shlex.quote(str(password_file(site.state)))}"
        note(f"results: {site.viewer} (get the token with: {token})")
        note(f"runs: {site.address} (get the password with: {password})")
        note(f"up: {site.address} (watching {site.watched}; logs in {site.logs})")
        up.keep()


class _Up:
    """The services that are up."""

    def __init__(self, site: Site, note: Callable[[str], None]) -> None:
        self.site = site
        self.note = note
        self.environment = site.environment()
        self.services: list[Service] = []

    def start(self, name: str, module: str, *arguments: str) -> Service:
        """Start a Python module as a service."""
        command = [sys.executable, "-P", "-m", module, *arguments]
        service = Service(name, command, self.environment, self.site.logs)
        self.services.append(service)
        return service

    def keep(self) -> None:
        """Start again what dies, until this process is told to end."""
        while True:
            alive = [each.ended for each in self.services if each.start_again is None]
            select.select(alive, [], [], 1.0)
            for service in self.services:
                service.look(self.note)

    def stop(self) -> None:
        """End everything: the server last, so that runs can still say how they ended."""
        *others, server = reversed(self.services)
        for services, seconds in ((others, END_SECONDS), ([server], SERVER_END_SECONDS)):
            for each in services:
                with contextlib.suppress(ProcessLookupError):
                    each.process.terminate()
            last = time.monotonic() + seconds
            for each in services:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    each.process.wait(max(0.1, last - time.monotonic()))
                kill_group(each.process.pid)
                each.process.wait()


@contextmanager
def _supervised(site: Site, note: Callable[[str], None]) -> Iterator[_Up]:
    up = _Up(site, note)
    try:
        yield up
    finally:
        # Signals are ignored until everything has ended: a second Ctrl-C would leave processes half
        # ended. This is the one place where `up` changes them; the handlers are put back.
        before = {
            each: signal.signal(each, signal.SIG_IGN) for each in (signal.SIGINT, signal.SIGTERM)
        }
        if up.services:
            note("stopping")
            up.stop()
        for each, handler in before.items():
            signal.signal(each, handler)


def _wait_for_server(site: Site, server: Service) -> None:
    last = time.monotonic() + SERVER_SECONDS
    while time.monotonic() < last:
        if server.process.poll() is not None:
            break
        try:
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                f"{site.address}/api/health", timeout=5
            ).close()
            return
        except urllib.error.HTTPError:
            return  # it answers, and asks for credentials
        except OSError:
            time.sleep(0.5)
    raise RuntimeError(f"Prefect's server did not start; the end of {server.log}:\n{server.tail()}")


def _deploy(site: Site, note: Callable[[str], None]) -> None:
    """Make the work pool and the deployments, where they are not yet what they should be."""
    kept = site.state / "prefect" / "orimap-deployed"
    wanted = hashlib.sha256(DEPLOYMENTS.read_bytes() + version("orimap").encode()).hexdigest()
    if kept.exists() and kept.read_text() == wanted:
        return
    note("making the work pool and the deployments")
    for asked in (
        ["work-pool", "create", POOL, "--type", "process", "--overwrite"],
        ["deploy", "--all", "--prefect-file", str(DEPLOYMENTS)],
    ):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "prefect", "--no-prompt", *asked],
            env=site.environment(),
            cwd=DEPLOYMENTS.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEPLOY_SECONDS,
            check=False,
        )
        (site.logs / "deploy.log").write_text(done.stdout + done.stderr)
        if done.returncode:
            raise RuntimeError(f"prefect {asked[0]} failed: {(done.stdout + done.stderr).strip()}")
    kept.write_text(wanted)
