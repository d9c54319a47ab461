"""Everything that `orimap up` brings up, for real: one server, worker and watcher for all tests."""

import base64
import contextlib
import json
import os
import pwd
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from orimap.cluster import local
from orimap.flows.jobs.job import Job
from orimap.flows.jobs.outcome import read_outcome
from orimap.flows.machine.api_password import password_file
from orimap.flows.machine.warm_run import short_address
from orimap.flows.prefect.events import completed, emit, event_id
from orimap.flows.request.request import Request
from orimap.tasks.acquire.acquisition import describe
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.write_scan import write_scan

GRAINS = 2
OPTIONS = "k: 1:3\n"
PIECES = 6
SECONDS = 300  # for what takes ten on a machine that has nothing else to do


class Up:
    """What is up, and its API."""

    def __init__(self, folder, port, view_port):
        self.folder, self.watched, self.results = folder, folder / "watched", folder / "results"
        self.scan = folder / "scan.hspy"
        self.port, self.view_port = port, view_port
        self.command = [sys.executable, "-m", "orimap.flows"]
        self.said = folder / "said"

    def orimap(self, *arguments):
        return [*self.command, *arguments, "--results", str(self.results)]

    def start(self):
        with self.said.open("w") as said:
            self.process = psutil.Process(
                subprocess.Popen(
                    [*self.orimap("up", "--watch", str(self.watched), "--port", str(self.port),
                                  "--view-port", str(self.view_port)),
                     "--", "--poll", "1", "--settle", "1"],
                    stderr=said,
                ).pid
            )  # fmt: skip
        until(lambda: "up: " in self.said.read_text() or not self.process.is_running())
        assert f"up: http://127.0.0.1:{self.port}" in self.said.read_text()

    @property
    def password(self):
        """What Prefect's API asks for."""
        return password_file(self.results / ".orimap").read_text().strip()

    def ask(self, path, body=None):
        known = base64.b64encode(self.password.encode()).decode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api{path}",
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": f"Basic {known}"},
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def runs(self, key):
        found = self.ask("/flow_runs/filter", {"sort": "START_TIME_DESC"})
        return [run for run in found if run["parameters"].get("key") == key]


def until(true, seconds=SECONDS):
    """Wait for something; fail when it does not come."""
    last = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < last, f"not within {seconds} s"
        time.sleep(0.2)
    return found


@pytest.fixture(scope="module")
def up():
    # Unlike pytest's own folders, other accounts may look into this one.
    place = os.environ.get("PYTEST_DEBUG_TEMPROOT")
    folder = Path(tempfile.mkdtemp(prefix="up-", dir=place)).resolve()
    folder.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        for name in [each for each in os.environ if each.startswith(("PREFECT", "ORIMAP_ROOTS"))]:
            patch.delenv(name)
        with (
            socket.create_server(("127.0.0.1", 0)) as free,
            socket.create_server(("127.0.0.1", 0)) as another,
        ):
            ports = free.getsockname()[1], another.getsockname()[1]
        up = Up(folder, *ports)
        for each in (up.watched, up.results):
            each.mkdir()
        recipe = ScanRecipe(scan=(6, 8), detector=(48, 48), grains=GRAINS, dose=3000, seed=4)
        write_scan(recipe, up.scan)
        up.start()
        try:
            yield up
        finally:
            everything = [up.process, *up.process.children(recursive=True)]
            subprocess.run(up.orimap("down"), check=True, timeout=60)
            _, left = psutil.wait_procs(everything, timeout=60)
            assert left == []
            assert up.said.read_text().rstrip().endswith("stopping")
            shutil.rmtree(folder)


@pytest.fixture
def submitter(up, monkeypatch):
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

    from orimap.flows.prefect.submitter import PrefectSubmitter

    address = f"http://127.0.0.1:{up.port}/api"
    monkeypatch.setenv("PREFECT_API_URL", address)
    known = {PREFECT_API_URL: address, PREFECT_API_AUTH_STRING: up.password}
    with temporary_settings(updates=known):
        yield PrefectSubmitter()


def _age(moment, since):
    return (datetime.fromisoformat(moment) - since).total_seconds()


def test_prefects_page_is_there_though_nothing_is_written_beside_prefect(up):
    with urllib.request.urlopen(f"http://127.0.0.1:{up.port}/") as answer:
        assert b"<title>Prefect" in answer.read()
    assert list((up.results / ".orimap").rglob("page/**/index.html"))


