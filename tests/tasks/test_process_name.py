import os
import re
import subprocess
import sys

from orimap.tasks.process_name import NAME, is_gone, own_name

TELL = "from orimap.tasks.process_name import own_name; print(own_name(), flush=True); input()"


def test_a_process_is_gone_when_it_has_ended_and_not_before():
    with subprocess.Popen(
        [sys.executable, "-c", TELL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        name = re.fullmatch(NAME, other.stdout.readline().strip())
        assert int(name["process"]) == other.pid
        assert not is_gone(name)
        other.kill()
    assert is_gone(name)


def test_another_process_by_the_same_number_is_not_the_one_that_has_ended():
    process, start, machine = own_name().split("-")
    assert int(process) == os.getpid()
    assert not is_gone(re.fullmatch(NAME, own_name()))
    assert is_gone(re.fullmatch(NAME, f"{process}-{int(start) - 1}-{machine}"))


def test_nothing_is_known_of_a_process_of_another_machine():
    process, start, machine = own_name().split("-")
    other = "0" * 8 if machine != "0" * 8 else "1" * 8
    assert not is_gone(re.fullmatch(NAME, f"{process}-{int(start) - 1}-{other}"))
