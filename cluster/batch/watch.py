"""Watch the jobs of workers: replace those that are lost, report their number, end a wait.

Dask itself notices only workers that have been there and left, and only some of these; a job that
is cancelled while it waits, or that ends before its worker is up, is missed. So the batch system is
asked, whenever a worker is missing.

Tested in tests/cluster/batch/test_workers.py.
"""

import contextvars
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orimap.cluster.queue.ledger import JobLedger
from orimap.cluster.queue.systems import states
from orimap.cluster.worker_check import check_workers
from orimap.tasks.errors import InputError, UnavailableError

if TYPE_CHECKING:
    from dask_jobqueue import JobQueueCluster
    from distributed import Client

TICK_SECONDS = 0.5
# Batch systems are shared: asked soon when something has changed, then less and less often.
FIRST_ASK_SECONDS, MOST_ASK_SECONDS = 2, 60
ASK_GROWTH = 1.5
# Workers that start together arrive within seconds of each other: worth waiting for, since
# what every worker needs is then sent to all of them at once.
TOGETHER_SECONDS = 10
# A batch system may tell of a job a little after it has taken it.
KNOWN_SECONDS = 60
# A node that hangs: its job runs on, its worker does not answer. The nanny restarts a worker
# that has only died within seconds.
SILENT_SECONDS = 120
# Jobs that end one after the other before a worker is up will not do better the next time.
FRUITLESS_JOBS = 3
LOG_LINES = 4


