"""``orimap perform JOB.json``: one job in this process, for whoever takes jobs."""

import sys
from pathlib import Path
from typing import Annotated, TextIO

import typer
from pydantic import ValidationError

from orimap.flows.cli.answers import Debug, analyse, answers, print_result
from orimap.flows.jobs.job import Job
from orimap.tasks.errors import InputError


@answers
def perform(
    file: Annotated[Path, typer.Argument(metavar="JOB", help="The job, as JSON")],
    debug: Debug = False,
) -> None:
    """Perform one job: again where that helps, with its log and its outcome in its folder."""
    from orimap.flows.jobs.notify import perform_and_tell
    from orimap.flows.jobs.perform import run_log
    from orimap.flows.pipeline.runtime.runner import Lines

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
            " ".join(str(error).split()),
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