def test_prefects_api_answers_nobody_who_does_not_know_the_password(up):
    for path in ("/flow_runs/filter", "/deployments/filter", "/events", "/admin/version"):
        for known in ({}, {"Authorization": "Basic " + base64.b64encode(b"orimap:").decode()}):
            asked = urllib.request.Request(f"http://127.0.0.1:{up.port}/api{path}", b"{}", known)
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(asked)
            assert refused.value.code == 401
    assert up.ask("/flow_runs/filter", {}) is not None
    told = [*up.results.rglob("*.log"), up.results / ".orimap" / "up.json", up.said]
    assert not [path for path in told if up.password in path.read_text(errors="replace")]
    for process in [up.process, *up.process.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            assert up.password not in " ".join(process.cmdline())


def test_a_file_that_is_copied_slowly_is_decided_with_nobody_there(up, record_property):
    target = up.watched / "day 1" / "scan.hspy"
    target.parent.mkdir()
    target.with_name("scan.hspy.orimap.yaml").write_text(OPTIONS)
    data = up.scan.read_bytes()
    with target.open("wb") as file:
        for piece in range(PIECES):
            file.write(data[piece * len(data) // PIECES : (piece + 1) * len(data) // PIECES])
            file.flush()
            time.sleep(0.3)
    complete = datetime.now(UTC)
    output = up.results / "day 1" / "scan.hspy"
    outcome = until(lambda: read_outcome(output))
    assert (outcome.state, outcome.checked, outcome.decided_k) == ("done", True, GRAINS)
    # Under load the event may lead to its run so late that a second one was made: it has no work.
    (run,) = until(lambda: [r for r in up.runs(outcome.key) if r["state_name"] == "Completed"])
    assert run["name"] == "scan.hspy"
    assert run["state"]["message"].startswith(f"{GRAINS} clusters")
    given = run["parameters"]
    assert (given["path"], given["results"]) == (str(target), str(output))
    assert (given["scan_rows"], given["detector_columns"], given["size"]) == (6, 48, len(data))
    assert given["options"] == {"k": [1, 3]}
    assert target.read_bytes() == data
    _is_shown(up, run, "day 1/scan.hspy")
    asked = {"filter": {"id": {"id": [str(event_id(outcome.key))]}}}
    (event,) = until(lambda: up.ask("/events/filter", asked)["events"])
    parts = {
        "complete to event": event["occurred"],
        "complete to run record": run["created"],
        "complete to first line": run["start_time"],
        "complete to decision": outcome.ended,
    }
    for name, moment in parts.items():
        record_property(name, round(_age(moment, complete), 1))
        print(f"{name}: {_age(moment, complete):.1f} s")


def _is_shown(up, run, name):
    """The viewer lists a run to who knows the token; its page is linked from Prefect's, without."""
    viewer = f"http://127.0.0.1:{up.view_port}"
    command = [*up.command, "view", "--token", "--state", str(up.results / ".orimap")]
    token = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{viewer}/api/runs")
    assert refused.value.code == 401
    request = urllib.request.Request(f"{viewer}/api/runs")
    request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request) as answer:
        rows = {row["name"]: row for row in json.load(answer)["runs"]}
    assert (rows[name]["number"], rows[name]["page"]) == (
        GRAINS,
        f"runs/{name.replace(' ', '%20')}/",
    )
    found = up.ask("/artifacts/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})
    (report,) = (each["data"] for each in found if each["key"] == "report")
    assert f"({viewer}/{rows[name]['page']})" in report
    told = [*up.results.rglob("*.log"), up.results / ".orimap" / "up.json", up.said]
    assert not [path for path in told if token in path.read_text(errors="replace")]
    assert token not in json.dumps(found)
    for process in [up.process, *up.process.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            assert token not in " ".join(process.cmdline())


def test_an_acquisition_that_is_announced_twice_is_analysed_once(up, submitter):
    (done,) = [r for r in up.ask("/flow_runs/filter", {}) if r["state_name"] == "Completed"]
    given = done["parameters"]
    request = Request.read(file=given["path"], output=given["results"], **given["options"])
    job = Job(acquisition=given["fingerprint"], request=request)
    assert job.key == given["key"]
    assert submitter.find(job) == job.key
    assert submitter.standing(job.key).state == "done"
    emit(submitter.api, completed(job, describe(open_acquisition(request.file))))
    # A first event of another one comes after the second of this one: by then it was dealt with.
    other = Job(acquisition="other", request=request.model_copy(update={"file": up.scan}))
    emit(submitter.api, completed(other, describe(open_acquisition(request.file))))
    (refused,) = until(lambda: [r for r in up.runs(other.key) if r["state_type"] == "FAILED"])
    assert "InputError" in refused["state"]["message"]
    assert f"{str(up.scan)!r}" in refused["state"]["message"]  # outside the roots
    assert [r["state_name"] for r in up.runs(job.key)].count("Completed") == 1
    aside = Path(given["results"]).with_name("aside")
    Path(given["results"]).rename(aside)
    try:
        assert submitter.standing(job.key).state == "lost"  # a success without its results
    finally:
        aside.rename(given["results"])


@pytest.mark.slow
def test_an_event_that_comes_too_late_leads_to_no_second_analysis(up, submitter):
    file = up.results / "late.hspy"
    shutil.copy(up.scan, file)
    request = Request.read(file=file, output=up.results / "late", k="1:4")
    job = Job(acquisition="late", request=request)
    # As if the event had led to no run for a minute: it is announced, and then started directly.
    assert submitter.submit(job) == job.key
    assert submitter.submit(job) == job.key
    ended = until(lambda: _ended_runs(up, job.key, number=2))
    assert {run["state_type"] for run in ended} == {"COMPLETED"}
    assert sorted(run["state_name"] for run in ended) == ["Completed", "Duplicate"]
    assert (job.output / "run.log").read_text().count("ingest: done") == 1
    outcome = read_outcome(job.output)
    assert (outcome.key, outcome.state, outcome.checked) == (job.key, "done", True)
    assert submitter.standing(job.key).state == "done"
    assert submitter.find(job) == job.key


def _ended_runs(up, key, *, number):
    """Return the runs of a job when they have all ended."""
    runs = up.runs(key)
    ended = [run for run in runs if run["state_type"] in ("COMPLETED", "FAILED", "CRASHED")]
    return ended if len(runs) == len(ended) == number else []


@pytest.mark.slow
def test_a_killed_run_goes_on_from_its_last_step_and_a_cancelled_one_leaves_nothing(up, submitter):
    file = up.results / "by hand.hspy"
    shutil.copy(up.scan, file)
    request = Request.read(file=file, output=up.results / "by hand", k="1:4", seed=1)
    job = Job(acquisition="by hand", request=request)
    assert submitter.find(job) is None
    assert submitter.submit(job) == job.key
    log, unfinished = job.output / "run.log", job.output / ".unfinished"
    mark, sketch = unfinished / "patterns.zarr/raw/zarr.json", unfinished / "analysis.zarr/sketch"

    def at_work(begun_before):
        until((sketch / "zarr.json").exists)
        until(lambda: (job.output / ".lock").read_text() not in ("", begun_before))
        run = psutil.Process(int((job.output / ".lock").read_text()))
        assert "Dask dashboard" not in log.read_text()
        assert submitter.standing(job.key).state == "running"
        return [run, *run.children(recursive=True)]

    first = at_work(begun_before="")
    ingested = mark.stat().st_mtime_ns
    assert len(first) > 1
    first[0].kill()
    until(lambda: submitter.standing(job.key).state == "lost")
    assert "SIGKILL" in submitter.standing(job.key).reason
    assert psutil.wait_procs(first, timeout=60)[1] == []
    assert submitter.find(job) is None
    submitter.submit(job)
    submitter.submit(job)  # asked twice before it has begun, it is the same run
    assert len(up.runs(job.key)) == 2
    second = at_work(begun_before=str(first[0].pid))
    assert mark.stat().st_mtime_ns == ingested
    submitter.cancel(job.key)
    until(lambda: submitter.standing(job.key).state == "failed")
    assert "cancelled" in submitter.standing(job.key).reason
    assert psutil.wait_procs(second, timeout=60)[1] == []


def test_the_canary_is_due(up):
    """The server's scheduler works with the libraries that are installed."""
    runs = until(lambda: [r for r in up.ask("/flow_runs/filter", {}) if r["auto_scheduled"]], 60)
    assert {run["state_type"] for run in runs} == {"SCHEDULED"}


def test_what_is_written_is_for_the_account_alone(up):
    state = up.results / ".orimap"
    assert state.stat().st_mode & 0o777 == 0o700
    # Nobody comes to what is in there; acquisitions that tests have put beside results are theirs.
    written = [path for path in up.results.rglob("*") if not path.is_relative_to(state)]
    written = [path for path in written if path.suffix != ".hspy" or path.is_dir()]
    assert any(path.name == "report.html" for path in written)
    assert [path for path in written if path.exists() and path.stat().st_mode & 0o077] == []


@pytest.fixture(scope="module")
def stranger():
    """Calls a function as another account of this machine, which is removed afterwards."""
    if os.geteuid() != 0 or shutil.which("useradd") is None:
        pytest.skip("needs to be root, to make an account")
    name = f"stranger-{os.getpid()}"
    subprocess.run(["useradd", "--system", "--no-create-home", name], check=True)
    account = pwd.getpwnam(name)

    def call(function, *given):
        """Return what a function returns, or the name of what it raises."""
        reading, writing = os.pipe()
        process = os.fork()
        if process == 0:
            try:
                os.setgroups([])
                os.setgid(account.pw_gid)
                os.setuid(account.pw_uid)
                found = function(*given)
            except BaseException as error:
                found = type(error).__name__
            os.write(writing, json.dumps(found).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as answer:
            found = json.load(answer)
        os.waitpid(process, 0)
        return found

    try:
        yield call
    finally:
        subprocess.run(["userdel", name], check=True)


def read(path):
    return Path(path).read_text()


def heard(address, context=None):
    """What a scheduler says first to who connects to it; nothing, where it hangs up."""
    machine, _, port = address.rpartition("/")[2].rpartition(":")
    with socket.create_connection((machine, int(port)), timeout=60) as plain:
        connection = context.wrap_socket(plain) if context else plain
        connection.settimeout(3)
        try:
            return len(connection.recv(8))
        except OSError:
            return 0


def _context(security):
    return security.get_connection_args("client")["ssl_context"]


def test_the_scheduler_of_a_run_lets_no_other_account_in(stranger):
    from distributed import Security

    known = Security.temporary()
    with local.process_client(1, dashboard=False) as client:
        own = client.security
        places = [client.scheduler.address, *client.scheduler_info()["workers"]]
        for place in places:
            assert heard(place, _context(own)) == 8
            for how in (None, ssl._create_unverified_context(), _context(known)):
                assert stranger(heard, place, how) in (0, "SSLError", "SSLCertVerificationError")
        # Neither what a process was started with nor its memory tells the credentials.
        for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
            place = f"/proc/{process.pid}"
            assert "PRIVATE KEY" not in " ".join(process.cmdline())
            assert stranger(read, f"{place}/environ") in (
                "PermissionError", "FileNotFoundError",
            )  # fmt: skip


def asked(port, path, known=None):
    """The code that Prefect's API answers to who asks for a run."""
    headers = {"Content-Type": "application/json"}
    if known is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(known.encode()).decode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api{path}", b"{}", headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def connected(path):
    with socket.socket(socket.AF_UNIX) as door, short_address(path) as address:
        door.connect(address)
        return "connected"


def test_prefects_api_the_warm_socket_and_the_state_let_no_other_account_in(up, stranger):
    state = up.results / ".orimap"
    assert asked(up.port, "/flow_runs/filter", up.password) == 200
    for known in (None, "", "orimap:", "admin:pass"):
        assert stranger(asked, up.port, "/flow_runs/filter", known) == 401
    assert stranger(read, password_file(state)) == "PermissionError"
    socket_path = state / "warm.socket"
    until(socket_path.exists)
    assert connected(socket_path) == "connected"
    assert stranger(connected, socket_path) == "PermissionError"
    assert os.listdir(state)
    assert stranger(os.listdir, str(state)) == "PermissionError"
    assert stranger(lambda path: os.open(path, os.O_RDONLY), str(state / "watch.sqlite")) == (
        "PermissionError"
    )
    for service in up.process.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            environ = f"/proc/{service.pid}/environ"
            found = stranger(read, environ)
            assert found in ("PermissionError", "FileNotFoundError", "ProcessLookupError")
    # Results as well: their folder is there for all, what is in it is not.
    for folder in (path for path in up.results.iterdir() if path.is_dir()):
        assert stranger(os.listdir, str(folder)) == "PermissionError"


def test_what_dies_is_started_again_and_a_second_up_finds_the_first(up):
    (watcher,) = _watchers(up)
    watcher.kill()
    until(lambda: [each for each in _watchers(up) if each != watcher])
    again = up.orimap("up", "--watch", str(up.watched))
    said = subprocess.run(again, check=True, timeout=60, capture_output=True, text=True).stdout
    assert said.startswith(f"already up: http://127.0.0.1:{up.port}")
    listening = [
        each.laddr.ip
        for process in up.process.children(recursive=True)
        for each in _connections(process)
        if each.status == psutil.CONN_LISTEN
    ]
    assert set(listening) <= {"127.0.0.1"}
    assert listening


def _watchers(up):
    found = []
    for each in up.process.children():
        with contextlib.suppress(psutil.NoSuchProcess):  # ended meanwhile
            found += [each] if "watch" in each.cmdline() else []
    return found


def _connections(process):
    try:
        return process.net_connections("tcp")
    except psutil.NoSuchProcess:  # it has ended, and nobody has asked yet how
        return []
