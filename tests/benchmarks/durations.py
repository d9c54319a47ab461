"""How long runs take: what ``orimap.tasks.duration`` is fitted to.

    python tests/benchmarks/durations.py

Runs ``orimap run`` on simulated scans of several sizes and prints time, processor time of all
processes, the time predicted, and the time of every step. For an idle machine.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from orimap.tasks.duration import predict_seconds

ORIMAP = Path(sys.executable).with_name("orimap")
SIZES = [((32, 32), (96, 96)), ((64, 64), (128, 128)), ((128, 128), (128, 128))]


def measure(scan: tuple[int, int], detector: tuple[int, int], folder: Path) -> dict:
    """Simulate and run a scan of one size."""
    file, results = folder / "scan.zarr", folder / "results"
    shapes = ("--scan", "x".join(map(str, scan)), "--detector", "x".join(map(str, detector)))
    subprocess.run(
        [ORIMAP, "simulate", file, *shapes, "--quiet"], check=True, stdout=subprocess.DEVNULL
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run(
        [ORIMAP, "run", file, "--output", results, "--quiet"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    record = json.loads((results / "run.json").read_text())
    return {
        "scan": scan,
        "detector": detector,
        "seconds": round(seconds, 1),
        "processor seconds": round(after.ru_utime - before.ru_utime, 1),
        "predicted": round(predict_seconds(scan, detector, workers=record["machine"]["cores"]), 1),
        "steps": {step["name"]: round(step["seconds"], 1) for step in record["steps"]},
    }


if __name__ == "__main__":
    for size in SIZES:
        with tempfile.TemporaryDirectory() as made:
            print(json.dumps(measure(*size, Path(made))), flush=True)
