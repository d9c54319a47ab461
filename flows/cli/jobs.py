"""The commands that hand over a whole run as one job: submit, and perform inside the job."""

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
from pydantic import ValidationError

from orimap.cluster.local import ON_THIS_MACHINE
from orimap.flows.cli.answers import Debug, analyse, answers, print_lines, print_result
from orimap.flows.cli.options import Config, read_request, with_request_options
from orimap.flows.jobs.job import Job, Standing
from orimap.flows.request.request import DETECTOR_IMAGES, Request, with_files
from orimap.tasks.errors import FAILED, INPUT_AT_FAULT, InputError, UnavailableError, words_of
from orimap.tasks.lines import say

if TYPE_CHECKING:
    from orimap.cluster.batch.profiles import Profile
    from orimap.flows.jobs.batch import BatchSubmitter

BATCH_FOLDER = "batch"
# A queue is asked at first often, for short jobs, then seldom: schedulers serve many.
ASK_SECONDS, ASK_SECONDS_AT_MOST = 2, 30
# A controller that is restarted or moved is back by then.
SILENT_SECONDS = 1800
# How one looks at a job, and ends it, by hand.
BY_HAND = {
    "slurm": ("squeue --jobs={id}", "scancel {id}"),
    "pbs": ("qstat -x -f {id}", "qdel {id}"),
    "lsf": ("bjobs -l {id}", "bkill {id}"),
    "sge": ("qstat -j {id}", "qdel {id}"),
    "oar": ("oarstat -f -j {id}", "oardel {id}"),
    "htcondor": ("condor_q -better-analyze {id}", "condor_rm {id}"),
}


@with_request_options
@answers
def submit(
    *,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the end; the exit code is that of the run")
    ] = False,
    config: Config = None,
    debug: Debug = False,
    **options: Any,
) -> None:
    """Submit a run as one batch job; nothing keeps running on this machine.

    The job computes on its own cores, those of --profile. With --cluster SYSTEM it only leads
    workers, which it starts as further jobs. A job that is queued, running or done is not
    submitted again.
    """
    from orimap.flows.jobs.batch import BatchSubmitter

    asked = read_request("submit", config, options)
    request, profile = _inside(asked), _profile(asked)
    job = _job(request)
    if job is None:
        say(f"{request.output} already holds the results of this request: nothing to submit")
        print_result(request.output)
        return
    submitter = BatchSubmitter(profile, request.output / BATCH_FOLDER)
    reference = submitter.find(job)
    standing = submitter.standing(reference) if reference is not None else None
    if standing is None or (standing.state == "done" and request.restart):
        reference = submitter.submit(job)
        say(f"submitted as job {submitter.job_id(reference)} of {submitter.system}")
    else:
        why = f" ({standing.reason})" if standing.reason else ""
        say(
            f"submitted before as job {submitter.job_id(reference)} of {submitter.system}, "
            f"which is {standing.state}{why}: not submitted again"
        )
    _print_how_to_look(submitter, reference, request.output)
    if wait:
        try:
            standing = _wait(submitter, reference)
        except KeyboardInterrupt:
            say("the job goes on; the same command waits for it again", stream=sys.stderr)
            raise
        _end(submitter, reference, standing, request.output)


def _inside(asked: Request) -> Request:
    """Return the request as the job finds it: whole paths, and on its own cores no profile."""
    fields = {name: getattr(asked, name) for name in ("crystals", *DETECTOR_IMAGES)}
    changed = with_files(fields, lambda path: Path(path).absolute())
    changed |= {"file": asked.file.absolute(), "output": asked.output.absolute()}
    if asked.cluster in ON_THIS_MACHINE:
        changed["profile"] = None
    return asked.model_copy(update=changed)


def _profile(asked: Request) -> "Profile":
    """Return the profile by which the job of the run itself is submitted."""
    from orimap.cluster.batch.profiles import Profile, read_profile
    from orimap.cluster.queue.commands import BATCH_SYSTEMS

    if asked.profile is not None:
        return read_profile(asked.profile)
    if asked.cluster in BATCH_SYSTEMS:
        return Profile(system=asked.cluster)
    raise InputError(
        "a batch system to submit to",
        "neither --profile nor --cluster names one",
        "add --profile NAME; samples are in deploy/profiles",
    )


