import os
import signal
import subprocess
import sys
import threading
import time

import psutil

from orimap.cluster.client import open_client
from orimap.cluster.processes import arrival


def ended_while_starting(number, how=signal.SIGKILL):
    """End so many worker processes of this process as soon as they are forked."""

    def look():
        ended, last = set(), time.monotonic() + 60
        before = {each.pid for each in psutil.Process().children(recursive=True)}
        while len(ended) < number and time.monotonic() < last:
            for each in psutil.Process().children(recursive=True):
                new = each.pid not in before | ended
                if new and _is_forked(each) and len(ended) < number:
                    os.kill(each.pid, how)
                    ended.add(each.pid)
            time.sleep(0.001)

    threading.Thread(target=look, daemon=True).start()


def _is_forked(process):
    """Whether a process is no child of this one, but of what workers are forked from."""
    try:
        return process.ppid() != os.getpid()
    except psutil.NoSuchProcess:
        return False


def test_a_worker_that_is_killed_while_starting_is_done_without(capfd):
    said = []
    ended_while_starting(1)
    with open_client("processes", workers=2, note=said.append) as client:
        assert len(client.nthreads()) == 1
        assert client.submit(sum, [1, 2]).result() == 3
    assert said == ["1 of 2 workers did not come (1 ended while starting); going on with 1"]
    assert capfd.readouterr() == ("", "")


def test_a_worker_that_hangs_while_starting_is_done_without(monkeypatch):
    monkeypatch.setattr(arrival, "LATE_SECONDS", 1)
    said = []
    ended_while_starting(1, signal.SIGSTOP)
    with open_client("processes", workers=2, note=said.append) as client:
        assert client.submit(sum, [1, 2]).result() == 3
        assert len(client.nthreads()) == 1
    assert len(said) == 1
    assert said[0].startswith("1 of 2 workers did not come (not started within ")


NONE = """
import sys
from orimap.cluster.client import open_client
from orimap.tasks.errors import UnavailableError
sys.path.insert(0, sys.argv[1])
from test_arrival import ended_while_starting
if __name__ == "__main__":
    ended_while_starting(2)
    try:
        with open_client("processes", workers=2):
            pass
    except UnavailableError as error:
        print(error)
"""


def test_where_no_worker_comes_one_message_says_so():
    done = subprocess.run(
        [sys.executable, "-c", NONE, os.path.dirname(__file__)],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.stderr == ""
    needed, found, remedy = done.stdout.splitlines()
    assert needed == "needed: worker processes on this machine (2)"
    assert found == "found: none came: 2 ended while starting"
    assert "--cluster threads" in remedy
