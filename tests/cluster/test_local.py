import asyncio
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest
from distributed import Security
from distributed.comm import connect

from orimap.cluster import dashboard, local
from orimap.cluster.client import open_client
from orimap.cluster.local import available_cores, is_on_this_machine
from orimap.cluster.processes import fork_server
from orimap.tasks.errors import InputError


def _surroundings():
    import os

    threads = [os.environ.get(f"{name}_NUM_THREADS") for name in ("OMP", "MKL", "OPENBLAS")]
    memory = [os.environ.get(f"MALLOC_{name}_THRESHOLD_") for name in ("TRIM", "MMAP")]
    return os.getpid(), threads, memory


def test_workers_are_processes_of_one_thread_and_leave_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    with open_client("local", workers=2) as client:
        found = client.run(_surroundings)
        folders = client.run(lambda dask_worker: dask_worker.local_directory).values()
        assert sorted(client.nthreads().values()) == [1, 1]
        assert len({pid for pid, *_ in found.values()} | {os.getpid()}) == 3
        assert all(threads == ["1", "1", "1"] for _, threads, _ in found.values())
        assert all(memory == ["16777216", "4194304"] for *_, memory in found.values())
        assert client.dashboard_link.startswith("http://127.0.0.1:")
        assert client.scheduler.address.startswith("tls://127.0.0.1:")
    assert not any(Path(folder).exists() for folder in folders)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_threads_are_of_this_process_and_leave_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    with open_client("threads", workers=2) as client:
        assert set(client.run(os.getpid).values()) == {os.getpid()}
        assert sorted(client.nthreads().values()) == [1, 1]
        assert client.scheduler.address.startswith(local.THREADS_ADDRESS)
        assert all(map(is_on_this_machine, client.nthreads()))
        folders = client.run(lambda dask_worker: dask_worker.local_directory).values()
    assert not any(Path(folder).exists() for folder in folders)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


TWICE = """
import sys
from orimap.cluster.local import thread_client
assert "distributed" not in sys.modules
for number in (1, 2):
    with thread_client(1) as client:
        print(client.submit(sum, [1, number]).result(), "bokeh" in sys.modules)
import dask
print(dask.config.get("distributed.worker.profile.interval"))
"""


def test_threads_open_again_with_dask_as_it_was():
    answer = subprocess.run(
        [sys.executable, "-c", TWICE], capture_output=True, text=True, timeout=120, check=True
    )
    assert answer.stdout.splitlines() == ["2 False", "3 False", "10ms"]


@pytest.mark.parametrize("cluster", ["threads", "processes"])
def test_the_dashboard_is_there_at_the_first_visit(cluster):
    with open_client(cluster, workers=1) as client:
        assert client.cluster.scheduler_info["workers"]
        for _ in range(2):
            with urllib.request.urlopen(client.dashboard_link, timeout=60) as answer:
                assert answer.status == 200
                assert "bokeh" in answer.read().decode().lower()
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(client.dashboard_link.replace("/status", "/absent"), timeout=60)


def test_a_scheduler_has_a_dashboard_only_when_one_is_added(monkeypatch):
    monkeypatch.setattr(local, "add_dashboard", lambda _scheduler, _token: None)
    with open_client("threads", workers=1) as client:
        token = client.dashboard_link.split("/")[3]

        async def add():
            dashboard.add_dashboard(client.cluster.scheduler, token)

        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(client.dashboard_link, timeout=60)
        client.cluster.sync(add)
        with urllib.request.urlopen(client.dashboard_link, timeout=60) as answer:
            assert answer.status == 200


@pytest.mark.parametrize("cluster", ["threads", "processes"])
def test_who_does_not_know_the_token_finds_no_dashboard(cluster):
    with open_client(cluster, workers=1) as client:
        machine, token = client.dashboard_link.rsplit("/", 2)[:2]
        assert len(token) == 32
        urllib.request.urlopen(client.dashboard_link, timeout=60).close()
        for path in ("", "status", "info/main/workers.html", "health", "json/index.html"):
            for below in ("", f"{'0' * 32}/"):
                with pytest.raises(urllib.error.HTTPError, match="404"):
                    urllib.request.urlopen(f"{machine}/{below}{path}", timeout=60)
        with urllib.request.urlopen(
            f"{machine}/{token}/info/main/workers.html", timeout=60
        ) as page:
            assert page.status == 200


def listening():
    """Ports that this process listens at, apart from those of other clusters of the session."""
    found = psutil.Process().net_connections("tcp")
    return {each.laddr.port for each in found if each.status == psutil.CONN_LISTEN}


def test_workers_in_this_process_listen_nowhere_without_a_dashboard():
    before = listening()
    with open_client("threads", workers=2, dashboard=False) as client:
        assert client.submit(sum, [1, 2]).result() == 3
        assert listening() == before
        assert client.dashboard_link == ""


CALL = """
import sys
from distributed import Client
with Client(sys.argv[1], timeout=5) as client:
    print(client.submit(sum, [1, 2]).result())
"""


