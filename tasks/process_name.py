"""Name files and folders after the process that makes them, so that others know whose they are.

A process that is killed removes nothing. What it leaves can be removed by who can prove that it is
gone: by its id together with the moment of its start, on the machine that it ran on.
"""

import hashlib
import os
import platform
import re
from pathlib import Path

# PROCESS-START-MACHINE, as in orimap-run-4711-882910-5be0a1f3-x1
NAME = r"(?P<process>\d+)-(?P<start>\d+)-(?P<machine>[0-9a-f]{8})"


def own_name() -> str:
    """Return the name of this process: its id, when it was started, and where."""
    process = os.getpid()
    return f"{process}-{_started(process) or 0}-{_machine()}"


def is_gone(named: re.Match[str]) -> bool:
    """Return whether the process of a name is provably gone.

    Parameters
    ----------
    named : match of a pattern that holds `NAME`

    Returns
    -------
    bool
        False where it cannot be known: the process may be of another machine that sees the same
        folder, or of another container.
    """
    if named["machine"] != _machine() or _started(os.getpid()) is None:
        return False
    return str(_started(int(named["process"]))) != named["start"]


def _started(process: int) -> int | None:
    """Return when a process was started, in ticks since the machine was; None if it is gone."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    return int(text.rpartition(")")[2].split()[19])


def _machine() -> str:
    """Name this machine, and the container that this process sees the processes of."""
    facts = [platform.node()]
    for path in ("/etc/machine-id", "/proc/self/ns/pid"):
        try:
            found = os.readlink(path) if os.path.islink(path) else Path(path).read_text()
        except OSError:
            found = ""
        facts.append(found)
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:8]
