"""Site profiles: what a facility wants said with every job, under a name.

A profile says less than Dask's own ``jobqueue:`` settings can: what it leaves out comes from
there. It is looked for in the folders of ``ORIMAP_PROFILES``, in ``~/.config/orimap/profiles``,
and among the samples in ``deploy/profiles`` of a checkout.
"""

import math
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from orimap.cluster.batch.jobqueue import configured
from orimap.tasks.errors import InputError, problem, words_of

# Names of accounts, queues, interfaces: nothing that a shell or a directive understands.
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:@/+=,-]{0,199}$")]
# "$TMPDIR/dask" is for the node to fill in: a variable by its name is allowed, a command is not.
NodePath = Annotated[
    str,
    StringConstraints(pattern=r"^(/|\$[A-Za-z_]\w*)([\w./@+=-]|\$[A-Za-z_]\w*)*$", max_length=400),
]
Memory = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)? ?[KMGT]i?B$")]
WALLTIME = re.compile(
    r"(?:(?P<days>\d{1,3})-)?(?P<hours>\d{1,4}):(?P<minutes>[0-5]\d)(?::(?P<seconds>[0-5]\d))?"
)
# How much memory a job of Slurm gets: for all of it, or for each core or GPU.
SLURM_MEMORY = re.compile(
    r"(?:^|\s)--mem(?P<per>-per-[cg]pu)?(?:=|\s+)(?P<size>\d+)(?P<unit>[KMGT]?)"
)


def _walltime(text: str) -> str:
    if not WALLTIME.fullmatch(text):
        raise ValueError("must be HOURS:MINUTES, HOURS:MINUTES:SECONDS or DAYS-HOURS:MINUTES")
    return text


def _one_line(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("must be one line of printable characters")
    return text.strip()


def _directive(text: str) -> str:
    if re.search(r"[`$\\]", _one_line(text)):
        raise ValueError("a directive holds no $, backtick or backslash")
    return text.strip()


def _command(text: str) -> str:
    if _one_line(text).startswith("#"):
        raise ValueError("must be a command; directives have a key of their own")
    return text.strip()


Walltime = Annotated[str, AfterValidator(_walltime)]
# Read by the batch system, not by a shell: brackets, quotes and comparisons belong to some.
Directive = Annotated[str, StringConstraints(max_length=400), AfterValidator(_directive)]
# Commands of the operator, such as "module load python": a shell runs them as they stand.
Command = Annotated[str, StringConstraints(max_length=1000), AfterValidator(_command)]


class FlowJob(BaseModel):
    """What the job of a flow needs that only waits for workers in other jobs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cores: int = Field(1, ge=1, le=1024, description="Cores of the job")
    memory: Memory = Field("8 GB", description="Memory of the job; it loads what reports need")
    walltime: Walltime | None = Field(None, description="Longer than all its workers take")
    queue: Word | None = Field(None, description="Queue or partition; default: that of workers")
    directives: list[Directive] | None = Field(
        None, description="Further options of the batch system; default: those of workers"
    )
    resource_spec: Directive | None = Field(
        None, description="pbs, sge, oar: the resources in the system's own words"
    )


class Profile(BaseModel):
    """How jobs are asked for at one site."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    system: Literal["local", "slurm", "pbs", "lsf", "sge", "oar", "htcondor"] = Field(
        description="The batch system, or local: worker processes on this machine"
    )
    account: Word | None = Field(None, description="Account or project that is charged")
    queue: Word | None = Field(None, description="Queue or partition")
    reservation: Word | None = Field(None, description="Reservation for the beam time")
    walltime: Walltime | None = Field(None, description="Of each job, HOURS:MINUTES:SECONDS")
    cores: int | None = Field(None, ge=1, le=1024, description="Cores of each job")
    memory: Memory | None = Field(None, description='Memory of each job, "16 GB"')
    processes: int | None = Field(
        None, ge=1, le=1024, description="Worker processes of each job; default: one for each core"
    )
    workers: int | None = Field(None, ge=1, le=256, description="Workers where no number is asked")
    interface: Word | None = Field(None, description="Network interface of scheduler and workers")
    local_directory: NodePath | None = Field(None, description="Fast disk of the node")
    log_directory: NodePath | None = Field(None, description="Where the jobs' own output goes")
    shared_directory: NodePath | None = Field(
        None, description="Folder that all nodes see, private to you: short-lived keys go there"
    )
    python: NodePath | None = Field(None, description="Python on the nodes; default: this one")
    job_script_prologue: list[Command] = Field([], description="Commands before the worker starts")
    directives: list[Directive] = Field([], description="Further options of the batch system")
    job_directives_skip: list[Directive] = Field(
        [],
        description="Directives of Dask's own that the site does not want: every line that holds "
        'one of these texts is left out, such as "--mem="',
    )
    resource_spec: Directive | None = Field(
        None, description="pbs, sge, oar: the resources in the system's own words"
    )
    disk: Memory | None = Field(None, description="htcondor: disk of each job")
    memory_unit: Literal["kb", "mb", "gb", "tb"] | None = Field(
        None, description="lsf: LSF_UNIT_FOR_LIMITS of the site, where lsf.conf is not readable"
    )
    memory_property: Word | None = Field(
        None, description="oar: the property that holds the memory of a core in MiB"
    )
    flow: FlowJob | None = Field(None, description="The job of a flow that waits for workers")

    @model_validator(mode="after")
    def _fits_the_system(self) -> "Profile":
        only = {
            "resource_spec": ("pbs", "sge", "oar"),
            "disk": ("htcondor",),
            "memory_unit": ("lsf",),
            "memory_property": ("oar",),
            # A directive of htcondor takes the place of Dask's of the same name.
            "job_directives_skip": ("slurm", "lsf", "sge", "oar", "pbs"),
            "reservation": ("slurm", "lsf", "sge", "oar", "pbs"),
        }
        for name, systems in only.items():
            if getattr(self, name) and self.system not in systems:
                raise ValueError(f"{name} is for {', '.join(systems)}, not for {self.system}")
        if self.system == "pbs" and self.reservation and self.queue:
            raise ValueError("a reservation of pbs is a queue: give only one of the two")
        if self.walltime and "-" in self.walltime and self.system != "slurm":
            raise ValueError("days in a walltime are for slurm: give hours")
        if self.system == "htcondor" and any("=" not in each for each in self.directives):
            raise ValueError("a directive of htcondor is NAME = VALUE")
        return self

    def for_flow(self) -> "Profile":
        """Return the profile of a flow's own job, whose workers are in other jobs."""
        flow = self.flow or FlowJob()
        kept = {
            name: getattr(flow, name) or getattr(self, name)
            for name in ("walltime", "queue", "directives")
        }
        own = {name: getattr(flow, name) for name in ("cores", "memory", "resource_spec")}
        found = self.model_copy(update={**kept, **own, "processes": 1})
        return found.model_copy(update={"cores": _cores_for_memory(found)})


