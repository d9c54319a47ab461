"""Start a command that ends when a process ends, and holds a lock while it lives.

``python -m orimap.flows.jobs.tether PROCESS LOCK COMMAND ...``: told to end (SIGTERM) the moment
that PROCESS, its parent, is gone, even killed. LOCK stays locked until the command has ended,
however it ends: no other look at a process can be trusted, since numbers of processes are used
again.
"""

import fcntl
import os
import sys

from orimap.cluster.processes.parent import end_with_parent

HELD = 75  # exit code: somebody else holds the lock (sysexits' "try again later")


def main(parent: str, lock: str, *command: str) -> None:
    """Become the command."""
    end_with_parent()
    if os.getppid() != int(parent):
        sys.exit("the process that started this one is gone")
    held = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(HELD)
    os.set_inheritable(held, True)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
