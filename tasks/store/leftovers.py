"""Remove what killed processes have left in a folder: half-written files, arrays on their way."""

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from orimap.tasks.process_name import NAME, is_gone, own_name
from orimap.tasks.store.locks import HeldError, held, holder

# Results of their own on the way to their place, and what they take the place of.
ASIDE = re.compile(rf"\.(?:unfinished|old)-{NAME}-.+")
# A file that is written whole: .NAME.PROCESS-START-MACHINE-RANDOM
WHOLE = re.compile(rf"\..+\.{NAME}-[0-9a-f]{{8}}")
# An array of a Python process that a run reads, beside its results; who writes it holds the folder
# by a lock in it.
ARRAY_FOLDER, LOCK = ".array", ".lock"


def aside(place: Path, what: str = "unfinished") -> Path:
    """Return where to write what is to come to a place: beside it, under the name of this process.

    Parameters
    ----------
    place : Path
    what : str
        "unfinished", or "old" for what was at the place.
    """
    return place.with_name(f".{what}-{own_name()}-{place.name}")


def clear_folder(folder: Path) -> list[Path]:
    """Remove from a folder what processes have left that are provably gone; return what it was.

    Parameters
    ----------
    folder : Path
        Its own entries alone are looked at.
    """
    removed = []
    try:
        entries = list(folder.iterdir())
    except OSError:
        return []
    for path in entries:
        named = ASIDE.fullmatch(path.name) or WHOLE.fullmatch(path.name)
        if named is not None and is_gone(named):
            removed += _removed(path)
    array = folder / ARRAY_FOLDER
    if array in entries and holder(array / LOCK) is None:
        # While this process holds it, nobody begins to work with it.
        with suppress(HeldError, OSError), held(array / LOCK):
            removed += _removed(array)
    return removed


def _removed(path: Path) -> list[Path]:
    """Remove a file or a folder; what is another user's stays."""
    try:
        if path.lstat().st_uid != os.geteuid():
            return []
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError:
        return []
    return [path]
