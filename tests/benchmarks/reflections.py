"""How many reflections are found, and how exactly: ours, and what else there is, beside the truth.

    python tests/benchmarks/reflections.py [--patterns 20] [--detector 128] [--seed 0]
        [--peers] [--fit]

Draws patterns of anti-aliased discs at known positions (a direct beam with 35 % of the electrons,
reflections with 35 %, spread evenly in the logarithm over a factor of 60, on an inelastic
background of 30 % that falls off as a Lorentzian to the power 3/2) at doses of 500 to 50,000
electrons and radii of 1.5 to 6 px. Prints for each dose and radius recall (of reflections of 30
electrons or more, and of all with 5 or more), precision, recall times precision. ``--fit`` adds the
median error of positions by electrons in the reflection, beside that of a maximum-likelihood fit
that knows shape, background and height. ``--peers`` scores scikit-image's ``peak_local_max`` and
``blob_log``, LiberTEM-blobfinder and py4DSTEM where they are installed, each at the best of the
thresholds tried. A detection is one within a disc radius of the truth, at least 1.5 px.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from orimap.tasks.patterns.reflections.encode import Encoder, encode_patterns
from orimap.tasks.patterns.reflections.lengths import Lengths
from orimap.tasks.simulate.grains import draw_disks

DOSES = (500, 1500, 5000, 15000, 50000)
RADII_PX = (1.5, 2.0, 3.0, 4.5, 6.0)
SPOTS = 40
DIRECT_SHARE, BACKGROUND_SHARE = 0.35, 0.3
MOST_COVERED = 0.15  # of the detector, by reflections
SPREAD = 60.0  # strongest over weakest reflection
HALF_WIDTH_SHARE = 0.09  # of the Lorentzian, in widths of the detector: as in the simulator
NEAREST_DISC_RADII = 1.85  # discs overlap by a little
COUNTED, SCORED = 30, 5  # electrons
BINS = (10, 20, 45, 90, 180, 400, 2000)


@dataclass(frozen=True)
class Truth:
    """A drawn pattern and what is in it; the first of the spots is the direct beam."""

    counts: np.ndarray
    positions: np.ndarray
    electrons: np.ndarray
    background: np.ndarray
    mean: np.ndarray


def draw(rng: np.random.Generator, side: int, radius: float, dose: float) -> Truth:
    """Draw one pattern."""
    centre = (side - 1) / 2
    positions = [centre + rng.uniform(-1.5, 1.5, 2)]
    spots = int(min(SPOTS, MOST_COVERED * side**2 / (np.pi * radius**2)))
    while len(positions) < spots + 1:
        trial = rng.uniform(radius + 1, side - 2 - radius, 2)
        if min(np.hypot(*(trial - p)) for p in positions) > NEAREST_DISC_RADII * radius:
            positions.append(trial)
    positions = np.array(positions)
    strength = SPREAD ** rng.uniform(0, 1, spots)
    share = (1 - DIRECT_SHARE - BACKGROUND_SHARE) * strength / strength.sum()
    electrons = dose * np.concatenate([[DIRECT_SHARE], share])
    discs = draw_disks(positions - centre, radius, (side, side))
    y, x = np.arange(side)[:, None] - positions[0, 0], np.arange(side) - positions[0, 1]
    background = (1 + (y**2 + x**2) / (HALF_WIDTH_SHARE * side) ** 2) ** -1.5
    background *= dose * BACKGROUND_SHARE / background.sum()
    mean = background + (discs.T @ electrons).reshape(side, side)
    counts = rng.poisson(mean).astype(np.uint16)
    return Truth(counts, positions, electrons, background, mean)


def draws(patterns: int, side: int, radius: float, dose: float, seed: int = 0) -> list[Truth]:
    """Draw patterns, the same for every method."""
    rng = np.random.default_rng([side, int(10 * radius), int(dose), seed])
    return [draw(rng, side, radius, dose) for _ in range(patterns)]


def match(found: np.ndarray, truth: np.ndarray, within: float) -> tuple[np.ndarray, np.ndarray]:
    """Pair positions one to one; return the numbers of each pair nearer than ``within``."""
    if len(found) == 0:
        return np.zeros(0, int), np.zeros(0, int)
    distance = np.hypot(*(found[:, None] - truth[None]).T).T
    ours, true = linear_sum_assignment(np.minimum(distance, 2 * within))
    near = distance[ours, true] <= within
    return ours[near], true[near]


@dataclass
class Score:
    """Sums over patterns."""

    seen: int = 0
    seen_all: int = 0
    there: int = 0
    there_all: int = 0
    right: int = 0
    found: int = 0

    def add(self, positions: np.ndarray, truth: Truth, radius: float) -> None:
        """Compare one pattern's list with the truth; the direct beam counts for nothing."""
        ours, true = match(positions, truth.positions, max(radius, 1.5))
        direct = true == 0
        hit = np.zeros(len(truth.positions), bool)
        hit[true] = True
        counted, scored = (truth.electrons >= least for least in (COUNTED, SCORED))
        counted[0] = scored[0] = False
        self.seen += int((hit & counted).sum())
        self.there += int(counted.sum())
        self.seen_all += int((hit & scored).sum())
        self.there_all += int(scored.sum())
        self.right += len(ours) - int(direct.sum())
        self.found += len(positions) - int(direct.sum())

    @property
    def recall(self) -> float:
        """Of reflections of COUNTED electrons or more."""
        return self.seen / max(self.there, 1)

    @property
    def recall_all(self) -> float:
        """Of reflections of SCORED electrons or more."""
        return self.seen_all / max(self.there_all, 1)

    @property
    def precision(self) -> float:
        """Of what was found, without the direct beam."""
        return self.right / max(self.found, 1)

    @property
    def product(self) -> float:
        """Recall of all times precision."""
        return self.recall_all * self.precision


