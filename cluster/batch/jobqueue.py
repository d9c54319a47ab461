"""All that we do to dask-jobqueue beyond what it offers, each with the reason.

It writes the scripts of six batch systems, and we would not. But loading it changes this process,
and what we need of jobs (their ids as soon as they are known, why one was refused, credentials of
our own, any command) has no public door. A new version is looked at here first.
"""

import importlib
import signal
import sys
import time
from types import ModuleType
from typing import TYPE_CHECKING, Any

from orimap.cluster.queue.ledger import JobLedger

if TYPE_CHECKING:
    from dask_jobqueue import JobQueueCluster
    from dask_jobqueue.core import Job

CLASSES = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "lsf": "LSFCluster",
    "sge": "SGECluster",
    "oar": "OARCluster",
    "htcondor": "HTCondorCluster",
}


def load_jobqueue() -> ModuleType:
    """Return the module ``dask_jobqueue``.

    Loading it (0.9) takes Ctrl-C for a success: a handler that exits with 0 replaces the one that
    was there; and in any thread but the first the loading itself fails, since handlers cannot be
    set there. So none is set while it loads.
    """
    if "dask_jobqueue" not in sys.modules:
        set_handler = signal.signal
        signal.signal = lambda *_: None
        try:
            importlib.import_module("dask_jobqueue")
        finally:
            signal.signal = set_handler
    return sys.modules["dask_jobqueue"]


def configured(system: str, name: str) -> Any:
    """Return a setting of Dask's own for a batch system, None where there is none."""
    import dask

    load_jobqueue()  # brings the defaults
    return dask.config.get(f"jobqueue.{system}.{name.replace('_', '-')}", None)


def job_class(system: str) -> type["Job"]:
    """Return dask-jobqueue's class of the jobs of a batch system."""
    return getattr(load_jobqueue(), CLASSES[system]).job_cls


def set_command(job: "Job", command: str) -> None:
    """Give a job another command than that of a Dask worker.

    Needed for HTCondor: its description of a job has the command quoted inside, so that it cannot
    be written beside the directives as for the others. The attribute is private to dask-jobqueue.
    """
    job._command_template = command


def cluster_class(
    system: str, ledger: JobLedger, refusals: list[Exception]
) -> type["JobQueueCluster"]:
    """Return dask-jobqueue's class for a batch system, with jobs that are written down.

    Parameters
    ----------
    system : str
    ledger : JobLedger
        Gets the id of every job.
    refusals : list of Exception
        Gets every submission that failed.
    """
    from distributed.core import Status

    base = getattr(load_jobqueue(), CLASSES[system])

    class LedgerJob(base.job_cls):
        """A job that is in the ledger from the moment that its id is known."""

        def _job_id_from_submit_output(self, out: str) -> str:
            # Private, and the only place between the submission and the next thing that may fail.
            job_id = super()._job_id_from_submit_output(out)
            ledger.add(job_id)
            return job_id

        async def start(self) -> None:
            # A caller that scales a cluster is not told that a submission has failed.
            self.submitted = time.monotonic()
            try:
                await super().start()
            except Exception as error:
                refusals.append(error.with_traceback(None))
                raise

        async def close(self) -> None:
            # dask-jobqueue leaves the status as it was, and the cluster would count this job.
            await super().close()
            self.status = Status.closed

    class LedgerCluster(base):
        """A cluster whose workers find their credentials where we have put them."""

        job_cls = LedgerJob

        def _get_worker_security(self, _security: Any) -> None:
            # Private: it would write the credentials once more, into a folder that it guesses.
            return None

    return LedgerCluster
