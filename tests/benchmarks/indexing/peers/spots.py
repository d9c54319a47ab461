"""Write the reflections of results, as orimap measures and indexes them, for its peers.

    python tests/benchmarks/indexing/peers/spots.py SCANS RESULTS OUTPUT [--names NAME ...]

SCANS has each scan's truth (../shared_scans.py), RESULTS the folder of its results. Written is
NAME.npz in OUTPUT: ``pattern``, ``x`` and ``y`` (1/Å, by the true calibration) and ``height`` of
the reflections of each cluster's mean pattern; the atoms of the crystal; energy and precession;
the true ``rotation``, that of orimap, which ones orimap calls reliable, and its processor time.
"""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import gemmi
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from shared_scans import CRYSTALS, FILES, grain_of_clusters, read_truth

from orimap.tasks.index.crystals.read_cif import read_crystal
from orimap.tasks.index.crystals.symmetry import laue_turns
from orimap.tasks.index.index_results import Setup, index_patterns, patterns_of_results
from orimap.tasks.store.groups import open_group


def main() -> None:
    """Write the spots of every scan that has results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scans", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--names", nargs="*")
    asked = parser.parse_args()
    asked.output.mkdir(parents=True, exist_ok=True)
    for name in asked.names or sorted(path.stem for path in asked.scans.glob("*.npz")):
        truth = read_truth(asked.scans, name)
        folder = asked.results / name
        crystal = read_crystal(CRYSTALS / f"{FILES[truth.facts['material']]}.cif")
        setup = Setup(precession_deg=truth.facts["precession"])
        found = open_group(folder / "analysis.zarr", "clusters")
        stores = [folder / "analysis.zarr", folder / "patterns.zarr"]
        means, factors = (
            patterns_of_results(found, *stores, setup, representatives=each)
            for each in (False, True)
        )
        index_patterns(means, [crystal], setup, others=factors)  # compiles and reads
        started = time.process_time()
        # Another crystal to orimap, so that nothing is kept from before.
        indexed, _, measured = index_patterns(means, [replace(crystal)], setup, others=factors)
        seconds = time.process_time() - started
        clusters = len(means.images)
        labels = found["cluster_label"].values
        there = np.isfinite(measured.y[:clusters])
        step = truth.facts["px_scale_invA"]
        numbers = [gemmi.Element(each).atomic_number for each in crystal.elements]
        np.savez_compressed(
            asked.output / f"{name}.npz",
            pattern=np.nonzero(there)[0],
            x=measured.x[:clusters][there] * step,
            y=measured.y[:clusters][there] * step,
            height=measured.height[:clusters][there],
            truth=truth.rotation[grain_of_clusters(labels, truth, clusters)],
            orimap=indexed.rotation,
            reliable=indexed.indexed,
            seconds=seconds,
            turns=laue_turns(crystal),
            edges=crystal.parameters,
            positions=crystal.positions,
            numbers=numbers,
            occupancy=crystal.occupancy,
            energy_kev=truth.facts["kv"],
            precession_deg=truth.facts["precession"],
        )
        print(f"{name}: {clusters} patterns, {there.sum()} reflections", flush=True)


if __name__ == "__main__":
    main()
