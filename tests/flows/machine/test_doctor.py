import os
import socket
import tempfile
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orimap.flows.cli.main import app
from orimap.flows.machine.api_password import api_password, password_file
from orimap.flows.machine.doctor import examine


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch, tmp_path):
    for name in ("ORIMAP_ROOTS", "ORIMAP_NOTIFY", "PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))


@pytest.fixture
def port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def _found(port=1, view_port=2, **folders):
    asked = {"watch": None, "results": None, "state": None, **folders}
    return {each.what: each for each in examine(port=port, view_port=view_port, **asked)}


def test_on_a_machine_that_is_in_order_nothing_is_wrong(tmp_path):
    (tmp_path / "in").mkdir()
    found = _found(watch=tmp_path / "in", results=tmp_path / "out", state=tmp_path / "state")
    assert [each for each in found.values() if each.state == "wrong"] == []
    assert not (tmp_path / "out").exists()
    assert "0 entries" in found["watched folder"].found
    assert found["state folder"].state == "ok"


def test_folders_that_cannot_be_used_are_wrong(tmp_path):
    (tmp_path / "file").touch()
    found = _found(watch=tmp_path / "absent", results=Path("/proc/out"), state=tmp_path / "file")
    for what in ("watched folder", "results folder", "state folder"):
        assert found[what].state == "wrong"
        assert found[what].remedy


def test_a_place_for_compiled_code_that_cannot_be_written_is_wrong(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file" / "numba"))
    found = _found()["compiled code"]
    assert (found.state, found.found) == ("wrong", f"{tmp_path}/file/numba cannot be written")
    assert "NUMBA_CACHE_DIR" in found.remedy


def test_a_place_for_compiled_code_that_is_cleared_is_doubtful(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "numba"))
    assert _found()["compiled code"].state == "doubt"
    assert "--state" in _found()["compiled code"].remedy
    assert _found(state=tmp_path)["compiled code"].state == "ok"


def test_results_inside_the_watched_folder_are_doubtful(tmp_path):
    found = _found(watch=tmp_path, results=tmp_path / "out")
    assert found["folders"].state == "doubt"


def test_a_port_that_is_taken_is_said(port):
    assert "taken by another program" in _found(port=port)[f"port {port}"].found


def test_the_port_of_the_viewer_is_looked_at_too(port):
    assert _found(view_port=2)["port 2"].state == "ok"
    taken = _found(view_port=port)[f"port {port}"]
    assert (taken.state, taken.remedy) == ("doubt", "give orimap up another --view-port")


def test_a_password_that_others_can_read_is_wrong(tmp_path, monkeypatch):
    monkeypatch.delenv("PREFECT_SERVER_API_AUTH_STRING", raising=False)
    assert "orimap up makes one" in _found(state=tmp_path)["password"].found
    assert not password_file(tmp_path).exists()
    api_password(tmp_path)
    assert _found(state=tmp_path)["password"].state == "ok"
    password_file(tmp_path).chmod(0o640)
    found = _found(state=tmp_path)["password"]
    assert (found.state, found.remedy) == (
        "wrong",
        "remove the file: the next start makes a new one",
    )


def test_a_prefect_api_that_does_not_answer_is_wrong(monkeypatch, port):
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{port}/api")
    assert _found()["Prefect API"].state == "wrong"


def test_folders_that_runs_may_not_use_are_wrong(monkeypatch, tmp_path):
    monkeypatch.setenv("ORIMAP_ROOTS", str(tmp_path / "a"))
    assert _found(watch=tmp_path / "b")["allowed folders"].state == "wrong"
    assert _found(watch=tmp_path / "a" / "in")["allowed folders"].state == "ok"


def test_a_disk_with_another_clock_is_wrong(tmp_path, monkeypatch):
    ahead = time.time() + 60
    monkeypatch.setattr(time, "time", lambda: ahead)
    found = _found(results=tmp_path)
    assert found["clock"].state == "wrong"
    assert "-60 s" in found["clock"].found


def test_messages_to_nowhere_are_wrong_and_not_shown(monkeypatch):
    monkeypatch.setenv("ORIMAP_NOTIFY", "json://127.0.0.1/x nonsense://secret")
    found = _found()["messages"]
    assert (found.state, "secret" in found.found) == ("wrong", False)
    assert "address 2" in found.found


def test_the_command_ends_with_1_when_something_is_wrong(tmp_path):
    good = CliRunner().invoke(app, ["doctor", "--results", str(tmp_path), "--port", "1"])
    bad = CliRunner().invoke(app, ["doctor", "--watch", str(tmp_path / "absent"), "--port", "1"])
    assert (good.exit_code, bad.exit_code) == (0, 1)
    assert f"wrong  watched folder   {tmp_path / 'absent'}: No such file" in bad.output
    assert "create it, or mount its disk" in bad.output
    assert os.listdir(tmp_path) == []
