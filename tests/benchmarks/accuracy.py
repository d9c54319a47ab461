"""How often the decided number of patterns is right, on simulated scans with known grains.

    python tests/benchmarks/accuracy.py [--seeds 0:20] [--set NAME=VALUE ...] [--scans FOLDER]
        [--ask NAME=VALUE ...]

Simulates the scan of ``orimap demo`` for every seed (``--set bend=1`` and the like change the
recipe), or takes every NAME.hspy of a folder with its truth NAME.npz; analyses it as ``orimap run``
does and prints, per scan, k, adjusted Rand index, overlap F1 and seconds, and the totals at the
end. ``--ask filter=epattern centre=no`` and the like go to the run; ``--k-true`` fixes the number
of components at the truth. A quick look: ``deciding/`` compares ways of deciding on harder scans.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from orimap.flows.pipeline.pipeline import run_pipeline
from orimap.flows.pipeline.runtime.runner import NoDisplay, PlainRunner
from orimap.flows.request.request import Request
from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.truth import read_truth
from orimap.tasks.simulate.write_scan import write_scan

sys.path.append(str(Path(__file__).parent / "deciding"))  # its modules find one another so
from ask_orimap import shared_workers


def score(results: Path, truth: Path) -> dict:
    """Compare a run with the truth."""
    tree = xr.open_datatree(results / "analysis.zarr", engine="zarr", consolidated=False)
    label = tree["clusters"]["cluster_label"].values
    known = read_truth(truth, label.shape)
    scored = known.score(label, tree["overlap"]["overlap_ratio"].values)
    return {
        "k": int(tree.attrs["decided_k"]),
        "true": known.grains,
        "fitted": int(tree.attrs["fitted_k"]),
        "ari": round(scored["ari"], 4),
        "f1": round(scored["overlap_f1"], 3),
        "confidence": tree["decision"].attrs["confidence"],
    }


def scans(arguments: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Path, Path]]:
    """Yield name, file and truth of every scan."""
    if arguments.scans:
        for file in sorted(arguments.scans.glob("*.hspy")):
            yield file.stem, file, file.with_suffix(".npz")
        return
    first, last = (int(part) for part in arguments.seeds.split(":"))
    changes = {name: json.loads(value) for name, value in (s.split("=", 1) for s in arguments.set)}
    for seed in range(first, last):
        file = folder / f"seed{seed}.zarr"
        write_scan(ScanRecipe(seed=seed, **changes), file, force=True)
        yield f"seed {seed}", file, file.with_suffix(".npz")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="0:20")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE")
    parser.add_argument("--scans", type=Path)
    parser.add_argument("--ask", nargs="*", default=[], metavar="NAME=VALUE")
    parser.add_argument("--k-true", action="store_true")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as made, shared_workers():
        for name, file, truth in scans(arguments, Path(made)):
            asked = dict(option.split("=", 1) for option in arguments.ask)
            if arguments.k_true:
                grains = np.load(truth)["weights"].shape[-1]
                asked["k"] = (grains, grains)
            output = Path(made) / "results" / file.stem
            started = time.perf_counter()
            run_pipeline(Request.read(file=file, output=output, **asked), PlainRunner(NoDisplay()))
            seconds = round(time.perf_counter() - started, 1)
            rows.append({**score(output, truth), "seconds": seconds})
            print(name, json.dumps(rows[-1]), flush=True)
    exact = [row for row in rows if row["k"] == row["true"]]
    good = [row for row in exact if row["ari"] >= 0.95]
    print(
        f"{len(rows)} scans: k exact on {len(exact)}, within one on "
        f"{sum(abs(row['k'] - row['true']) <= 1 for row in rows)}; exact with ARI of .95 or more "
        f"on {len(good)}; median ARI {np.median([row['ari'] for row in rows]):.3f}, "
        f"lowest {min(row['ari'] for row in rows):.3f}; "
        f"median {np.median([row['seconds'] for row in rows]):.0f} s"
    )


if __name__ == "__main__":
    main()
