"""Turn values into electrons by what is known of the camera: dark image, gain map, offset, gain."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from orimap.tasks.acquire.ingest.reduction import Region, read_detector_image
from orimap.tasks.errors import InputError


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
    """

    zero: np.ndarray | None = None
    unit: np.ndarray | None = None
    electrons: bool = False
    notes: tuple[str, ...] = ()

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
    notes = []
    shape = (crop[1] - crop[0], crop[3] - crop[2])
    zero = unit = None
    if offset is not None:
        zero = np.full(shape, offset, np.float32)
        notes.append(f"{offset:g} taken off every value (--offset)")
    if dark is not None:
        zero = read_detector_image(dark, detector_shape, crop, "--dark").astype(np.float32)
        if not np.isfinite(zero).all():
            raise _not_numbers("--dark", dark, zero)
        notes.append(f"dark image {dark.name} taken off (mean {float(zero.mean()):.4g})")
    if gain_map is not None:
        lit = read_detector_image(gain_map, detector_shape, crop, "--gain-map").astype(np.float64)
        seeing = np.isfinite(lit) & (lit > 0)
        if not seeing.any():
            raise InputError(
                "an image of the detector evenly lit for --gain-map",
                f"{gain_map.name}, in which no value is above 0",
                "check that this is the image that was meant",
            )
        unit = np.where(seeing, lit / np.median(lit[seeing]), np.nan).astype(np.float32)
        low, high = np.percentile(unit[seeing], [1, 99])
        notes.append(
            f"divided by the gain map {gain_map.name}, relative to its median "
            f"({low:.3g} to {high:.3g} for 98 % of the pixels)"
        )
        if not seeing.all():
            notes.append(f"{np.count_nonzero(~seeing)} pixels masked: the gain map is not above 0")
    if gain is not None:
        unit = np.float32(gain) * (np.ones(shape, np.float32) if unit is None else unit)
        notes.append(f"divided by {gain:g} a value for each electron (--gain)")
    return Correction(zero, unit, gain is not None, tuple(notes))


def _not_numbers(option: str, path: Path, image: np.ndarray) -> InputError:
    """Return what to say of an image that holds no numbers to correct with."""
    return InputError(
        f"an image of numbers for {option}",
        f"{path.name} with {np.count_nonzero(~np.isfinite(image))} of {image.size} not finite",
        "check that this is the image that was meant",
    )
