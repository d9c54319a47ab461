"""How near the orientations are that orimap finds, on simulated scans with known ones.

    python tests/benchmarks/indexing/shared_scans.py SCANS [--results FOLDER] [--crystals FOLDER]
        [--scale FACTOR] [--all-crystals] [--names NAME ...]

SCANS has NAME.npz, with ``patterns``, ``labels`` and ``quaternions`` (scalar first, from the
sample's frame into the crystal's, as orix has them; x along detector columns, y along rows), and
NAME.json, with material, kV, pixels and the scale. Indexed are the true mean patterns, with the
counting noise of a grain's positions; with ``--results`` the clusters of orimap's results in
FOLDER/NAME, their mean patterns, those of the factorisation, and both as orimap does, each compared
with the grain that most of its positions belong to. ``--scale`` makes the calibration wrong by a
factor; ``--all-crystals`` gives all crystals at once. Printed are, for each scan, the median error
in degrees over all patterns and over those with 8 reflections or more, their shares within 1 and 3
degrees, how many errors above 3 degrees are not flagged, how many patterns are not reliable, and
the processor time in seconds.
"""

import argparse
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from orimap.tasks.acquire.formats.calibration import electron_wavelength
from orimap.tasks.errors import InputError
from orimap.tasks.index.crystals.read_cif import read_crystal
from orimap.tasks.index.crystals.symmetry import as_matrices, laue_turns, misorientation_deg
from orimap.tasks.index.index_results import (
    Patterns,
    Setup,
    index_patterns,
    patterns_of_results,
)
from orimap.tasks.index.orientations.refine import Camera
from orimap.tasks.store.open_results import open_results

CRYSTALS = Path(__file__).parents[2] / "tasks" / "index" / "crystals"
FILES = {"lmno": "lnmo_disordered", "si": "silicon", "au": "gold"}
MANY_REFLECTIONS, WRONG_DEG = 8, 3.0


@dataclass(frozen=True)
class Truth:
    """A scan: its grains' patterns, orientations (crystal to sample) and where they are."""

    facts: dict
    patterns: np.ndarray
    rotation: np.ndarray
    labels: np.ndarray
    masked: np.ndarray


def read_truth(scans: Path, name: str) -> Truth:
    """Read a scan's truth."""
    with np.load(scans / f"{name}.npz") as held:
        return Truth(
            json.loads((scans / f"{name}.json").read_text()),
            held["patterns"],
            np.swapaxes(as_matrices(held["quaternions"]), 1, 2),
            held["labels"],
            held["hot_mask"] | held["dead_mask"],
        )


def true_means(truth: Truth, seed: int = 0) -> Patterns:
    """Return the mean patterns as they would be counted over each grain's positions."""
    facts = truth.facts
    positions = np.bincount(truth.labels[truth.labels >= 0], minlength=len(truth.patterns))
    expected = truth.patterns * facts["dose"] * positions[:, None, None]
    counted = np.random.default_rng(seed).poisson(expected) / positions[:, None, None]
    middle = (np.array(counted.shape[1:]) - 1) / 2
    radius = 2.93 if facts["det"] >= 128 else 2.2
    camera = Camera(facts["px_scale_invA"], electron_wavelength(facts["kv"]))
    return Patterns(counted, positions, ~truth.masked, middle, radius, True, camera)


def grain_of_clusters(labels: np.ndarray, truth: Truth, clusters: int) -> np.ndarray:
    """Return the grain that most positions of each cluster belong to."""
    return np.array(
        [
            np.bincount(truth.labels[(labels == each) & (truth.labels >= 0)], minlength=1).argmax()
            for each in range(clusters)
        ]
    )


def main() -> None:
    """Index every scan and print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scans", type=Path)
    parser.add_argument("--names", nargs="*")
    parser.add_argument("--results", type=Path)
    parser.add_argument("--crystals", type=Path, default=CRYSTALS)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--all-crystals", action="store_true")
    parser.add_argument("--each", action="store_true", help="every pattern on a line")
    asked = parser.parse_args()
    names = asked.names or sorted(path.stem for path in asked.scans.glob("*.npz"))
    columns = f"{'n':>3}{'median':>8}{'<1°':>6}{'<3°':>6}"
    print(f"{'scan':22}{'of':10}{columns}  {columns}  {'unflagged':>9}{'flagged':>8}{'s':>6}")
    for name in names:
        truth = read_truth(asked.scans, name)
        file = FILES[truth.facts["material"]]
        files = [file] + [each for each in FILES.values() if each != file and asked.all_crystals]
        crystals = [read_crystal(asked.crystals / f"{each}.cif") for each in files]
        turns = laue_turns(crystals[0])
        setup = Setup(precession_deg=truth.facts["precession"])
        ways = [("truth", true_means(truth), np.arange(len(truth.patterns)))]
        if asked.results:
            tree = open_results(asked.results / name)
            labels = tree["clusters"]["cluster_label"].values
            means, factors = (
                patterns_of_results(
                    tree["clusters"].to_dataset(),
                    asked.results / name / "analysis.zarr",
                    asked.results / name / "patterns.zarr",
                    setup,
                    representatives=each,
                )
                for each in (False, True)
            )
            grain = grain_of_clusters(labels, truth, len(means.images))
            ways += [("means", means, grain), ("factors", factors, grain), ("both", means, grain)]
        for way, patterns, grain in ways:
            camera = replace(patterns.camera, step=patterns.camera.step * asked.scale)
            others = factors if way == "both" else None
            started = time.process_time()
            try:
                indexed, scan, measured = index_patterns(
                    replace(patterns, camera=camera), crystals, setup, others=others
                )
            except InputError as error:
                print(f"{name:22}{way:10}{error.in_one_line}")
                continue
            seconds = time.process_time() - started
            error = misorientation_deg(indexed.rotation, truth.rotation[grain], turns)
            error = np.where(indexed.phase == 0, error, 180.0)
            many = measured.counts[: len(grain)] >= MANY_REFLECTIONS
            parts = []
            for some in (np.ones(len(many), bool), many):
                e = error[some]
                parts.append(
                    f"{some.sum():3d}{np.median(e):8.2f}{(e < 1).mean():6.0%}{(e < 3).mean():6.0%}"
                    if len(e)
                    else f"{0:3d}{'':20}"
                )
            wrong = (error > WRONG_DEG) & indexed.indexed
            print(
                f"{name:22}{way:10}{parts[0]}  {parts[1]}  {wrong.sum():9d}"
                f"{(~indexed.indexed).sum():8d}{seconds:6.1f}  x{scan.factor:.4f}",
                flush=True,
            )
            for n in range(len(grain) if asked.each else 0):
                print(
                    f"    grain {grain[n]:2d} spots {measured.counts[n]:3d} error {error[n]:7.3f} "
                    f"phase {indexed.phase[n]:2d} score {indexed.score[n]:.3f} reliability "
                    f"{indexed.reliability[n]:.3f} margin {indexed.margin[n]:.3f} "
                    f"ambiguous {indexed.ambiguous[n]:d}"
                )


if __name__ == "__main__":
    main()
