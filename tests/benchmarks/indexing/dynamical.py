"""Draw patterns of known orientations by Bloch waves, for known_orientations.py to index.

    python dynamical.py GENERATOR OUTPUT [--scans 3] [--patterns 8] [--seed 0]

GENERATOR is a folder with bloch.py: ``Structure(name)`` of a crystal and ``grain``, which returns
the images of one orientation over thicknesses and tilts. Runs in an environment of its own
(requirements.txt), without orimap. Every grain has a thickness that varies within it, and a small
mosaic of tilts. Written are NAME.npz in OUTPUT: ``images``, direct beam included, and the
``rotation`` of each from the crystal to the sample.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

# Names of the generator and of CIFs, all cubic and centrosymmetric.
CRYSTALS = (("lmno", "lnmo_disordered"), ("si", "silicon"), ("au", "gold"))
SIZE, ENERGY_KEV = 112, 200
TILTS_DEG = ((0.0, 0.0), (0.12, 0.0), (-0.06, 0.1), (-0.06, -0.1))


def main() -> None:
    """Simulate scans of each crystal in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("generator", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--scans", type=int, default=3)
    parser.add_argument("--patterns", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    sys.path.insert(0, str(asked.generator))
    import bloch

    asked.output.mkdir(parents=True, exist_ok=True)
    for number in range(asked.scans):
        rng = np.random.default_rng([9, asked.seed, number])
        name, file = CRYSTALS[number % len(CRYSTALS)]
        structure = bloch.Structure(name)
        q_max, radius = rng.uniform(1.25, 1.4), rng.uniform(1.7, 2.4)
        precession = 0.0 if number // len(CRYSTALS) % 2 == 0 else 0.6
        rotations = Rotation.random(asked.patterns, rng=rng).as_matrix()
        images = np.zeros((asked.patterns, SIZE, SIZE), np.float32)
        for image, rotation in zip(images, rotations, strict=True):
            middle = rng.uniform(150, 500)
            thicknesses = np.linspace(0.8, 1.2, 7) * middle
            discs, _, diffuse = bloch.grain(
                structure, rotation, det=SIZE, qmax=q_max, kv=ENERGY_KEV, r_px=radius,
                t=thicknesses, tilts=TILTS_DEG, precession=precession,
            )  # fmt: skip
            mean = discs.mean(axis=(0, 1))
            image[:] = mean + 0.5 * max(1 - mean.sum(), 0) * diffuse.mean(axis=0)
            image /= image.sum()
        # Electrons travel along z there. A half turn about z and the inversion, which these
        # crystals have, make of it the frame in which they travel against z.
        to_sample = np.diag([-1.0, -1, 1]) @ rotations
        np.savez_compressed(
            asked.output / f"{file}_{asked.seed}_{number}.npz",
            crystal=file,
            rotation=to_sample,
            images=images,
            step=2 * q_max / SIZE,
            radius=radius,
            energy_kev=ENERGY_KEV,
            precession_deg=precession,
        )
        print(f"{file}: {asked.patterns} patterns, precession {precession}", flush=True)


if __name__ == "__main__":
    main()
