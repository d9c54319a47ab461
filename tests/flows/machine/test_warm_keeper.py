import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest

from orimap.flows.machine.warm_run import SOCKET_VARIABLE, short_address
from orimap.flows.machine.warm_spare import IMPORTED


@pytest.fixture(scope="module")
def keeper(tmp_path_factory):
    """Keeps a process warm; gives the socket and the process. The folder's name is too long."""
    folder = tmp_path_factory.mktemp("warm") / ("long" * 30)
    folder.mkdir()
    path = folder / "warm.socket"
    process = subprocess.Popen(
        [sys.executable, "-m", "orimap.flows.machine.warm_keeper", str(path)], env=_environment()
    )
    last = time.monotonic() + 60
    while not path.exists():  # until then a run starts by itself
        assert time.monotonic() < last
        time.sleep(0.05)
    yield path, psutil.Process(process.pid)
    children = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    assert process.wait(30) == 0
    assert psutil.wait_procs(children, timeout=60)[1] == []
    assert not path.exists()


@pytest.fixture
def silent_api():
    """An address that takes connections and never answers: a run waits for it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(90)
        yield server


def _environment():
    """Nothing of the settings that other tests make for a server of theirs."""
    return {name: text for name, text in os.environ.items() if not name.startswith("PREFECT")}


def _run(socket_path, run_id, **more):
    environment = {**_environment(), "PREFECT__FLOW_RUN_ID": run_id, **more}
    environment[SOCKET_VARIABLE] = str(socket_path)
    return subprocess.Popen(
        [sys.executable, "-m", "orimap.flows.machine.warm_run"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_without_a_keeper_the_process_is_the_run_itself():
    with _run("absent/warm.socket", "no id") as run:
        assert "Invalid flow run id" in run.stderr.read()
    assert run.returncode == 1


def test_a_warm_process_is_the_run_with_its_environment_its_output_and_its_exit_code(keeper):
    path, process = keeper
    with _run(path, "no id of mine") as run:
        # The run's own standard error, not that of the keeper.
        assert "Invalid flow run id" in run.stderr.read()
    assert run.returncode == 1
    assert process.is_running()


def test_only_this_user_may_hand_over_a_run(keeper):
    path, _ = keeper
    with socket.socket(socket.AF_UNIX) as client, short_address(path) as address:
        client.connect(address)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_run_ends_with_the_process_that_the_worker_knows(keeper, silent_api):
    path, process = keeper
    address = f"http://127.0.0.1:{silent_api.getsockname()[1]}/api"
    with _run(path, "00000000-0000-4000-8000-000000000000", PREFECT_API_URL=address) as run:
        connection, (_, port) = silent_api.accept()
        (at_work,) = [
            each
            for each in process.children()
            if any(c.laddr.port == port for c in each.net_connections())
        ]
        run.kill()
        assert run.wait(30) == -signal.SIGKILL
        at_work.wait(30)
        connection.close()


@pytest.mark.parametrize("name", IMPORTED)
def test_what_is_imported_ahead_is_there(name):
    assert importlib.util.find_spec(name) is not None
