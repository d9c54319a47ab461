"""The scans of the benchmark: a recipe for every number, drawn over all that makes k hard.

Even numbers are for tuning, odd ones for reporting.
"""

import numpy as np

from orimap.tasks.errors import InputError
from orimap.tasks.simulate.grains import choose_grains, lay_out_grains
from orimap.tasks.simulate.recipe import ScanRecipe

# Positions a grain gets on average, lowest and highest.
POSITIONS_PER_GRAIN = (100, 250)
SMALLEST_SCAN, LARGEST_SCAN = 24, 48


def recipe_of(number: int) -> ScanRecipe:
    """Draw the recipe of one scan; the same number draws the same recipe.

    2 to 16 grains of three crystals, 500 to 50,000 electrons a pattern, boundaries 1 to 6 positions
    wide; in half of the scans grains bend, by up to 2 degrees; in a third patterns drift, by up to
    4 px; a third have hot pixels, a fifth dead ones, a quarter are precessed, a fifth near zone
    axes; detectors of 64 to 128 px, a tenth to a half of the electrons background.
    """
    rng = np.random.default_rng([2026, number])
    for _ in range(100):
        recipe = _draw(rng)
        try:
            lay_out_grains(recipe)
            choose_grains(recipe)
        except InputError:  # too many grains for this detector or scan: draw another
            continue
        return recipe
    raise RuntimeError(f"no recipe for scan {number}")


def _draw(rng: np.random.Generator) -> ScanRecipe:
    """Draw every property, each by itself."""
    grains = int(rng.integers(2, 17))
    positions = grains * rng.uniform(*POSITIONS_PER_GRAIN)
    aspect = rng.uniform(0.75, 1.33)
    sides = np.sqrt(positions * np.array([aspect, 1 / aspect]))
    detector = int(rng.choice([64, 96, 96, 128]))
    return ScanRecipe(
        scan=tuple(int(s) for s in np.clip(np.round(sides), SMALLEST_SCAN, LARGEST_SCAN)),
        detector=(detector, detector),
        grains=grains,
        dose=float(np.round(np.exp(rng.uniform(np.log(500), np.log(50_000))), -1)),
        overlap=float(rng.choice([1, 2, 2, 3, 4, 6])),
        bend=_sometimes(rng, 0.5, 0.2, 2.0),
        descan=_sometimes(rng, 0.35, 1.0, 4.0),
        hot=int(_sometimes(rng, 0.35, 1, 15)),
        dead=int(_sometimes(rng, 0.2, 1, 20)),
        material=str(rng.choice(["LiNi0.5Mn1.5O4", "Si", "Au"])),
        precession=_sometimes(rng, 0.25, 0.3, 0.9),
        background=round(rng.uniform(0.1, 0.5), 2),
        zone=bool(rng.uniform() < 0.2),
        alike=float(rng.choice([0.3, 0.5, 0.6])),
        seed=int(rng.integers(2**31)),
    )


def _sometimes(rng: np.random.Generator, share: float, low: float, high: float) -> float:
    """Draw a value between bounds in this share of the scans, 0 in the others."""
    drawn, value = rng.uniform(), rng.uniform(low, high)
    return round(float(value), 2) if drawn < share else 0.0