def _job(request: Request) -> Job | None:
    """Check all that a run checks before long work; None where its results are there already."""
    from orimap.flows.pipeline.check import check
    from orimap.flows.pipeline.results import holds
    from orimap.tasks.store.fingerprint import fingerprint
    from orimap.tasks.store.run_folder import RunFolder

    plan = check(request)
    if not request.restart and holds(RunFolder(request.output), plan):
        return None
    name = fingerprint(acquisition=plan.acquisition.identity, output=str(request.output))[:12]
    return Job(acquisition=name, request=request)


def _print_how_to_look(submitter: "BatchSubmitter", reference: str, output: Path) -> None:
    """Print what one asks next."""
    from orimap.flows.jobs.perform import LOG

    look, end = (how.format(id=submitter.job_id(reference)) for how in BY_HAND[submitter.system])
    print_lines(
        [
            ("look at it", look),
            ("end it", end),
            ("log", str(output / LOG)),
            ("the batch system's own", str(submitter.folder)),
        ]
    )


def _wait(submitter: "BatchSubmitter", reference: str) -> Standing:
    """Wait for the end of a job, telling what changes; a queue that does not answer is asked on."""
    seconds, before, heard = ASK_SECONDS, None, time.monotonic()
    while True:
        try:
            standing = submitter.standing(reference)
            heard = time.monotonic()
        except UnavailableError as error:
            if time.monotonic() - heard > SILENT_SECONDS:
                raise
            standing = Standing("waiting", f"asking again: {error.found}")
        if standing.state not in ("waiting", "running"):
            return standing
        if standing != before:
            say(_words(standing), stream=sys.stderr)
        before = standing
        time.sleep(seconds)
        seconds = min(2 * seconds, ASK_SECONDS_AT_MOST)


def _end(submitter: "BatchSubmitter", reference: str, standing: Standing, output: Path) -> None:
    """Print how a job has ended; exit as the run itself would have."""
    from orimap.flows.jobs.outcome import read_outcome

    if standing.state == "done":
        print_result(output)
        return
    say(_words(standing), stream=sys.stderr)
    for path in submitter.logs(reference):
        say(f"the batch system's own log: {path}", stream=sys.stderr)
    outcome = read_outcome(output) if standing.state == "failed" else None
    at_fault = outcome is not None and outcome.kind in ("bad data", "changed")
    raise typer.Exit(INPUT_AT_FAULT if at_fault else FAILED)


def _words(standing: Standing) -> str:
    """Return the state of a job and the reason in words."""
    return f"{standing.state}: {standing.reason}" if standing.reason else standing.state


@answers
def perform(
    file: Annotated[Path, typer.Argument(metavar="JOB", help="The job, as JSON")],
    debug: Debug = False,
) -> None:
    """Perform one job: again where that helps, with its log and its outcome in its folder."""
    from orimap.flows.jobs.notify import perform_and_tell
    from orimap.flows.jobs.perform import run_log
    from orimap.flows.pipeline.runtime.runner import Lines
    from orimap.flows.pipeline.runtime.workers import DASHBOARD_VARIABLE

    os.environ.setdefault(DASHBOARD_VARIABLE, "off")  # nobody is there to look
    job = read_job(file)
    with run_log(job.output) as log:
        display = Lines(_Both(sys.stderr, log))
        perform_and_tell(job, lambda request: analyse(request, display, debug=debug), display.note)
    print_result(job.output)


def read_job(file: Path) -> Job:
    """Return the job that a file holds.

    Raises
    ------
    InputError
        If there is no such file, or no job in it.
    """
    try:
        return Job.model_validate_json(file.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise InputError(
            f"a job as orimap writes it ({file})",
            words_of(error),
            "leave jobs to orimap watch and orimap submit",
        ) from error


class _Both:
    """Writes into two text files."""

    def __init__(self, first: TextIO, second: TextIO) -> None:
        self.files = first, second

    def write(self, text: str) -> int:
        for file in self.files:
            file.write(text)
        return len(text)

    def flush(self) -> None:
        for file in self.files:
            file.flush()
