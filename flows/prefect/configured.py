"""Find out whether a run is to be recorded with Prefect, without importing Prefect (seconds)."""

import os
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

from orimap.tasks.errors import InputError, UnavailableError, words_of

ANSWER_SECONDS = 10
# Making its database takes half a minute on a slow machine; Prefect allows itself 20 s.
SERVER_START_SECONDS = 180


def configured_api() -> str | None:
    """Return the address of the Prefect API that Prefect itself would take, None if there is none.

    The environment comes first, then the active profile. (Prefect can also be told by a
    prefect.toml or .env in the folder where it starts; a run does not depend on where it starts.)
    """
    return os.environ.get("PREFECT_API_URL") or _active_profile().get("PREFECT_API_URL") or None


def _active_profile() -> dict[str, str]:
    """Return the settings of Prefect's active profile."""
    home = Path(os.environ.get("PREFECT_HOME") or Path.home() / ".prefect")
    path = Path(os.environ.get("PREFECT_PROFILES_PATH") or home / "profiles.toml")
    try:
        stored = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(
            "a file of Prefect profiles that can be read",
            f"{path}: {words_of(error)}",
            "fix it, or run with --orchestrate never",
        ) from error
    name = os.environ.get("PREFECT_PROFILE") or stored.get("active")
    return stored.get("profiles", {}).get(name, {})


def wanted(orchestrate: str) -> bool:
    """Return whether a run is recorded with Prefect: auto does so where an API is configured."""
    return orchestrate == "always" or (orchestrate == "auto" and configured_api() is not None)


def prepare_environment(*, debug: bool = False) -> None:
    """Set what Prefect reads when it is imported; settings that the user has made stay.

    The environment of this process is the only way to give Prefect settings before it is imported,
    and to pass them to the processes that it starts. So it is changed here, and nowhere else.

    Nothing about the run leaves the machine, Prefect's own log does not mix with ours, and where
    no API is configured there is time enough for Prefect's own server to start.

    Raises
    ------
    InputError
        If an API is configured and does not answer.
    """
    settings = {
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": str(SERVER_START_SECONDS),
    }
    if not debug:
        settings["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
    api = configured_api()
    if api is None:
        settings["PREFECT_SERVER_EPHEMERAL_ENABLED"] = "true"
    else:
        _require_answer(api)
    for name, value in settings.items():
        os.environ.setdefault(name, value)


def _require_answer(api: str) -> None:
    """Ask the API whether it is there: a recorded run cannot do without it."""
    try:
        urllib.request.urlopen(f"{api.rstrip('/')}/health", timeout=ANSWER_SECONDS).close()
    except urllib.error.HTTPError:
        return  # it answers, and whether it lets us in is for Prefect to find out
    except (OSError, ValueError) as error:
        raise UnavailableError(
            f"the Prefect API that is configured ({api})",
            f"it does not answer ({getattr(error, 'reason', error)})",
            "start it, correct PREFECT_API_URL or the profile, or run with --orchestrate never",
        ) from error
