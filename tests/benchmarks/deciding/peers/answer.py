"""Let one peer answer about one scan, in an environment of its own.

    python answer.py PEER PATTERNS.npy FOLDER WAY ... [--seconds 300]

PATTERNS.npy is (scan_y, scan_x, detector_y, detector_x); FOLDER gets WAY.npz for each of the peer's
ways that is asked for, as soon as it is known. The cost of a way is what the ways of a peer share
and what it takes itself, in processor time, so that other work on the machine does not count. More
than allowed ends the process.
"""

import argparse
import importlib
import resource
import time
import warnings
from pathlib import Path

import numpy as np


def main() -> None:
    """Answer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("peer", help="a module of this folder")
    parser.add_argument("patterns", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("ways", nargs="+")
    parser.add_argument("--seconds", type=int, default=300, help="of processor time, at most")
    arguments = parser.parse_args()
    # Above the soft limit the process gets a signal that tells why; nothing here catches it.
    resource.setrlimit(resource.RLIMIT_CPU, (arguments.seconds, arguments.seconds + 5))
    warnings.simplefilter("ignore")  # a fit that is not converged is scored as it is
    peer = importlib.import_module(arguments.peer)
    prepared = peer.prepare(np.load(arguments.patterns))
    shared = time.process_time()
    for name, way in peer.WAYS.items():
        if name not in arguments.ways:
            continue
        started = time.process_time()
        answer = way(prepared)
        cpu_seconds = shared + time.process_time() - started
        answer.write(arguments.folder / f"{name}.npz", cpu_seconds)


if __name__ == "__main__":
    main()
