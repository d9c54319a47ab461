"""Index spots with quantem: python in_quantem.py SPOTS OUTPUT (in an environment of its own).

As its documentation proposes: plan, match, refine, with the defaults of each. Neighbours are not
asked, since clusters have none here. Precession is told where there is some.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from quantem.core.datastructures.vector import Vector
from quantem.diffraction.crystal import Crystal
from quantem.diffraction.orientation import OrientationMap
from quantem.diffraction.rotations import quat_to_matrix

K_MAX = 2.0


def main() -> None:
    """Index every scan."""
    torch.set_num_threads(1)
    spots, output = map(Path, sys.argv[1:3])
    output.mkdir(parents=True, exist_ok=True)
    for path in sorted(spots.glob("*.npz")):
        with np.load(path) as file:
            held = dict(file)
        count = len(held["truth"])
        rows = [
            # The direct beam is one of the peaks there.
            np.concatenate(
                [
                    [[0.0, 0.0, held["height"].max()]],
                    np.column_stack([held[each] for each in ("x", "y", "height")])[
                        held["pattern"] == number
                    ],
                ]
            )
            for number in range(count)
        ]
        started = time.process_time()
        atoms = Atoms(
            numbers=held["numbers"],
            scaled_positions=held["positions"],
            cell=held["edges"],
            pbc=True,
        )
        atoms.arrays["occupancy"] = held["occupancy"]
        crystal = Crystal.from_ase(atoms, verbose=False).calculate_structure_factors(k_max=K_MAX)
        peaks = Vector.from_data(
            [rows], fields=["qx", "qy", "intensity"], units=["A^-1", "A^-1", "counts"],
            dtype=torch.float64,
        )  # fmt: skip
        found = OrientationMap.from_vectors(
            peaks, crystal, float(held["energy_kev"]) * 1e3, float(held["precession_deg"])
        )
        found.build_plan(verbose=False, progress_bar=False)
        found.match_orientations(progress_bar=False)
        found.refine_orientations(neighbor_rescue=False, progress_bar=False)
        seconds = time.process_time() - started
        rotation = quat_to_matrix(found.quats[0, :, 0]).numpy()
        matched = found.quats[0, :, 0].norm(dim=-1).numpy() > 0.5
        np.savez(
            output / path.name,
            rotation=np.where(matched[:, None, None], rotation, np.nan),
            confidence=found.reliability.reshape(count).numpy(),
            seconds=seconds,
        )
        print(path.stem, f"{seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