class JobWatch:
    """Keeps the workers of a cluster up, from a thread, while the context lasts.

    Parameters
    ----------
    cluster, client : JobQueueCluster, Client
    ledger : JobLedger
    refusals : list of Exception
        Filled by the cluster with submissions that failed.
    fewest, most : int
        Worker processes: the same number keeps that many, otherwise as there is work.
    logs : Path
        Where jobs leave their last words.
    shared : sequence of Path
        What every worker must find.
    patience_seconds : float
        How long to be without any worker.
    note : callable
        Takes lines about workers that come and go.
    """

    def __init__(
        self,
        cluster: "JobQueueCluster",
        client: "Client",
        ledger: JobLedger,
        refusals: list[Exception],
        fewest: int,
        most: int,
        *,
        logs: Path,
        shared: Sequence[Path],
        patience_seconds: float,
        note: Callable[[str], None],
    ) -> None:
        self.failure: Exception | None = None
        self._cluster, self._client = cluster, client
        self._ledger, self._refusals = ledger, refusals
        self._fewest, self._most = fewest, most
        self._logs, self._shared = logs, shared
        self.patience_seconds, self._note = patience_seconds, note
        self._stop, self._answered = threading.Event(), threading.Event()
        # Prefect knows the run to which a line belongs by its context.
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), daemon=True)
        self._checked: set[str] = set()  # addresses of workers
        self._seen: dict[Any, float] = {}  # jobs, by when one of their workers was last there
        self._fruitless = 0
        self._told = ""
        self._reasons: Counter[str] = Counter()
        self._ask_soon()
        self._present = 0
        self._alone_since: float | None = time.monotonic()

    def __enter__(self) -> "JobWatch":
        """Ask for workers and start to watch."""
        if self._fewest == self._most:
            self._cluster.scale(self._fewest)
        else:
            self._cluster.adapt(minimum=self._fewest, maximum=self._most)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, so that nothing is replaced any more."""
        self._stop.set()
        self._thread.join()

    def wait_for_first(self) -> None:
        """Return when there is a worker that fits, and those that came with it.

        Raises
        ------
        UnavailableError
            If there is none in time, and why.
        """
        self._answered.wait()
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        """Look again and again; what goes wrong ends the run."""
        first: float | None = None
        try:
            while not self._stop.wait(TICK_SECONDS):
                present = self._look()
                if present and first is None:
                    first = time.monotonic()
                if present >= self._fewest or (
                    first is not None and time.monotonic() - first > TOGETHER_SECONDS
                ):
                    self._answered.set()
        except Exception as error:
            self.failure = error
            self._client.close(timeout=TICK_SECONDS)  # a call that waits for a result wakes up
        finally:
            self._answered.set()

    def _look(self) -> int:
        """Look once; return how many workers are there."""
        workers, jobs = self._cluster.sync(self._copied)
        self._check([address for address in workers if address not in self._checked])
        now = time.monotonic()
        missing = {}
        for name, job in jobs.items():
            if any(each == name or each.startswith(f"{name}-") for each in workers.values()):
                self._seen[job] = now
            else:
                missing[name] = job
        if len(workers) < self._present:
            self._ask_soon()
        self._present = len(workers)
        self._be_patient(now)
        if missing:
            self._mend(missing, now)
        elif self._reasons:
            self._reasons.clear()
        self._tell()
        self._fill()
        return len(workers)

    async def _copied(self) -> tuple[dict[str, str], dict[str, Any]]:
        """Return names of workers by their addresses and jobs by their names, from their thread."""
        workers = self._cluster.scheduler_info["workers"]
        names = {address: str(worker["name"]) for address, worker in workers.items()}
        return names, dict(self._cluster.workers)

    def _check(self, new: list[str]) -> None:
        """Check new workers, so that none computes something else than the others."""
        if new:
            check_workers(self._client, new, self._shared)
            self._checked |= set(new)
            self._fruitless = 0

    def _ask_soon(self) -> None:
        """Ask the batch system at once, and again before long: something has changed."""
        self._ask_at, self._ask_after = 0.0, float(FIRST_ASK_SECONDS)

    def _be_patient(self, now: float) -> None:
        """End a wait that lasts too long."""
        if self._present:
            self._alone_since = None
            return
        if self._alone_since is None:
            self._alone_since = now
        if now - self._alone_since > self.patience_seconds:
            raise UnavailableError(
                f"a worker from {self._ledger.system} within {self.patience_seconds / 60:.3g} min "
                "(--first-worker-minutes)",
                "none: " + (self._why() or "the batch system gives no reason"),
                "wait longer, ask for less (cores, memory, walltime), or for another queue",
            )

    def _mend(self, missing: dict[str, Any], now: float) -> None:
        """Ask why workers are missing; give up jobs that have ended, or whose node hangs."""
        gone = [name for name, job in missing.items() if job.job_id is None]
        queued = {name: job for name, job in missing.items() if job.job_id is not None}
        if queued and now >= self._ask_at:
            gone += self._ended(queued, now)
            self._ask_at = now + self._ask_after
            self._ask_after = min(MOST_ASK_SECONDS, ASK_GROWTH * self._ask_after)
        gone += [
            name for name, job in queued.items()
            if name not in gone and now - self._seen.get(job, now) > SILENT_SECONDS
        ]  # fmt: skip
        if gone:
            self._give_up({name: missing[name] for name in gone})

    def _ended(self, queued: dict[str, Any], now: float) -> list[str]:
        """Return the names of jobs that have ended; remember why the others wait."""
        try:
            found = states(self._ledger.system, [job.job_id for job in queued.values()])
        except InputError as error:
            self._reasons = Counter([f"the batch system does not answer: {error.found}"])
            return []
        ended = []
        self._reasons = Counter()
        for name, job in queued.items():
            state, reason = found[job.job_id]
            if state == "ended" or (state == "unknown" and now - job.submitted > KNOWN_SECONDS):
                ended.append(name)
            else:
                self._reasons[f"{state}{reason and f' ({reason})'}"] += 1
        return ended

    def _give_up(self, gone: dict[str, Any]) -> None:
        """Forget jobs, so that others are submitted in their place; stop where that is no use."""
        fruitless = [job for job in gone.values() if job not in self._seen]
        self._fruitless += len(fruitless)
        if self._fruitless >= max(FRUITLESS_JOBS, 2 * len(self._cluster.worker_spec)) or (
            self._refusals and not self._answered.is_set()
        ):
            raise UnavailableError(
                f"jobs of {self._ledger.system} whose workers answer",
                self._last_words(),
                "the results must lie in a folder that the nodes see, with the same Python on "
                "them; check queue, account, memory and interface of the profile",
            )
        self._refusals.clear()
        self._note(f"{self._ledger.system}: {len(gone)} of the workers' jobs lost, replaced")
        self._cluster.sync(self._forget, gone)
        self._ledger.forget({job.job_id for job in gone.values()})
        self._ask_soon()

    async def _forget(self, gone: dict[str, Any]) -> None:
        """Take jobs from the cluster, in its own thread; whatever is left of them is cancelled."""
        for name, job in gone.items():
            self._seen.pop(job, None)
            if self._cluster.workers.get(name) is job:
                del self._cluster.workers[name]
                await job.close()

    def _fill(self) -> None:
        """Submit what is missing; where the number of workers varies, Dask does."""
        missing = len(self._cluster.worker_spec) - len(self._cluster.workers)
        if self._fewest == self._most and missing:
            self._cluster.scale(self._fewest)

    def _tell(self) -> None:
        """Say how many workers there are, and why others are not, when it has changed."""
        wanted = str(self._fewest)
        if self._most > self._fewest:
            wanted += f" to {self._most}"
        why = self._why() if self._present < self._fewest else ""
        text = (
            f"{self._ledger.system}: {self._present} of {wanted} workers{why and f'; jobs: {why}'}"
        )
        if text != self._told:
            self._note(text)
            self._told = text

    def _why(self) -> str:
        """Return how jobs without a worker stand."""
        return ", ".join(f"{count} {words}" for words, count in self._reasons.items())

    def _last_words(self) -> str:
        """Return why a job was not taken, or the end of the last log."""
        if self._refusals:
            return " ".join(str(self._refusals[-1]).split())
        logs = [path for path in self._logs.glob("*") if path.is_file()]
        written = [path for path in logs if path.stat().st_size]
        if not written:
            return "they ended before and reported nothing"
        last = max(written, key=lambda path: path.stat().st_mtime)
        lines = last.read_text(errors="replace").strip().splitlines()[-LOG_LINES:]
        return f"they ended before; {last}: {' / '.join(lines)}"
