"""Start a contestant in a process of its own, watch its memory, and read what it measured."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import psutil
from inputs import Inputs
from peers import answers
from ways import Way

from orimap.cluster.local import available_cores
from orimap.flows.pipeline.runtime.measure import family, resident_bytes

HERE = Path(__file__).parent
SAMPLE_SECONDS = 0.1
# A contestant that takes more of the memory that was free than this share is ended: the machine
# would end it otherwise, or something else.
LARGEST_SHARE = 0.92
# The last fit may have begun just before the time was over.
PATIENCE = 2


@dataclass
class Outcome:
    """What came of one contestant.

    Parameters
    ----------
    answer : Answer, optional
        What it measured, as far as it came.
    peak_bytes : int, optional
        Most memory of all its processes during the sweep.
    failure : str, optional
        Why it did not end well.
    """

    answer: answers.Answer | None
    peak_bytes: int | None = None
    failure: str | None = None


@dataclass
class Samples:
    """Memory of a process and all it started, over time."""

    times: list[float] = field(default_factory=list)
    bytes: list[int] = field(default_factory=list)

    def peak(self, windows: list[tuple[float, float]]) -> int | None:
        """Return the most within any of the windows."""
        within = [
            size
            for at, size in zip(self.times, self.bytes, strict=True)
            if any(start <= at <= end for start, end in windows)
        ]
        return max(within, default=None)


def ask_orimap(way: Way, inputs: Inputs, warm_up: Inputs, folder: Path, repeats: int) -> Outcome:
    """Let orimap sweep; two workers, or as many as there are cores, of one thread each."""
    command = [sys.executable, HERE / "ask_orimap.py", way.name, inputs.scan, inputs.ingested]
    command += ["--warm-up", warm_up.scan, warm_up.ingested, "--repeats", repeats]
    return _ask(command, inputs.size.ks, folder)


def ask_peer(
    python: Path,
    way: Way,
    inputs: Inputs,
    warm_up: Inputs,
    folder: Path,
    *,
    ks: list[int],
    sampled: bool,
    most_seconds: float,
) -> Outcome:
    """Let a peer sweep, its linear algebra with a thread for each core."""
    command = [python, HERE / "peers" / "answer.py", way.peer, way.name, inputs.rows(way.rows)]
    command += ["--warm-up", warm_up.rows(way.rows), "--seconds", most_seconds]
    command += ["--sampled"] if sampled else []
    threads = {f"{name}_NUM_THREADS": str(available_cores()) for name in ("OMP", "OPENBLAS", "MKL")}
    return _ask(command, ks, folder, threads, most_seconds)


def _ask(
    command: list,
    ks: Sequence[int],
    folder: Path,
    environment: Mapping[str, str] = MappingProxyType({}),
    most_seconds: float | None = None,
) -> Outcome:
    """Run a contestant to its end, or end it where it takes too much."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in [*folder.glob("*.npz"), *folder.glob("*.json")]:
        old.unlink()
    free = psutil.virtual_memory().available
    command = [*command, "--output", folder, "--launched", time.monotonic(), "--ks", *ks]
    samples, failure = Samples(), None
    with (folder / "said.txt").open("w") as said:
        process = subprocess.Popen(
            [str(part) for part in command],
            env={**os.environ, **environment},
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        started = time.monotonic()
        try:
            while process.poll() is None and failure is None:
                samples.times.append(time.monotonic())
                samples.bytes.append(resident_bytes(family(process.pid)))
                if samples.bytes[-1] > LARGEST_SHARE * free:
                    failure = f"it takes more memory than there is ({free / 1e9:.0f} GB)"
                elif most_seconds and time.monotonic() - started > PATIENCE * most_seconds + 60:
                    failure = f"a fit had not ended after {PATIENCE * most_seconds:.0f} s"
                time.sleep(SAMPLE_SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # it began a session, and so this group
                process.wait()
    if failure is None and process.returncode:
        lines = (folder / "said.txt").read_text().strip().splitlines()
        failure = (lines or [f"it ended with exit code {process.returncode}"])[-1][:200]
    answer = answers.read(folder)
    return Outcome(answer, samples.peak(answer.windows) if answer else None, failure)
