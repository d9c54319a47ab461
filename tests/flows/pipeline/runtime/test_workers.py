"""Which workers a run gets."""

from contextlib import nullcontext
from importlib.util import find_spec

import pytest

from orimap.flows.pipeline.runtime.workers import (
    NOTHING_ASKED,
    PRELOAD,
    SMALL_SCAN_BYTES,
    WORKERS_FOLDER,
    are_threads,
    check_workers,
    open_workers,
)
from orimap.flows.request.request import Request
from orimap.tasks.errors import InputError


def request(**asked):
    return Request.read(file="scan.npy", output="results", **asked)


@pytest.mark.parametrize(
    ("asked", "scan_bytes", "threads"),
    [
        ({}, 0, True),
        ({}, SMALL_SCAN_BYTES, True),
        ({}, SMALL_SCAN_BYTES + 1, False),
        ({"workers": 7}, SMALL_SCAN_BYTES, True),
        ({"worker_memory": "2 GiB"}, 1000, False),
        ({"cluster": "processes"}, 1000, False),
        ({"cluster": "threads"}, 1000, True),
        ({"cluster": "threads"}, 100 * SMALL_SCAN_BYTES, True),
        ({"cluster": "threads", "worker_memory": "2 GiB"}, 1000, True),
        ({"cluster": "slurm", "workers": 2}, 1000, False),
        ({"cluster": "tcp://127.0.0.1:8786"}, 1000, False),
        ({"profile": "site", "workers": 2}, 1000, False),
    ],
)
def test_small_scans_without_wishes_are_for_threads(asked, scan_bytes, threads):
    assert are_threads(request(**asked), scan_bytes) is threads


def test_a_small_scan_has_64_mib():
    assert SMALL_SCAN_BYTES == 67_108_864


@pytest.fixture
def opened(monkeypatch):
    """What clients were asked for."""
    asked = []

    def open_client(cluster, **options):
        asked.append((cluster, options))
        return nullcontext("client")

    monkeypatch.setattr("orimap.cluster.client.open_client", open_client)
    return asked


def test_workers_are_opened_as_they_were_asked_for(opened, tmp_path):
    file, output = tmp_path / "scan.npy", tmp_path / "results"
    file.touch()
    asked = Request.read(
        file=file, output=output, workers=3, worker_memory="2 GiB", first_worker_minutes=7
    )
    said = []
    with open_workers(asked, said.append) as client:
        assert client == "client"
    ((cluster, options),) = opened
    assert cluster == "local"
    assert options.pop("note") == said.append
    assert options == {
        "workers": 3,
        "adapt": None,
        "profile": None,
        "memory_limit": "2 GiB",
        "folder": output / WORKERS_FOLDER,
        "shared": [file],
        "preload": PRELOAD,
        "first_worker_minutes": 7.0,
        "dashboard": True,
    }


def test_threads_take_the_place_of_what_was_asked_for(opened, tmp_path):
    tmp_path.joinpath("results").mkdir()
    asked = Request.read(file=tmp_path / "gone.npy", output=tmp_path / "results")
    with open_workers(asked, print, threads=True):
        pass
    assert opened[0][0] == "threads"
    assert opened[0][1]["shared"] == [tmp_path / "results"]


def test_what_does_not_go_together_is_refused_before_anything_is_started():
    assert check_workers(request(cluster="threads")) is None
    with pytest.raises(InputError, match="--adapt with a batch system"):
        check_workers(request(adapt="1:4"))
    with pytest.raises(InputError, match="the address of a running Dask scheduler"):
        check_workers(request(cluster="cloud"))


def test_a_request_that_says_nothing_of_workers_has_these_fields():
    assert NOTHING_ASKED == {
        "workers": None,
        "worker_memory": None,
        "cluster": "local",
        "adapt": None,
        "profile": None,
        "first_worker_minutes": 30.0,
    }


@pytest.mark.parametrize("name", PRELOAD)
def test_modules_that_are_loaded_before_workers_are_forked_exist(name):
    assert find_spec(name) is not None
