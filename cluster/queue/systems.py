"""Submit, follow and cancel jobs of a batch system by its own commands."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from orimap.cluster.queue.commands import (
    BATCH_SYSTEMS,
    BatchSystem,
    SeenJob,
    State,
    UnreadableAnswerError,
)
from orimap.tasks.errors import InputError, UnavailableError, words_of

T = TypeVar("T")

# Slurm itself gives up on a controller that does not answer after 10 s, several times over.
COMMAND_SECONDS = 60
# Names reach queries (HTCondor, OAR) and file names: letters, digits, dot, dash and underscore.
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,199}")
JOB_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.\[\]-]*")
# What a batch system says when it is not there for the moment.
NOT_NOW = re.compile(
    r"time[d]? ?out|contact|connect|communicat|unavailable|temporar|try(ing)? again|not respond",
    re.IGNORECASE,
)


def submit(system: str, script_path: Path) -> str:
    """Hand a job script to a batch system; return the id of the job.

    The system's own log of the job goes into the folder of the script.

    Parameters
    ----------
    system : str
        slurm, pbs, lsf, sge, oar or htcondor.
    script_path : Path
        Seen by the machine where the job runs under the same name.

    Raises
    ------
    InputError
        If there is no such system or command here, or the job is refused; UnavailableError if
        the system does not answer now. After a timeout the job may have been taken all the same:
        ask ``find_by_name`` before it is submitted again.
    """
    asked = _system(system)
    job_id = _read(system, lambda: asked.submit(script_path, _ask)).split(";")[0]
    if not JOB_ID.fullmatch(job_id):
        raise UnavailableError(
            f"the id of the job from {system}", job_id or "no answer", "look at its queue"
        )
    return job_id


def states(system: str, job_ids: Sequence[str]) -> dict[str, tuple[State, str]]:
    """Return how jobs stand, and the reason that the batch system gives.

    Returns
    -------
    dict
        By id: waiting, running, ended, or unknown (the system tells nothing of it: it may have
        ended long ago), and words of the system, possibly none.

    Raises
    ------
    InputError
        As ``submit``.
    """
    asked = _system(system)
    ids = [_checked(JOB_ID, job_id, "id of a job") for job_id in job_ids]
    if not ids:
        return {}
    found = {_number(job.id): job for job in _read(system, lambda: asked.seen(ids, _ask))}
    return {job_id: _standing(asked, job_id, found.get(_number(job_id))) for job_id in ids}


def active(system: str) -> list[SeenJob]:
    """Return the jobs of this user that wait or run.

    Raises
    ------
    InputError
        As ``submit``.
    """
    asked = _system(system)
    jobs = _read(system, lambda: asked.mine(_ask))
    return [job for job in jobs if job.state in ("waiting", "running")]


def find_by_name(system: str, job_name: str) -> list[str]:
    """Return the ids of the jobs of this name that wait or run.

    Raises
    ------
    InputError
        As ``submit``.
    """
    _checked(NAME, job_name, "name of a job")
    return [job.id for job in active(system) if job.name == job_name]


def cancel(system: str, ids: Sequence[str]) -> None:
    """End jobs; those that have ended already are none the worse.

    Raises
    ------
    InputError
        As ``submit``.
    """
    asked = _system(system)
    checked = [_checked(JOB_ID, job_id, "id of a job") for job_id in ids]
    if checked:
        asked.cancel(checked, _ask)


def _system(name: str) -> BatchSystem:
    """Return a batch system by its name."""
    if name not in BATCH_SYSTEMS:
        raise InputError(f"a batch system: {', '.join(BATCH_SYSTEMS)}", name, "choose one of these")
    return BATCH_SYSTEMS[name]


def _standing(system: BatchSystem, job_id: str, seen: SeenJob | None) -> tuple[State, str]:
    """Return the state of a job, from the accounts where the queue does not know it any more."""
    if seen is None:
        try:
            seen = system.ended(job_id, _ask)
        except InputError as error:  # no accounts here: what is known is that it is not queued
            return "unknown", f"not in the queue; no accounts ({error.found})"
    if seen is None:
        return "unknown", "the batch system no longer knows it"
    return seen.state, seen.reason


def _number(job_id: str) -> str:
    """Return an id without the name of a server (PBS) or the only process of a job (HTCondor)."""
    return job_id.partition(".")[0]


def _checked(pattern: re.Pattern[str], text: str, what: str) -> str:
    """Return a text that may go to a batch system."""
    if not pattern.fullmatch(text):
        raise InputError(f"the {what}: letters, digits, dots and dashes", repr(text), "correct it")
    return text


def _read(system: str, question: Callable[[], T]) -> T:
    """Ask, and say clearly when the answer cannot be read."""
    try:
        return question()
    except (UnreadableAnswerError, LookupError, SyntaxError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise UnavailableError(
            f"an answer of {system} that can be read",
            f"{type(error).__name__}: {words_of(error)}",
            "try the command by hand; a version of it that answers otherwise is a bug to report",
        ) from error


def _ask(command: Sequence[str], *, script: Path | None = None, unless: str | None = None) -> str:
    """Call a command of a batch system and return its standard output."""
    # Scripts with a space in their path are named from their own folder; LSF reads its input.
    folder = script.parent if script else None
    given = script.read_text() if script and command[0] == "bsub" else ""
    if shutil.which(command[0]) is None:
        raise InputError(
            f"the command {command[0]}",
            "it is not on PATH here",
            "work on a machine that submits jobs, load the module of the batch system, or "
            "choose another with --cluster or --profile",
        )
    try:
        done = subprocess.run(
            list(command),
            cwd=folder,
            input=given,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMMAND_SECONDS,
            env={**os.environ, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(
            f"an answer of {command[0]}",
            f"none within {COMMAND_SECONDS} s",
            "try the command by hand; go on when the batch system answers",
        ) from error
    words = " ".join((done.stderr or done.stdout).split())
    if done.returncode == 0 or (unless and re.search(unless, words)):
        return done.stdout
    found = f"{words or 'no words'} (exit code {done.returncode})"
    if script is None or NOT_NOW.search(words):
        raise UnavailableError(
            f"an answer of {command[0]}", found, "go on when the batch system answers"
        )
    raise InputError(
        f"a job that {command[0]} takes",
        found,
        "correct account, queue, walltime, memory or directives of the profile",
    )
