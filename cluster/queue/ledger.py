"""What was submitted, on disk from the moment it is known: what is left to cancel after a kill.

Jobs of a run that was killed are cancelled, not adopted: the scheduler that their workers belong
to, and the credentials they trust, have gone with it, and within a minute they end by themselves.
"""

import hashlib
import json
import os
from collections.abc import Collection
from pathlib import Path
from threading import Lock

from orimap.cluster.queue.systems import active, cancel

FILE = "jobs.json"


def job_name(folder: Path) -> str:
    """Return what all jobs of one folder are called, and no others.

    Short: some batch systems show and keep 15 characters.
    """
    return f"orimap-{hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:8]}"


class JobLedger:
    """Keeps the ids of jobs in a file until they have ended or are cancelled.

    Parameters
    ----------
    folder : Path
        Where the file is; for one run at a time.
    system : str
        The batch system.
    """

    def __init__(self, folder: Path, system: str) -> None:
        self.system = system
        self.name = job_name(folder)
        self._file = folder / FILE
        self._ids: list[str] = []
        self._busy = Lock()
        # Before the first job: one that was submitted and not yet written down has this name.
        self._write()

    def add(self, job_id: str) -> None:
        """Write down a job that was submitted."""
        with self._busy:
            self._ids.append(job_id)
            self._write()

    def forget(self, ended: Collection[str]) -> None:
        """Strike out jobs that have ended."""
        with self._busy:
            self._ids = [job_id for job_id in self._ids if job_id not in ended]
            self._write()

    def cancel(self) -> None:
        """Cancel every job that has not ended.

        Raises
        ------
        InputError
            If the batch system does not answer. The file then stays, for the next start.
        """
        with self._busy:
            cancel(self.system, self._ids)

    def close(self) -> None:
        """Cancel every job that has not ended, and remove the file."""
        self.cancel()
        self._file.unlink(missing_ok=True)

    def _write(self) -> None:
        """Replace the file as a whole."""
        new = self._file.with_suffix(".new")
        content = {"system": self.system, "name": self.name, "jobs": self._ids}
        with new.open("w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._file)


def cancel_orphans(folder: Path) -> list[str]:
    """Cancel the jobs that a killed run has left, written down or not; return their ids.

    Jobs are known by id and name, so that an id that is used again (after many jobs, or at
    another site) harms nobody.

    Raises
    ------
    InputError
        If the batch system does not answer.
    """
    file = folder / FILE
    try:
        left = json.loads(file.read_text())
    except FileNotFoundError:
        return []
    orphans = [job.id for job in active(left["system"]) if _same_name(job.name, left["name"])]
    cancel(left["system"], orphans)
    file.unlink()
    return orphans


def _same_name(seen: str, name: str) -> bool:
    """Return whether a job is ours: its name, or (HTCondor) that of its worker, with a number."""
    return seen == name or seen.startswith(f"{name}-")
