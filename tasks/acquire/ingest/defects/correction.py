"""Turn values into electrons by what is known of the camera: dark image, gain map, offset, gain.

Whether what is taken off fits is seen from a few patterns, before any long work.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from orimap.tasks.acquire.ingest.reduction import Region, read_detector_image
from orimap.tasks.errors import InputError

# A dark image that fits leaves about half of the values of an empty detector below 0, by noise, and
# these add up to less than what lies above 0. Where more than this share lies below, and adds up to
# more than this share of the rest, something else was taken off than the dark level.
BELOW_AT_MOST = 0.75
DEFICIT_AT_MOST = 0.5
# With so many values below 0, and nothing left of the intensity, there is no reading it.
NEARLY_ALL = 0.9
# So many pixels may be blind: those between modules, and behind a beam stop.
BLIND_AT_MOST = 0.25


@dataclass(frozen=True)
class Correction:
    """What is taken off every value, and what it is divided by.

    Parameters
    ----------
    zero : (detector_y, detector_x) float32 array, or None
        Value of each pixel of the crop without electrons.
    unit : (detector_y, detector_x) float32 array, or None
        What one electron, or one unit of intensity, adds to each. NaN for pixels that see nothing.
    electrons : bool
        Whether what comes out is electrons.
    notes : tuple of str
        What is done, in words.
    guesses : tuple of str
        What of it hardly fits, with its evidence.
    zero_from : str
        The option that gave ``zero``, with its value.
    """

    zero: np.ndarray | None = None
    unit: np.ndarray | None = None
    electrons: bool = False
    notes: tuple[str, ...] = ()
    guesses: tuple[str, ...] = ()
    zero_from: str = ""

    def __bool__(self) -> bool:
        """Return whether there is anything to correct."""
        return self.zero is not None or self.unit is not None

    def of(self, patterns: np.ndarray) -> np.ndarray:
        """Return patterns (..., detector_y, detector_x) of the crop corrected, as floats."""
        if not self:
            return patterns
        corrected = patterns.astype(np.result_type(patterns.dtype, np.float32))
        if self.zero is not None:
            corrected -= self.zero
        if self.unit is not None:
            corrected /= self.unit
        return corrected

    @property
    def blind(self) -> np.ndarray | None:
        """Pixels of the crop that the gain map says see nothing."""
        return None if self.unit is None else ~np.isfinite(self.unit)

    def fitted(self, patterns: np.ndarray) -> "Correction":
        """Return the correction with what some patterns show of how it fits them.

        Parameters
        ----------
        patterns : (pattern, detector_y, detector_x) array
            Of the crop, as acquired. Those that are nothing but zeros tell nothing.

        Raises
        ------
        InputError
            If what is taken off leaves nothing of them.
        """
        told = patterns[patterns.any(axis=(1, 2))]
        if self.zero is None or not len(told):
            return self
        left = (told - self.zero.astype(np.float64))[np.isfinite(told)]
        below, above = left[left < 0], left[left > 0]
        share = below.size / max(left.size, 1)
        if share <= BELOW_AT_MOST or -below.sum() <= DEFICIT_AT_MOST * above.sum():
            return self
        found = f"{100 * share:.0f} % of the values in {len(told)} patterns lie below it"
        level = f"its median is {np.median(self.zero):.4g}, theirs {np.nanmedian(told):.4g}"
        if share > NEARLY_ALL and -below.sum() >= above.sum():
            raise InputError(
                f"the values of this camera without electrons ({self.zero_from})",
                f"{found}, so that nothing is left of them: {level}",
                "take it with the same camera, settings and exposure as the scan, or leave it out",
            )
        said = f"{self.zero_from} is subtracted, although {found}: {level}"
        return replace(self, guesses=(*self.guesses, said))


NO_CORRECTION = Correction()


def read_correction(
    detector_shape: tuple[int, int],
    crop: Region,
    *,
    gain: float | None = None,
    offset: float | None = None,
    dark: Path | None = None,
    gain_map: Path | None = None,
) -> Correction:
    """Read what is known of a camera.

    Parameters
    ----------
    detector_shape : pair of int
        Of the whole detector.
    crop : tuple of int
    gain : float, optional
        Units of intensity per electron.
    offset : float, optional
        Value without electrons.
    dark : Path, optional
        Image of the detector without electrons, or a stack of such images, which is averaged.
    gain_map : Path, optional
        Image of the detector evenly lit, or a stack, the dark image already taken off: values are
        divided by it, relative to its median.

    Raises
    ------
    InputError
        If an image does not fit, the gain is not above 0, or both offset and dark image say where
        zero lies.
    """
    if offset is not None and dark is not None:
        raise InputError(
            "one zero of the values",
            f"--offset {offset:g} and --dark {dark.name}",
            "leave one of the two out: the dark image holds the offset of every pixel",
        )
    notes, guesses = [], []
    shape = (crop[1] - crop[0], crop[3] - crop[2])
    zero = unit = None
    zero_from = f"--offset {offset:g}" if dark is None and offset is not None else ""
    if offset is not None:
        zero = np.full(shape, offset, np.float32)
        notes.append(f"{offset:g} subtracted from every value (--offset)")
    if dark is not None:
        image, made = read_detector_image(dark, detector_shape, crop, "--dark")
        zero, zero_from = image.astype(np.float32), f"--dark {dark.name}"
        if not np.isfinite(zero).all():
            raise _not_numbers("--dark", dark, zero)
        named = f"{dark.name} ({made})" if made else dark.name
        notes.append(f"dark image {named} subtracted (mean {float(zero.mean()):.4g})")
    if gain_map is not None:
        image, made = read_detector_image(gain_map, detector_shape, crop, "--gain-map")
        lit = image.astype(np.float64)
        seeing = np.isfinite(lit) & (lit > 0)
        if not seeing.any():
            raise InputError(
                "an image of the evenly lit detector for --gain-map",
                f"{gain_map.name}, in which no value is above 0",
                "check that this is the image that was meant",
            )
        unit = np.where(seeing, lit / np.median(lit[seeing]), np.nan).astype(np.float32)
        low, high = np.percentile(unit[seeing], [1, 99])
        notes.append(
            f"divided by the gain map {gain_map.name}{f' ({made})' if made else ''}, relative to "
            "its median "
            f"({low:.3g} to {high:.3g} for 98 % of the pixels)"
        )
        if not seeing.all():
            notes.append(_blind_pixels(lit, seeing))
        if np.mean(~seeing) > BLIND_AT_MOST:
            guesses.append(
                f"{gain_map.name} is used as a gain map, although it is not above 0 "
                f"in {100 * np.mean(~seeing):.0f} % of the pixels"
            )
    if gain is not None:
        unit = np.float32(gain) * (np.ones(shape, np.float32) if unit is None else unit)
        notes.append(f"divided by {gain:g} a value for each electron (--gain)")
    return Correction(zero, unit, gain is not None, tuple(notes), tuple(guesses), zero_from)


def _blind_pixels(lit: np.ndarray, seeing: np.ndarray) -> str:
    """Say which pixels a gain map masks, and why."""
    why = {
        "0": np.count_nonzero(lit == 0),
        "below 0": np.count_nonzero(lit < 0),
        "no number": np.count_nonzero(~np.isfinite(lit)),
    }
    said = ", ".join(f"{many} {what}" for what, many in why.items() if many)
    return (
        f"{np.count_nonzero(~seeing)} of {lit.size} pixels masked, where the gain map is not "
        f"above 0 ({said})"
    )


def _not_numbers(option: str, path: Path, image: np.ndarray) -> InputError:
    """Return what to say of an image that holds no numbers to correct with."""
    return InputError(
        f"an image of numbers for {option}",
        f"{path.name} with {np.count_nonzero(~np.isfinite(image))} of {image.size} not finite",
        "check that this is the image that was meant",
    )
