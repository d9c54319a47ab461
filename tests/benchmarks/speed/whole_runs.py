"""How long whole runs take and how much memory, step by step, against what is predicted.

    python tests/benchmarks/speed/whole_runs.py [--cases small medium dense] [--output FOLDER]
        [--keep FILE]

Runs ``orimap run`` on simulated scans and prints time, memory of all processes and its prediction
for every step. What ``orimap.tasks.stream.duration`` and ``orimap.tasks.stream.memory`` are fitted
to. For an idle machine. ``--keep`` puts the ratios into a file of figures (results.py).
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from results import Ratio, add_section

from orimap.tasks.stream.duration import START_SECONDS, predict_step_seconds

ORIMAP = Path(sys.executable).with_name("orimap")


@dataclass(frozen=True)
class Case:
    """One scan: its shapes, and whether it is of counts or of floating-point numbers."""

    scan: tuple[int, int]
    detector: tuple[int, int]
    dense: bool = False


CASES = {
    "tiny": Case((32, 32), (96, 96)),
    "small": Case((64, 64), (128, 128)),
    "medium": Case((128, 128), (256, 256)),
    "large": Case((250, 400), (512, 512)),
    "dense": Case((48, 64), (128, 128), dense=True),
}


def measure(case: Case, folder: Path) -> dict:
    """Simulate and run a scan."""
    results, file = folder / "results", folder / ("scan.npy" if case.dense else "scan.zarr")
    if not file.exists():
        shapes = (("--scan", case.scan), ("--detector", case.detector))
        given = [word for name, (y, x) in shapes for word in (name, f"{y}x{x}")]
        quietly([ORIMAP, "simulate", file, *given, "--force", "--quiet"])
        if case.dense:
            counts = np.load(file)
            rng = np.random.default_rng(0)
            # As of a camera that integrates: a gain, and noise that is read out.
            np.save(file, (3.7 * counts + rng.normal(0, 1, counts.shape)).astype(np.float32))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    quietly([ORIMAP, "run", file, "--output", results, "--restart", "--quiet"])
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    record = json.loads((results / "run.json").read_text())
    cores = record["machine"]["cores"]
    return {
        "seconds": seconds,
        "processor_seconds": after.ru_utime - before.ru_utime,
        "predicted_seconds": START_SECONDS
        + sum(predict_step_seconds(case.scan, case.detector, workers=cores).values()),
        "peak_bytes": record["peak_bytes"],
        "predicted_peak_bytes": record["predicted_peak_bytes"],
        "steps": {step["name"]: step for step in record["steps"]},
    }


def quietly(command: list) -> None:
    """Run a command; its errors are shown."""
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)


def show(name: str, found: dict) -> None:
    """Print the table of one case."""
    print(
        f"\n{name}: {found['seconds']:.0f} s (predicted {found['predicted_seconds']:.0f}), "
        f"{found['processor_seconds']:.0f} s of processor time, "
        f"{found['peak_bytes'] / 2**20:.0f} MB (predicted "
        f"{found['predicted_peak_bytes'] / 2**20:.0f})"
    )
    print("step         seconds  measured MB  predicted MB  predicted / measured")
    for step, one in found["steps"].items():
        measured = one["peak_bytes"]
        predicted = one["predicted_bytes"]
        said = f"{predicted / 2**20:13.0f} {predicted / measured:21.2f}" if predicted else ""
        print(f"{step:12s} {one['seconds']:7.1f} {measured / 2**20:12.0f} {said}")


def main() -> None:
    """Measure the cases that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=["small", "medium", "dense"])
    parser.add_argument("--output", type=Path, help="where scans and results stay")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="of figures")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        for name in arguments.cases:
            folder = (arguments.output or Path(made)) / name
            folder.mkdir(parents=True, exist_ok=True)
            found = measure(CASES[name], folder)
            show(name, found)
            if arguments.keep:
                ratios = {
                    "memory predicted / measured": Ratio(
                        found["predicted_peak_bytes"] / found["peak_bytes"], tolerance=0.3
                    )
                }
                add_section(arguments.keep, f"whole-run-{name}", ratios, found)


if __name__ == "__main__":
    main()
