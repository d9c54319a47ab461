"""What the tests of flows share."""

import os

import pytest


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
