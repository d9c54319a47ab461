import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request

import psutil
import pytest
from typer.testing import CliRunner

from orimap.flows.cli.main import app


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A state folder of this test's own, and no window to open a browser in."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "state" / "orimap" / "view"


def _call(*asked):
    return CliRunner().invoke(app, ["view", *map(str, asked)])


def test_the_token_is_printed_and_nothing_else(home, tmp_path):
    answer = _call("--token")
    assert answer.exit_code == 0
    assert answer.stdout == (home / "token").read_text()
    other = _call("--token", "--state", tmp_path / "of up")
    assert other.stdout == (tmp_path / "of up" / "view" / "token").read_text()
    assert other.stdout != answer.stdout


@pytest.mark.parametrize("what", ["empty", "absent", "file"])
def test_a_folder_without_results_says_what_is_needed(home, tmp_path, what):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    answer = _call(tmp_path / what, "--no-browser")
    assert answer.exit_code == 2
    assert "needed: the folder of a run, or a folder of many runs" in answer.stderr
    assert "--output" in answer.stderr


def test_without_a_folder_it_says_what_to_type(home):
    answer = _call()
    assert (answer.exit_code, "what to do: orimap view results" in answer.stderr) == (2, True)


def _start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "orimap.flows", "view", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture
def results(tmp_path):
    """Folders of two runs: one that has failed, one that was interrupted."""
    root = tmp_path / "results"
    (root / "a" / ".unfinished").mkdir(parents=True)
    (root / "b").mkdir()
    failed = {"key": "k", "acquisition": "a", "state": "failed", "reason": "no scan"}
    (root / "b" / "outcome.json").write_text(json.dumps(failed))
    return root


def test_it_serves_until_it_is_ended_and_shows_the_token_to_nobody(home, results):
    with _start(results, "--no-browser") as process:
        try:
            said = [process.stdout.readline() for _ in range(2)]
            (address,) = re.findall(r"http://127\.0\.0\.1:\d+/", said[0])
            token = (home / "token").read_text().strip()
            assert said[1] == "get the token with: orimap view --token\n"
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(f"{address}api/runs", timeout=60)
            assert refused.value.code == 401
            request = urllib.request.Request(f"{address}api/runs")
            request.add_header("Authorization", f"Bearer {token}")
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read().decode()
            states = {run["name"]: run["state"] for run in json.loads(text)["runs"]}
            assert states == {"a": "interrupted", "b": "failed"}
            assert token not in text
            assert token not in " ".join(psutil.Process(process.pid).cmdline())
            port = address.rstrip("/").rpartition(":")[2]
            again = subprocess.run(
                [sys.executable, "-m", "orimap.flows", "view", results, "--port", port],
                capture_output=True, text=True, timeout=60,
            )  # fmt: skip
            assert again.returncode == 2
            assert f"needed: the port {port} for the viewer" in again.stderr
            process.terminate()
            rest, complained = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, rest, complained) == (0, "ended\n", "")
    assert token not in "".join(said)
    assert os.listdir(home) == ["token"]
