"""Options that commands share: one for each field of the request, and those of a watched folder."""

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from orimap.flows.request.request import RENAMED, Request, laid_over
from orimap.tasks.errors import InputError

# How values are written that are more than a word or a number.
WRITTEN_AS = {
    "k": "FIRST:LAST",
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
    "cluster": "local|ADDRESS|SYSTEM",
    "adapt": "MIN:MAX",
    "profile": "NAME|FILE",
    "worker_memory": "SIZE",
    "first_worker_minutes": "NUMBER",
}

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


def state_folder(results: Path | None, state: Path | None) -> Path:
    """Return the folder of the journal, absolute and without links."""
    return (state or (results or Path()) / STATE).resolve()


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


def _request_parameters(without: Collection[str], stored: bool) -> Iterator[inspect.Parameter]:
    """Make the parameters: one for each field of the request.

    Every value arrives as text, None where it was not given, for the request to read: so
    the command line says and allows what the request does.
    """
    for name, field in Request.model_fields.items():
        if name in without:
            continue
        kinds = get_args(field.annotation) or (field.annotation,)
        choices = "|".join(kind for kind in kinds if isinstance(kind, str))
        plain = "PATH" if Path in kinds else "INTEGER" if int in kinds else "TEXT"
        metavar = WRITTEN_AS.get(name) or choices or plain
        flag = field.annotation is bool
        default = "" if flag or stored or field.is_required() else _written(field.default)
        described = f"{field.description}{default and f' [{default}]'}"
        option = "--" + name.replace("_", "-")
        if flag and stored:
            bare = option.removeprefix("--no-").removeprefix("--")
            option += f"/--{bare}" if option.startswith("--no-") else f"/--no-{bare}"
        if name == "file":
            info = typer.Argument(metavar="FILE", help=described, show_default=False)
        elif flag:
            info = typer.Option(option, help=described)
        else:
            info = typer.Option(option, metavar=metavar, help=described, show_default=False)
        yield inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if flag and not stored else None,
            annotation=Annotated[(bool | None if stored else bool) if flag else str | None, info],
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

    fields = read_config(config) if config else {}
    for name in without:
        if name in fields:
            raise InputError(
                f"options of orimap {command}",
                f"{name}: {fields[name]} in {config}",
                f"take it out: orimap {command} --help lists what can be chosen",
            )
    given = {name: value for name, value in options.items() if value not in (None, False)}
    fields = laid_over(fields, given)
    for name, how in (("file", "FILE"), ("output", "--output DIR")):
        if name not in fields:
            raise InputError(
                Request.model_fields[name].description,
                f"no {how}",
                f"orimap {command} FILE --output DIR; orimap {command} --help explains the rest",
            )
    return Request.read(**fields)
