"""Simulate a scan of diffraction patterns whose grains are known.

Cubic crystals in random orientations, kinematical intensities, convergent-beam disks, soft grain
boundaries, inelastic background, bending, drift of the pattern, bad pixels and counting noise. The
model is that of a specimen one grain thick whose boundaries are inclined: at a boundary a position
scatters from both grains, in shares that sum to 1. `orimap.tasks.simulate.write_scan` puts a scan
on disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from orimap.tasks.simulate import crystal
from orimap.tasks.simulate.grains import (
    Grain,
    bend_angles,
    choose_grains,
    draw_disks,
    lay_out_grains,
    random_direction,
)
from orimap.tasks.simulate.recipe import ScanRecipe, Stream

SCAN_STEP_NM = 5.0
# Share of the electrons that a grain of average scattering power leaves in the direct beam; the
# recipe says how many are background, and reflections have the rest.
DIRECT_SHARE = 0.35
# The inelastic background falls off as a Lorentzian to the power 3/2 of this half-width.
BACKGROUND_WIDTH_INV_ANGSTROM = 0.25
# The foil is this much thicker at one end of the scan than at the other: reflections and
# background gain on the direct beam.
THICKNESS_GRADIENT = 0.3
# Hot pixels count this share of the dose of a pattern each, lowest and highest.
HOT_PIXEL_DOSE_SHARE = (0.005, 0.03)
# Counts are stored as uint16.
COUNT_LIMIT = 65535


@dataclass(frozen=True)
class SimulatedScan:
    """A planned scan: its truth, and its patterns row by row.

    Parameters
    ----------
    recipe : ScanRecipe
    labels : (scan_y, scan_x) int16
        The grain with the largest share.
    weights : (scan_y, scan_x, grain) float64
        The share of each grain, summing to 1.
    grains : list of Grain
    bend_deg : (scan_y, scan_x, grain) array
    thickness : (scan_y, scan_x) array, 1 on average
    descan : (scan_y, scan_x, 2) array, pixels
        How far the pattern lies towards larger ``detector_y`` and ``detector_x``.
    hot_mask, dead_mask : (detector_y, detector_x) bool
    hot_counts : (detector_y, detector_x) array
        Mean electrons that a hot pixel adds to a pattern.
    misorientation_deg : (grain, grain) array
        Up to the symmetry of the crystal.
    """

    recipe: ScanRecipe
    labels: np.ndarray
    weights: np.ndarray
    grains: list[Grain]
    bend_deg: np.ndarray
    thickness: np.ndarray
    descan: np.ndarray
    hot_mask: np.ndarray
    dead_mask: np.ndarray
    hot_counts: np.ndarray
    misorientation_deg: np.ndarray

    @cached_property
    def component_patterns(self) -> np.ndarray:
        """Noiseless pattern of each grain alone, (grain, detector_y, detector_x), electrons.

        Unbent, of average thickness, centred, without hot and dead pixels; the sum is the dose
        but for what falls beside the detector.
        """
        one_each = np.eye(len(self.grains))
        canvases = self._canvases(one_each, np.zeros(one_each.shape), np.ones(len(self.grains)))
        return np.stack([self._cut(canvas, np.zeros(2)) for canvas in canvases])

    @property
    def spot_counts(self) -> np.ndarray:
        """Number of visible reflections of each unbent grain on the detector."""
        half = np.array(self.recipe.detector) / 2 * self.recipe.detector_step_inv_angstrom
        return np.array([grain.count_spots(half) for grain in self.grains])

    def expected(self, row: int) -> Iterator[np.ndarray]:
        """Yield the mean electrons per pixel of each position of one scan row."""
        canvases = self._canvases(self.weights[row], self.bend_deg[row], self.thickness[row])
        for canvas, shift_px in zip(canvases, self.descan[row], strict=True):
            mean = self._cut(canvas, shift_px) + self.hot_counts
            mean[self.dead_mask] = 0
            yield mean

    def patterns(self, rows: slice) -> np.ndarray:
        """Draw the counts of some scan rows.

        Every position has random numbers of its own, so that the result does not depend on how
        rows are grouped.

        Returns
        -------
        (rows, scan_x, detector_y, detector_x) uint16, electrons
            At most `COUNT_LIMIT`.
        """
        wanted = range(*rows.indices(self.recipe.scan[0]))
        counts = np.empty((len(wanted), self.recipe.scan[1], *self.recipe.detector), np.uint16)
        for place, row in enumerate(wanted):
            for column, mean in enumerate(self.expected(row)):
                rng = self.recipe.random(Stream.NOISE, row, column)
                counts[place, column] = np.minimum(_draw_poisson(mean, rng), COUNT_LIMIT)
        return counts

    def rows(self, step: int) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield the counts of the whole scan, ``step`` rows at a time."""
        for start in range(0, self.recipe.scan[0], step):
            part = slice(start, min(start + step, self.recipe.scan[0]))
            yield part, self.patterns(part)

    def _canvases(
        self, weights: np.ndarray, bend_deg: np.ndarray, thickness: np.ndarray
    ) -> Iterator[np.ndarray]:
        """Yield the mean electrons of each position on the detector and its margin."""
        disks, background = self._shapes
        background_share = self.recipe.background
        mean_bragg = 1 - DIRECT_SHARE - background_share
        direct_part = np.zeros(len(weights))
        background_part = np.zeros(len(weights))
        spot_parts = []
        for index, grain in enumerate(self.grains):
            spots = mean_bragg * grain.intensity_at(bend_deg[:, index])
            # Electrons are neither lost nor made: what is scattered is missing from the beam.
            scattered = thickness * (background_share + spots.sum(axis=1))
            share = self.recipe.dose * weights[:, index] / (DIRECT_SHARE + scattered)
            direct_part += share * DIRECT_SHARE
            background_part += share * thickness * background_share
            spot_parts.append((share * thickness)[:, None] * spots)
        disk_parts = np.concatenate([direct_part[:, None], *spot_parts], axis=1)
        for position, level in enumerate(background_part):
            flat = disks @ disk_parts[position]
            flat += level * background
            yield flat.reshape(self._canvas_shape)

    def _cut(self, canvas: np.ndarray, shift_px: np.ndarray) -> np.ndarray:
        """Take the detector's part of a canvas that lies ``shift_px`` off, by linear weights."""
        margin = self._margin_px
        if margin == 0:
            return canvas
        height, width = self.recipe.detector
        whole = np.floor(shift_px).astype(int)
        part = shift_px - whole
        cut = np.zeros(self.recipe.detector)
        for dy, weight_y in ((0, 1 - part[0]), (1, part[0])):
            for dx, weight_x in ((0, 1 - part[1]), (1, part[1])):
                y, x = margin - whole[0] - dy, margin - whole[1] - dx
                cut += weight_y * weight_x * canvas[y : y + height, x : x + width]
        return cut

    @property
    def _margin_px(self) -> int:
        """Pixels around the detector that the drift may bring into it."""
        return int(np.ceil(self.recipe.descan / 2)) + 1 if self.recipe.descan else 0

    @property
    def _canvas_shape(self) -> tuple[int, int]:
        """Shape of the detector with its margin."""
        height, width = self.recipe.detector
        return height + 2 * self._margin_px, width + 2 * self._margin_px

    @cached_property
    def _shapes(self) -> tuple:
        """Disks (pixel, 1 + spot), the direct beam first, and background (pixel,), of unit sum."""
        step = self.recipe.detector_step_inv_angstrom
        spots = np.concatenate([np.zeros((1, 2)), *(grain.spot_q for grain in self.grains)])
        disks = draw_disks(spots / step, self.recipe.disk_radius_px, self._canvas_shape)
        y, x = (np.arange(side) - (side - 1) / 2 for side in self._canvas_shape)
        q = step * np.hypot(y[:, None], x)
        background = ((1 + (q / BACKGROUND_WIDTH_INV_ANGSTROM) ** 2) ** -1.5).ravel()
        return disks.T, background / background.sum()