def test_a_scheduler_of_this_machine_takes_nothing_from_strangers():
    with open_client("processes", workers=1, dashboard=False) as client:
        places = [client.scheduler.address, *client.scheduler_info()["workers"]]
        places += [each["nanny"] for each in client.scheduler_info()["workers"].values()]
        assert all(place.startswith("tls://127.0.0.1:") for place in places)
        port = places[0].rpartition(":")[2]
        for address in (places[0], f"tcp://127.0.0.1:{port}"):
            done = subprocess.run(
                [sys.executable, "-c", CALL, address], capture_output=True, text=True, timeout=100
            )
            assert done.returncode != 0
            assert done.stdout == ""
        # With a certificate of somebody's own, which anybody can make.
        other = Security.temporary()
        for place in places:
            with pytest.raises(OSError):
                client.sync(_identity, place, other)
        assert client.submit(sum, [1, 2]).result() == 3


async def _identity(address, security):
    how = security.get_connection_args("client")
    comm = await asyncio.wait_for(connect(address, timeout=5, **how), 10)
    await comm.write({"op": "identity"})
    return await asyncio.wait_for(comm.read(), 10)


def _answer(connection):
    held = signal.pthread_sigmask(signal.SIG_BLOCK, set())
    connection.send((os.getppid(), os.environ.get("ORIMAP_TEST"), signal.SIGINT in held))


def test_the_fork_server_alone_has_its_environment_and_holds_back_ctrl_c(monkeypatch):
    from multiprocessing import forkserver, get_context

    before = dict(os.environ)
    # Another of its kind may run in this process: this one is for the test alone.
    server = forkserver.ForkServer()
    monkeypatch.setattr(forkserver, "ensure_running", server.ensure_running)
    monkeypatch.setattr(forkserver, "connect_to_new_process", server.connect_to_new_process)
    fork_server.start_fork_server({"ORIMAP_TEST": 7}, [])
    assert dict(os.environ) == before
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())
    context = get_context("forkserver")
    receiver, sender = context.Pipe()
    process = context.Process(target=_answer, args=(sender,))
    process.start()
    assert receiver.poll(60)
    assert receiver.recv() == (server._forkserver_pid, "7", True)
    process.join()
    server._stop()


def test_default_is_a_worker_for_each_core_that_may_be_used():
    assert available_cores() == len(os.sched_getaffinity(0))


def test_a_running_scheduler_is_joined_and_left_running(client):
    with open_client(client.scheduler.address, workers=7) as joined:
        assert joined.submit(sum, [1, 2]).result() == 3
        assert len(joined.nthreads()) == 2
    assert client.submit(sum, [1, 3]).result() == 4


def test_an_address_where_nobody_answers_is_reported(monkeypatch):
    monkeypatch.setattr(local, "ANSWER_SECONDS", 1)
    with (
        pytest.raises(InputError, match="none answers within 1 s"),
        open_client("tcp://127.0.0.1:1"),
    ):
        pass


def test_a_scheduler_without_workers_is_reported(monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setattr(local, "FIRST_WORKER_SECONDS", 0.5)
    with (
        LocalCluster(n_workers=0, dashboard_address=None, host="127.0.0.1") as cluster,
        pytest.raises(InputError, match="workers that compute"),
        open_client(cluster.scheduler_address),
    ):
        pass


SCRIPT = """
import time
from orimap.cluster.client import open_client
if __name__ == "__main__":
    with open_client("local", workers=1) as client:
        print(client.nthreads() and "ready", flush=True)
        client.submit(time.sleep, 1).result()
        time.sleep(60)
"""


def test_an_interrupt_ends_the_workers_without_a_word_from_them(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, script],
        start_new_session=True,  # so that the interrupt reaches all its processes, not ours
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    guard = threading.Timer(120, process.kill)
    guard.start()
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGINT)
    _, words = process.communicate(timeout=60)
    guard.cancel()
    assert words.count("Traceback") == 1  # that of the script itself
    assert words.strip().endswith("KeyboardInterrupt")


def test_workers_of_a_user_s_own_script_run_no_code_of_the_current_folder(tmp_path):
    folder = tmp_path / "incoming"
    folder.mkdir()
    for name in ("pickle", "random", "select", "signal", "tempfile", "numpy", "distributed"):
        told = f"open({str(tmp_path / 'executed')!r}, 'a').write(__name__)"
        (folder / f"{name}.py").write_text(f"{told}\nraise ImportError('the wrong file')\n")
    script = tmp_path / "own.py"
    script.write_text("""
import os
from orimap.cluster.client import open_client
if __name__ == "__main__":
    with open_client("processes", workers=1) as client:
        assert client.submit(int, "2").result() == 2
    assert "PYTHONSAFEPATH" not in os.environ
""")
    subprocess.run(
        [sys.executable, script],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"},
        check=True,
    )
    assert not (tmp_path / "executed").exists()
