"""Where orimap may read and write when nobody is there to ask: under the allowed roots."""

import os
from collections.abc import Iterable
from pathlib import Path

from orimap.tasks.errors import InputError

# Folders that runs started from outside may name, as PATH has them: split by colons.
ROOTS_VARIABLE = "ORIMAP_ROOTS"


def under_root(path: Path | str, roots: Iterable[Path | str]) -> Path:
    """Return a path with all its links followed, if it then lies under one of the roots.

    Parameters
    ----------
    path : Path or str
        Need not exist: results are still to be written.
    roots : iterable of Path or str

    Returns
    -------
    Path
        Absolute, without links.

    Raises
    ------
    InputError
        If it lies elsewhere, or a link leads there.
    """
    allowed = [Path(root).resolve() for root in roots]
    text = os.fspath(path)
    resolved = None if "\0" in text or not Path(text).is_absolute() else Path(text).resolve()
    if resolved is not None and any(resolved.is_relative_to(root) for root in allowed):
        return resolved
    leads = "" if resolved is None or resolved == Path(text) else f", which leads to {resolved}"
    raise InputError(
        "an absolute path under "
        + (" or ".join(str(root) for root in allowed) or f"a root named by {ROOTS_VARIABLE}"),
        f"{text!r}{leads}",
        "put the file there, or have its folder allowed by the person who operates orimap",
    )


def environment_of(roots: Iterable[Path]) -> dict[str, str]:
    """Return the environment of a process that may read these folders; nothing for none."""
    named = os.pathsep.join(map(str, roots))
    return {ROOTS_VARIABLE: named} if named else {}


def allowed_roots() -> list[Path]:
    """Return the roots that the environment names."""
    named = os.environ.get(ROOTS_VARIABLE, "")
    return [Path(root) for root in named.split(os.pathsep) if root]
