"""Options that someone put beside an acquisition, for when it is analysed by itself."""

from pathlib import Path
from typing import Any

from orimap.flows.request.allowed import under_root
from orimap.flows.request.config import read_config
from orimap.flows.request.request import WORKERS_FIELDS, Request, with_files
from orimap.tasks.acquire.arrivals.sidecar_name import sidecar_names
from orimap.tasks.errors import InputError

# A file on the microscope's disk may say how an acquisition is analysed, but not where and by whom.
NOT_HERE = {"file", "output", "orchestrate", "restart", *WORKERS_FIELDS}


def sidecar_of(path: Path) -> Path | None:
    """Return the side-car of an acquisition, None where there is none."""
    for name in sidecar_names(path):
        beside = path.with_name(name)
        if beside.is_file():
            return beside
    return None


def read_sidecar(path: Path, *, root: Path | None = None) -> dict[str, Any]:
    """Return the options in the side-car of an acquisition, as typed values.

    Parameters
    ----------
    path : Path
        Of the acquisition.
    root : Path, optional
        Where the side-car and the files it names must lie; by default the acquisition's folder.

    Returns
    -------
    dict
        Fields of a request, empty where there is no side-car.

    Raises
    ------
    InputError
        If it cannot be read, names what is not an option or not one for a side-car, or a value
        is out of bounds.
    """
    beside = sidecar_of(path)
    if beside is None:
        return {}
    roots = [root or path.parent]
    written = read_config(under_root(beside.absolute(), roots))
    for name in sorted(written.keys() & NOT_HERE):
        raise InputError(
            "options of the analysis in a side-car",
            f"{name} in {beside.name}, line {written.lines[name]}",
            f"remove it; the person who operates orimap decides {name}",
        )
    written.check(beside.name)
    folder = path.absolute().parent
    fields = with_files(written, lambda named: under_root(folder / str(named), roots))
    asked = Request.read(file=path, output=Path(), **fields)
    return {name: getattr(asked, name) for name in fields}
