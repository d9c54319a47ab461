"""What every process finds in its environment: one thread for its sums, room for compiled code."""

import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

# Worker processes of one thread are faster than threads here, and must not start more.
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)
# Dask has workers give back memory whenever 64 kB are free at the end of the heap. The C library
# then maps everything above 128 kB anew, and compressing a chunk, which takes and frees some
# hundred kB for each of its blocks, spends more time on fresh pages than on compressing (tried:
# 3.2 s against 1.1 s for 0.5 GB). Up to 16 MiB a worker are kept; large arrays are still mapped,
# and given back at once. These are names of glibc's; other C libraries ignore them.
KEEP_SMALL_MEMORY = {
    "MALLOC_TRIM_THRESHOLD_": str(16 * 2**20),
    "MALLOC_MMAP_THRESHOLD_": str(4 * 2**20),
}
# Dask looks at the stack of every thread of a worker each 10 ms. In Python 3.11 that look can meet
# a collection of garbage and the start of a thread, which then wait for each other for ever
# (cpython issue 106883; a worker of ours did so, and distributed itself
# does without for its schedulers there).
PROFILE = "distributed.worker.profile.enabled"
NO_PROFILE = {"DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False"}
# Nothing is imported from the folder that a process is started in, which may be one of acquisitions
# with a file pickle.py in it: Python's option -P, for what a process starts in its turn as well.
SAFE_PATH = {"PYTHONSAFEPATH": "1"}
WORKER_ENVIRONMENT = {**ONE_THREAD, **KEEP_SMALL_MEMORY, **NO_PROFILE, **SAFE_PATH}
NUMBA = "NUMBA_NUM_THREADS"
# Where numba keeps compiled kernels, and matplotlib its list of fonts, if not where they would.
COMPILED, FONTS = "NUMBA_CACHE_DIR", "MPLCONFIGDIR"


@contextmanager
def environment(variables: Mapping[str, str | int]) -> Iterator[None]:
    """Set variables of this process's environment, for what it starts and loads meanwhile."""
    with environment_restored(variables):
        os.environ.update({name: str(value) for name, value in variables.items()})
        yield


@contextmanager
def environment_restored(names: Iterable[str]) -> Iterator[None]:
    """Give variables of this process's environment back the values that they have now."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def keep_compiled_code(state: Path | None = None) -> Path:
    """Return the folder for compiled code, and have this process and what it starts use it.

    Numba keeps code beside its source, else in the cache of the account's home; where it can write
    neither, as for an account of a service without a home, it fails. The code is then kept in
    the folder of the state, or in one of this account among temporary files.

    Parameters
    ----------
    state : Path, optional
        Folder for what is kept from one start to the next.

    Returns
    -------
    Path
        One that the environment names stays, whatever is to be said of it.
    """
    named = os.environ.get(COMPILED)
    if named:
        return Path(named)
    package = Path(__file__).resolve().parents[1]
    if os.access(package / "tasks", os.W_OK):
        return package
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    with suppress(RuntimeError):  # nobody knows the home of this account
        home = cache.expanduser() / "numba"
        if can_be_made(home):
            return home
    kept = state.absolute() / "compiled" if state else None
    if kept is None or not can_be_made(kept):
        kept = own_temporary_folder()
    os.environ[COMPILED] = str(kept / "numba")
    os.environ.setdefault(FONTS, str(kept / "matplotlib"))
    return kept / "numba"


def can_be_made(folder: Path) -> bool:
    """Return whether a folder can be written to, or made where it is not there."""
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def own_temporary_folder() -> Path:
    """Return a folder among temporary files that nobody else can write: what it holds is run."""
    folder = Path(tempfile.gettempdir()) / f"orimap-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    if ours and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return folder
    return Path(tempfile.mkdtemp(prefix="orimap-"))


@contextmanager
def one_thread_for_blas() -> Iterator[None]:
    """Keep linear algebra of this process to one thread, as in worker processes.

    Sums of several threads come in another order: results would depend on the number of cores.
    Libraries that are loaded already are told; those that a step loads later read the environment.
    Both are of the whole process. Numba is left alone: our kernels start no threads, and where
    those of somebody else have started some in this process, it refuses to compile with another
    number.
    """
    from threadpoolctl import threadpool_limits

    of_blas = {name: value for name, value in ONE_THREAD.items() if name != NUMBA}
    with environment(of_blas), threadpool_limits(1, user_api="blas"):
        yield
