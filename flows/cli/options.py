"""Options that commands share: one for each field of the request, and those of a watched folder.

Also how all options are shown by --help (in groups, as wide as the terminal), completed by shells,
and refused where their value is wrong.
"""

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import typer
from pydantic import ValidationError
from typer.core import TyperCommand

from orimap.flows.request.names import RENAMED, option_of
from orimap.flows.request.request import Request, laid_over
from orimap.flows.request.values import needed_for
from orimap.tasks.errors import InputError, problem

# How values are written that are more than a word or a number.
WRITTEN_AS = {
    "k": "N|FIRST:LAST",
    "l1": "PATTERNS,WEIGHTS",
    "crop": "Y0:Y1,X0:X1",
    "roi": "Y0:Y1,X0:X1",
    "dark_field": "Y0:Y1,X0:X1",
    "scan_shape": "ROWSxCOLUMNS",
    "axes": "AXES",
    "scan_step": "LENGTH",
    "detector_step": "STEP",
    "beam_energy": "ENERGY",
    "skip_frames": "BEFORE[:AFTER]",
    "keep_rows": "ROWS",
    "image_names": "NAME",
    "regularity": "NUMBER",
    "filter": "raw|mean|epattern",
    "strategy": "NAME",
    "cluster": "local|ADDRESS|SYSTEM",
    "adapt": "MIN:MAX",
    "profile": "NAME|FILE",
    "worker_memory": "SIZE",
    "first_worker_minutes": "NUMBER",
    "crystals": "FILE",
    "precession": "DEGREES",
    "detector_rotation": "DEGREES",
}

# In which group --help shows the option of each field.
GROUPS = {
    "Input and output": ("file", "output"),
    "Reading the file": (
        *("scan_shape", "scan_step", "detector_step", "beam_energy"),
        *("axes", "skip_frames", "keep_rows", "image_names", "dataset", "signal", "reader"),
    ),
    "Part of the scan and of the detector": ("roi", "crop", "bin", "mask"),
    "Camera": ("dark", "gain_map", "offset", "gain", "counts"),
    "Centring and filtering": (
        *("centre", "filter", "epattern_lengths", "epattern_profile", "dark_field"),
    ),
    "Fitting": ("k", "weighting", "direct_beam", "l1", "seed"),
    "Deciding": ("strategy", "distinct", "components", "no_merge", "split_bent"),
    "Maps": ("regularity", "split_unconnected"),
    "Crystals": ("crystals", "precession", "detector_rotation", "detector_flip"),
    "Machine": (
        *("workers", "worker_memory", "cluster", "profile", "adapt", "first_worker_minutes"),
    ),
    "This run": ("keep", "orchestrate", "restart"),
}
GROUP_OF = {name: group for group, names in GROUPS.items() for name in names}
# Where a command has groups, its own options are shown with the last one.
LAST_GROUP = list(GROUPS)[-1]
# Values that may be given by name, of fields whose type does not list them: loading the modules
# that know them takes longer than anyone waits for a completion.
NAMED_VALUES = {
    "filter": ("raw", "mean", "epattern"),
    "strategy": ("evidence", "knee", "elbow", "silhouette", "published"),
    "cluster": (
        *("local", "threads", "processes"),
        *("slurm", "pbs", "lsf", "sge", "oar", "htcondor"),
    ),
}
# What Typer calls kinds of values, and what the other options call them.
KINDS = {"<path>": "PATH", "<int>": "INTEGER", "<float>": "NUMBER", "<str>": "TEXT"}
# Help as wide as the terminal, however wide that is.
SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 10_000}

Config = Annotated[
    Path | None,
    typer.Option(help="YAML file with options; the command line takes precedence"),
]

# In the folder of results, unless --state says otherwise.
STATE = ".orimap"
Results = Annotated[Path, typer.Option(help="Folder for the results of all acquisitions")]
State = Annotated[
    Path | None,
    typer.Option(help="Folder for the journal, on a disk of this machine [RESULTS/.orimap]"),
]
Group = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Let the members of a group of this machine read the results [this account alone]",
    ),
]


# Of commands that look into the journal alone.
KnownResults = Annotated[
    Path | None,
    typer.Option(help="Folder for the results of all acquisitions; not needed with --state"),
]


def state_folder(results: Path | None, state: Path | None) -> Path:
    """Return the folder of the journal, absolute and without links.

    Raises
    ------
    InputError
        If neither folder is given.
    """
    if results is None and state is None:
        raise InputError(
            "the folder of the journal",
            "neither --results nor --state",
            "give --results ROOT as to orimap watch or orimap up, or its --state",
        )
    return (state or (results or Path()) / STATE).resolve()


