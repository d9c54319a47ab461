import json
import os
import subprocess
import sys

from typer.testing import CliRunner

from orimap.flows.cli.machine import PORT, port_after
from orimap.flows.cli.main import app
from orimap.flows.machine.up import LOCK, running
from orimap.tasks.store.locks import held


def _call(*asked):
    return CliRunner().invoke(app, [str(each) for each in asked])


def test_what_is_not_up_cannot_be_ended(tmp_path):
    answer = _call("down", "--results", tmp_path)
    assert (answer.exit_code, answer.stdout) == (0, "nothing is running\n")


def test_a_second_up_says_where_the_first_is(tmp_path):
    state = tmp_path / ".orimap"
    state.mkdir()
    facts = {"pid": os.getpid(), "address": f"http://127.0.0.1:{PORT}", "watched": "/data"}
    (state / "up.json").write_text(json.dumps(facts))
    with held(state / LOCK):
        answer = _call("up", "--watch", tmp_path, "--results", tmp_path)
    assert answer.exit_code == 0
    assert answer.stdout == f"already up: http://127.0.0.1:{PORT} (watching /data)\n"
    (state / "up.json").write_text(json.dumps({**facts, "viewer": "http://127.0.0.1:4201"}))
    with held(state / LOCK):
        answer = _call("up", "--watch", tmp_path, "--results", tmp_path)
    assert answer.stdout.splitlines()[1] == "results: http://127.0.0.1:4201"


def test_the_viewer_has_the_port_after_prefects():
    assert [port_after(port) for port in (PORT, 65535)] == [4201, 65534]


HOLDS = """
import os, signal, sys, time
from pathlib import Path
from orimap.tasks.store.locks import held

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
with held(Path(sys.argv[1])):
    print("up", flush=True)
    time.sleep(60)
"""


def test_down_ends_the_process_that_is_up_and_waits_for_its_end(tmp_path):
    state = tmp_path / ".orimap"
    state.mkdir()
    command = [sys.executable, "-c", HOLDS, str(state / LOCK)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "up\n"
        facts = {"pid": process.pid, "address": "", "watched": ""}
        (state / "up.json").write_text(json.dumps(facts))
        assert running(state) == facts
        assert _call("down", "--results", tmp_path).stdout == "down\n"
        assert process.wait(10) == 0
    assert running(state) is None
