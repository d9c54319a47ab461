"""One watcher at a time for one journal, and the file systems that are no place for a journal."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from orimap.tasks.errors import UnavailableError
from orimap.tasks.store.locks import HeldError, held, holder

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
    UnavailableError
        If another watcher holds it.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(held(state / LOCK))
        except HeldError as error:
            raise UnavailableError(
                f"the journal in {state} for this watcher alone",
                f"another watcher works with it (process {error.owner or 'unknown'})",
                "leave the work to it, or stop it first",
            ) from error
        yield


def watcher_process(state: Path) -> int | None:
    """Return the process of the watcher that works with a journal now, None without one."""
    return holder(state / LOCK)


def network_file_system(folder: Path) -> str | None:
    """Return the kind of network file system that a folder lies on, None on a disk of its own."""
    import psutil

    places = {Path(part.mountpoint): part.fstype for part in psutil.disk_partitions(all=True)}
    whole = folder.resolve()
    kind = next((places[each] for each in (whole, *whole.parents) if each in places), "")
    return kind if kind.lower() in NETWORK_FILE_SYSTEMS else None
