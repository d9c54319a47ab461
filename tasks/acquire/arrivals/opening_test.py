"""Try whether acquisitions open, in a process of its own: a strange file may crash or hang it.

The process stays for the next file, since loading the readers takes seconds. It ends when the
process that started it ends, however that happens: it reads questions from a pipe, which closes.
"""

import contextlib
import importlib
import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

from orimap.tasks.acquire.arrivals.finished import Opened

# Opening reads headers and one pattern: seconds even over a network, for ever where it hangs. Other
# arrivals wait for it, none longer than a minute.
OPENING_SECONDS = 55.0
# What opening an acquisition loads; dask.array for every reader of rosettasciio's.
READERS = (
    "dask.array",
    "hdf5plugin",
    "zarr",
    "orimap.tasks.acquire.open_acquisition",
    "orimap.tasks.acquire.formats.files.containers",
    "orimap.tasks.acquire.formats.files.mapped_files",
    "orimap.tasks.acquire.formats.readers",
)


class OpeningTest:
    """Asks one process after the other; use it as a context.

    Parameters
    ----------
    limit_seconds : float
        After which a file is taken for one that cannot be opened.
    """

    def __init__(self, limit_seconds: float = OPENING_SECONDS) -> None:
        self.limit_seconds = limit_seconds
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "OpeningTest":
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def __call__(self, path: Path, **chosen: Any) -> Opened:
        """Try to open an acquisition.

        Parameters
        ----------
        path : Path
        chosen : reader, signal, dataset, scan_shape, ..., roots
            As :func:`orimap.tasks.acquire.open_acquisition.open_acquisition` takes them.
        """
        process = self._start()
        question = json.dumps({"path": os.fspath(path), **chosen}, default=str)
        try:
            process.stdin.write(question.encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            return self._crashed()
        ready, _, _ = select.select([process.stdout], [], [], self.limit_seconds)
        if not ready:
            self._end()
            return Opened("refused", f"opening it took more than {self.limit_seconds:.0f} s")
        answer = process.stdout.readline()
        return Opened(**json.loads(answer)) if answer else self._crashed()

    def _start(self) -> "subprocess.Popen[bytes]":
        """Return the process, started anew where there is none."""
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                # -P: a file pickle.py among the acquisitions is not imported.
                [sys.executable, "-P", "-m", "orimap.tasks.acquire.arrivals.opening_test"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for the watcher, which then closes the pipe
            )
        return self._process

    def _crashed(self) -> Opened:
        """Return that the process died of a file."""
        code = self._process.wait()
        self._end()
        return Opened("refused", f"its reader crashed (exit code {code})", "copy the file again")

    def _end(self) -> None:
        """End the process; one that hangs in a dead network folder ends when that answers."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.kill()
        process.stdout.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1)


def try_to_open(path: Path, **chosen: Any) -> Opened:
    """Open an acquisition in this process, and return what was found.

    Raises
    ------
    MemoryError
        If headers alone do not fit into memory.
    """
    from orimap.tasks.acquire.formats.stacks.scan_shape import StoppedEarlyError
    from orimap.tasks.acquire.links import require_inside
    from orimap.tasks.acquire.open_acquisition import open_acquisition
    from orimap.tasks.errors import InputError

    roots = [Path(root) for root in chosen.pop("roots", ())]
    try:
        require_inside(path, roots)
    except InputError as error:
        return Opened("refused", error.reason, error.remedy)
    # JSON has no tuples.
    asked = {name: tuple(v) if isinstance(v, list) else v for name, v in chosen.items()}
    try:
        found = open_acquisition(path, roots=roots, **asked)
    except StoppedEarlyError as error:
        return Opened("refused", error.reason, error.remedy, error.rows)
    except InputError as error:
        missing = _missing_link(path)
        if missing is not None:
            return Opened("missing", missing)
        if _holds_no_patterns(path, chosen):
            return Opened("no scan", f"{path.name} holds no scan of patterns")
        return Opened("refused", error.reason, error.remedy)
    except OSError as error:
        return Opened("refused", f"it cannot be read: {error.strerror or error}")
    if found.awaited:
        return Opened("missing", found.awaited[0])
    rows, columns = found.scan_shape
    height, width = found.detector_shape
    words = f"{found.reader}, {rows}×{columns} patterns of {height}×{width}"
    return Opened("scan", words, rows=found.asked.keep_rows or 0)


def _missing_link(path: Path) -> str | None:
    """Return the name of a file that an HDF5 file takes its patterns from and that is not there."""
    from orimap.tasks.acquire.formats.chunked.hdf5_files import load_h5py, opened
    from orimap.tasks.errors import InputError

    h5py = load_h5py()
    if not path.is_file() or not h5py.is_hdf5(path):
        return None
    with contextlib.suppress(OSError, KeyError, InputError), opened(path) as file:
        group = file["entry/data"]
        for name in sorted(group):
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink) and not (path.parent / link.filename).exists():
                return link.filename
    return None


def _holds_no_patterns(path: Path, chosen: dict[str, Any]) -> bool:
    """Return whether a file can be read and holds nothing that could be a scan of patterns."""
    from orimap.tasks.acquire.formats.readers import open_recognised, open_signals
    from orimap.tasks.acquire.formats.recognise import recognise
    from orimap.tasks.errors import InputError

    try:
        reader = chosen.get("reader")
        wanted = {name: chosen.get(name) for name in ("dataset", "axes")}
        if reader:
            signals = open_signals(path, reader, **wanted)
        else:
            _, signals = open_recognised(path, recognise(path), **wanted)
    except InputError:
        return False
    return not any(signal.may_be_scan for signal in signals)


def _answer() -> None:
    """Answer questions, a line of JSON each, until the pipe closes."""
    from orimap.tasks.errors import words_of

    # What readers print must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _load_readers()

    for line in sys.stdin.buffer:
        question = json.loads(line)
        path = Path(question.pop("path"))
        try:
            opened = try_to_open(path, **question)
        except Exception as error:  # whatever a strange file makes a reader do
            opened = Opened("refused", f"{type(error).__name__}: {words_of(error)}")
        answers.write(json.dumps(vars(opened)).encode() + b"\n")
        answers.flush()


def _load_readers() -> None:
    """Load what takes seconds before the first file comes, not when it has come."""
    from orimap.tasks.acquire.formats.chunked.hdf5_files import load_h5py

    load_h5py()
    for name in READERS:
        importlib.import_module(name)


if __name__ == "__main__":
    _answer()
