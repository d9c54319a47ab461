"""Where the limit of reliability lies: random scans of many crystals, with orientations known.

    python tests/benchmarks/indexing/reliability.py [--scans 40] [--seed 0] [--half 0]

Each scan has a crystal out of tests/tasks/index/crystals, twelve orientations, a rocking curve of
one of three shapes, brightness that departs by a quarter from kinematical (as dynamical diffraction
makes it), a stretched contrast, foreign reflections of another grain, a calibration that is wrong
by up to 4 percent, and counting noise. On the first half of the scans the lowest limit is found
above which no orientation is off by more than 3 degrees; on the second half it is tried. The first
half are the even numbers, for tuning; ``--half`` takes one of them only.
"""

import argparse
import time

import numpy as np
from scenes import CRYSTALS, WRONG_DEG, Counted, Score, counted

from orimap.tasks.errors import InputError
from orimap.tasks.index.crystals.read_cif import read_crystal
from orimap.tasks.index.crystals.reflections import find_reflections
from orimap.tasks.index.index_results import index_patterns
from orimap.tasks.index.orientations.refine import Camera
from orimap.tasks.index.orientations.rocking import excitation_error
from orimap.tasks.patterns.reflections.spots.shape import add_disc, spot_shape
from orimap.tasks.simulate.crystal import random_rotation

PATTERNS, WAVELENGTH = 12, 0.02508


def curve(kind: int, s: np.ndarray, width: float) -> np.ndarray:
    """Return the intensity off the sphere: a foil of one thickness, of many, or of a bent one."""
    if kind == 0:
        foils = [np.sinc(each * s / (2 * width)) ** 2 for each in np.linspace(0.75, 1.25, 9)]
        return np.where(np.abs(s) < 5 * width, np.mean(foils, axis=0), 0)
    if kind == 1:
        return np.where(np.abs(s) < 4 * width, 1 / (1 + (s / width) ** 2), 0)
    return np.exp(-0.5 * (s / width) ** 2)


def draw_scan(rng: np.random.Generator) -> tuple[str, np.ndarray, Counted]:
    """Return the crystal's name, true rotations and the patterns of one random scan."""
    files = sorted(CRYSTALS.glob("*.cif"))
    crystal = read_crystal(files[rng.integers(len(files))])
    size = int(rng.choice([96, 128, 160]))
    step = rng.uniform(1.2, 1.5) * 2 / size
    reflections = find_reflections(crystal, size * step * 0.75)
    kind, width, power = rng.integers(3), rng.uniform(0.004, 0.01), rng.choice([0.5, 0.75, 1.0])
    shape = spot_shape(rng.uniform(1.6, 2.6))
    middle = (size - 1) / 2 + rng.uniform(-0.3, 0.3, 2)
    rotations = np.array([random_rotation(rng) for _ in range(PATTERNS)])
    discs = np.zeros((PATTERNS, size, size), np.float32)
    for disc, rotation in zip(discs, rotations, strict=True):
        g = reflections.g @ rotation.T
        s = excitation_error(g, WAVELENGTH)
        height = reflections.strength * curve(kind, s, width)
        height = (height * np.exp(0.25 * rng.standard_normal(len(g)))) ** power
        kept = height > 1e-4 * height.max()
        for (gx, gy), each in zip(g[kept, :2] / step, height[kept], strict=True):
            add_disc(disc, middle[0] + gy, middle[1] + gx, each, shape)
        disc /= max(disc.sum(), 1e-9)
    camera = Camera(step, WAVELENGTH)
    return crystal.name, rotations, counted(rng, discs, middle, shape, camera)


def main() -> None:
    """Index random scans and print what limits do."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scans", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--half", type=int, choices=(0, 1))
    asked = parser.parse_args()
    halves: dict[int, list[Score]] = {0: [], 1: []}
    began = time.process_time()
    for number in range(asked.half or 0, asked.scans, 1 if asked.half is None else 2):
        rng = np.random.default_rng([22, asked.seed, number])
        name, rotations, scene = draw_scan(rng)
        crystal = read_crystal(CRYSTALS / f"{name}.cif")
        started = time.process_time()
        try:
            indexed, scan, measured = index_patterns(scene.patterns, [crystal])
        except InputError as error:
            print(f"{number:3d} {name:30}{error.reason}", flush=True)
            continue
        seconds = time.process_time() - started
        score = Score.of(indexed, scene.own_reflections(measured), rotations, crystal)
        print(f"{number:3d} {name:30}spots {np.median(score.spots):4.0f}  median "
              f"{np.median(score.error):6.2f}  off {(score.error > WRONG_DEG).sum():2d}  "
              f"factor {scan.factor:.3f}  {seconds:.1f} s", flush=True)  # fmt: skip
        print("\n".join(score.unflagged()), end="\n" if score.unflagged() else "")
        halves[number % 2].append(score)
    for half, parts in halves.items():
        if parts:
            together = Score.join(parts)
            print(f"half {half}: {together.summary()}", *together.limits(), sep="\n")
    print(f"{time.process_time() - began:.0f} s")


if __name__ == "__main__":
    main()
