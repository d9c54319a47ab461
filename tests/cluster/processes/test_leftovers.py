import os
import subprocess
import sys
import tempfile

import pytest

from orimap.cluster.processes import leftovers
from orimap.cluster.processes.leftovers import clear_temporary, temporary_folder
from orimap.tasks.process_name import own_name


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Folders in place of those of the system."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setattr(leftovers, "SHORT", tmp_path / "short")
    monkeypatch.setattr(leftovers, "SEMAPHORES", tmp_path / "shm")
    for name in ("tmp", "short", "shm"):
        (tmp_path / name).mkdir()
    return tmp_path


def ended():
    process, start, machine = own_name().split("-")
    return f"{process}-{int(start) - 1}-{machine}"


def test_folders_and_semaphores_of_ended_processes_go_alone(temporary):
    own = temporary / "tmp" / f"orimap-{os.getuid()}"
    own.mkdir()
    for place in (temporary / "tmp", temporary / "short", own):
        (place / f"orimap-run-{ended()}-abc" / "dask").mkdir(parents=True)
    (temporary / "shm" / f"sem.orimap-{ended()}-x_1").touch()
    (temporary / "shm" / "sem.mp-x_1").touch()
    (temporary / "tmp" / "pymp-abcdefgh").mkdir()
    with temporary_folder() as alive:
        assert len(clear_temporary()) == 4
        assert alive.is_dir()
        assert alive.stat().st_mode & 0o777 == 0o700
    assert sorted(os.listdir(temporary / "tmp")) == [own.name, "pymp-abcdefgh"]
    assert os.listdir(temporary / "shm") == ["sem.mp-x_1"]
    assert clear_temporary() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root, to give a folder away")
def test_what_is_another_user_s_stays(temporary):
    folder = temporary / "tmp" / f"orimap-run-{ended()}-abc"
    folder.mkdir()
    os.chown(folder, 12345, -1)
    assert clear_temporary() == []
    assert folder.is_dir()


OF_A_PROCESS = """
import os
from orimap.cluster.client import open_client
from orimap.tasks.process_name import own_name
if __name__ == "__main__":
    with open_client("processes", workers=1) as client:
        folders = client.run(lambda dask_worker: dask_worker.local_directory).values()
        assert all(f"/orimap-run-{own_name()}-" in folder for folder in folders), folders
        semaphores = os.listdir("/dev/shm")
        assert any(name.startswith(f"sem.orimap-{own_name()}-") for name in semaphores), semaphores
"""


def test_what_workers_make_is_named_after_their_process(tmp_path):
    """In a process of its own: what others of this one have made has names already."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", OF_A_PROCESS], env=environment, check=True, timeout=120)
    assert list(tmp_path.glob("pymp-*")) == []
