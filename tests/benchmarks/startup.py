"""How long commands take on small files: start, what they load, and a whole run.

    python tests/benchmarks/startup.py [FILE ...]

Prints the fastest, the median and the slowest of several runs of each command, on simulated scans
in several formats and on every FILE given. For an idle machine.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

from orimap.flows.watch.journal import JOURNAL, Journal

ORIMAP = Path(sys.executable).with_name("orimap")
ENDINGS = ("npy", "blo", "hspy", "zarr")
RUNS = 7
# The scan whose whole run is timed: what takes time is not its size.
SMALL = ("--scan", "9x12", "--detector", "48x48", "--grains", "3")


def measure(files: Iterable[Path] = (), runs: int = RUNS) -> dict[str, dict[str, float]]:
    """Time commands, the simulated scans and ``files`` among them; in turn, so that all meet the
    same machine.

    Returns
    -------
    dict
        For each command the seconds of its fastest, median and slowest run.
    """
    with tempfile.TemporaryDirectory() as made:
        commands = _commands(Path(made), files)
        for arguments in commands.values():
            _seconds(arguments)  # files that are read for the first time take longer
        found = {name: [] for name in commands}
        for _ in range(runs):
            for name, arguments in commands.items():
                found[name].append(_seconds(arguments))
    return {
        name: {
            "fastest": round(min(seconds), 3),
            "median": round(median(seconds), 3),
            "slowest": round(max(seconds), 3),
        }
        for name, seconds in found.items()
    }


def _commands(folder: Path, files: Iterable[Path]) -> dict[str, list[str | Path]]:
    """Return the commands by what they are called in the table, and make what they look at."""
    (folder / ".orimap").mkdir()
    with Journal(folder / ".orimap" / JOURNAL) as journal:
        journal.set_meta("folder", str(folder))
    commands: dict[str, list[str | Path]] = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "orimap --help": [ORIMAP, "--help"],
        "orimap run --help": [ORIMAP, "run", "--help"],
        "orimap status": [ORIMAP, "status", "--results", folder],
    }
    shapes = ("--scan", "12x16", "--detector", "64x64", "--grains", "3")
    for ending in ENDINGS:
        scan = folder / f"scan.{ending}"
        _seconds([ORIMAP, "simulate", scan, *shapes, "--force", "--quiet"])
        commands[f"orimap info {scan.name}"] = [ORIMAP, "info", scan]
    for file in files:
        commands[f"orimap info {file.name}"] = [ORIMAP, "info", file]
    dry = [ORIMAP, "run", folder / "scan.blo", "--output", folder / "results", "--dry-run"]
    commands["orimap run --dry-run"] = dry
    small = folder / "small.hspy"
    _seconds([ORIMAP, "simulate", small, *SMALL, "--force", "--quiet"])
    for workers in ("threads", "processes"):
        to = ("--output", folder / workers, "--restart", "--quiet", "--cluster", workers)
        commands[f"orimap run, 9x12 of 48x48, {workers}"] = [ORIMAP, "run", small, *to]
    return commands


def _seconds(arguments: Sequence[str | Path]) -> float:
    """Run a command to its end; a file that leaves a choice is told so, and is measured too."""
    started = time.perf_counter()
    done = subprocess.run(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - started
    if done.returncode not in (0, 2):
        raise RuntimeError(f"{' '.join(map(str, arguments))}: {done.stderr}")
    return seconds


if __name__ == "__main__":
    table = measure(Path(name) for name in sys.argv[1:])
    width = max(map(len, table))
    print(f"{'seconds':<{width}}  fastest  median  slowest")
    for command, found in table.items():
        print(f"{command:<{width}}  {found['fastest']:7.2f} {found['median']:7.2f} "
              f"{found['slowest']:8.2f}")  # fmt: skip
