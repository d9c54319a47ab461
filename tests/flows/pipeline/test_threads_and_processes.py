"""Both kinds of workers on this machine: the same results, and nothing left of either."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import psutil
import pytest

from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.write_scan import write_scan

ORIMAP = Path(sys.executable).parent / "orimap"
TOOLS = Path(__file__).parents[2] / "tools"
KINDS = ("threads", "processes")
FIRST_KIND_SLOWLY = (pytest.param("threads", marks=pytest.mark.slow), "processes")
STEPS = (
    *("ingest", "centre", "filter", "sketch", "fit", "score", "decide", "clusters", "baseline"),
    "report",
)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A scan whose analysis takes about as long as everything around it."""
    path = tmp_path_factory.mktemp("small") / "two.npy"
    write_scan(ScanRecipe(scan=(8, 9), detector=(48, 48), grains=2, dose=3000, seed=3), path)
    return path


@pytest.fixture(scope="module")
def medium(tmp_path_factory):
    """A scan whose analysis takes some seconds."""
    path = tmp_path_factory.mktemp("medium") / "three.npy"
    write_scan(ScanRecipe(scan=(16, 20), detector=(96, 96), grains=3, dose=3000, seed=3), path)
    return path


def command(file, output, *options):
    return [ORIMAP, "run", file, "--output", output, "--workers", "2", "--orchestrate", "never",
            *options]  # fmt: skip


@pytest.fixture(scope="module")
def left():
    """What was left of each kind when its run had ended: processes and temporary files."""
    return {}


@pytest.fixture(scope="module")
def analysed(small, left, tmp_path_factory):
    """The results of both kinds of workers."""
    folders = {kind: tmp_path_factory.mktemp(kind) / "results" for kind in KINDS}
    for kind, folder in folders.items():
        with running(small, folder, kind, "--k", "1:4") as (process, _):
            _, words = process.communicate(timeout=300)
            assert process.returncode == 0, words
            left[kind] = gone_after(process.pid, 5)
            left[kind] += (folder.parent / "temporary").iterdir()
    return folders


def record_of(folder):
    return json.loads((folder / "run.json").read_text())


@pytest.mark.slow
def test_results_are_equal_to_the_last_bit(analysed):
    spec = spec_from_file_location("compare_stores", TOOLS / "compare_stores.py")
    compare_stores = module_from_spec(spec)
    spec.loader.exec_module(compare_stores)
    assert list(compare_stores.differences(*analysed.values())) == []
    one, other = map(record_of, analysed.values())
    assert one["notes"] == other["notes"]
    assert [record["request"]["cluster"] for record in (one, other)] == [*KINDS]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_memory_is_within_three_tenths_of_what_was_predicted(analysed, kind):
    record = record_of(analysed[kind])
    assert [step["name"] for step in record["steps"]] == [*STEPS]
    # Of a small scan it is nearly all libraries, some of which several processes share.
    assert record["peak_bytes"] == pytest.approx(record["predicted_peak_bytes"], rel=0.3)


@contextlib.contextmanager
def running(file, output, kind, *options):
    """Start the command in a session and a temporary folder of its own; wait for its workers."""
    temporary = output.parent / "temporary"
    temporary.mkdir()
    process = subprocess.Popen(
        command(file, output, "--cluster", kind, *options),
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    guard = threading.Timer(300, process.kill)
    guard.start()
    try:
        said = process.stderr.readline()
        if said.startswith("opening "):
            said = process.stderr.readline()
        assert said.startswith("Dask dashboard: "), said + process.stderr.read()
        yield process, said.removeprefix("Dask dashboard: ").strip()
    finally:
        guard.cancel()
        for one in of_session(process.pid):
            with contextlib.suppress(psutil.Error):
                one.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            stream.close()


def of_session(session):
    """Return the processes of a session."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def gone_after(session, seconds):
    """Return the commands of processes of a session that are left after some seconds."""
    until = time.monotonic() + seconds
    while left := of_session(session):
        if time.monotonic() > until:
            return [" ".join(process.cmdline()) for process in left]
        time.sleep(0.1)
    return []


def wait_for_helpers(process):
    """Wait until the first step is done: by then the processes that help are there."""
    said = process.stderr.readline()
    assert said.startswith("ingest: done"), said
    return len(of_session(process.pid))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupt_ends_a_run_within_seconds_and_leaves_nothing(medium, tmp_path, kind):
    with running(medium, tmp_path / "out", kind) as (process, _):
        assert wait_for_helpers(process) >= 3  # the command and two processes
        os.killpg(process.pid, signal.SIGINT)
        said, words = process.communicate(timeout=20)
        assert process.returncode == 130
        assert said == ""
        assert words.splitlines()[-1] == "interrupted"
        assert "Traceback" not in words
        assert gone_after(process.pid, 5) == []
        assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_ends_leaves_nothing_either(analysed, left, kind):
    assert left[kind] == []


@pytest.mark.parametrize("kind", FIRST_KIND_SLOWLY)
def test_a_run_has_its_dashboard_all_on_loopback_and_leaves_no_process_when_killed(
    medium, tmp_path, kind
):
    with running(medium, tmp_path / "out", kind) as (process, link):
        assert link.startswith("http://127.0.0.1:")
        with pytest.raises(urllib.error.HTTPError, match="404"):  # without the token
            urllib.request.urlopen(f"http://{link.split('/')[2]}/status", timeout=60)
        wait_for_helpers(process)
        with urllib.request.urlopen(link, timeout=60) as answer:
            assert answer.status == 200
            page = answer.read().decode()
        assert "Dask" in page
        assert "bokeh" in page.lower()
        listening = {
            connection.laddr
            for one in of_session(process.pid)
            for connection in one.net_connections(kind="inet")
            if connection.status == psutil.CONN_LISTEN
        }
        assert {address.ip for address in listening} == {"127.0.0.1"}
        assert int(link.split(":")[2].split("/")[0]) in {address.port for address in listening}
        assert process.poll() is None
        process.kill()
        process.wait()
        assert gone_after(process.pid, 15) == []


VISIT = """
import sys, urllib.request
from orimap.cluster.client import open_client

def loaded():
    return "bokeh" in sys.modules

if __name__ == "__main__":
    with open_client(sys.argv[1], workers=2) as client:
        client.submit(sum, [1]).result()
        print(loaded(), *client.run(loaded).values())
        urllib.request.urlopen(client.dashboard_link, timeout=60).close()
        print(loaded())
"""


@pytest.mark.parametrize("kind", FIRST_KIND_SLOWLY)
def test_the_dashboard_is_loaded_at_the_first_visit(tmp_path, kind):
    script = tmp_path / "visit.py"
    script.write_text(VISIT)
    answer = subprocess.run(
        [sys.executable, script, kind], capture_output=True, text=True, timeout=120
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines() == ["False False False", "True"]
