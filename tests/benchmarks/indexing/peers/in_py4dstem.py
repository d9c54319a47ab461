"""Index spots with py4DSTEM: python in_py4dstem.py SPOTS OUTPUT (in an environment of its own).

Zone axes over the cubic sector, which all three crystals have, 1 degree apart, and 2 degrees about
the beam, as in its tutorial. Precession cannot be told. Confidence is the score.
"""

import sys
import time
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")
import numpy as np
from emdfile import PointList
from py4DSTEM.process.diffraction import Crystal

K_MAX = 2.0
CUBIC = np.array([[0, 1, 1], [1, 1, 1]])
FIELDS = [("qx", float), ("qy", float), ("intensity", float)]


def main() -> None:
    """Index every scan."""
    spots, output = map(Path, sys.argv[1:3])
    output.mkdir(parents=True, exist_ok=True)
    for path in sorted(spots.glob("*.npz")):
        with np.load(path) as file:
            held = dict(file)
        started = time.process_time()
        crystal = Crystal(held["positions"], held["numbers"], held["edges"], held["occupancy"])
        crystal.calculate_structure_factors(K_MAX)
        crystal.orientation_plan(
            zone_axis_range=CUBIC, angle_step_zone_axis=1.0, angle_step_in_plane=2.0,
            accel_voltage=float(held["energy_kev"]) * 1e3, progress_bar=False,
        )  # fmt: skip
        rotations, scores = [], []
        for number in range(len(held["truth"])):
            own = held["pattern"] == number
            table = np.zeros(own.sum(), FIELDS)
            for (field, _), each in zip(FIELDS, ("x", "y", "height"), strict=True):
                table[field] = held[each][own]
            found = crystal.match_single_pattern(PointList(table), verbose=False)
            # Its matrices take the laboratory to the crystal.
            scores.append(float(found.corr[0]))
            rotations.append(found.matrix[0].T if scores[-1] > 0 else np.full((3, 3), np.nan))
        seconds = time.process_time() - started
        np.savez(
            output / path.name, rotation=np.array(rotations), confidence=scores, seconds=seconds
        )
        print(path.stem, f"{seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