def plan_scan(recipe: ScanRecipe) -> SimulatedScan:
    """Lay out the grains of a scan and choose their orientations; no pattern is made yet.

    Raises
    ------
    InputError
        If that number of grains cannot be placed, or two of them cannot be told apart.
    """
    weights = lay_out_grains(recipe)
    grains = choose_grains(recipe)
    down, across = (np.linspace(-1, 1, side) if side > 1 else np.zeros(1) for side in recipe.scan)
    rng = recipe.random(Stream.DETECTOR)
    # Thickness and drift run along two directions of their own. The drift reaches half of
    # ``descan`` to either side.
    thick_y, thick_x = random_direction(rng) / np.sqrt(2)
    drift = random_direction(rng)
    turned = np.array([-drift[1], drift[0]])
    descan = 0.8 * down[:, None, None] * drift + 0.6 * across[None, :, None] * turned
    slope = thick_y * down[:, None] + thick_x * across
    hot_mask, dead_mask, hot_counts = _bad_pixels(recipe, rng)
    return SimulatedScan(
        recipe=recipe,
        labels=weights.argmax(axis=-1).astype(np.int16),
        weights=weights,
        grains=grains,
        bend_deg=bend_angles(recipe, weights),
        thickness=1 + THICKNESS_GRADIENT / 2 * slope,
        descan=recipe.descan / 2 * descan,
        hot_mask=hot_mask,
        dead_mask=dead_mask,
        hot_counts=hot_counts,
        misorientation_deg=np.array(
            [[crystal.disorientation_deg(a.rotation, b.rotation) for b in grains] for a in grains]
        ),
    )


def _draw_poisson(mean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw Poisson counts of the given means.

    Where electrons are fewer than pixels it is quicker, and the same distribution, to draw their
    total number and then the pixel of each.
    """
    cumulative = np.cumsum(mean)
    if cumulative[-1] > mean.size:
        return rng.poisson(mean)
    electrons = np.sort(rng.random(rng.poisson(cumulative[-1]))) * cumulative[-1]
    pixel = np.minimum(np.searchsorted(cumulative, electrons, side="right"), mean.size - 1)
    return np.bincount(pixel, minlength=mean.size).reshape(mean.shape)


def _bad_pixels(
    recipe: ScanRecipe, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks of the hot and the dead pixels, and the mean counts of the hot ones."""
    pixels = rng.permutation(int(np.prod(recipe.detector)))
    hot_mask, dead_mask = np.zeros((2, pixels.size), dtype=bool)
    hot_mask[pixels[: recipe.hot]] = True
    dead_mask[pixels[recipe.hot : recipe.hot + recipe.dead]] = True
    counts = np.zeros(pixels.size)
    counts[hot_mask] = recipe.dose * rng.uniform(*HOT_PIXEL_DOSE_SHARE, size=recipe.hot)
    return tuple(a.reshape(recipe.detector) for a in (hot_mask, dead_mask, counts))
