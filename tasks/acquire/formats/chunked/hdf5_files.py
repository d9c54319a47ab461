"""Open HDF5 files without locks and only while they are read: a microscope may be writing them.

A lock, even one for reading, makes the acquisition program fail when it opens its file again, and
a file that stays open cannot be replaced.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from orimap.tasks.errors import InputError, is_out_of_reach, words_of

if TYPE_CHECKING:
    import h5py

LOCKING = "HDF5_USE_FILE_LOCKING"
# This process has the file open already, as whoever opened it chose: no new lock is taken.
OPEN_OTHERWISE = "locking flag values don't match"


def load_h5py() -> Any:
    """Return h5py, loaded so that readers of others' take no locks either.

    The library looks at its environment once, as it is loaded.
    """
    if "h5py" in sys.modules:
        return sys.modules["h5py"]
    chosen = os.environ.get(LOCKING)
    os.environ[LOCKING] = chosen or "FALSE"
    try:
        import h5py
    finally:
        if chosen is None:
            del os.environ[LOCKING]
    return h5py


@contextmanager
def opened(path: Path) -> Iterator["h5py.File"]:
    """Open a file for reading, without a lock, while the context lasts.

    Raises
    ------
    InputError
        If the file is damaged, cut short or marked as being written.
    OSError
        If it cannot be reached.
    """
    h5py = load_h5py()
    try:
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        if is_out_of_reach(error) or error.errno is not None:
            raise
        if OPEN_OTHERWISE not in str(error):
            raise _unreadable(path, error) from error
        file = h5py.File(path, "r")
    with file:
        yield file


def _unreadable(path: Path, error: OSError) -> InputError:
    """Say why a file that is there cannot be opened."""
    words = words_of(error)
    if "already open for write" in words:
        return InputError(
            f"an HDF5 file that has been closed ({path.name})",
            "a program has it open for writing, or was stopped while it had",
            "close it in that program; where that has ended, h5clear --status releases the file",
        )
    cut = "truncated file" in words
    return InputError(
        f"a whole HDF5 file ({path.name})",
        f"{'it is cut short' if cut else 'it is damaged'} ({words[:200]})",
        "copy it again from the microscope",
    )


class Hdf5Array:
    """A data set of an HDF5 file, which is open only while a piece is cut.

    Parameters
    ----------
    path : Path
        Of the file that leads to it, by links to others where there are any.
    name : str or bytes
    dataset : h5py.Dataset
        As opened now, for its shape, dtype and chunks.
    """

    def __init__(self, path: Path, name: str | bytes, dataset: "h5py.Dataset") -> None:
        self.path, self.name = path, name
        self.shape, self.dtype, self.ndim = dataset.shape, dataset.dtype, dataset.ndim
        self.chunks: tuple[int, ...] | None = dataset.chunks

    def __getitem__(self, cut: Any) -> np.ndarray:
        """Read a piece into memory."""
        with opened(self.path) as file:
            return file[self.name][cut]
