"""How orimap and a careful user do on realistic scans with known truth, side by side.

    python tests/benchmarks/deciding/realistic.py SCANS ... --output FOLDER [--seconds 900]

Each of SCANS is a folder of scans of one seed: NAME.npz with labels (scan_y, scan_x; -1 where there
is no specimen), weights (scan_y, scan_x, grain), k and k_ok (numbers that can be defended), and the
scan as ``data`` in it or as a camera's file NAME.* beside it. Adds one row for each scan and way to
FOLDER/realistic.csv; rows that are there are left as they are. ``realistic_table.py`` makes table
and figure.
"""

import argparse
import csv
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import ask_peers
import numpy as np
import xarray as xr
from rows import code_version
from sklearn.metrics import adjusted_rand_score

WAYS = ("orimap", "careful-user")
# One grain fills this part of a position, or more: inside it.
INSIDE = 0.95
OVERLAP = 0.5
# Of the likeliest shares that the true patterns allow.
ROUNDS = 80


@dataclass
class Scan:
    """How one way did on one scan; what does not apply is None.

    Parameters
    ----------
    seed, scan, way : str
    k, k_true : int
    defensible : bool
        Whether k is among the numbers that can be defended.
    ari, ari_inside : float
        Adjusted Rand index where there is specimen, and inside grains.
    ceiling : float
        The same of the likeliest map with the true mean pattern of every grain.
    white : float
        Share of the specimen without a cluster.
    false_overlap : float
        Share of the positions inside grains that are told to overlap.
    confidence : str
    seconds : float
    """

    seed: str
    scan: str
    way: str
    k_true: int
    k: int | None = None
    defensible: bool = False
    ari: float | None = None
    ari_inside: float | None = None
    ceiling: float | None = None
    white: float | None = None
    false_overlap: float | None = None
    confidence: str | None = None
    seconds: float | None = None
    failure: str | None = None
    measured: str = ""
    code: str = ""


