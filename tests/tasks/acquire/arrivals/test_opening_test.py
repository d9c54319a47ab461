import os
import signal
import subprocess
import sys
import textwrap

import h5py
import numpy as np
import psutil
import pytest

from orimap.tasks.acquire.arrivals.opening_test import OpeningTest
from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.write_scan import write_scan


@pytest.fixture(scope="module")
def opens():
    with OpeningTest() as test:
        yield test


def test_a_scan_opens(opens, tmp_path, small_scan):
    np.save(tmp_path / "a.npy", small_scan)
    opened = opens(tmp_path / "a.npy")
    assert (opened.outcome, opened.words) == ("scan", "npy, 4×5 patterns of 6×7")


def test_how_to_open_is_passed_on(opens, tmp_path, small_scan):
    np.save(tmp_path / "a.npy", small_scan.reshape(20, 6, 7))
    refused = opens(tmp_path / "a.npy")
    assert refused.outcome == "refused"
    assert "rows and columns of the scan" in refused.words
    assert "--scan-shape" in refused.remedy
    assert opens(tmp_path / "a.npy", scan_shape=(4, 5)).outcome == "scan"


def test_whole_rows_are_told_of_a_scan_that_was_stopped(opens, tmp_path):
    write_scan(ScanRecipe(scan=(4, 5), detector=(32, 32), grains=2), tmp_path / "a.blo")
    whole = (tmp_path / "a.blo").read_bytes()
    (tmp_path / "a.blo").write_bytes(whole[: -6 * (32 * 32 + 6)])
    stopped = opens(tmp_path / "a.blo")
    assert (stopped.outcome, stopped.rows) == ("refused", 2)
    assert "14 patterns of 32×32" in stopped.words
    kept = opens(tmp_path / "a.blo", keep_rows=2)
    assert (kept.outcome, kept.rows) == ("scan", 2)
    # A shape that is asked for may be mistyped.
    assert opens(tmp_path / "a.blo", scan_shape=(4, 6)).rows == 0


def test_a_picture_is_no_scan(opens, tmp_path):
    np.save(tmp_path / "overview.npy", np.ones((50, 60)))
    opened = opens(tmp_path / "overview.npy")
    assert (opened.outcome, opened.words) == (
        "no scan",
        "overview.npy holds no scan of patterns",
    )


def test_what_is_not_what_its_name_says_is_refused_with_a_reason(opens, tmp_path):
    (tmp_path / "a.blo").write_text("just words, forty of them or so, no block file")
    opened = opens(tmp_path / "a.blo")
    assert opened.outcome == "refused"
    assert "begins with" in opened.words


def test_a_data_file_that_a_master_file_links_to_is_missed(opens, tmp_path):
    with h5py.File(tmp_path / "a_master.h5", "w") as file:
        for number in (1, 2):
            name = f"a_data_{number:06d}.h5"
            file[f"entry/data/data_{number:06d}"] = h5py.ExternalLink(name, "data")
    with h5py.File(tmp_path / "a_data_000001.h5", "w") as file:
        file["data"] = np.ones((4, 6, 7), np.uint16)
    opened = opens(tmp_path / "a_master.h5")
    assert (opened.outcome, opened.words) == ("missing", "a_data_000002.h5")


def test_a_reader_that_hangs_or_crashes_costs_one_file(tmp_path, small_scan):
    np.save(tmp_path / "good.npy", small_scan)
    os.mkfifo(tmp_path / "hangs.npy")  # nobody ever writes into it
    assert OpeningTest().limit_seconds < 60
    with OpeningTest(limit_seconds=20) as opens:
        assert opens(tmp_path / "good.npy").outcome == "scan"
        opens.limit_seconds = 1
        assert "more than 1 s" in opens(tmp_path / "hangs.npy", reader="npy").words
        opens.limit_seconds = 60
        assert opens(tmp_path / "good.npy").outcome == "scan"
        os.kill(opens._process.pid, signal.SIGKILL)
        opens._process.wait()
        assert opens(tmp_path / "good.npy").outcome == "scan"


def test_its_process_ends_with_the_one_that_asks(tmp_path):
    script = textwrap.dedent("""
        import os, signal
        from orimap.tasks.acquire.arrivals.opening_test import OpeningTest
        with OpeningTest() as opens:
            opens(__import__("pathlib").Path("nothing.blo"))
            print(opens._process.pid, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
    """)
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert done.returncode == -signal.SIGKILL
    number = int(done.stdout)
    if psutil.pid_exists(number):
        psutil.wait_procs([psutil.Process(number)], timeout=60)
    assert not psutil.pid_exists(number) or psutil.Process(number).status() == "zombie"


def test_a_source_of_a_virtual_data_set_is_missed(opens, tmp_path, small_scan):
    layout = h5py.VirtualLayout(small_scan.shape, "u2")
    for number in range(4):
        with h5py.File(tmp_path / f"row_{number}.h5", "w") as file:
            file["d"] = small_scan[number]
        layout[number] = h5py.VirtualSource(f"row_{number}.h5", "d", small_scan.shape[1:])
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.create_virtual_dataset("p", layout)
    assert opens(tmp_path / "scan.h5").outcome == "scan"
    (tmp_path / "row_2.h5").unlink()
    opened = opens(tmp_path / "scan.h5")
    assert (opened.outcome, opened.words) == ("missing", "row_2.h5")


def test_no_code_beside_the_acquisitions_is_run(tmp_path, small_scan, monkeypatch):
    np.save(tmp_path / "a.npy", small_scan)
    for name in ("pickle.py", "select.py", "numpy.py", "h5py.py"):
        (tmp_path / name).write_text(f"open({str(tmp_path / 'executed')!r}, 'a').write(__name__)")
    monkeypatch.chdir(tmp_path)
    with OpeningTest() as test:
        assert test(tmp_path / "a.npy").outcome == "scan"
    assert not (tmp_path / "executed").exists()
