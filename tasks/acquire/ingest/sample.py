"""Look at patterns spread evenly over a scan before all of it is read."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from orimap.tasks.acquire.acquisition import Acquisition
from orimap.tasks.acquire.ingest.beam_disc import neighbour_rank
from orimap.tasks.acquire.ingest.defects.camera import Camera, Measured, measure_camera
from orimap.tasks.acquire.ingest.defects.correction import NO_CORRECTION, Correction
from orimap.tasks.acquire.ingest.defects.flags import Flags, flags_of_file, flags_of_values
from orimap.tasks.acquire.ingest.defects.neighbours import (
    Neighbours,
    evenly,
    holds_one_number,
    places,
)
from orimap.tasks.acquire.ingest.reduction import (
    BEYOND_ANY_DETECTOR,
    Region,
    reduce_mask,
    reduce_patterns,
    scale_exponent,
)
from orimap.tasks.errors import InputError
from orimap.tasks.store.cleaning import without_gaps
from orimap.tasks.stream.sizes import CANDIDATES_AT_MOST

# So many patterns are looked at.
SAMPLE_PATTERNS = 64
# What a shift has to come to, in electrons and in standard errors, to be used.
LEAST_SHIFT = 0.1
CLEAR = 3.0
# What was given is doubted where the zero lies so many standard errors (and one electron, and the
# noise of read-out) off, or the gain by this factor: amplification that scatters doubles it.
FAR_OFF = 5.0
OTHER_GAIN = 3.0
# A gain within this factor of 1 is one electron for each unit.
NEARLY_ONE = 1.25
# Powers of two by which values are made smaller while they are added up: none then overflows.
HEADROOM = 64


@dataclass(frozen=True)
class Sample:
    """What patterns spread evenly over a scan tell.

    Parameters
    ----------
    mean : (detector_y, detector_x) array
        As stored, above what no electrons give, 0 where pixels are flagged.
    filled : float
        Share of their pixels that are not zero.
    flags : Flags
        Of the whole detector.
    exponent : int
        From `scale_exponent`.
    measured : Measured
        The camera, in units of what is stored, for pixels as acquired.
    whole_numbers : bool
        Whether the file holds no others.
    patterns, without_number : int
        How many patterns were looked at, and in how many of them nothing is a number.
    lowest, highest : float
        Of the values in them as acquired, where pixels are not flagged; NaN where there is none.
    correction : Correction
        What was done to the values first.
    """

    mean: np.ndarray
    filled: float
    flags: Flags
    exponent: int
    measured: Measured
    whole_numbers: bool
    patterns: int
    without_number: int
    lowest: float
    highest: float
    correction: Correction = NO_CORRECTION

    @classmethod
    def of(
        cls,
        acquisition: Acquisition,
        roi: Region,
        crop: Region,
        bin: int,
        correction: Correction = NO_CORRECTION,
        without: frozenset[tuple[int, int]] = frozenset(),
    ) -> "Sample":
        """Look at patterns of an acquisition, corrected, but for some positions."""
        least = most = None
        total: Any = 0.0
        largest: Any = 0.0
        filled = 0.0
        brightness: dict[tuple[int, int], float] = {}
        side = math.isqrt(SAMPLE_PATTERNS)
        held = _positions_held(acquisition, roi)
        with_data = np.flatnonzero(held.any(axis=1))
        rows = (roi[0] + with_data[evenly(0, len(with_data), side)]).tolist()
        noisy_rows, middles = places(roi)
        beside = {middle + step for middle in middles for step in (-1, 0, 1)}
        neighbours, patterns, without_number = None, 0, 0
        for row in sorted({*rows, *noisy_rows}):
            there = roi[2] + np.flatnonzero(held[row - roi[0]])
            if not len(there):
                continue
            here = set(there[evenly(0, len(there), side)].tolist()) if row in rows else set()
            others = beside if row in noisy_rows else set()
            left = {at for at in there.tolist() if (row, at) not in without}
            here &= left
            wanted = sorted(here | others & left)
            last: dict[int, np.ndarray] = {}
            for column, pattern in zip(wanted, acquisition.read_row(row, wanted), strict=True):
                cut = correction.of(pattern[crop[0] : crop[1], crop[2] : crop[3]])
                neighbours = neighbours or Neighbours.of(cut)
                if cut.dtype.kind == "f":
                    brightness[row, column] = float(np.nansum(cut, dtype=np.longdouble))
                last = {at: one for at, one in last.items() if at >= column - 2} | {column: cut}
                three = all(column - step in last for step in (0, 1, 2))
                if row in noisy_rows and column - 1 in middles and three:
                    neighbours.add(*(last[column - step] for step in (2, 1, 0)))
                if column not in here or holds_one_number(pattern):
                    continue
                least = pattern.copy() if least is None else np.fmin(least, pattern)
                most = pattern.copy() if most is None else np.fmax(most, pattern)
                patterns += 1
                if pattern.dtype.kind == "f":
                    without_number += not np.isfinite(pattern).any()
                finite = without_gaps(cut[None, None])
                if finite.dtype.kind == "f":
                    largest = np.maximum(largest, finite[0, 0])
                reduced = reduce_patterns(finite, bin, np.dtype("f8"), -HEADROOM, True)[0, 0]
                total = total + reduced
                filled += np.count_nonzero(reduced) / reduced.size
        if neighbours is None or not patterns:
            raise InputError(
                "patterns of numbers in the scan, or in the region of it (--roi)",
                f"none in those looked at of {acquisition.path.name}",
                "copy the file again from the microscope, or choose another region",
            )
        beyond = beyond_any_detector(brightness)
        if beyond:
            return cls.of(acquisition, roi, crop, bin, correction, without | beyond)
        flags = flags_of_file(acquisition.path, acquisition.detector_shape)
        if acquisition.no_pixels is not None:
            flags |= Flags(acquisition.no_pixels)
        flags |= flags_of_values(least, most, patterns, flags.flagged)
        if correction.blind is not None:
            flags |= Flags(_uncropped(correction.blind, crop, acquisition.detector_shape))
        cropped = flags.flagged[crop[0] : crop[1], crop[2] : crop[3]]
        exponent = scale_exponent(float(np.max(np.where(cropped, 0.0, largest))))
        measured = _measure(neighbours, ~cropped, exponent)
        whole_numbers = acquisition.dtype.kind in "iu"
        mean = np.ldexp(total / patterns, HEADROOM + exponent)
        seen = ~flags.flagged & np.isfinite(least) & np.isfinite(most)
        found = cls(
            mean,
            filled / patterns,
            flags,
            exponent,
            measured,
            whole_numbers,
            patterns,
            without_number,
            float(least[seen].min()) if seen.any() else np.nan,
            float(most[seen].max()) if seen.any() else np.nan,
            correction,
        )
        if found.shift:
            mean -= found.offset * bin**2
        mean[reduce_mask(flags.flagged, crop, bin)] = 0.0
        np.maximum(mean, 0, out=mean)
        return found

    @property
    def camera(self) -> Camera | None:
        """What was measured of the camera."""
        return self.measured.camera

    @property
    def offset(self) -> float:
        """Value without electrons: 0 where it was given and taken off."""
        camera = self.camera
        if camera is None or not camera.is_linear or self.correction.zero is not None:
            return 0.0
        return camera.offset

    @property
    def gain(self) -> float:
        """Units of intensity per electron; 1 where there is no one gain, or none is known."""
        camera = self.camera
        return camera.gain if camera is not None and camera.is_linear else 1.0

    @property
    def in_electrons(self) -> bool:
        """Whether one unit stands for about one electron, as far as is known."""
        camera = self.camera
        if camera is None:
            return self.whole_numbers
        return camera.is_linear and 1 / NEARLY_ONE < camera.gain < NEARLY_ONE

    @property
    def pedestal(self) -> float:
        """Intensity without electrons, once values are shifted; or 0."""
        return max(self.shift + self.offset, 0.0) if self.shift else 0.0

    @property
    def shift(self) -> float:
        """What is added to values before they are computed with; or 0.

        Their variance is then proportional to them, as that of counts, and few are below 0. Less
        than a part of an electron, or than its own error, would change nothing; where the contrast
        was stretched there is no such number.
        """
        camera = self.camera
        if camera is None or not camera.is_linear:
            return 0.0
        least = max(LEAST_SHIFT * camera.gain, CLEAR * camera.shift_error)
        return camera.shift if abs(camera.shift) > least else 0.0

    @property
    def attributes(self) -> dict[str, Any]:
        """What is stored of the camera; ``intensity_dispersion`` is variance over intensity."""
        if self.camera is None:
            stored: dict[str, Any] = {"camera_unknown": self.measured.why_not}
            # Electrons that were counted out by the gain: their noise is that of counts.
            return stored | {"intensity_dispersion": 1.0} if self.correction.electrons else stored
        stored = self.camera.attributes
        if self.camera.is_linear:
            stored["intensity_dispersion"] = float(self.camera.gain)
        return stored

    @property
    def doubts(self) -> list[str]:
        """What was given of the camera although the noise says something else."""
        camera = self.camera
        if camera is None or not camera.is_linear:
            return []
        found = []
        error = max(FAR_OFF * camera.offset_error, camera.read_noise, camera.gain)
        if self.correction.zero is not None and abs(camera.offset) > error:
            found.append(
                f"{self.correction.zero_from} was subtracted, although zero then lies, judging by "
                f"the noise, at {camera.offset:.4g} ± {camera.offset_error:.2g}"
            )
        if self.correction.electrons and not 1 / OTHER_GAIN < camera.gain < OTHER_GAIN:
            found.append(
                "values were divided by the gain that was given, although an electron then adds, "
                f"judging by the noise, {camera.gain:.4g} ± {camera.gain_error:.2g} in place of 1"
            )
        return found

    @property
    def in_words(self) -> list[str]:
        """What the patterns show before all are read, a sentence each."""
        kind = "" if self.whole_numbers else " (floating point)"
        said = [
            f"{self.lowest:,.6g} to {self.highest:,.6g}{kind} in {self.patterns} patterns from all "
            f"over the scan; {100 * (1 - self.filled):.0f} % of them 0"
        ]
        if self.without_number:
            said.append(f"{self.without_number} of these patterns hold no valid number at all")
        return [*said, *self.flags.notes, *self.scale_notes]

    @property
    def candidates(self) -> np.ndarray:
        """Rows and columns (candidate, 2) of the pixels that stand alone most: may be hot."""
        alone = self.mean - 2 * np.maximum(neighbour_rank(self.mean, 2), 0)
        order = np.argsort(alone, axis=None)[::-1][:CANDIDATES_AT_MOST]
        chosen = order[alone.ravel()[order] > 0]
        return np.stack(np.unravel_index(chosen, self.mean.shape), axis=1)

    @property
    def scale_notes(self) -> list[str]:
        """What was multiplied, in words."""
        if not self.exponent:
            return []
        return [
            f"values are multiplied by 2^{self.exponent} (about "
            f"10^{self.exponent * math.log10(2):.0f}), so that they can be computed with"
        ]


def beyond_any_detector(brightness: dict[tuple[int, int], float]) -> frozenset[tuple[int, int]]:
    """Return the positions that are brighter than the usual one by more than a detector spans."""
    lit = [value for value in brightness.values() if value > 0]
    if not lit:
        return frozenset()
    most = BEYOND_ANY_DETECTOR * np.longdouble(np.median(lit))
    return frozenset(at for at, value in brightness.items() if value > most)


def _positions_held(acquisition: Acquisition, roi: Region) -> np.ndarray:
    """Return at which positions of a region the file has data: (scan_y, scan_x) array of bool."""
    y0, y1, x0, x1 = roi
    if acquisition.no_data is None:
        return np.ones((y1 - y0, x1 - x0), bool)
    held = ~acquisition.no_data[y0:y1, x0:x1]
    if not held.any():
        raise InputError(
            "a region of the scan with data in it",
            f"--roi {y0}:{y1},{x0}:{x1}, of which {acquisition.path.name} holds nothing",
            "choose another region: orimap info says which rows have data",
        )
    return held


def _uncropped(image: np.ndarray, crop: Region, shape: tuple[int, int]) -> np.ndarray:
    """Return an image of the crop as one of the whole detector, False elsewhere."""
    whole = np.zeros(shape, bool)
    whole[crop[0] : crop[1], crop[2] : crop[3]] = image
    return whole


def _measure(neighbours: Neighbours, measured: np.ndarray, exponent: int) -> Measured:
    """Measure the camera, in units of what is stored."""
    three = neighbours.stacked()
    if exponent:
        three = tuple(np.ldexp(one.astype(np.float64), exponent) for one in three)
    return measure_camera(*three, neighbours.parts(measured))
