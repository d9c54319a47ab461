import time

import numpy as np
import pytest

from orimap.flows.pipeline.runtime import measure
from orimap.flows.pipeline.runtime.measure import (
    Measurement,
    family,
    machine,
    resident_bytes,
    versions,
)

BLOCK_BYTES = 150_000_000


def test_the_peak_of_a_step_is_seen_after_its_memory_is_gone(monkeypatch):
    monkeypatch.setattr(measure, "SAMPLE_SECONDS", 0.02)
    measured = Measurement()
    with measured:
        with measured.step("large"):
            block = np.ones(BLOCK_BYTES, np.uint8)
            time.sleep(0.3)
            del block
        with measured.step("small"):
            time.sleep(0.05)
    record = measured.record()
    large, small = record["steps"]
    assert (large["name"], small["name"]) == ("large", "small")
    assert large["peak_bytes"] > small["peak_bytes"] + 0.8 * BLOCK_BYTES
    assert record["peak_bytes"] >= large["peak_bytes"]
    assert 0.3 <= large["seconds"] <= record["seconds"]


def test_what_is_told_about_a_step_and_a_run_is_recorded():
    measured = Measurement()
    with measured, measured.step("fit") as record:
        record["reused"] = True
    measured.facts(request={"k": [1, 2]}, dashboard="here")
    found = measured.record()
    assert found["steps"][0]["reused"]
    assert found["request"] == {"k": [1, 2]}
    assert found["dashboard"] == "here"


def test_a_step_that_fails_is_not_recorded_as_done():
    measured = Measurement()
    with measured, pytest.raises(RuntimeError), measured.step("fit"):
        raise RuntimeError
    assert measured.record()["steps"] == []


def test_the_memory_of_children_counts():
    import subprocess
    import sys

    code = (
        "import sys; b = bytearray(b'x' * 200_000_000); print('up', flush=True); sys.stdin.read()"
    )
    before = resident_bytes(family())
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        child.stdout.readline()
        with_child = family()
        assert resident_bytes(with_child) - before > 150_000_000
        child.stdin.close()
    # One that has ended since counts nothing.
    assert child.pid in [process.pid for process in with_child]
    assert resident_bytes(with_child) - before < 50_000_000


def test_processes_that_start_later_are_counted_in_time(monkeypatch):
    import multiprocessing

    monkeypatch.setattr(measure, "SAMPLE_SECONDS", 0.02)
    measured = Measurement()
    with measured:
        time.sleep(0.05)
        with measured.step("large"):
            child = multiprocessing.get_context("fork").Process(target=_fill_and_wait)
            child.start()
            child.join()
    assert measured.record()["peak_bytes"] - resident_bytes(family()) > BLOCK_BYTES


def _fill_and_wait():
    block = np.ones(BLOCK_BYTES, np.uint8)
    time.sleep(0.5)
    del block


def test_versions_and_machine_are_those_that_compute():
    assert versions()["numpy"] == np.__version__
    assert versions()["orimap"]
    assert machine()["cores"] >= 1
    assert machine()["memory_bytes"] > 10**8
