"""What workers keep among temporary files, and what killed ones have left there.

Folders and semaphores have the name of the process that made them in theirs. The next start removes
those of this account whose process is provably gone.
"""

import multiprocessing
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import util
from pathlib import Path

from orimap.tasks.process_name import NAME, is_gone, own_name

SEMAPHORES = Path(os.sep, "dev", "shm")
FOLDER = re.compile(rf"orimap-run-{NAME}-\w+")
SEMAPHORE = re.compile(rf"sem\.orimap-{NAME}-\w+")
# Bytes of a Unix socket's address, and a folder that is short enough and on every such system.
LONGEST_ADDRESS = 107
SHORT = Path(os.sep, "tmp")
# What multiprocessing makes of its folder: listener-XXXXXXXX, and what comes before it.
LETTERS_OF_SOCKET = 70


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder among temporary files that tells whose it is; remove it at the end."""
    with tempfile.TemporaryDirectory(prefix=_prefix(), ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _prefix() -> str:
    return f"orimap-run-{own_name()}-"


def name_what_is_shared() -> None:
    """Have what multiprocessing and loky share between processes named after this process.

    Both give random names, by which nobody can tell whether they are still needed: a folder for
    sockets, and semaphores. There is no public way to choose them.
    """
    from loky.backend import synchronize

    settings = multiprocessing.process.current_process()._config
    prefix = f"/orimap-{own_name()}"
    if settings.get("semprefix") == prefix:
        return
    settings["semprefix"] = prefix
    kind = synchronize.SemLock
    kind._make_name = staticmethod(lambda: f"{prefix}-{next(kind._rand)}")
    if settings.get("tempdir") is None:
        folder = tempfile.mkdtemp(prefix=_prefix(), dir=_place_for_sockets())
        util.Finalize(None, _remove, args=(folder, os.getpid()), exitpriority=-100)
        settings["tempdir"] = folder


def _place_for_sockets() -> Path:
    """Return the folder of temporary files, or one whose sockets have addresses short enough.

    They have at most 107 bytes; folders for temporary files are often longer on clusters.
    """
    usual = tempfile.gettempdir()
    long = len(os.fsencode(usual)) + LETTERS_OF_SOCKET > LONGEST_ADDRESS
    return SHORT if long and SHORT.is_dir() else Path(usual)


def _remove(folder: str, process: int) -> None:
    """Remove a folder, unless this process is one that was forked from that of the folder."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


def clear_temporary() -> list[Path]:
    """Remove what killed processes of this account have left; return what it was."""
    usual = Path(tempfile.gettempdir())
    removed = []
    for folder, pattern in (
        (usual, FOLDER),
        (usual / f"orimap-{os.getuid()}", FOLDER),
        (SHORT, FOLDER),
        (SEMAPHORES, SEMAPHORE),
    ):
        with suppress(OSError):
            removed += [path for path in folder.iterdir() if _cleared(path, pattern)]
    return removed


def _cleared(path: Path, pattern: re.Pattern[str]) -> bool:
    """Remove a file or a folder of this account's whose process is provably gone."""
    named = pattern.fullmatch(path.name)
    if named is None or not is_gone(named):
        return False
    try:
        if path.lstat().st_uid != os.getuid():
            return False
        path.unlink() if pattern is SEMAPHORE else shutil.rmtree(path)
    except OSError:
        return False
    return True
