"""Job scripts: of a worker, and of a flow that runs as a batch job itself.

Directives come from dask-jobqueue for both, so that one profile means the same in both.

Tested in tests/cluster/batch/test_profiles.py.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orimap.cluster.batch.jobqueue import job_class, set_command
from orimap.cluster.batch.profiles import Profile, jobqueue_keywords
from orimap.cluster.batch.settings import worker_settings
from orimap.tasks.errors import InputError, words_of

if TYPE_CHECKING:
    from dask_jobqueue.core import Job

# Of the job's memory, what its workers may take together: the flow that leads them needs some.
WORKERS_SHARE = 0.9
# The batch system's own words about a job go beside its script, wherever that is.
BESIDE_THE_SCRIPT = "."
SOMEWHERE = "tls://HOST:PORT"


def worker_script(profile: Profile, *, name: str, folder: Path, scheduler: str = SOMEWHERE) -> str:
    """Return the script of a worker job as a run submits it.

    Parameters
    ----------
    profile : Profile
    name : str
        Of the job.
    folder : Path
        For credentials and logs.
    scheduler : str
        The address that the worker joins, known only when a run has started.

    Raises
    ------
    InputError
        If the profile is for this machine alone.
    """
    settings = worker_settings(profile.system, profile, name=name, folder=folder, private=folder)
    for of_the_scheduler in ("scheduler_options", "shared_temp_directory"):
        settings.pop(of_the_scheduler, None)
    job = job_class(profile.system)(scheduler=scheduler, name=name, **settings)
    return job.job_script()


def flow_script(
    profile: Profile,
    name: str,
    command: Sequence[str],
    *,
    folder: Path,
    umask: int | None = None,
) -> str:
    """Return the script of a job that runs one command.

    Parameters
    ----------
    profile : Profile
    name : str
        Of the job.
    command : sequence of str
        Its arguments, each quoted as a whole.
    folder : Path
        Where the command runs.
    umask : int, optional
        Rights that the files of the command do not get; by default as on the machine it runs on.

    Raises
    ------
    InputError
        If neither the profile nor Dask's settings say how many cores and how much memory, or
        the name of a file could be taken for something else than a name.
    """
    _require_plain([str(folder), *command], profile.system)
    job = _job(profile, name)
    # Few batch systems tell a job how much memory it has; Dask takes this for its machine's.
    memory_kib = int(WORKERS_SHARE * job.worker_memory / 1024)
    # The command takes the place of the shell: a signal to the job reaches it at once.
    lines = [
        *([] if umask is None else [f"umask {umask:04o}"]),
        f"ulimit -m {memory_kib}",
        f"cd {shlex.quote(str(folder))} || exit 1",
        f"exec {shlex.join(command)}",
    ]
    prologue = list(profile.job_script_prologue)
    if profile.system == "htcondor":
        # A submit description, not a script: the commands are one argument of a shell.
        set_command(job, "; ".join([*prologue, *lines]))
        return job.job_script()
    return "\n".join([job.shebang, "", job.job_header, "", *prologue, *lines, ""])


def _require_plain(texts: Sequence[str], system: str) -> None:
    """Refuse what quotes do not tame: directives are looked for line by line."""
    for text in texts:
        macro = system == "htcondor" and "$" in text
        if macro or not text.isprintable():
            raise InputError(
                "names of folders and files without line breaks or other control characters"
                + (", and for htcondor without $" if macro else ""),
                repr(text),
                "choose another folder for the results",
            )


def _job(profile: Profile, name: str) -> "Job":
    """Make the job of dask-jobqueue that writes a profile's directives."""
    keywords = jobqueue_keywords(profile)
    keywords.pop("shared_temp_directory", None)
    keywords["log_directory"] = BESIDE_THE_SCRIPT
    try:
        return job_class(profile.system)(name=name, job_name=name, **keywords)
    except ValueError as error:  # dask-jobqueue says so where something indispensable lacks
        raise InputError(
            "cores, memory (and disk for htcondor) of a job, in the profile or in Dask's "
            f"jobqueue.{profile.system} settings",
            words_of(error),
            "add them to the profile",
        ) from error
