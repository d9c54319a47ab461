"""One watcher at a time for one journal, and where a journal had better not lie."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orimap.tasks.errors import InputError

LOCK = "watcher.lock"
# SQLite needs locks and shared memory that these do not offer, or not always.
NETWORK_FILE_SYSTEMS = {
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "9p", "glusterfs", "ceph"),
    *("lustre", "gpfs", "beegfs", "fuse.sshfs", "fuse.glusterfs", "fuse.davfs", "davfs"),
}


@contextmanager
def only_watcher(state: Path) -> Iterator[None]:
    """Hold a journal's folder for one watcher.

    Raises
    ------
    InputError
        If another watcher holds it.
    """
    lock = os.open(state / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.read(lock, 64).decode(errors="replace") or "unknown"
            raise InputError(
                f"the journal in {state} for this watcher alone",
                f"another watcher works with it (process {owner})",
                "leave the work to it, or stop it first",
            ) from error
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(lock)


def watcher_process(state: Path) -> int | None:
    """Return the process of the watcher that works with a journal now, None without one."""
    try:
        with (state / LOCK).open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read(64) or 0)
    except FileNotFoundError:
        pass
    return None


def network_file_system(folder: Path) -> str | None:
    """Return the kind of network file system that a folder lies on, None on a disk of its own."""
    import psutil

    places = {Path(part.mountpoint): part.fstype for part in psutil.disk_partitions(all=True)}
    whole = folder.resolve()
    kind = next((places[each] for each in (whole, *whole.parents) if each in places), "")
    return kind if kind.lower() in NETWORK_FILE_SYSTEMS else None