def fit_position(truth: Truth, spot: int, radius: float) -> np.ndarray:
    """Maximum-likelihood position of one disc on a fine grid, everything else being known."""
    centre = truth.positions[spot]
    low = np.floor(centre - radius - 3).astype(int).clip(0)
    part = np.s_[low[0] : low[0] + int(2 * radius + 8), low[1] : low[1] + int(2 * radius + 8)]
    counts = truth.counts[part]
    side = counts.shape
    own = truth.electrons[spot]
    middle = (np.array(truth.counts.shape) - 1) / 2
    drawn = draw_disks(centre[None] - middle, radius, truth.counts.shape).toarray()
    others = truth.mean[part] - own * drawn.reshape(truth.counts.shape)[part]
    best, step = centre, max(0.25, radius / 10)
    for _ in range(4):
        grid = best + step * np.stack(np.mgrid[-5:6, -5:6], -1).reshape(-1, 2)
        discs = draw_disks(grid - low - (np.array(side) - 1) / 2, radius, side).toarray()
        mean = np.maximum(others.ravel() + own * discs, 1e-9)
        likelihood = (counts.ravel() * np.log(mean) - mean).sum(axis=1)
        best = grid[likelihood.argmax()]
        step /= 3
    return best


def ours(radius: float) -> Callable[[Truth], np.ndarray]:
    """Return our encoder as a function from pattern to positions."""

    def find(truth: Truth) -> np.ndarray:
        encoder = Encoder(Lengths.of_disc(radius), np.ones(truth.counts.shape, bool), True)
        found = encode_patterns(truth.counts[None], encoder, np.full((1, 2), np.nan))
        return np.stack([found.y, found.x], axis=1)

    return find


def peers(radius: float, dose: float) -> Iterator[tuple[str, list[Callable]]]:
    """Yield each peer's name and its functions from pattern to positions, one per threshold."""
    from skimage.feature import blob_log, peak_local_max

    def local_max(threshold: float, blur: float) -> Callable:
        def find(truth: Truth) -> np.ndarray:
            smooth = ndimage.gaussian_filter(truth.counts.astype(float), blur * radius)
            return peak_local_max(
                smooth, min_distance=max(1, round(radius)), threshold_abs=threshold
            ).astype(float)

        return find

    def blobs(threshold: float) -> Callable:
        def find(truth: Truth) -> np.ndarray:
            sigma = radius / np.sqrt(2)
            return blob_log(
                truth.counts.astype(float),
                min_sigma=0.8 * sigma,
                max_sigma=1.2 * sigma,
                num_sigma=3,
                threshold=threshold,
                overlap=0.5,
            )[:, :2]

        return find

    area = np.pi * radius**2
    electrons = np.geomspace(3, 150, 14)
    yield (
        "peak_local_max",
        [local_max(e / area, blur) for e in electrons for blur in (0.4, 0.6)],
    )
    yield "blob_log", [blobs(e / area) for e in electrons * 0.6]
    shares = np.geomspace(0.005, 0.7, 14)
    if find_spec("libertem_blobfinder"):
        yield "LiberTEM-blobfinder", [blobfinder(radius, share) for share in shares]
    if find_spec("py4DSTEM"):
        yield "py4DSTEM", [bragg_disks(radius, share) for share in shares]


