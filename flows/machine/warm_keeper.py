"""Keep a process warm: one that has imported all that a run needs, before there is a run.

A Prefect worker starts a process for every run, which imports for ten seconds and more before its
first line. Here one waits with everything imported; ``warm_run``, which the worker starts in its
place, hands over its environment, folder and output, and the next one is prepared.
"""

import contextlib
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orimap.flows.machine.warm_run import EXIT_CODE, TAKEN, hand_over, short_address, take_over
from orimap.flows.machine.warm_spare import END_SECONDS, READY

# The next process is prepared when the run has had the processor to itself while it starts.
NEXT_AFTER_SECONDS = 20
# One that ended while it was importing (an upgrade under way): try again, not at once.
AGAIN_AFTER_SECONDS = 30
# A process that hands its run over has everything at hand that it sends.
HAND_OVER_SECONDS = 5


def main() -> None:
    """Keep a process warm for runs that come to a socket, until SIGTERM; then end all runs."""
    # SystemExit closes the socket and ends the runs; during that a second signal is ignored.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    with listening(Path(sys.argv[1])) as door:
        keeper = Keeper(door)
        try:
            while True:
                keeper.turn()
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            keeper.close()


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """Listen at a socket that only this user can connect to."""
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        # Nobody else, not even for the moment before the rights are set.
        before = os.umask(0o177)
        try:
            with short_address(path) as address:
                door.bind(address)
        finally:
            os.umask(before)
        door.listen()
        try:
            yield door
        finally:
            path.unlink(missing_ok=True)


class Process:
    """A process that imports, waits, and becomes a run."""

    def __init__(self) -> None:
        self.channel, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "orimap.flows.machine.warm_spare"),
                    str(theirs.fileno()),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self.ended = os.pidfd_open(self.process.pid)
        self.ready = False

    def close(self) -> int:
        """Wait for the end of the process; return its exit code, minus the signal that ended it."""
        code = self.process.wait()
        os.close(self.ended)
        self.channel.close()
        return code


@dataclass
class Client:
    """The process that a worker has started for a run: gets its exit code, sends its signals."""

    connection: socket.socket
    facts: dict
    files: list[int]
    run: Process | None = None
    kill_at: float | None = None

    def close(self) -> None:
        """Let the connection and the files go."""
        self.connection.close()
        for file in self.files:
            os.close(file)
        self.files = []


class Keeper:
    """Hands runs to processes that are warm, and prepares the next.

    Parameters
    ----------
    door : socket
        Where runs come from.
    """

    def __init__(self, door: socket.socket) -> None:
        self.door = door
        self.spare: Process | None = None
        self.prepare_at = 0.0
        self.clients: list[Client] = []

    def turn(self, seconds: float = 1.0) -> None:
        """Wait for something to happen, for at most this many seconds, and react to it."""
        self._prepare()
        watched = [self.door]
        if self.spare is not None:
            watched += [self.spare.ended, *([] if self.spare.ready else [self.spare.channel])]
        for client in self.clients:
            # A connection that is closed would be reported again and again.
            watched += [client.connection] if client.kill_at is None else []
            watched += [client.run.ended] if client.run is not None else []
        happened, _, _ = select.select(watched, [], [], seconds)
        if self.spare is not None:
            self._look_at_spare(happened)
        for client in list(self.clients):
            self._look_at(client, happened)
        if self.door in happened:
            self._accept()
        self._hand_on()

    def _prepare(self) -> None:
        """Start the next process when it is time, or when somebody waits for one."""
        waiting = any(client.run is None for client in self.clients)
        if self.spare is None and (waiting or time.monotonic() >= self.prepare_at):
            self.spare = Process()

    def _look_at_spare(self, happened: list) -> None:
        if self.spare.ended in happened:
            code = self.spare.close()
            print(f"a process that was prepared ended by itself ({code})", file=sys.stderr)
            self.spare = None
            self.prepare_at = time.monotonic() + AGAIN_AFTER_SECONDS
            # A run that waits for it starts as it would without a warm process.
            for client in [each for each in self.clients if each.run is None]:
                self._forget(client)
        elif self.spare.channel in happened:
            self.spare.ready = self.spare.channel.recv(1) == READY

    def _accept(self) -> None:
        connection, _ = self.door.accept()
        connection.settimeout(HAND_OVER_SECONDS)
        try:
            taken = take_over(connection) if _user_of(connection) == os.getuid() else None
        except OSError:
            taken = None
        if taken is None:
            connection.close()
            return
        connection.settimeout(None)
        self.clients.append(Client(connection, *taken))

    def _hand_on(self) -> None:
        """Give the first run that waits to the process that is ready."""
        waiting = [client for client in self.clients if client.run is None]
        if waiting and self.spare is not None and self.spare.ready:
            client, run = waiting[0], self.spare
            self.spare, self.prepare_at = None, time.monotonic() + NEXT_AFTER_SECONDS
            with contextlib.suppress(OSError):  # either has just ended: seen at the next turn
                hand_over(run.channel, client.facts, tuple(client.files))
                client.connection.sendall(TAKEN)
            client.run = run

    def _look_at(self, client: Client, happened: list) -> None:
        """Pass on signals; end a run that nobody waits for; send its exit code at its end."""
        if client.run is not None and client.run.ended in happened:
            with contextlib.suppress(OSError):  # nobody waits for it any more
                client.connection.sendall(EXIT_CODE.pack(client.run.close()))
            self._forget(client)
        elif client.connection in happened and client.kill_at is None:
            try:
                signals = client.connection.recv(16)
            except ConnectionError:
                signals = b""
            if client.run is None:
                self._forget(client)
                return
            for number in signals or [signal.SIGTERM]:
                client.run.process.send_signal(number)
            if not signals:
                client.kill_at = time.monotonic() + END_SECONDS
        elif client.kill_at is not None and time.monotonic() > client.kill_at:
            client.run.process.kill()

    def _forget(self, client: Client) -> None:
        client.close()
        self.clients.remove(client)

    def close(self) -> None:
        """End all processes: they end their workers first."""
        last = time.monotonic() + END_SECONDS
        runs = [client.run for client in self.clients if client.run is not None]
        for each in runs:
            each.process.terminate()
        if self.spare is not None:
            self.spare.process.kill()
            self.spare.close()
        while self.clients and time.monotonic() < last:
            for client in list(self.clients):
                if client.run is None:
                    self._forget(client)
            self.spare, self.prepare_at = None, float("inf")
            watched = [client.run.ended for client in self.clients]
            happened, _, _ = select.select(watched, [], [], 1.0)
            for client in list(self.clients):
                self._look_at(client, happened)
        for each in [client.run for client in self.clients]:
            each.process.kill()


def _user_of(connection: socket.socket) -> int:
    """Return the user at the other end."""
    size = struct.calcsize("3i")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    return struct.unpack("3i", credentials)[1]


if __name__ == "__main__":
    main()