def main() -> None:
    """Measure what is not measured yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scans", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--peers-python", type=Path, default=Path(sys.executable))
    parser.add_argument("--seconds", type=int, default=900, help="for the careful user")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    file = arguments.output / "realistic.csv"
    there = {(row.seed, row.scan, row.way) for row in read(file)}
    for folder in arguments.scans:
        for truth_file in sorted(folder.glob("*.npz")):
            asked = [w for w in arguments.ways if (folder.name, truth_file.stem, w) not in there]
            for row in measure(truth_file, asked, arguments.peers_python, arguments.seconds):
                append(file, row)
                print(f"{row.seed} {row.scan} {row.way}: {row.k} of {row.k_true}, ARI {row.ari}")


def measure(truth_file: Path, ways: list[str], python: Path, seconds: int) -> Iterator[Scan]:
    """Yield the row of every way about one scan."""
    if not ways:
        return
    truth = np.load(truth_file)
    with TemporaryDirectory() as made:
        made_here = Path(made)
        if "data" in truth:
            source = made_here / f"{truth_file.stem}.npy"
            np.save(source, truth["data"])
        else:
            beside = truth_file.parent.glob(f"{truth_file.stem}.*")
            source = next(f for f in beside if f.suffix not in (".npz", ".npy"))
        started = time.perf_counter()
        command = [sys.executable, "-m", "orimap.flows", "run", source, "--output", made_here / "r"]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        lasted = time.perf_counter() - started
        if done.returncode:
            raise SystemExit(f"{truth_file}: {done.stderr[-500:]}")
        raw = xr.open_zarr(made_here / "r" / "patterns.zarr", group="raw", consolidated=False)
        patterns = raw["pattern_intensity"].values
        top = ceiling(patterns, truth) if truth["weights"].shape[-1] > 1 else None
        for way in ways:
            row = Scan(truth_file.parent.name, truth_file.stem, way, int(truth["k"]), ceiling=top)
            row.measured, row.code = datetime.now(UTC).date().isoformat(), code_version()
            if way == "orimap":
                of_run(row, made_here / "r", lasted, truth)
            else:
                of_user(row, patterns, python, seconds, truth)
            yield row


def of_run(row: Scan, results: Path, seconds: float, truth: dict) -> None:
    """Enter what a run found."""
    tree = xr.open_datatree(results / "analysis.zarr", engine="zarr", consolidated=False)
    row.confidence, row.seconds = tree["decision"].attrs["confidence"], round(seconds, 1)
    label = tree["clusters"]["cluster_label"].values
    score(row, label, tree["overlap"]["overlap_ratio"].values, truth)
    tree.close()


def of_user(row: Scan, patterns: np.ndarray, python: Path, seconds: int, truth: dict) -> None:
    """Enter what a careful user finds, in a process of its own."""
    with TemporaryDirectory() as made:
        folder = Path(made)
        np.save(folder / "patterns.npy", patterns)
        command = [python, ask_peers.PEERS / "answer.py", "careful_user", folder / "patterns.npy"]
        command += [folder, row.way, "--seconds", seconds]
        started = time.perf_counter()
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        row.seconds = round(time.perf_counter() - started, 1)
        if not (folder / f"{row.way}.npz").exists():
            row.failure = (done.stderr.strip() or f"no answer within {seconds} s")[-200:]
            return
        with np.load(folder / f"{row.way}.npz") as found:
            score(row, found["label"], found["overlap_ratio"], truth)


def score(row: Scan, label: np.ndarray, ratio: np.ndarray, truth: dict) -> None:
    """Enter how near a map comes to the truth."""
    grain, largest = truth["labels"], truth["weights"].max(axis=-1)
    specimen = grain >= 0
    inside = specimen & (largest >= INSIDE)
    row.k = len(np.unique(label[label >= 0]))
    row.defensible = row.k in truth["k_ok"]
    row.ari = round(float(adjusted_rand_score(grain[specimen], label[specimen])), 4)
    row.white = round(float((label[specimen] < 0).mean()), 4)
    if inside.any():
        row.ari_inside = round(float(adjusted_rand_score(grain[inside], label[inside])), 4)
        row.false_overlap = round(float((ratio[inside] >= OVERLAP).mean()), 4)


def ceiling(patterns: np.ndarray, truth: dict) -> float:
    """Return the ARI of the likeliest shares of the true mean patterns, 2 x 2 binned, no beam."""
    side, half = patterns.shape[-1], patterns.shape[-1] // 2
    binned = np.maximum(patterns[..., : 2 * half, : 2 * half].astype(np.float32), 0)
    binned = binned.reshape(*patterns.shape[:2], half, 2, half, 2).sum(axis=(3, 5))
    y, x = np.indices((half, half)) - (half - 1) / 2
    rows = binned.reshape(-1, half * half)[:, (2 * np.hypot(y, x) > 0.055 * side + 1.5).ravel()]
    label = truth["labels"].ravel()
    weight = truth["weights"].reshape(len(label), -1)
    means = []
    for grain in range(weight.shape[1]):
        pure = weight[:, grain] > 0.9
        means.append(rows[pure if pure.sum() > 3 else label == grain].mean(axis=0))
    means = np.stack(means) + 1e-4
    means /= means.sum(axis=1, keepdims=True)
    share = np.repeat(rows.sum(axis=1, keepdims=True) / len(means), len(means), axis=1)
    for _ in range(ROUNDS):
        share *= (rows / np.maximum(share @ means, 1e-6)) @ means.T
    full = [
        np.percentile(share[weight[:, g] > 0.8, g], 60) if (weight[:, g] > 0.8).sum() > 2 else 1.0
        for g in range(len(means))
    ]
    specimen = label >= 0
    found = (share / full).argmax(axis=1)
    return round(float(adjusted_rand_score(label[specimen], found[specimen])), 4)


def append(path: Path, row: Scan) -> None:
    """Add a row."""
    names = [field.name for field in fields(Scan)]
    if not path.exists():
        path.write_text(",".join(names) + "\n")
    with path.open("a", newline="") as file:
        csv.DictWriter(file, names, lineterminator="\n").writerow(asdict(row))


def read(path: Path) -> list[Scan]:
    """Return the rows of a file, none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [_typed(row) for row in csv.DictReader(file)]


def _typed(row: dict[str, str]) -> Scan:
    """Return a row as it was before it was written."""
    text = {"seed", "scan", "way", "confidence", "failure", "measured", "code"}
    values = {}
    for name, value in row.items():
        if name in text:
            values[name] = value or None
        elif name == "defensible":
            values[name] = value == "True"
        else:
            values[name] = json.loads(value) if value else None
    return Scan(**values)


if __name__ == "__main__":
    main()
