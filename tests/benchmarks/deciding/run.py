"""How well ways of deciding k do on simulated scans with known truth.

    python tests/benchmarks/deciding/run.py --numbers 1:80:2 --output FOLDER [--ways orimap ...]
        [--peers-python PYTHON] [--scans FOLDER] [--seconds 300]

Simulates the scans of these numbers (see recipes.py), lets every way decide, and adds one row for
each scan and way to FOLDER/rows.csv; rows that are there already are left as they are, so that a
run can be interrupted and go on. ``table.py FOLDER`` makes the table and the figure.
"""

import argparse
import sys
from pathlib import Path

import rows
from ask_peers import ask
from recipes import recipe_of
from ways import BY_NAME, WAYS, Way

from orimap.tasks.write_scan import write_scan


def main() -> None:
    """Measure what is not measured yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--numbers", default="1:80:2", help="FIRST:END:STEP, as in Python")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--ways", nargs="+", choices=BY_NAME, default=list(BY_NAME))
    parser.add_argument("--scans", type=Path, help="where scans are, or are to be, kept")
    parser.add_argument("--peers-python", type=Path, default=Path(sys.executable))
    parser.add_argument("--seconds", type=int, default=300, help="of processor time, for a peer")
    arguments = parser.parse_args()
    scans = arguments.scans or arguments.output / "scans"
    for folder in (arguments.output, scans):
        folder.mkdir(parents=True, exist_ok=True)
    numbers = range(*(int(part) for part in arguments.numbers.split(":")))
    missing = Missing(arguments.output / "rows.csv", [BY_NAME[name] for name in arguments.ways])
    measure_peers(missing, numbers, scans, arguments.peers_python, arguments.seconds)
    if any(missing.of(number, strategies=True) for number in numbers):
        from ask_orimap import measure_orimap

        measure_orimap(missing, numbers, scans, arguments.output / "runs")


class Missing:
    """What is still to be measured, and where it is entered."""

    def __init__(self, file: Path, ways: list[Way]) -> None:
        self.file, self.ways = file, ways

    def of(self, number: int, *, peer: str | None = None, strategies: bool = False) -> list[Way]:
        """Return the ways, of one peer or of orimap, that have no row for this scan."""
        there = {row.way for row in rows.read(self.file) if row.number == number}
        return [
            way
            for way in self.ways
            if way.name not in there and (way.strategy if strategies else way.peer == peer)
        ]

    def enter(self, row: rows.Row) -> None:
        """Add a row, and say it."""
        rows.append(self.file, row)
        said = row.failure or f"k {row.k}, ARI {row.ari}, F1 {row.overlap_f1}, {row.confidence}"
        print(f"scan {row.number:3} ({row.k_true} grains) {row.way}: {said}", flush=True)


def scan_of(number: int, scans: Path) -> Path:
    """Return the file of a scan, simulated if it is not there."""
    file = scans / f"scan{number:03d}.zarr"
    if not file.with_suffix(".npz").exists():
        write_scan(recipe_of(number), file)
    return file


def measure_peers(
    missing: Missing, numbers: range, scans: Path, python: Path, most_seconds: int
) -> None:
    """Ask every peer about every scan, one peer after another."""
    for peer in dict.fromkeys(way.peer for way in WAYS if way.peer):
        for number in numbers:
            ways = [way.name for way in missing.of(number, peer=peer)]
            if not ways:
                continue
            file, recipe = scan_of(number, scans), recipe_of(number)
            truth = file.with_suffix(".npz")
            for reply in ask(python, peer, ways, file, most_seconds):
                row = rows.describe(number, reply.way, recipe, truth)
                row.seconds, row.failure = round(reply.seconds, 1), reply.failure
                if reply.answer:
                    row.cpu_seconds = round(float(reply.answer["cpu_seconds"]), 1)
                    rows.score(
                        row,
                        truth,
                        reply.answer["k"],
                        reply.answer["label"],
                        reply.answer.get("overlap_ratio"),
                    )
                missing.enter(row)


if __name__ == "__main__":
    main()
