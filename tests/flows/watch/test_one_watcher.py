import os
import subprocess
import sys

import pytest

from orimap.flows.watch import one_watcher
from orimap.flows.watch.one_watcher import network_file_system, only_watcher, watcher_process
from orimap.tasks.errors import InputError


def test_a_second_watcher_is_told_which_process_is_the_first(tmp_path):
    assert watcher_process(tmp_path) is None
    with only_watcher(tmp_path):
        assert watcher_process(tmp_path) == os.getpid()
        with pytest.raises(InputError, match=f"process {os.getpid()}"), only_watcher(tmp_path):
            pass
    assert watcher_process(tmp_path) is None


def test_a_watcher_that_was_killed_holds_nothing(tmp_path):
    script = (
        "import os, sys; from pathlib import Path; from orimap.flows.watch.one_watcher import *\n"
        "with only_watcher(Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)])
    assert done.returncode == -9
    with only_watcher(tmp_path):
        pass


def test_network_folders_are_known_by_the_deepest_mount(tmp_path, monkeypatch):
    import psutil

    assert network_file_system(tmp_path) is None
    part = type("Part", (), {})
    share, root = part(), part()
    share.mountpoint, share.fstype = str(tmp_path), "nfs4"
    root.mountpoint, root.fstype = "/", "ext4"
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: [root, share])
    assert network_file_system(tmp_path / "results" / "state") == "nfs4"
    assert "nfs4" in one_watcher.NETWORK_FILE_SYSTEMS
    assert network_file_system(tmp_path.parent) is None
