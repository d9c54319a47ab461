"""Run analyses on this machine, one after the other, without any server.

A job that was taken lies in a folder until it has ended: the next watcher goes on with it. Each
runs in a process of its own, on a tether: it ends when this process ends, however that happens, and
holds a lock while it lives, so that no job ever runs twice at a time.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from orimap.flows.jobs.job import Job, Standing
from orimap.flows.jobs.outcome import read_outcome
from orimap.flows.request.allowed import environment_of
from orimap.tasks.store.locks import holder
from orimap.tasks.store.whole_file import write_whole

# Of a run that ends cleanly: it closes its workers first.
END_SECONDS = 30
# Starts of one job that took the whole machine, or the watcher, down with them.
STARTS_AT_MOST = 3


class EmbeddedSubmitter:
    """Takes jobs and runs them here; use it as a context.

    Parameters
    ----------
    state : Path
        Folder for jobs that were taken, and for logs.
    roots : sequence of Path
        Folders that acquisitions may lead to by links; everything where there are none.
    """

    def __init__(self, state: Path, roots: Sequence[Path] = ()) -> None:
        self._roots = roots
        self._taken, self._over = state / "jobs", state / "jobs" / "over"
        self._logs = state / "logs"
        self._key = ""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "EmbeddedSubmitter":
        self._over.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        """End what runs; it goes on from its last complete step at the next start."""
        if self._busy():
            self._end()
            self._write(self._key, starts=self._starts(self._key) - 1)

    def log(self, key: str) -> Path:
        """Return the file that gets what a job says."""
        return self._logs / f"{key}.log"

    def find(self, job: Job) -> str | None:
        """Return the key of a job that was taken, or has ended."""
        return job.key if self._file(job.key).exists() or self._ended_file(job.key) else None

    def submit(self, job: Job) -> str:
        """Take a job: from now on it is kept, whatever happens to this process."""
        taken = datetime.now(UTC).isoformat()
        self._write(job.key, job=job.model_dump(mode="json"), starts=0, taken=taken)
        self._go_on()
        return job.key

    def standing(self, reference: str) -> Standing:
        """Return the state of a job; start it if its turn has come."""
        self._go_on()
        if self._busy() and self._key == reference:
            return Standing("running")
        over = self._ended_file(reference)
        if over is not None:
            ended = _outcome(_job(over))
            return ended or Standing("lost", "the record of its outcome is missing")
        if not self._file(reference).exists():
            return Standing("lost", "this machine has no record of it")
        if self._key == reference:
            lost = Standing("lost", self._last_words())
        elif self._starts(reference) >= STARTS_AT_MOST and not self._held(reference):
            lost = Standing(
                "lost",
                f"{STARTS_AT_MOST} times it was started, and each time the machine went down",
            )
        else:
            return Standing("waiting", "another analysis is running")
        self._file(reference).unlink()
        self._key, self._process = "", None
        return lost

    def cancel(self, reference: str) -> None:
        """End a job; nothing is known of it afterwards."""
        if self._busy() and self._key == reference:
            self._end()
        self._file(reference).unlink(missing_ok=True)

    def room(self) -> int:
        """Return 1 if no job runs or waits, else 0."""
        return int(self._go_on())

    def _go_on(self) -> bool:
        """Start the next job that was taken, if none runs; return whether nothing runs."""
        if self._busy():
            return False
        for file in sorted(self._taken.glob("*.json"), key=lambda file: _stored(file)["taken"]):
            key = file.stem
            if _outcome(_job(file)) is not None:
                file.rename(self._over / file.name)
            elif key != self._key and self._starts(key) < STARTS_AT_MOST:
                if not self._held(key):
                    self._start(key)
                return False
        return True

    def _ended_file(self, key: str) -> Path | None:
        """Return the file of a job that has ended."""
        over = self._over / f"{key}.json"
        return over if over.exists() else None

    def _file(self, key: str) -> Path:
        return self._taken / f"{key}.json"

    def _starts(self, key: str) -> int:
        return _stored(self._file(key))["starts"]

    def _write(self, key: str, **facts: object) -> None:
        """Change facts about a job, all of them or none, so that they outlast a power cut."""
        file = self._file(key)
        stored = _stored(file) if file.exists() else {}
        write_whole(file, json.dumps({**stored, **facts}))

    def _busy(self) -> bool:
        """Return whether a job of this process runs."""
        return self._process is not None and self._process.poll() is None

    def _held(self, key: str) -> bool:
        """Return whether a process that an earlier watcher started still holds the job."""
        return holder(self._taken / f"{key}.lock") is not None

    def _start(self, key: str) -> None:
        """Start a job in a process of its own."""
        self._write(key, starts=self._starts(key) + 1)
        job = self._taken / f"{key}.job"
        job.write_text(_job(self._file(key)).model_dump_json())
        tether = [
            *(sys.executable, "-P", "-m", "orimap.flows.jobs.tether"),
            *(str(os.getpid()), str(self._taken / f"{key}.lock")),
        ]
        command = [sys.executable, "-P", "-m", "orimap.flows", "perform", str(job)]
        with self.log(key).open("ab") as log:
            self._process = subprocess.Popen(
                [*tether, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **environment_of(self._roots)},
            )
        self._key = key

    def _last_words(self) -> str:
        """Say how a process ended that left no outcome."""
        code = self._process.returncode
        how = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        return f"its process ended with {how} and no outcome; see {self.log(self._key)}"

    def _end(self) -> None:
        """End the running process and all that it has started."""
        group = self._process.pid
        os.kill(group, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)
        # What it left behind, if anything.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        self._process.wait()
        while self._held(self._key):
            time.sleep(0.05)


def _stored(file: Path) -> dict:
    """Return what is kept about a job: itself, when it was taken, how often it was started."""
    return json.loads(file.read_text())


def _job(file: Path) -> Job:
    return Job.model_validate(_stored(file)["job"])


def _outcome(job: Job) -> Standing | None:
    """Return how a job ended by its own outcome, None where it has none."""
    outcome = read_outcome(job.output)
    if outcome is None or outcome.key != job.key:
        return None
    if outcome.state == "failed":
        return Standing("failed", f"{outcome.reason}; {outcome.remedy}")
    if not outcome.checked:
        return Standing("failed", f"its results in {job.output} are not complete")
    return Standing("done")
