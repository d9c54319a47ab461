import os
import signal
import subprocess
import sys

import pytest

from orimap.tasks.store.locks import HeldError, held, holder

HOLDS = """
import sys, time
from orimap.tasks.store.locks import held
with held(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the file."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_one_process_at_a_time_holds_a_file_and_says_which(other, tmp_path):
    with pytest.raises(HeldError) as info, held(tmp_path / "lock"):
        pass
    assert info.value.owner == holder(tmp_path / "lock") == other.pid


def test_a_killed_process_holds_nothing(other, tmp_path):
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert holder(tmp_path / "lock") is None
    with held(tmp_path / "lock"):
        assert holder(tmp_path / "lock") == os.getpid()
    assert holder(tmp_path / "lock") is None


def test_nobody_holds_what_is_not_there(tmp_path):
    assert holder(tmp_path / "lock") is None


def test_what_goes_wrong_while_a_file_is_held_is_raised_as_it_is(tmp_path):
    with pytest.raises(HeldError, match="5"), held(tmp_path / "lock"):
        raise HeldError(5)
    assert holder(tmp_path / "lock") is None
