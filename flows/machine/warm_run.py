"""What a Prefect worker starts for a run: hands it to a process that has imported all it needs.

Imports nothing but the standard library: within a fraction of a second it has a run taken over that
a fresh process would need ten seconds and more to begin. Without a keeper of warm processes it
becomes the fresh process itself.

Tested in tests/flows/machine/test_warm_keeper.py.
"""

import array
import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Names the socket of the keeper of warm processes.
SOCKET_VARIABLE = "ORIMAP_WARM_SOCKET"
LENGTH = struct.Struct("!I")
TAKEN = b"t"
EXIT_CODE = struct.Struct("!i")
FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
ENGINE = "prefect.engine"


def main() -> None:
    """Have a warm process take this run, and end as it ends; else run it here."""
    path = os.environ.get(SOCKET_VARIABLE)
    keeper = connect(Path(path)) if path else None
    if keeper is None or not _is_taken(keeper):
        os.execv(sys.executable, [sys.executable, "-P", "-m", ENGINE])
    for forwarded in FORWARDED:
        signal.signal(forwarded, lambda number, _frame: keeper.sendall(bytes([number])))
    end_as(_exit_code(keeper))


def _is_taken(keeper: socket.socket) -> bool:
    """Offer this run; wait until a warm process takes it, or there is none after all.

    A signal ends this process by then, and with the connection the run, if it has begun.
    """
    facts = {"environment": dict(os.environ), "folder": str(Path.cwd())}
    try:
        hand_over(keeper, facts, (1, 2))
        return receive(keeper, len(TAKEN)) == TAKEN
    except ConnectionError:
        return False


def connect(path: Path) -> socket.socket | None:
    """Return a connection to the keeper of warm processes, None if there is none."""
    keeper = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with short_address(path) as address:
            keeper.connect(address)
    except OSError:
        keeper.close()
        return None
    return keeper


@contextmanager
def short_address(path: Path) -> Iterator[str]:
    """Give a socket's address as the system takes it: 107 bytes, wherever the folder is."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def hand_over(to: socket.socket, facts: dict, files: tuple[int, ...]) -> None:
    """Send facts about a run and the open files that it writes to."""
    text = json.dumps(facts).encode()
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))]
    to.sendmsg([LENGTH.pack(len(text))], rights)
    to.sendall(text)


def take_over(of: socket.socket, files: int = 2) -> tuple[dict, list[int]] | None:
    """Receive what ``hand_over`` sends; None if the other side has closed."""
    head, taken, _, _ = socket.recv_fds(of, LENGTH.size, files)
    if len(head) < LENGTH.size or len(taken) < files:
        for each in taken:
            os.close(each)
        return None
    text = receive(of, LENGTH.unpack(head)[0])
    return (json.loads(text), taken) if text is not None else None


def receive(of: socket.socket, size: int) -> bytes | None:
    """Receive this number of bytes; None if the other side closes before."""
    parts = b""
    while len(parts) < size:
        part = of.recv(size - len(parts))
        if not part:
            return None
        parts += part
    return parts


def _exit_code(keeper: socket.socket) -> int:
    """Wait for the end of the run, and return its exit code; 1 if the keeper has ended with it."""
    answer = receive(keeper, EXIT_CODE.size)
    if answer is None:
        print(
            "the keeper of this run's warm process has ended, and the run with it", file=sys.stderr
        )
        return 1
    return EXIT_CODE.unpack(answer)[0]


def end_as(code: int) -> None:
    """End this process as another ended: with its exit code, or by the same signal."""
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    main()
