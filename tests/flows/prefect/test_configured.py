import http.server
import os
import threading

import pytest

from orimap.flows.prefect import configured
from orimap.tasks.errors import InputError

PROFILES = """
active = "lab"
[profiles.lab]
PREFECT_API_URL = "http://127.0.0.1:4200/api"
[profiles.alone]
PREFECT_SERVER_EPHEMERAL_ENABLED = "true"
"""


@pytest.fixture(autouse=True)
def _no_prefect_settings(monkeypatch, tmp_path):
    for name in list(os.environ):
        if name.startswith("PREFECT") or name == "DO_NOT_TRACK":
            monkeypatch.delenv(name)
    # Restored after the test, also where it is the code that sets variables.
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))


def test_without_settings_nothing_is_recorded():
    assert configured.configured_api() is None
    assert not configured.wanted("auto")
    assert configured.wanted("always")


def test_the_environment_names_an_api(monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    assert configured.wanted("auto")
    assert not configured.wanted("never")


def test_the_active_profile_names_an_api(monkeypatch, tmp_path):
    (tmp_path / "profiles.toml").write_text(PROFILES)
    assert configured.configured_api() == "http://127.0.0.1:4200/api"
    monkeypatch.setenv("PREFECT_PROFILE", "alone")
    assert configured.configured_api() is None


def test_profiles_that_cannot_be_read_are_reported(tmp_path):
    (tmp_path / "profiles.toml").write_text("active = ")
    with pytest.raises(InputError, match="profiles"):
        configured.configured_api()


def test_an_api_that_does_not_answer_is_reported(monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    with pytest.raises(InputError, match="--orchestrate never"):
        configured.prepare_environment()


def test_an_api_that_answers_in_any_way_is_taken(monkeypatch):
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{server.server_port}/api")
        configured.prepare_environment()
    assert "PREFECT_SERVER_EPHEMERAL_ENABLED" not in os.environ


def test_nothing_is_sent_away_and_what_the_user_has_set_stays(monkeypatch):
    monkeypatch.setenv("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "7")
    configured.prepare_environment()
    assert os.environ["DO_NOT_TRACK"] == "1"
    assert os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert os.environ["PREFECT_SERVER_EPHEMERAL_ENABLED"] == "true"
    assert os.environ["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] == "7"
