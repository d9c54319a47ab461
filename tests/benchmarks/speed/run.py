"""Time orimap's sweep over k and its peers' on the same counts, side by side.

    python tests/benchmarks/speed/run.py --size small --output FOLDER --peers-python PYTHON
        [--ways orimap scikit-learn ...] [--held-out] [--full | --sampled] [--seconds 7200] [--keep]

Simulates the scan, ingests it, writes the weighted matrix, and lets one contestant after another
sweep it, each in a process of its own. FOLDER/result.json gets the figures after each, and FOLDER
keeps scan and matrix for the next time. Several sizes are measured one after another, the small
ones first: larger ones take iteration counts and, where nothing else is feasible, seconds from
them.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import compare
import contest
import numpy as np
import orimap_sweep as ours
import results
import score
import sections
import table
from extrapolate import spread
from inputs import make_inputs
from sizes import SIZES, WARM_UP, Size, smaller
from ways import BY_NAME, HELD_OUT, REFERENCE, WAYS, Way

from orimap.cluster.local import available_cores, process_client

# So many k show how seconds depend on it, where fits are only sampled.
SAMPLED_KS = 4
OURS_HELD_OUT = "orimap-held-out"


def main() -> None:
    """Measure every size that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", nargs="+", choices=SIZES, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--ways", nargs="+", choices=[way.name for way in WAYS], metavar="WAY")
    parser.add_argument("--peers-python", type=Path, default=Path(sys.executable))
    parser.add_argument("--seconds", type=float, default=7200, help="no fit of a peer begins after")
    parser.add_argument("--repeats", type=int, default=3, help="sweeps of orimap: the median")
    parser.add_argument("--held-out", action="store_true", help="compare held-out deviances, too")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--full", action="store_const", dest="peers", const="full")
    how.add_argument("--sampled", action="store_const", dest="peers", const="sampled")
    parser.add_argument("--keep", action="store_true", help="put the result into results/DATE.json")
    arguments = parser.parse_args()
    for name in sorted(arguments.size, key=list(SIZES).index):
        Benchmark(SIZES[name], arguments).measure()
    file = arguments.output / "result.json"
    (arguments.output / "table.md").write_text(table.page(results.read(file)))
    print((arguments.output / "table.md").read_text())
    if before := results.newest_kept():
        found = compare.changes(results.read(before), results.read(file))
        print(f"Against {before.name}:", *compare.lines(*found), sep="\n")
    if arguments.keep:
        print(f"kept as {results.keep(file)}")


