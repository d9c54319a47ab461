import gc
import importlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest

# Before Dask is loaded, here and in what tests start: see cluster/environment.py.
os.environ["DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED"] = "False"
os.environ["DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL"] = "10s"
# Every process would translate all of orimap and, in one that runs tests, all tests again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Tests write and remove some hundred thousand small files, most of them chunks of results: in
# memory that takes a fraction of the time.
MEMORY = Path("/dev/shm")
MEMORY_NEEDED = 4 * 2**30


def in_memory():
    """Return whether there is a folder in memory with room for all that tests write and start."""
    if not os.access(MEMORY, os.W_OK | os.X_OK):
        return False
    volume = os.statvfs(MEMORY)
    if volume.f_flag & os.ST_NOEXEC:  # as containers have it
        return False
    room = volume.f_bavail * volume.f_frsize
    return min(room, psutil.virtual_memory().available) > MEMORY_NEEDED


if in_memory():
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

# What is imported and collected stays: nobody looks through it for what can be thrown away.
gc.disable()

# Odd and unequal, so that swapped axes show.
SMALL_SHAPE = (4, 5, 6, 7)
SLURM_DAEMONS = ("munged", "slurmctld", "slurmd")
# Headless, without what a browser fetches by itself: it finds no host but this machine.
CHROMIUM_SETTINGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
    *("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--window-size=1280,900"),
)
# Slurm has a place of its own for its settings and one for everything that it writes.
SLURM_SETTINGS = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control}
SlurmdPort={node}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=2,sched_min_interval=0
ReturnToService=2
KillWait=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=64000 State=UNKNOWN
PartitionName=short Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=closed Nodes={host} Default=NO MaxTime=INFINITE State=DOWN
"""


# What a shell starts in the background without job control ignores Ctrl-C, and so would all that
# tests start and interrupt: it is inherited. A handler of our own is not, children get the default.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Servers of which there is one for all tests; everything that uses one runs in one process.
# A finished run of the pipeline is shared in the same way.
SERVERS = ("slurm", "prefect_api", "finished_run", "browser")
# The groups that take longest start first, so that none is left alone in the end; each process
# begins with two of them, one of the first three and one of the next. In a new copy of the code the
# first one compiles nearly all kernels, and what starts beside it needs hardly any: else all three
# processes would compile the same at the same time. Those of servers mostly wait; between them are
# some that compute, so that both cores are busy meanwhile.
LONGEST = (
    *("pipeline/test_compare.py", "report/test_report.py", "packaging/test_lint.py"),
    *("finished_run", "browser", "prefect_api"),
    *("slurm", "test_threads_and_processes.py", "machine/test_operation.py"),
    *("test_pipeline_numbers.py", "steps/test_orientations.py", "pipeline/test_redecide.py"),
    *("pipeline/test_pipeline_reuse.py", "viewer/test_run_routes.py", "cli/test_index.py"),
    *("pipeline/test_pipeline_options.py", "cli/test_main.py", "pipeline/test_damage.py"),
    *("cli/test_watch.py", "beam/test_shift.py", "ingest/test_ingest.py", "test_older_results.py"),
    *("packaging/test_wheel.py", "test_peak_memory.py", "jobs/test_perform.py"),
)


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the marks in the same hook
def pytest_collection_modifyitems(items):
    """Keep a file together, and what shares a server or a run, where pytest-xdist spreads tests."""
    places = []
    for item in items:
        used = [name for name in SERVERS if name in item.fixturenames]
        group = used[0] if used else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
        last = len(LONGEST)
        places.append(next((n for n in range(last) if group.endswith(LONGEST[n])), last))
    if "PYTEST_XDIST_WORKER" in os.environ:
        items[:] = [items[n] for n in sorted(range(len(items)), key=places.__getitem__)]


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def one_thread_each():
    """One thread for linear algebra in each process of tests, as in workers.

    Several would wait for each other longer than they compute.
    """
    from threadpoolctl import threadpool_limits

    importlib.import_module("scipy.linalg")  # it has threads of its own

    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def client():
    """Two workers of one thread each, for the whole run of the tests.

    They are in this process, as starting others takes long, and are talked to over TCP: what they
    are given and give back is a copy, as with workers elsewhere.
    """
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=2, processes=False, threads_per_worker=1, protocol="tcp", host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        yield client


@pytest.fixture(scope="session")
def worker_process():
    """A client whose worker is a process of its own."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, memory_limit="2 GiB", dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def script(request):
    """Give the scripts of a benchmark (``FOLDER`` of the module) by name.

    They import one another as scripts do.
    """
    folders = [request.module.FOLDER, request.module.FOLDER / "peers"]
    names = {path.stem for folder in folders for path in folder.glob("*.py")}
    before = set(sys.modules) & names
    sys.path[:0] = map(str, folders)
    yield importlib.import_module
    del sys.path[: len(folders)]
    for name in names - before:
        sys.modules.pop(name, None)


@pytest.fixture
def small_scan():
    """Counts of 4×5 patterns of 6×7 pixels, uint16."""
    return np.random.default_rng(1).poisson(3, SMALL_SHAPE).astype(np.uint16)


