"""The password of the Prefect server that `orimap up` starts.

Every account of a machine reaches its loopback, and who reaches Prefect's API has programs run. So
the server asks for a password, which is made once and kept where this account alone can read it.
"""

import os
from pathlib import Path

from orimap.flows.viewer.entry.access import TOKEN, read_token

# What Prefect reads: the server, and whoever asks it.
SERVER, CLIENT = "PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING"


def password_file(state: Path) -> Path:
    """Return where the password is kept."""
    return state / "prefect" / "api" / TOKEN


def api_password(state: Path) -> str:
    """Return the password; make it where there is none. One that the environment names comes first.

    Parameters
    ----------
    state : Path
        Folder of journal and server.

    Raises
    ------
    InputError
        If it cannot be kept there, or others can read or have written it.
    """
    return os.environ.get(SERVER) or read_token(password_file(state).parent)
