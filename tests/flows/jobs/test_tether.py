import fcntl
import os
import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest

TETHER = [sys.executable, "-m", "orimap.flows.jobs.tether"]
SLEEP = [sys.executable, "-c", "print('up', flush=True); import time; time.sleep(60)"]


def start(lock, parent=None, command=SLEEP):
    return subprocess.Popen(
        [*TETHER, str(parent or os.getpid()), str(lock), *command],
        stdout=subprocess.PIPE,
        text=True,
    )


def is_held(lock):
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.fixture
def lock(tmp_path):
    return tmp_path / "job.lock"


def test_the_lock_is_held_as_long_as_the_command_lives_and_by_one_only(lock):
    with start(lock) as first:
        assert first.stdout.readline() == "up\n"
        assert is_held(lock)
        with start(lock) as second:
            assert second.wait(20) == 75
        first.kill()
        first.wait()
    assert not is_held(lock)


def test_the_exit_code_is_that_of_the_command(lock):
    with start(lock, command=[sys.executable, "-c", "raise SystemExit(7)"]) as process:
        assert process.wait(20) == 7


def test_nothing_is_started_for_a_process_that_is_gone(lock):
    with start(lock, parent=1) as process:
        assert process.wait(20) == 1
    assert not lock.exists()


def test_the_command_is_told_to_end_when_its_parent_is_killed(lock):
    script = textwrap.dedent(f"""
        import os, subprocess
        child = subprocess.Popen({TETHER!r} + [str(os.getpid()), {str(lock)!r}] + {SLEEP!r},
                                 stdout=subprocess.PIPE)
        child.stdout.readline()
        print(child.pid, flush=True)
        os.kill(os.getpid(), {signal.SIGKILL.value})
    """)
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    number, deadline = int(done.stdout), time.monotonic() + 60
    while is_held(lock):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not psutil.pid_exists(number) or psutil.Process(number).status() == "zombie"