def profile_folders() -> list[Path]:
    """Return where profiles are looked for, first comes first."""
    named = os.environ.get("ORIMAP_PROFILES", "")
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    checkout = Path(__file__).resolve().parents[2] / "deploy" / "profiles"
    return [
        *(Path(part) for part in named.split(os.pathsep) if part),
        home / "orimap" / "profiles",
        checkout,
    ]


def find_profile(name_or_path: str | Path) -> Path:
    """Return the file of a profile: a path, or a name in one of the folders of profiles.

    Raises
    ------
    InputError
        If there is none.
    """
    given = str(name_or_path)
    if os.sep in given or given.endswith((".yaml", ".yml")):
        found, names = [Path(given)], []
    else:
        found = [folder / f"{given}.yaml" for folder in profile_folders()]
        names = sorted(
            {path.stem for folder in profile_folders() for path in folder.glob("*.yaml")}
        )
    for path in found:
        if path.is_file():
            return path.resolve()
    raise InputError(
        "a site profile: a YAML file, or its name in one of "
        + ", ".join(str(folder) for folder in profile_folders()),
        f"no {given}" + (f"; there are {', '.join(names)}" if names else ""),
        "correct --profile, or copy a sample of deploy/profiles and fill it in",
    )


def read_profile(name_or_path: str | Path) -> Profile:
    """Return a site profile.

    Raises
    ------
    InputError
        If there is none, or it is at fault: what is wrong with which key.
    """
    import yaml

    path = find_profile(name_or_path)
    try:
        # As text, for the model to understand: YAML itself reads 02:00:00 as 7200 (base 60).
        content = yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(
            f"a YAML file with a site profile ({path})",
            words_of(error),
            "correct the file",
        ) from error
    if not isinstance(content, dict):
        raise InputError(
            f"names and values in {path}", "something else", "start from a sample profile"
        )
    try:
        return Profile(**{str(k): v for k, v in content.items() if v not in ("", "null", "~")})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        field = Profile.model_fields.get(str(first["loc"][0])) if first["loc"] else None
        value = "" if first["type"] == "missing" or not key else f" {first.get('input')!r}"
        raise InputError(
            (field.description if field else None) or "a key that a site profile has",
            f"{key}{value}: {problem(first)}",
            f"correct {path}; a profile has the keys {', '.join(Profile.model_fields)}",
        ) from error