def blobfinder(radius: float, share: float) -> Callable:
    """LiberTEM's template (disc less ring) correlated with the logarithm of the pattern."""
    from libertem_blobfinder.common.patterns import BackgroundSubtraction
    from skimage.feature import peak_local_max

    shape = BackgroundSubtraction(radius=radius, search=2 * radius, radius_outer=1.5 * radius)

    def find(truth: Truth) -> np.ndarray:
        frame = np.log(truth.counts + 1.0)
        template = np.fft.rfft2(np.fft.ifftshift(shape.get_mask(frame.shape)))
        values = np.fft.irfft2(np.fft.rfft2(frame) * template.conj(), frame.shape)
        return peak_local_max(
            values, min_distance=max(1, round(radius)), threshold_rel=share
        ).astype(float)

    return find


def bragg_disks(radius: float, share: float) -> Callable:
    """py4DSTEM's disk detection with a synthetic probe of the true radius."""
    from py4DSTEM.braggvectors.diskdetection import _find_Bragg_disks_single
    from py4DSTEM.braggvectors.probe import Probe

    kernels: dict[tuple[int, ...], np.ndarray] = {}

    def find(truth: Truth) -> np.ndarray:
        shape = truth.counts.shape
        if shape not in kernels:
            probe = Probe.generate_synthetic_probe(radius, 1.0, shape)
            probe.get_kernel(mode="sigmoid", radii=(radius, 2 * radius), origin=None)
            kernels[shape] = probe.kernel
        found = _find_Bragg_disks_single(
            truth.counts.astype(np.float32),
            kernels[shape],
            sigma_cc=max(0.5, 0.3 * radius),
            edgeBoundary=2,
            minRelativeIntensity=share,
            relativeToPeak=1,
            minPeakSpacing=1.5 * radius,
            maxNumPeaks=150,
        )
        return np.stack([found.data["qx"], found.data["qy"]], axis=1)

    return find


def best_of(finders: list[Callable], patterns: list[Truth], radius: float) -> Score:
    """Score every setting of a method and return the best one's."""
    scores = []
    for find in finders:
        score = Score()
        for truth in patterns:
            score.add(find(truth), truth, radius)
        scores.append(score)
    return max(scores, key=lambda score: score.product)


def position_errors(patterns: list[Truth], radius: float) -> list[str]:
    """Median errors by electrons: ours and the fit's, and their ratio."""
    find = ours(radius)
    rows = []
    for truth in patterns:
        found = find(truth)
        mine, true = match(found, truth.positions, max(radius, 1.5))
        for m, t in zip(mine, true, strict=True):
            if t:
                fitted = fit_position(truth, t, radius)
                rows.append(
                    (
                        truth.electrons[t],
                        np.hypot(*(found[m] - truth.positions[t])),
                        np.hypot(*(fitted - truth.positions[t])),
                    )
                )
    electrons, error, reference = np.array(rows).T
    lines = []
    for low, high in pairwise(BINS):
        held = (electrons >= low) & (electrons < high)
        if held.sum() >= 10:
            a, b = np.median(error[held]), np.median(reference[held])
            lines.append(
                f"      {low:4d} to {high:4d} electrons ({held.sum():4d}): {a:.3f} px, "
                f"fit {b:.3f}, ratio {a / b:.2f}"
            )
    return lines


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--patterns", type=int, default=20)
    parser.add_argument("--detector", type=int, default=128)
    parser.add_argument("--doses", type=float, nargs="+", default=DOSES)
    parser.add_argument("--radii", type=float, nargs="+", default=RADII_PX)
    parser.add_argument("--seed", type=int, default=0, help="of the draws")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--fit", action="store_true")
    args = parser.parse_args()
    print(" dose radius method               recall>=30 recall>=5 precision product  ms")
    for radius in args.radii:
        for dose in args.doses:
            patterns = draws(args.patterns, args.detector, radius, dose, args.seed)
            methods = [("orimap", [ours(radius)])]
            if args.peers:
                methods += peers(radius, dose)
            for name, finders in methods:
                start = time.thread_time()
                score = best_of(finders, patterns, radius)
                spent = (time.thread_time() - start) / len(finders) / len(patterns)
                print(
                    f"{dose:5.0f} {radius:6.1f} {name:20s} {score.recall:10.3f} "
                    f"{score.recall_all:9.3f} {score.precision:9.3f} {score.product:7.3f} "
                    f"{1e3 * spent:5.1f}",
                    flush=True,
                )
            if args.fit:
                print("\n".join(position_errors(patterns, radius)), flush=True)


if __name__ == "__main__":
    main()
