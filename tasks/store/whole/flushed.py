"""Have files on the disk before something is done that relies on them, against power cuts.

Tested in tests/tasks/store/test_run_folder.py.
"""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# A disk takes many small files at once in the time of a few.
AT_ONCE = 16
# What network shares answer that cannot do this for folders.
CANNOT = (errno.EINVAL, errno.ENOTSUP)


def flush_files(folder: Path) -> None:
    """Return when all files below a folder are on the disk, with their names."""
    files: list[str] = []
    folders: list[str] = []
    for place, _, names in os.walk(folder):
        folders.append(place)
        files += [os.path.join(place, name) for name in names]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for paths in (files, folders):
            for _ in threads.map(_flush, paths):
                pass


def flush_folder(folder: Path) -> None:
    """Return when the names in a folder are on the disk."""
    _flush(str(folder))


def _flush(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in CANNOT:
            raise
    finally:
        os.close(descriptor)