def jobqueue_keywords(profile: Profile) -> dict[str, Any]:
    """Return what a cluster class of dask-jobqueue is given: only what the profile says.

    Each worker is a process of one thread. Everything else comes from Dask's own settings.

    Raises
    ------
    InputError
        If the profile is for this machine alone.
    """
    if profile.system == "local":
        raise InputError("a profile of a batch system", "system: local", "choose another --profile")
    charged = "account" if profile.system in ("slurm", "pbs") else "project"
    keywords: dict[str, Any] = {
        "queue": profile.queue,
        charged: profile.account,
        "walltime": _walltime_for(profile),
        "cores": profile.cores,
        "memory": profile.memory,
        "processes": profile.processes or profile.cores,
        "interface": profile.interface,
        "local_directory": profile.local_directory,
        "log_directory": profile.log_directory,
        "shared_temp_directory": profile.shared_directory,
        "python": profile.python or shlex.quote(sys.executable),
        "job_script_prologue": profile.job_script_prologue or None,
        "job_extra_directives": profile.directives or None,
        "job_directives_skip": _skipped(profile) or None,
        "resource_spec": profile.resource_spec,
    }
    reservation = _reservation(profile)
    match profile.system:
        case "pbs":
            keywords["queue"] = profile.reservation or profile.queue
        case "lsf":
            keywords["lsf_units"] = profile.memory_unit
        case "oar":
            # Otherwise dask-jobqueue warns that OAR is told nothing of memory, as is usual there.
            keywords["memory_per_core_property_name"] = profile.memory_property or "not_applicable"
        case "htcondor":
            keywords |= {"disk": profile.disk, "queue": None, "project": None, "walltime": None}
            keywords["job_extra_directives"] = _condor_directives(profile) or None
    if reservation:
        keywords["job_extra_directives"] = [reservation, *profile.directives]
    return {name: value for name, value in keywords.items() if value is not None}


def _skipped(profile: Profile) -> list[str]:
    """Return which of Dask's own directives are left out.

    Slurm refuses a job that says more than one of --mem, --mem-per-cpu and --mem-per-gpu: what the
    profile says takes the place of what Dask would.
    """
    skipped = list(profile.job_directives_skip)
    if profile.system == "slurm" and any(map(SLURM_MEMORY.search, profile.directives)):
        # What Dask's own settings leave out stays left out.
        skipped = [*(skipped or configured("slurm", "job_directives_skip") or []), "--mem="]
    return skipped


def _cores_for_memory(profile: Profile) -> int:
    """Return so many cores that a job gets its memory where Slurm gives it by the core."""
    from dask.utils import parse_bytes

    asked = next(filter(None, map(SLURM_MEMORY.search, profile.directives)), None)
    if profile.system != "slurm" or asked is None or asked["per"] != "-per-cpu":
        return profile.cores
    of_a_core = parse_bytes(f"{asked['size']} {asked['unit'] or 'M'}iB")
    return max(profile.cores, math.ceil(parse_bytes(profile.memory) / of_a_core))


def memory_of_a_process(profile: Profile) -> int | None:
    """Return the memory of each worker process in bytes, None where the profile does not say."""
    from dask.utils import parse_bytes

    processes = profile.processes or profile.cores
    if profile.memory is None or processes is None:
        return None
    return parse_bytes(profile.memory) // processes


def _reservation(profile: Profile) -> str | None:
    """Return the directive for a reservation; PBS has a queue for it."""
    name = profile.reservation
    options = {
        "slurm": f"--reservation={name}",
        "lsf": f"-U {name}",
        "sge": f"-ar {name}",
        "oar": f"-t inner={name}",
    }
    return options.get(profile.system) if name else None


def _condor_directives(profile: Profile) -> dict[str, str]:
    """Return submit commands of HTCondor, which has neither queues nor walltimes of its own."""
    commands = {}
    if profile.account:
        commands["accounting_group"] = profile.account
    if profile.walltime:
        commands["allowed_job_duration"] = str(_seconds(profile.walltime))
    for each in profile.directives:
        name, _, value = each.partition("=")
        commands[name.strip()] = value.strip()
    return commands


def _seconds(walltime: str) -> int:
    """Return a walltime in seconds."""
    parts = {
        name: int(text or 0) for name, text in WALLTIME.fullmatch(walltime).groupdict().items()
    }
    hours = parts["days"] * 24 + parts["hours"]
    return (hours * 60 + parts["minutes"]) * 60 + parts["seconds"]


def _walltime_for(profile: Profile) -> str | None:
    """Return the walltime as the system wants it: LSF takes hours and minutes."""
    if profile.walltime is None or "-" in profile.walltime:
        return profile.walltime
    minutes, seconds = divmod(_seconds(profile.walltime), 60)
    if profile.system == "lsf":
        return f"{(minutes + (seconds > 0)) // 60}:{(minutes + (seconds > 0)) % 60:02}"
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"
