"""Credentials of one run: workers and scheduler know each other by them, nobody else does.

They are made for the run and removed with it. Only the names of their files are in job scripts and
on command lines; the files, and the folder they are in, can be read by their owner alone.
"""

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import Security

FILES = {"ca_file": "ca.pem", "cert": "cert.pem", "key": "key.pem"}


def write_credentials(folder: Path) -> "Security":
    """Make credentials; write them where workers find them.

    Parameters
    ----------
    folder : Path
        That workers see at the same place; its rights are narrowed to its owner.

    Returns
    -------
    Security
        For scheduler and client, in memory alone.
    """
    from distributed import Security

    security = Security.temporary()
    folder.chmod(0o700)
    for field, content in security.get_tls_config_for_role("worker").items():
        if field in FILES:
            path = folder / FILES[field]
            path.unlink(missing_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write(content)
    return security


def worker_options(folder: Path) -> list[str]:
    """Return the options with which a worker finds its credentials."""
    return [
        word
        for field, name in FILES.items()
        for word in (f"--tls-{field.replace('_', '-')}", shlex.quote(str(folder / name)))
    ]


def client_settings(folder: Path) -> dict[str, object]:
    """Return the settings with which this process joins the same scheduler by its address."""
    files = {field: str(folder / name) for field, name in FILES.items()}
    return {
        "distributed.comm.require-encryption": True,
        "distributed.comm.tls.ca-file": files["ca_file"],
        "distributed.comm.tls.client.cert": files["cert"],
        "distributed.comm.tls.client.key": files["key"],
    }


def remove_credentials(folder: Path) -> None:
    """Remove what was written."""
    for name in FILES.values():
        (folder / name).unlink(missing_ok=True)
