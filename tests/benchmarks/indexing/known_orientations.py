"""Index patterns of known orientations that other programs have drawn.

    python tests/benchmarks/indexing/known_orientations.py FOLDER [--each]

FOLDER has the scans that fresh_by_diffsims.py or dynamical.py wrote. Spots become discs; direct
beam, background, overlap, a wrong calibration and counting noise are added, as in reliability.py.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from scenes import CRYSTALS, Counted, Score, counted

from orimap.tasks.acquire.formats.calibration import electron_wavelength
from orimap.tasks.errors import InputError
from orimap.tasks.index.crystals.read_cif import read_crystal
from orimap.tasks.index.index_results import Setup, index_patterns
from orimap.tasks.index.orientations.refine import Camera
from orimap.tasks.patterns.reflections.spots.shape import add_disc, spot_shape

FAINTEST_SHARE = 1e-4


def read_patterns(held: dict, rng: np.random.Generator) -> Counted:
    """Return the patterns of one scan as they would be counted."""
    wavelength = electron_wavelength(float(held["energy_kev"]))
    if "images" in held:
        size = held["images"].shape[-1]
        middle = np.full(2, (size - 1) / 2)
        camera = Camera(float(held["step"]), wavelength)
        shape = spot_shape(float(held["radius"]))
        return counted(rng, held["images"], middle, shape, camera, with_beam=False)
    size = int(rng.choice([96, 128, 160]))
    camera = Camera(rng.uniform(1.2, 1.5) * 2 / size, wavelength)
    # Contrast as it comes, or stretched, as displays do.
    power = rng.choice([0.5, 0.75, 1.0])
    shape = spot_shape(rng.uniform(1.6, 2.6))
    middle = (size - 1) / 2 + rng.uniform(-0.3, 0.3, 2)
    discs = np.zeros((len(held["rotation"]), size, size), np.float32)
    for number, disc in enumerate(discs):
        own = held["pattern"] == number
        height = held["brightness"][own] ** power
        kept = height > FAINTEST_SHARE * height.max(initial=0)
        place = held["place"][own][kept] / camera.step
        for (x, y), each in zip(place, height[kept], strict=True):
            add_disc(disc, middle[0] + y, middle[1] + x, each, shape)
        disc /= max(disc.sum(), 1e-9)
    return counted(rng, discs, middle, shape, camera)


def main() -> None:
    """Index every scan and print a line for each, and what comes of all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--each", action="store_true", help="every pattern on a line")
    asked = parser.parse_args()
    scores = []
    for number, path in enumerate(sorted(asked.folder.glob("*.npz"))):
        with np.load(path) as file:
            held = dict(file)
        crystal = read_crystal(CRYSTALS / f"{held['crystal']}.cif")
        scene = read_patterns(held, np.random.default_rng([11, number]))
        started = time.process_time()
        try:
            indexed, scan, measured = index_patterns(
                scene.patterns, [crystal], Setup(precession_deg=float(held["precession_deg"]))
            )
        except InputError as error:
            print(f"{path.stem:34}{error.in_one_line}", flush=True)
            continue
        seconds = time.process_time() - started
        own = scene.own_reflections(measured)
        scores.append(Score.of(indexed, own, held["rotation"], crystal))
        print(f"{path.stem:34}{scores[-1].summary()}; {seconds:.1f} s, {scan.rocking}", flush=True)
        lines = scores[-1].unflagged()
        if asked.each:
            lines = [
                f"      spots {s} error {e:.2f} reliability {r:.3f}"
                for s, e, r in zip(scores[-1].spots, scores[-1].error, scores[-1].reliability,
                                   strict=True)
            ]  # fmt: skip
        print("\n".join(lines), end="\n" if lines else "")
    together = Score.join(scores)
    print("all:", together.summary(), *together.limits(), sep="\n")


if __name__ == "__main__":
    main()
