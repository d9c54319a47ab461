"""How well ways of deciding k do on simulated scans with known truth.

    python tests/benchmarks/deciding/run.py --numbers 1:80:2 --output FOLDER [--ways orimap ...]
        [--peers-python PYTHON] [--scans FOLDER] [--runs FOLDER] [--most-positions N]

Simulates the scans of these numbers (see recipes.py), lets every way decide, and adds one row for
each scan and way to FOLDER/rows.csv. Rows that are there already are left as they are, so a run can
be interrupted and go on; several may add to one folder. ``table.py`` makes table and figure.
"""

import argparse
import sys
from pathlib import Path

import ask_peers
import rows
from recipes import recipe_of
from ways import BY_NAME, DEFAULT, WAYS, Way

from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.write_scan import write_scan


def main() -> None:
    """Measure what is not measured yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--numbers", default="1:80:2", help="FIRST:END:STEP, as in Python")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--ways", nargs="+", choices=BY_NAME, default=DEFAULT, metavar="WAY")
    parser.add_argument("--scans", type=Path, help="where scans are, or are to be, kept")
    parser.add_argument("--runs", type=Path, help="keep the results of orimap here")
    parser.add_argument("--most-positions", type=int, help="leave larger scans out")
    parser.add_argument("--peers-python", type=Path, default=Path(sys.executable))
    parser.add_argument("--seconds", type=int, default=300, help="of processor time, for a peer")
    arguments = parser.parse_args()
    scans = arguments.scans or arguments.output / "scans"
    for folder in (arguments.output, scans, arguments.runs):
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
    recipes = {n: recipe_of(n) for n in range(*map(int, arguments.numbers.split(":")))}
    if most := arguments.most_positions:
        recipes = {n: r for n, r in recipes.items() if r.scan[0] * r.scan[1] <= most}
    benchmark = Benchmark(
        arguments.output / "rows.csv", scans, recipes, [BY_NAME[name] for name in arguments.ways]
    )
    measure_peers(benchmark, arguments.peers_python, arguments.seconds)
    measure_orimap(benchmark, arguments.runs)


class Benchmark:
    """What is to be measured, and where it is entered."""

    def __init__(
        self, file: Path, scans: Path, recipes: dict[int, ScanRecipe], ways: list[Way]
    ) -> None:
        self.file, self.scans, self.recipes, self.ways = file, scans, recipes, ways

    def missing(self, peer: str | None) -> dict[int, list[Way]]:
        """Return, for each scan, the ways of a peer (None: orimap) that have no row yet."""
        there = {(row.number, row.way) for row in rows.read(self.file)}
        asked = [way for way in self.ways if way.peer == peer]
        missing = {n: [w for w in asked if (n, w.name) not in there] for n in self.recipes}
        return {number: ways for number, ways in missing.items() if ways}

    def scan(self, number: int) -> Path:
        """Return the file of a scan, simulated if it is not there."""
        file = self.scans / f"scan{number:03d}.zarr"
        if not file.with_suffix(".npz").exists():
            write_scan(self.recipes[number], file, force=True)
        return file

    def enter(self, number: int, way: str, reply: rows.Reply) -> None:
        """Score a reply, add its row and say it."""
        truth = self.scan(number).with_suffix(".npz")
        row = rows.describe(number, way, self.recipes[number], truth)
        rows.score(row, truth, reply)
        rows.append(self.file, row)
        said = row.failure or f"k {row.k}, ARI {row.ari}, F1 {row.overlap_f1}, {row.confidence}"
        print(f"scan {number:3} ({row.k_true} grains) {way}: {said}", flush=True)


def measure_peers(benchmark: Benchmark, python: Path, most_seconds: int) -> None:
    """Ask every peer about every scan, one peer after another."""
    for peer in dict.fromkeys(way.peer for way in WAYS if way.peer):
        for number, ways in benchmark.missing(peer).items():
            names = [way.name for way in ways]
            file = benchmark.scan(number)
            for way, reply in ask_peers.ask(python, peer, names, file, most_seconds):
                benchmark.enter(number, way, reply)


def measure_orimap(benchmark: Benchmark, runs: Path | None) -> None:
    """Ask orimap about every scan."""
    import ask_orimap

    missing = benchmark.missing(None)
    if not missing:
        return
    with ask_orimap.shared_workers() as client:
        for number, ways in missing.items():
            names = {way.strategy: way.name for way in ways}
            for strategy, reply in ask_orimap.ask(client, benchmark.scan(number), [*names], runs):
                benchmark.enter(number, names[strategy], reply)


if __name__ == "__main__":
    main()
