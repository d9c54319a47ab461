"""Leave nothing behind when a run is refused."""

import contextlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orimap.tasks.errors import InputError, LateInputError, UnavailableError


@contextmanager
def tidy_after_refusal(output: Path, *inside: Path) -> Iterator[None]:
    """Remove what a refused run has made: its unfinished work, and folders that hold nothing.

    Unfinished work stays where it was there before, or where only something is not available for
    now (a worker, a scheduler), or long work has told: the next run goes on from it.

    Parameters
    ----------
    output : Path
        The folder of the results.
    *inside : Path
        Folders in it, of parts of the run.
    """
    unfinished = output / ".unfinished"
    before = unfinished.exists()
    try:
        yield
    except InputError as error:
        keep = isinstance(error, (UnavailableError, LateInputError)) and _has_files(unfinished)
        if not before and not keep:
            shutil.rmtree(unfinished, ignore_errors=True)
        for folder in (*inside, output):
            remove_untouched(folder)
        raise


def _has_files(folder: Path) -> bool:
    """Return whether anything was written."""
    return any(path.is_file() for path in folder.rglob("*"))


def remove_untouched(folder: Path) -> None:
    """Remove a folder that holds nothing but its lock."""
    if folder.is_dir() and {path.name for path in folder.iterdir()} <= {".lock"}:
        (folder / ".lock").unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            folder.rmdir()
