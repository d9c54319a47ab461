"""Let one peer sweep the prepared rows, in an environment of its own.

    python answer.py PEER WAY ROWS --warm-up ROWS --ks 2 20 ... --output FOLDER --launched SECONDS
        --seconds 3600 [--sampled]

ROWS is (position, pixel): .npy dense, .npz compressed sparse rows. Loading it is not timed. Every k
is a fit of its own, timed alone; FOLDER gets its factors and, after each fit, all that is known.
``--sampled`` stops fits after few iterations, to see what one costs: no factors then.
"""

import argparse
import importlib
import importlib.metadata
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from answers import Answer, Fit, libraries

PACKAGES = ("scikit-learn", "hyperspy", "torchnmf", "torch", "numpy", "scipy")
# Two fits at each k: their difference is what the iterations between cost, without the start. A
# start by singular vectors costs some twenty iterations and never twice the same: fewer than thirty
# between would drown in that.
SAMPLED_ITERATIONS = (1, 31)


def main() -> None:
    """Import, load, warm up, sweep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("peer", help="a module of this folder")
    parser.add_argument("way")
    parser.add_argument("rows", type=Path)
    parser.add_argument("--warm-up", type=Path, required=True)
    parser.add_argument("--ks", type=int, nargs="+", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--launched", type=float, required=True, help="monotonic clock")
    parser.add_argument("--seconds", type=float, required=True, help="no fit begins after these")
    parser.add_argument("--sampled", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # a fit that is not converged is scored as it is
    peer = importlib.import_module(arguments.peer)
    prepare, fit = peer.WAYS[arguments.way]
    answer = Answer(arguments.output, start_up_seconds=time.monotonic() - arguments.launched)
    answer.versions = versions()

    started = time.monotonic()
    small = prepare(load(arguments.warm_up))
    for k in (2, 3):
        fit(small, k, None)
    answer.warm_up_seconds = time.monotonic() - started
    answer.threads = {"processes": 1, "libraries": libraries(peer.threads())}
    answer.write()

    rows = prepare(load(arguments.rows))
    limits = SAMPLED_ITERATIONS if arguments.sampled else (None,)
    first = time.monotonic()
    for k in arguments.ks:
        for limit in limits:
            if time.monotonic() - first > arguments.seconds:
                return
            measure(answer, fit, rows, k, limit)


def measure(answer: Answer, fit: Callable, rows: object, k: int, limit: int | None) -> None:
    """Time one fit and enter it; its factors are written after the clock has stopped."""
    cpu, started = time.process_time(), time.monotonic()
    weights, patterns, iterations = fit(rows, k, limit)
    ended = time.monotonic()
    cpu = time.process_time() - cpu
    answer.fits.append(Fit(k, ended - started, int(iterations), limit is not None, cpu))
    answer.windows.append((started, ended))
    answer.load = os.getloadavg()[0]
    if limit is None:
        np.savez(answer.folder / f"k{k:02d}.npz", weights=weights, patterns=patterns)
    answer.write()


def load(path: Path) -> object:
    """Return dense rows as an array, sparse ones as a matrix of compressed sparse rows."""
    if path.suffix == ".npy":
        return np.load(path)
    from scipy.sparse import load_npz

    return load_npz(path)


def versions() -> dict[str, str]:
    """Return the versions of what is here of the peers."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main()