@pytest.fixture(scope="session")
def shared_data():
    """The folder of shared example data; skips the test where it is absent."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("ORIMAP_SHARED_DATA") or beside)
    if not folder.is_dir():
        if os.environ.get("ORIMAP_REQUIRE_SHARED_DATA"):
            pytest.fail(f"ORIMAP_REQUIRE_SHARED_DATA is set, and there is no {folder}")
        pytest.skip(f"no shared data at {folder}; ORIMAP_SHARED_DATA names another place")
    return folder


def _free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """A Slurm of one node on this machine; its commands find it while the tests run."""
    missing = [name for name in (*SLURM_DAEMONS, "sbatch") if shutil.which(name) is None]
    why = f"{', '.join(missing)} not installed" if missing else ""
    if not why and os.geteuid() != 0:
        why = "it takes root to run jobs"
    if why:
        if os.environ.get("ORIMAP_REQUIRE_SLURM"):
            pytest.fail(f"ORIMAP_REQUIRE_SLURM is set, and there is no Slurm: {why}")
        pytest.skip(f"no Slurm: {why}")
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    settings = folder / "slurm.conf"
    host = socket.gethostname().split(".")[0]
    settings.write_text(
        SLURM_SETTINGS.format(folder=folder, host=host, control=_free_port(), node=_free_port())
    )
    munge = [f"--key-file={key}", f"--socket={folder}/munge.socket", f"--pid-file={folder}/pid"]
    munge += [f"--log-file={folder}/munge.log", f"--seed-file={folder}/seed", "--force"]
    running = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(settings))
        try:
            for command in (
                ["munged", "--foreground", *munge],
                ["slurmctld", "-D", "-c"],
                ["slurmd", "-D", "-c"],
            ):
                log = (folder / f"{command[0]}.out").open("w")
                running.append(subprocess.Popen(command, stdout=log, stderr=log))
            _wait_for_node(folder, running)
            yield folder
        finally:
            _end_jobs()
            for daemon in reversed(running):
                daemon.terminate()
            for daemon in running:
                daemon.wait(timeout=60)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """A driver of Debian's Chromium; neither downloads anything. One for all tests."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    places = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    missing = [name for name, place in places.items() if place is None]
    if missing:
        if os.environ.get("ORIMAP_REQUIRE_BROWSER"):
            pytest.fail(
                f"ORIMAP_REQUIRE_BROWSER is set, and there is no {' and no '.join(missing)}"
            )
        pytest.skip(f"no {' and no '.join(missing)}: apt install chromium chromium-driver")
    options = ChromeOptions()
    options.binary_location = places["chromium"]
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for setting in (*CHROMIUM_SETTINGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(setting)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SE_OFFLINE", "true")  # Selenium looks for no driver of its own
        driver = Chrome(options, Service(places["chromedriver"]))
        try:
            yield driver
        finally:
            driver.quit()


@pytest.fixture
def browser(chromium, tmp_path):
    """A driver with an empty page, 1280 × 900, light; a test fails where the console has errors.

    ``browser.screen(390, dark=True)`` changes the width and the colours that the person prefers,
    ``browser.complaints()`` takes the errors that the console has so far; what is downloaded
    goes into ``tmp_path``.
    """
    chromium.screen = partial(_set_screen, chromium)
    chromium.complaints = lambda: [
        entry["message"] for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"
    ]
    chromium.get("about:blank")
    chromium.screen()
    chromium.complaints()
    where = {"behavior": "allow", "downloadPath": str(tmp_path)}
    chromium.execute_cdp_cmd("Browser.setDownloadBehavior", where)
    yield chromium
    assert chromium.complaints() == []
    chromium.get("about:blank")  # ends what the page still asks for


def _set_screen(driver, width=1280, height=900, *, dark=False, touch=False, media=""):
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": touch}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": [scheme]})
    driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": touch})


@pytest.fixture
def own_jobs(slurm):
    """Return a function that lists the jobs of this test; those of others may still be ending."""
    from orimap.cluster.queue import systems

    before = {job.id for job in systems.active("slurm")}
    return lambda: [job for job in systems.active("slurm") if job.id not in before]


def _end_jobs():
    """Cancel what is left; a job whose daemons have gone would stay for ever."""
    subprocess.run(["scancel", "--user=root"], check=False)
    until = time.monotonic() + 60
    while subprocess.run(["squeue", "-h"], capture_output=True, check=False).stdout:
        if time.monotonic() > until:
            break
        time.sleep(0.2)


def _wait_for_node(folder, running):
    until = time.monotonic() + 60
    state = ""
    while not state.startswith("idle"):
        ended = [process.args[0] for process in running if process.poll() is not None]
        logs = "\n".join(path.read_text()[-1000:] for path in folder.glob("*.out"))
        assert not ended, f"{ended} ended\n{logs}"
        assert time.monotonic() < until, f"the node is {state or 'not there'}\n{logs}"
        time.sleep(0.2)
        answer = subprocess.run(
            ["sinfo", "-h", "-p", "short", "-o", "%T"], capture_output=True, text=True, check=False
        )
        state = answer.stdout.strip()
