from pathlib import Path

import pytest

from orimap.cluster import check
from orimap.cluster.check import check_worker


@pytest.fixture
def found(worker_process):
    """Look at a worker; return the findings by what was looked at."""
    return lambda *asked, **options: {
        finding.what: finding for finding in check_worker(worker_process, *asked, **options)
    }


@pytest.fixture(autouse=True)
def _no_waiting_for_network_folders(monkeypatch):
    monkeypatch.setattr(check, "SEEN_AFTER_SECONDS", 0.1)
    monkeypatch.setattr(check, "SENT_BYTES", 4_000_000)
    # A busy machine may be slow to answer itself.
    monkeypatch.setattr(check, "LEAST_MB_PER_SECOND", 0.1)


def test_a_worker_on_this_machine_is_in_order(found, tmp_path):
    file = tmp_path / "scan.raw"
    file.write_bytes(bytes(range(256)) * 100)
    results = tmp_path / "results"
    seen = found(results, file=file, memory_bytes=1_000_000)
    assert [*seen] == ["worker", "versions", "folder", "file", "memory", "link", "clock"]
    assert [finding.what for finding in seen.values() if not finding.ok] == []
    assert abs(float(seen["clock"].found.split()[0])) < 0.5
    assert "MB/s to the worker" in seen["link"].found
    assert list(results.iterdir()) == []
    assert file.stat().st_size == 25_600


def test_a_folder_that_is_another_one_to_the_worker_is_wrong(found, tmp_path, monkeypatch):
    # To each process its own working folder.
    monkeypatch.chdir(tmp_path)
    seen = found(Path("/proc/self/cwd"))
    assert not seen["folder"].ok
    assert "No such file" in seen["folder"].found
    assert "share" in seen["folder"].remedy
    assert seen["link"].ok
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_another_one_to_the_worker_is_wrong(found, tmp_path):
    seen = found(tmp_path, file=Path("/proc/self/cmdline"))
    assert not seen["file"].ok
    assert seen["file"].found.startswith("127.0.0.1: something else of this name")
    assert found(tmp_path, file=tmp_path)["file"].ok
    assert not found(tmp_path, file=tmp_path / "none")["file"].ok


def test_a_folder_that_cannot_be_written_is_wrong(found, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    seen = found(file / "results")
    assert not seen["folder"].ok
    assert "Not a directory" in seen["folder"].found


def test_less_memory_than_asked_for_is_wrong(found, tmp_path):
    seen = found(tmp_path, memory_bytes=10**15)
    assert not seen["memory"].ok
    assert "as asked for" in seen["memory"].found


def test_a_slow_link_and_a_wrong_clock_are_said_with_what_to_do(found, tmp_path, monkeypatch):
    monkeypatch.setattr(check, "LEAST_MB_PER_SECOND", 1e9)
    monkeypatch.setattr(check, "MOST_CLOCK_SECONDS", -1.0)
    seen = found(tmp_path)
    assert "interface" in seen["link"].remedy
    assert "NTP" in seen["clock"].remedy
    assert not seen["link"].ok
    assert not seen["clock"].ok
