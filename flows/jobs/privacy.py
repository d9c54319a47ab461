"""What services write is for their account alone, or for the members of one group as well."""

import grp
import os
import stat
from pathlib import Path

from orimap.flows.pipeline.runtime.workers import DASHBOARD_VARIABLE
from orimap.tasks.errors import InputError, words_of

# What others may not: everything; or write, and all who are not in the group everything.
FOR_ONE, FOR_A_GROUP = 0o077, 0o027
# New folders inside belong to the same group.
GROUP_FOLDER = 0o2750


def keep_private(results: Path, state: Path, group: str | None = None) -> None:
    """Have all that this process and what it starts write be readable by few; make the folders.

    There are no Dask dashboards either, unless the environment asks for them. What is there
    already keeps its rights, but for the two folders themselves.

    Parameters
    ----------
    results : Path
        Folder of all results. With a group, its members may read it, and all that is made in it.
    state : Path
        Folder of the journal, always for this account alone.
    group : str, optional

    Raises
    ------
    InputError
        If there is no such group, or this account may not give it the folder.
    """
    known = _number_of(group) if group else None
    # Rights of the whole process, and so of all that it starts.
    os.umask(rights_left(group))
    os.environ.setdefault(DASHBOARD_VARIABLE, "off")
    try:
        results.mkdir(parents=True, exist_ok=True)
        if known is not None and not _is_for(results, known):
            os.chown(results, -1, known)
            results.chmod(GROUP_FOLDER)
    except OSError as error:
        remedy = "choose another one with --results or --state, or fix its permissions"
        if group:
            remedy = (
                f"have root make it: install -d -o ACCOUNT -g {group} -m {GROUP_FOLDER:o} {results}"
            )
        raise InputError(
            f"a folder that can be written ({results})", error.strerror or words_of(error), remedy
        ) from error
    try:
        state.mkdir(parents=True, exist_ok=True)
        state.chmod(0o700)
    except OSError as error:
        raise InputError(
            f"a folder that this account can keep to itself ({state})",
            error.strerror or words_of(error),
            "choose another one with --state, or fix its permissions",
        ) from error


def _is_for(folder: Path, group: int) -> bool:
    """Return whether a folder is one of the group's already: a service may not be let change it."""
    found = folder.stat()
    passed_on = stat.S_IMODE(found.st_mode) & GROUP_FOLDER == GROUP_FOLDER
    return found.st_gid == group and passed_on


def rights_left(group: str | None) -> int:
    """Return the umask that leaves others nothing, and a group the reading."""
    return FOR_A_GROUP if group else FOR_ONE


def _number_of(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise InputError(
            "a group of this machine", f"--group {group}: there is none", "see: getent group"
        ) from None
