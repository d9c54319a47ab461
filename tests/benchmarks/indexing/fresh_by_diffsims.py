"""Draw patterns of known orientations by diffsims, for known_orientations.py to index.

    python fresh_by_diffsims.py CRYSTALS OUTPUT [--patterns 12] [--seed 0]

Runs in an environment of its own (requirements.txt), without orimap: reflections, scattering
factors (Lobato's), rocking curve, precession and the frame are those of diffsims. Each CIF of
CRYSTALS makes one scan, NAME.npz in OUTPUT: ``place`` (x, y in 1/Å) and ``brightness`` of the
spots of ``pattern``, and the ``rotation`` of each pattern from the crystal to the sample.
"""

import argparse
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from diffpy.structure.structureerrors import StructureFormatError
from diffsims.generators.simulation_generator import SimulationGenerator
from orix.crystal_map import Phase
from orix.quaternion import Rotation

ENERGIES_KEV = (80, 120, 200, 300)
CURVES = ("lorentzian", "sinc", "atanc", "linear")
Q_MAX = 1.8


def read_phase(file: Path) -> Phase:
    """Read a crystal.

    diffpy counts an atom on a special position twice where its coordinates are rounded, so thirds
    are written out.
    """
    text = file.read_text()
    for third, exact in (("0.3333", "0.33333333"), ("0.6667", "0.66666667")):
        text = re.sub(rf"(?<![0-9]){re.escape(third)}(?![0-9])", exact, text)
    with TemporaryDirectory() as folder:
        path = Path(folder) / file.name
        path.write_text(text)
        return Phase.from_cif(str(path))


def main() -> None:
    """Simulate every crystal once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("crystals", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--patterns", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    asked.output.mkdir(parents=True, exist_ok=True)
    for number, file in enumerate(sorted(asked.crystals.glob("*.cif"))):
        rng = np.random.default_rng([7, asked.seed, number])
        try:
            phase = read_phase(file)
        except StructureFormatError as error:  # settings that diffpy does not know
            print(f"{file.stem}: {error}", flush=True)
            continue
        energy = int(rng.choice(ENERGIES_KEV))
        precession = float(rng.choice([0.0, 0.0, 0.5, 0.8]))
        curve = str(rng.choice(CURVES))
        width = float(rng.uniform(0.008, 0.02))
        generator = SimulationGenerator(energy, "lobato", precession, curve)
        quaternions = rng.standard_normal((asked.patterns, 4))
        rotations = Rotation(quaternions / np.linalg.norm(quaternions, axis=1)[:, None])
        simulated = generator.calculate_diffraction2d(
            phase, rotations, Q_MAX, with_direct_beam=False, max_excitation_error=width
        )
        spots = [each.data for each in simulated.coordinates]
        brightness = [np.asarray(each.intensity) for each in simulated.coordinates]
        # orix's take the sample to the crystal.
        to_sample = np.swapaxes(rotations.to_matrix(), 1, 2)
        np.savez_compressed(
            asked.output / f"{file.stem}_{asked.seed}.npz",
            crystal=file.stem,
            rotation=to_sample,
            pattern=np.repeat(np.arange(len(spots)), [len(each) for each in spots]),
            place=np.concatenate(spots)[:, :2],
            brightness=np.concatenate(brightness),
            energy_kev=energy,
            precession_deg=precession,
        )
        print(f"{file.stem}: {energy} keV, precession {precession}, {curve} of {width:.4f} 1/Å, "
              f"spots {[len(each) for each in spots]}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
