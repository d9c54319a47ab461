"""Ask the peers, each in a process of its own in their environment."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import xarray as xr
from rows import Reply

from orimap.tasks.store.variables import pattern_intensity

PEERS = Path(__file__).parent / "peers"
# One thread each: what the processor time of a way then means does not depend on the machine.
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
# Other work may take most of the machine: on the clock, a way may take this many times longer.
PATIENCE = 20


def ask(
    python: Path, peer: str, ways: list[str], scan_file: Path, most_seconds: int
) -> Iterator[tuple[str, Reply]]:
    """Yield the name and the reply of every way of one peer about one scan.

    Parameters
    ----------
    python : Path
        The interpreter of the environment that holds the peers.
    peer : str
        A module in ``peers``.
    ways : list of str
    scan_file : Path
        ``.zarr``, as ``write_scan`` writes it.
    most_seconds : int
        Of processor time, for all the ways of the peer together.
    """
    with TemporaryDirectory() as made:
        folder = Path(made)
        stored = xr.open_zarr(scan_file, consolidated=False, chunks=None)
        np.save(folder / "patterns.npy", pattern_intensity.read(stored).values)
        command = [python, PEERS / "answer.py", peer, folder / "patterns.npy", folder, *ways]
        command += ["--seconds", str(most_seconds)]
        started = time.perf_counter()
        failure = _run(command, most_seconds)
        seconds = time.perf_counter() - started
        for way in ways:
            file = folder / f"{way}.npz"
            if not file.exists():
                yield way, Reply(seconds=seconds, failure=failure or "it said nothing")
                continue
            with np.load(file) as content:
                yield (
                    way,
                    Reply(
                        int(content["k"]),
                        content["label"],
                        content.get("overlap_ratio"),
                        seconds=seconds,
                        cpu_seconds=float(content["cpu_seconds"]),
                    ),
                )


def _run(command: list, most_seconds: int) -> str | None:
    """Run a peer; return what went wrong, None where nothing did."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            env=os.environ | ONE_THREAD,
            capture_output=True,
            text=True,
            timeout=PATIENCE * most_seconds,
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {PATIENCE * most_seconds} s on the clock"
    if done.returncode == -signal.SIGXCPU:
        return f"no answer within {most_seconds} s of processor time"
    if done.returncode:
        said = done.stderr.strip() or f"it ended with exit code {done.returncode}"
        return said.splitlines()[-1][:200]
    return None
