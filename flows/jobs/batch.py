"""Hand jobs to a batch system, each as one batch job, and find out their states."""

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from orimap.cluster.batch.profiles import Profile, find_profile
from orimap.cluster.batch.scripts import flow_script
from orimap.cluster.local import ON_THIS_MACHINE
from orimap.cluster.queue import systems
from orimap.flows.jobs.job import Job, Standing
from orimap.flows.jobs.outcome import OUTCOME, Outcome, read_outcome
from orimap.flows.request.allowed import allowed_roots, environment_of
from orimap.tasks.errors import InputError, UnavailableError
from orimap.tasks.store.whole_file import write_whole

# Waiting and running together: enough that the queue never runs dry, few enough that it can be
# looked over, and that the newest acquisition still comes first.
LIMIT = 8


class Submission(BaseModel):
    """The record of a job that was handed over, or is about to be."""

    model_config = ConfigDict(frozen=True)

    job: Job
    job_id: str | None  # None from before it is handed over until its id is known
    outcome_before: str  # of an earlier try: what still says the same is no outcome of this one


class BatchSubmitter:
    """Takes jobs for a batch system: each becomes a batch job whose name is the job's key.

    A job that asks for ``cluster: local`` is computed inside its batch job, on as many cores as
    the profile gives; any other only leads workers, which it starts as further jobs.

    Parameters
    ----------
    profile : Profile
        Of a batch system.
    folder : Path
        Where jobs, their scripts and the batch system's own logs are kept: seen by the machines
        where jobs run under the same name, and the same at every start.
    limit : int
        Jobs that wait or run at a time.
    roots : sequence of Path
        Folders that acquisitions may lead to by links; by default those that are allowed here.
    umask : int, optional
        What others may not do with the files that jobs write; by default as the machines have it.

    Raises
    ------
    InputError
        If the profile is for this machine alone.
    """

    def __init__(
        self,
        profile: Profile,
        folder: Path,
        *,
        limit: int = LIMIT,
        roots: Sequence[Path] | None = None,
        umask: int | None = None,
    ) -> None:
        if profile.system == "local":
            raise InputError(
                "a profile of a batch system", "system: local", "choose another --profile"
            )
        self.profile = profile
        self.folder = folder.absolute()
        self.limit = limit
        self.roots = allowed_roots() if roots is None else list(roots)
        self.umask = umask

    @property
    def system(self) -> str:
        """The batch system."""
        return self.profile.system

    def find(self, job: Job) -> str | None:
        """Return the key if this job waits, runs, has succeeded, or ended before that was known.

        A job that failed or was lost is not found: it may be submitted again.
        """
        kept = self._read(job.key)
        ids = systems.find_by_name(self.system, job.key)
        if ids:
            self._keep(job, ids[0], kept)
            return job.key
        outcome = _outcome(job)
        if outcome is not None and outcome.checked:
            self._keep(job, kept.job_id if kept else None, kept)
            return job.key
        # The submitting process was killed before the id was kept, and the job has ended since.
        ended_unseen = kept is not None and kept.job_id is None and outcome is not None
        return job.key if ended_unseen and _digest(job) != kept.outcome_before else None

    def submit(self, job: Job) -> str:
        """Write the job and its script, and hand it over.

        Raises
        ------
        InputError
            If the batch system does not take it; UnavailableError if it does not answer.
        """
        for path in (job.request.file, job.output):
            if not path.is_absolute():
                raise InputError("whole paths in a job", str(path), "write it from / on")
        profile = self.profile if _computes(job) else self.profile.for_flow()
        file, script = self._files(job.key)
        # -P: a file numpy.py in the folder where a job starts is not taken for a package.
        command = [sys.executable, "-P", "-m", "orimap.flows", "perform", str(file)]
        allowed = [f"{name}={value}" for name, value in environment_of(self.roots).items()]
        command = ["env", *allowed, *command] if allowed else command
        text = flow_script(profile, job.key, command, folder=self.folder, umask=self.umask)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(file, _placed(job, profile).model_dump_json(indent=2) + "\n")
        write_whole(script, text)
        script.chmod(0o700)  # OAR runs the file itself
        kept = self._keep(job, None, None)
        try:
            job_id = systems.submit(self.system, script)
        except UnavailableError:
            raise  # it may have been taken all the same: what is kept finds it
        except InputError:
            self._forget(job.key)
            raise
        self._keep(job, job_id, kept)
        return job.key

    def standing(self, reference: str) -> Standing:
        """Return the state of a job: by the batch system, and at its end by what it has left.

        Raises
        ------
        InputError
            If nothing of this name was submitted from here.
        """
        kept = self._read(reference)
        if kept is None:
            raise InputError(
                f"a job that was submitted from {self.folder}", reference, "give one that was"
            )
        job_id = self.job_id(reference)
        state, reason = "unknown", f"{self.system} has no job of this name"
        if job_id is not None:
            state, reason = systems.states(self.system, [job_id])[job_id]
        if state in ("waiting", "running"):
            return Standing(state, reason)
        outcome = _outcome(kept.job)
        if outcome is not None and outcome.checked:
            return Standing("done")
        failed = outcome is not None and outcome.state == "failed"
        if failed and _digest(kept.job) != kept.outcome_before:
            return Standing("failed", f"{outcome.reason}; what to do: {outcome.remedy}")
        return Standing("lost", reason or "it ended and reported nothing")

    def cancel(self, reference: str) -> None:
        """Cancel the batch job; what it has started it ends itself."""
        job_id = self.job_id(reference)
        if job_id is not None:
            systems.cancel(self.system, [job_id])

    def room(self) -> int:
        """Return the number of further jobs that may wait or run."""
        names = {job.name for job in systems.active(self.system)}
        ours = [name for name in names if self._record(name).exists()]
        return max(0, self.limit - len(ours))

    def job_id(self, reference: str) -> str | None:
        """Return the batch system's id of a job, None where it is not known."""
        kept = self._read(reference)
        if kept is not None and kept.job_id is not None:
            return kept.job_id
        return next(iter(systems.find_by_name(self.system, reference)), None)

    def logs(self, reference: str) -> list[Path]:
        """Return the batch system's own logs of a job."""
        kinds = ("*.out", "*.err", "*.o[0-9]*", "*.e[0-9]*", "OAR.*")
        job_id = (self.job_id(reference) or "").partition(".")[0]
        found = {path for kind in kinds for path in self.folder.glob(kind)}
        return sorted(path for path in found if job_id and job_id in path.name)

    def _files(self, key: str) -> tuple[Path, Path]:
        """Return the files of a job as it is performed, and of its script."""
        return self.folder / f"{key}.job.json", self.folder / f"{key}.sh"

    def _record(self, key: str) -> Path:
        return self.folder / f"{key}.submission.json"

    def _read(self, key: str) -> Submission | None:
        try:
            return Submission.model_validate_json(self._record(key).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def _keep(self, job: Job, job_id: str | None, kept: Submission | None) -> Submission:
        """Keep what is known of a job, before and after it is handed over."""
        before = kept.outcome_before if kept else _digest(job)
        submission = Submission(job=job, job_id=job_id, outcome_before=before)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._record(job.key), submission.model_dump_json(indent=2) + "\n")
        return submission

    def _forget(self, key: str) -> None:
        """Leave nothing of a job that was refused."""
        for path in (self._record(key), *self._files(key)):
            path.unlink(missing_ok=True)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()


def _computes(job: Job) -> bool:
    """Return whether a job computes itself; others only lead workers that are elsewhere."""
    return job.request.cluster in ON_THIS_MACHINE


def _placed(job: Job, profile: Profile) -> Job:
    """Return a job as its batch job finds it; its key does not depend on where it is computed."""
    request = job.request
    if not _computes(job):
        # By its file: whatever names profiles on this machine may not be set on that one.
        site = str(find_profile(request.profile)) if request.profile is not None else None
        return job.model_copy(update={"request": request.model_copy(update={"profile": site})})
    # Batch systems that do not bind a job to its cores let it see those of the whole machine.
    placed = {"profile": None, "workers": request.workers or profile.cores}
    return job.model_copy(update={"request": request.model_copy(update=placed)})


def _outcome(job: Job) -> Outcome | None:
    """Return how this job ended, None where another or none has ended in its folder."""
    outcome = read_outcome(job.output)
    return outcome if outcome is not None and outcome.key == job.key else None


def _digest(job: Job) -> str:
    """Return a digest of the outcome in the folder of a job, empty where there is none."""
    try:
        return hashlib.sha256((job.output / OUTCOME).read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""