class Command(TyperCommand):
    """A command whose help shows options in groups, and which says plainly what a value lacks."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments, then every group of options that this command has."""
        order = {name: place for place, name in enumerate(GROUP_OF)}
        parameters = sorted(self.get_params(ctx), key=lambda p: order.get(p.name, len(order)))
        groups = {p.name: getattr(p, "rich_help_panel", None) for p in parameters}
        others = LAST_GROUP if any(groups.values()) else "Options"
        shown: dict[str, list[tuple[str, str]]] = {"Arguments": []}
        for parameter in parameters:
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            name, described = record
            group = groups[parameter.name] or others
            if parameter.param_type_name == "argument":
                name, group = name.partition(" <")[0], "Arguments"
            for kind, written in KINDS.items():
                name = name.replace(kind, written)
            shown.setdefault(group, []).append((name, described))
        for group, records in shown.items():
            if records:
                with formatter.section(group):
                    formatter.write_dl(records)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line."""
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            if isinstance(error.__cause__, ValidationError):
                error.message = problem(error.__cause__.errors()[0])
            raise


def completing(*values: str) -> Callable[[str], list[str]]:
    """Return what completes the beginning of a value, for `typer.Option`'s ``autocompletion``."""

    def complete(incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return complete


def complete_profiles(incomplete: str) -> list[str]:
    """Return the names of site profiles that begin like this."""
    from orimap.cluster.batch.profiles import profile_folders

    names = {path.stem for folder in profile_folders() for path in folder.glob("*.yaml")}
    return sorted(name for name in names if name.startswith(incomplete))


def complete_readers(incomplete: str) -> list[str]:
    """Return the names of readers of files that begin like this."""
    from orimap.tasks.acquire.formats.recognise import OWN_READERS, rosettasciio_readers

    names = {*OWN_READERS, *rosettasciio_readers()}
    return sorted(name for name in names if name.lower().startswith(incomplete.lower()))


def with_request_options(
    command: Callable[..., None], *, without: Collection[str] = (), stored: bool = False
) -> Callable[..., None]:
    """Give a command the options of a request, before its own, but for some fields.

    ``stored``: they change a request that is stored. So there are no defaults, and a flag can be
    given either way.
    """
    own = [
        parameter
        for parameter in inspect.signature(command).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    parameters = [*_request_parameters(without, stored), *own]
    command.__signature__ = inspect.Signature(parameters)
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


PLAIN = {Path: "PATH", int: "INTEGER", float: "NUMBER"}
COMPLETED = {"profile": complete_profiles, "reader": complete_readers}


def _request_parameters(without: Collection[str], stored: bool) -> Iterator[inspect.Parameter]:
    """Make the parameters: one for each field of the request.

    Every value arrives as text, None where it was not given, for the request to read: so
    the command line says and allows what the request does.
    """
    for name, field in Request.model_fields.items():
        if name in without:
            continue
        kinds = get_args(field.annotation) or (field.annotation,)
        named = [kind for kind in kinds if isinstance(kind, str)]
        choices = "|".join(named)
        completion = COMPLETED.get(name) or completing(*named, *NAMED_VALUES.get(name, ()))
        several = get_origin(field.annotation) is tuple and Ellipsis in kinds
        if Path in kinds:
            completion = None  # the shell's own, of files
        plain = next((word for kind, word in PLAIN.items() if kind in kinds), "TEXT")
        metavar = WRITTEN_AS.get(name) or choices or plain
        flag = field.annotation is bool
        default = "" if flag or stored or field.is_required() else _written(field.default)
        described = f"{field.description}{default and f' [{default}]'}"
        option = option_of(name)
        if flag and stored:
            bare = option.removeprefix("--no-").removeprefix("--")
            option += f"/--{bare}" if option.startswith("--no-") else f"/--no-{bare}"
        if name == "file":
            info = typer.Argument(metavar="FILE", help=described, show_default=False)
        elif flag:
            info = typer.Option(option, help=described, rich_help_panel=GROUP_OF.get(name))
        else:
            info = typer.Option(
                option,
                metavar=metavar,
                help=described,
                show_default=False,
                autocompletion=completion,
                rich_help_panel=GROUP_OF.get(name),
            )
        kind: Any = list[str] | None if several else str | None
        if flag:
            kind = bool | None if stored else bool
        yield inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if flag and not stored else None,
            annotation=Annotated[kind, info],
        )
    for old, new in RENAMED.items():
        if new not in without:
            option = typer.Option("--" + old.replace("_", "-"), hidden=True)
            yield inspect.Parameter(
                old,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[str | None, option],
            )


def _written(default: Any) -> str:
    """Return a default as one would write it."""
    if isinstance(default, tuple):
        whole = all(isinstance(number, int) for number in default)
        return (":" if whole else ",").join(f"{number:g}" for number in default)
    return "" if default is None else str(default)


def read_request(
    command: str,
    config: Path | None,
    options: Mapping[str, Any],
    *,
    without: Collection[str] = (),
) -> Request:
    """Return the request that a configuration file and options make together.

    Raises
    ------
    InputError
        If it is at fault, or asks for something that this command decides by itself.
    """
    from orimap.flows.request.config import read_config

    fields: dict[str, Any] = {}
    if config is not None:
        written = read_config(config)
        for name in without:
            if name in written:
                raise InputError(
                    f"options of orimap {command}",
                    f"{name}: {written[name]} in {config}, line {written.lines[name]}",
                    f"remove it: orimap {command} --help lists what can be chosen",
                )
        written.check()
        fields |= written
    given = {name: value for name, value in options.items() if value not in (None, False, [])}
    fields = laid_over(fields, given)
    for name, how in (("file", "FILE"), ("output", "--output DIR")):
        if name not in fields:
            raise InputError(
                needed_for(name, how, Request.model_fields[name]),
                f"no {how}",
                f"orimap {command} FILE --output DIR; orimap {command} --help explains the rest",
            )
    return Request.read(**fields)
