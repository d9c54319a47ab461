"""The guide for a workstation, followed to the letter by an account that may write nothing else."""

import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.write_scan import write_scan

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "deploy" / "workstation.md"
# Reading all of this machine, as any account reads a program in /opt; writing only what it owns.
READING = "-all,+dac_read_search"
AS_ACCOUNT = (
    *("setpriv", "--clear-groups", f"--inh-caps={READING}", f"--ambient-caps={READING}"),
    f"--bounding-set={READING}",
)
NEEDED = ("useradd", "userdel", "install", "setpriv")

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or any(shutil.which(name) is None for name in NEEDED),
    reason="needs to be root, and to make an account",
)


def commands(step):
    """The lines to type of one step of the guide."""
    (text,) = re.findall(rf"^{step}\. (.*?)(?=^\d\. |\Z)", GUIDE.read_text(), re.M | re.S)
    return [line.strip() for block in re.findall(r"```\n(.*?)```", text, re.S)
            for line in block.strip().splitlines()]  # fmt: skip


@pytest.fixture(scope="module")
def site():
    """Folders in place of those of the guide, and an account that is removed afterwards."""
    # Unlike pytest's own folders, others may look into this one.
    root = Path(tempfile.mkdtemp(prefix="workstation-"))
    root.chmod(0o755)
    account = f"orimap-{os.getpid()}"
    (root / "acquisitions").mkdir()
    instead = {
        "/data/acquisitions": root / "acquisitions",
        "/data/results": root / "results",
        "/var/lib/orimap": root / "state",
        "/opt/orimap/.venv/bin": Path(sys.executable).parent,
    }

    def as_typed(line):
        """What is called, and its environment."""
        for theirs, ours in instead.items():
            line = line.replace(theirs, str(ours))
        words = [account if word == "orimap" else word for word in line.split()]
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1"}
        if words[:2] == ["sudo", "-u"]:
            words = [*AS_ACCOUNT, f"--reuid={account}", f"--regid={account}", *words[3:]]
            # sudo gives the account its home.
            environment["HOME"] = str(root / "state")
        return words, environment

    def follow(line):
        words, environment = as_typed(line)
        return subprocess.run(
            words, capture_output=True, text=True, env=environment, cwd="/", timeout=300
        )

    yield SimpleNamespace(root=root, account=account, follow=follow, as_typed=as_typed)
    subprocess.run(["userdel", "--remove", account], capture_output=True)
    shutil.rmtree(root)


def with_compiled_kernels(cache, account):
    """Put what is compiled already where numba looks for it in a home: compiling takes a minute."""
    for compiled in ROOT.rglob("__pycache__/*.nb[ic]"):
        source = compiled.parent.parent
        place = cache / f"{source.name}_{hashlib.sha1(str(source).encode()).hexdigest()}"
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(compiled, place)
    subprocess.run(["chown", "-R", f"{account}:", cache.parents[1]], check=True)


@pytest.mark.slow
def test_the_guide_can_be_followed_up_to_the_first_results(site):
    for line in commands(1):
        done = site.follow(line)
        assert done.returncode == 0, (line, done.stderr)
    assert (site.root / "state").owner() == site.account
    (program, install) = commands(2)
    assert program.startswith("git clone")
    assert install == "make -C /opt/orimap PYTHON=/usr/bin/python3 install"
    recipe = ScanRecipe(scan=(8, 9), detector=(48, 48), grains=2, dose=3000, seed=3)
    write_scan(recipe, site.root / "acquisitions" / "two.npy")
    (site.root / "acquisitions" / "two.npy.orimap.yaml").write_text("k: 1:3\n")
    with_compiled_kernels(site.root / "state" / ".cache" / "numba", site.account)

    (doctor,) = commands(3)
    done = site.follow(doctor)
    assert done.returncode == 0, done.stdout
    assert f"kept in {site.root / 'state' / '.cache' / 'numba'}" in done.stdout
    assert "can hold the journal" in done.stdout

    dry, once, status, up, token, password = commands(4)
    done = site.follow(dry)
    assert done.returncode == 0, done.stderr
    assert "two.npy" in done.stdout + done.stderr
    assert not any((site.root / "results").iterdir())
    done = site.follow(once)
    assert done.returncode == 0, done.stderr
    done = site.follow(status)
    assert re.search(r"two\.npy +1 +done", done.stdout), done.stdout
    (report,) = (site.root / "results").rglob("report.html")
    assert report.owner() == site.account
    # What runs for ever takes what doctor was given.
    assert doctor.split("doctor ")[1] == up.split("up ")[1]
    with brought_up(site, up) as port:
        for line in (token, password):
            done = site.follow(line)
            assert done.returncode == 0, done.stderr
            assert len(done.stdout.strip()) > 20
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
            assert b"<title>Prefect" in answer.read()
        copy = site.root / "acquisitions" / "again.npy"
        (site.root / "acquisitions" / "again.npy.orimap.yaml").write_text("k: 1:3\n")
        shutil.copy(site.root / "acquisitions" / "two.npy", copy)
        until(lambda: re.search(r"again\.npy +1 +done", site.follow(status).stdout))


@contextmanager
def brought_up(site, line):
    """Bring everything up as the guide says, on a port that is free."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words, environment = site.as_typed(f"{line} --port {port}")
    with subprocess.Popen(
        words, env=environment, cwd="/", text=True, stderr=subprocess.PIPE
    ) as process:
        try:
            said = []
            while not said or not said[-1].startswith("up: "):
                said.append(process.stderr.readline())
                assert said[-1], said
            yield port
        finally:
            process.terminate()
            process.communicate(timeout=60)


def until(true, seconds=240):
    """Wait for something; fail when it does not come."""
    last = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < last, f"not within {seconds} s"
        time.sleep(2)


@pytest.mark.slow
def test_without_a_home_compiled_code_is_kept_in_the_state(site):
    (doctor,) = commands(3)
    state = site.root / "elsewhere"
    state.mkdir()
    shutil.chown(state, site.account, site.account)
    shutil.rmtree(site.root / "state")
    done = site.follow(doctor.replace("--state /var/lib/orimap", f"--state {state}"))
    assert f"kept in {state / 'compiled' / 'numba'}" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0, done.stdout