class Benchmark:
    """One size under way."""

    def __init__(self, size: Size, arguments: argparse.Namespace) -> None:
        self.size, self.arguments = size, arguments
        self.peers = arguments.peers or size.peers
        self.file = arguments.output / "result.json"
        self.section = f"sweep-{size.name}"
        self.ways = [BY_NAME[name] for name in arguments.ways or [way.name for way in WAYS]]
        self.known = self._smaller()

    def _smaller(self) -> dict[str, Any] | None:
        """Return the figures of the next smaller size, from this folder or the kept ones."""
        before = smaller(self.size.name)
        for file in (self.file, results.newest_kept()):
            if before and file and file.exists():
                found = results.read(file)["sections"].get(f"sweep-{before.name}")
                if found:
                    return found["figures"]
        return None

    def measure(self) -> None:
        """Let every way sweep, and enter it."""
        ways = [*self.ways]
        if self.arguments.held_out and self.peers == "full":
            ways += [way for way in (BY_NAME[OURS_HELD_OUT], HELD_OUT) if way not in ways]
        folder = self.arguments.output / self.size.name
        running = [way for way in ways if way.peer and self.peers != "scaled"]
        forms = {way.rows for way in running}
        self.warm_up, _ = make_inputs(WARM_UP, self.arguments.output / WARM_UP.name, forms)
        self.inputs, self.prepared = make_inputs(self.size, folder, forms)
        figures = self._figures()
        for way in ways:
            row = self._row(way, folder / way.name, figures)
            if way is HELD_OUT:
                figures["held_out"] = self._held_out(folder)
            else:
                figures["ways"][way.name] = row
            self._enter(figures)
            print(f"{self.size.name} {way.name}: {told(row)}", flush=True)

    def _figures(self) -> dict[str, Any]:
        """Return the figures before anything is measured, or those of ways measured before."""
        old = results.read(self.file)["sections"].get(self.section, {}).get("figures", {})
        recipe = self.size.recipe
        return {
            "scan": {
                "positions": recipe.scan,
                "pixels": recipe.detector,
                "entries": self.size.entries,
                "filled_entries": self.prepared.filled_entries,
                "electrons": recipe.dose,
            },
            "ks": list(self.size.ks),
            "k_true": recipe.grains,
            "ways": old.get("ways", {}),
            **{name: old[name] for name in ("plain_read", "held_out") if name in old},
        }

    def _row(self, way: Way, folder: Path, figures: dict[str, Any]) -> dict[str, Any]:
        """Let one way sweep; return its figures."""
        if way.peer is None:
            outcome = contest.ask_orimap(
                way, self.inputs, self.warm_up, folder, self.arguments.repeats
            )
            if way.name == REFERENCE and outcome.answer:
                figures["plain_read"] = self._reads(outcome)
        elif self.peers == "scaled":
            return self._scaled(way, figures)
        else:
            sampled = self.peers == "sampled"
            ks = spread(self.size.ks)
            outcome = contest.ask_peer(
                self.arguments.peers_python,
                way,
                self.inputs,
                self.warm_up,
                folder,
                ks=ks[:SAMPLED_KS] if sampled else ks,
                sampled=sampled,
                most_seconds=self.arguments.seconds,
            )
        row = sections.row_of(outcome, list(self.size.ks), self._known_iterations(way))
        if way.peer and not row["seconds"] and self.known:
            return self._scaled(way, figures) | {"failure": row["failure"]}
        if way is not HELD_OUT:
            row |= self._quality(score.read_factors(folder))
        return row

    def _known_iterations(self, way: Way) -> dict[int, int]:
        """Return how many iterations a way took on the next smaller scan, by k."""
        row = (self.known or {"ways": {}})["ways"].get(way.name, {})
        return {int(k): count for k, count in row.get("iterations", {}).items()}

    def _scaled(self, way: Way, figures: dict[str, Any]) -> dict[str, Any]:
        """Return figures that follow from the next smaller scan."""
        if not self.known:
            return {"seconds": None, "extrapolated": None, "failure": "no smaller scan measured"}
        factor = sections.growth(way, figures, self.known)
        row = self.known["ways"].get(way.name, {})
        return sections.scaled(row, factor, smaller(self.size.name).name, way.cost_grows_with)

    def _quality(self, factors: score.Factors) -> dict[str, Any]:
        """Score the factors of every k against the matrix, and the map at the true k."""
        blocks = ours.weighted_rows(self.prepared)
        quality: dict[str, Any] = {"relative_error": score.relative_errors(blocks, factors)}
        k = self.size.recipe.grains
        if k in factors:
            weights, patterns = factors[k]
            found = score.label(weights, ours.component_sums(self.prepared, patterns))
            quality["ari"] = score.adjusted_rand_index(self.inputs.labels, found)
        return quality

    def _held_out(self, folder: Path) -> dict[str, dict[int, float]]:
        """Return the held-out deviance of both ways that fitted the training half."""
        found = {}
        asked = {OURS_HELD_OUT: "training-k*.npz", HELD_OUT.name: "k*.npz"}
        with process_client(available_cores()) as client:
            for name, files in asked.items():
                patterns = [
                    np.load(file)["patterns"] for file in sorted((folder / name).glob(files))
                ]
                images = [ours.images_in_counts(self.prepared, part) for part in patterns]
                if images:
                    deviances = ours.held_out_deviance(client, self.prepared, images)
                    found[name] = dict(zip(map(len, images), deviances, strict=True))
        return found

    def _reads(self, outcome: contest.Outcome) -> dict[str, float]:
        """Return the seconds of one plain read, the median of several."""
        store = self.prepared.patterns.store / "raw" / "pattern_intensity"
        itemsize = self.prepared.patterns.stored(self.prepared.patterns.blocks()[0], "raw").itemsize
        return {
            "workers": float(np.median(outcome.answer.reads)),
            "one_process": float(np.median(outcome.answer.reads_here)),
            "array_bytes": itemsize * self.size.entries,
            "stored_bytes": sum(f.stat().st_size for f in store.rglob("*") if f.is_file()),
        }

    def _enter(self, figures: dict[str, Any]) -> None:
        """Write the section as far as it is known, ways in their order."""
        order = [way.name for way in WAYS]
        figures["ways"] = dict(sorted(figures["ways"].items(), key=lambda i: order.index(i[0])))
        results.add_section(self.file, self.section, sections.ratios_of(figures), figures)


def told(row: dict[str, Any]) -> str:
    """Say in one line what came of a way."""
    if not row["seconds"]:
        return f"no answer: {row['failure']}"
    about = f"about {row['seconds']:.3g} s ({row['extrapolated']})"
    return about if row["extrapolated"] else f"{row['seconds']:.3g} s"


if __name__ == "__main__":
    main()
