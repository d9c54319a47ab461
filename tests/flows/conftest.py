"""What the tests of flows share."""

import json
import os
from contextlib import contextmanager

import pytest

import orimap


@pytest.fixture(autouse=True)
def rights_as_before(monkeypatch):
    """Give this process back what services change for all that they start."""
    before = os.umask(0o022)
    os.umask(before)
    monkeypatch.setenv("ORIMAP_DASHBOARD", "")
    monkeypatch.delenv("ORIMAP_DASHBOARD")
    yield
    os.umask(before)


@pytest.fixture
def no_prefect(monkeypatch, tmp_path):
    """No Prefect API is configured, whatever this machine has."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_PROFILES_PATH", str(tmp_path / "no-profiles.toml"))


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory):
    """A Prefect server on loopback with a database of its own; gives a client of its API.

    One for all: starting it takes half a minute.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("PREFECT"):
                patch.delenv(name)
        patch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("prefect")))
        patch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
        patch.setenv("DO_NOT_TRACK", "1")
        patch.setenv("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
        from prefect.client.orchestration import get_client
        from prefect.testing.utilities import prefect_test_harness

        with prefect_test_harness(server_startup_timeout=180), get_client(sync_client=True) as api:
            yield api


@pytest.fixture(scope="session")
def sharing_workers(client):
    """Return a context in which runs use the workers that the tests have already.

    Starting workers and helpers takes longer than a tiny run, and so does giving workers one task
    for each of many chunks: patterns are stored in few. The context gives a list of what workers
    were asked for.
    """

    @contextmanager
    def sharing_workers():
        opened = []

        @contextmanager
        def open_client(cluster="local", *, workers=None, **_):
            opened.append((cluster, workers))
            yield client

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("orimap.cluster.client.open_client", open_client)
            patch.setattr("orimap.tasks.stream.memory.FEWEST_CHUNKS", 3)
            yield opened

    return sharing_workers


@pytest.fixture(scope="session")
def bare_pages():
    """Return a context in which a page that holds the request stands for the report.

    Figures take most of the time of a tiny run.
    """

    def write_report(_results, output, *, run, executor=None):
        (output / "figures").mkdir(exist_ok=True)
        (output / "report.html").write_text(json.dumps(run["request"]))

    @contextmanager
    def bare_pages():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("orimap.tasks.report.report.write_report", write_report)
            yield

    return bare_pages


@pytest.fixture
def same_workers(sharing_workers, bare_pages):
    """Runs share workers and write bare pages; lists what workers were asked for."""
    with sharing_workers() as opened, bare_pages():
        yield opened


@pytest.fixture(scope="session")
def small_run_scan(tmp_path_factory):
    """A simulated, calibrated scan of two grains, its truth beside it."""
    return orimap.simulate(
        tmp_path_factory.mktemp("api") / "scan.zarr",
        scan=(6, 7), detector=(48, 46), grains=2, dose=3000, overlap=0.5, seed=3, quiet=True,
    )  # fmt: skip


@pytest.fixture(scope="session")
def small_run(sharing_workers, small_run_scan):
    """Its results; not to be changed."""
    with sharing_workers() as opened:
        found = orimap.run(
            str(small_run_scan), small_run_scan.parent / "results", k="1:4", workers=1, quiet=True
        )
    assert opened == [("threads", 1)]
    return found
