"""Cut, bin and mask patterns: what is taken of an acquisition, and as what kind of number."""

import math
from pathlib import Path

import numpy as np

from orimap.tasks.errors import InputError, is_out_of_reach, words_of
from orimap.tasks.store.cleaning import clean, without_gaps

Region = tuple[int, int, int, int]

# The largest value of a scan, between which none is scaled, and about what it is scaled to: 2^12.
SMALLEST, LARGEST = 2.0**-20, 2.0**40
SCALED_TO = 12
# No detector spans more than 32 bits: a pattern that is brighter than the usual one by more than
# this was not measured.
BEYOND_ANY_DETECTOR = 2.0**32


def stored_dtype(dtype: np.dtype, bin: int = 1) -> np.dtype:
    """Return the kind of number that patterns are stored as.

    Integers up to 32 bits stay what they are, 64-bit ones become int32 (checked block by block),
    true and false become uint8, floating point becomes float32. Sums of ``bin`` × ``bin`` pixels
    get the next larger integer that can hold them, at most 32 bits (then checked).
    """
    if dtype.kind == "f":
        return np.dtype(np.float32)
    if dtype.kind == "b":
        dtype = np.dtype(np.uint8)
        largest = bin * bin
    else:
        if dtype.itemsize == 8:
            return np.dtype(np.int32)
        largest = int(np.iinfo(dtype).max) * bin * bin
    for size in (1, 2, 4):
        candidate = np.dtype(f"{dtype.kind}{size}")
        if size >= dtype.itemsize and np.iinfo(candidate).max >= largest:
            return candidate
    return np.dtype(f"{dtype.kind}4")


def scale_exponent(largest: float) -> int:
    """Return the power of two by which values are multiplied, so that they can be computed with.

    0 for nearly all: squares of what is stored, summed over a scan, must neither vanish nor
    overflow in single precision. Powers of two are exact.
    """
    if not np.isfinite(largest) or largest <= 0 or SMALLEST <= largest <= LARGEST:
        return 0
    return int(SCALED_TO - np.frexp(largest)[1])


def reduce_patterns(
    patterns: np.ndarray,
    bin: int,
    dtype: np.dtype,
    exponent: int = 0,
    keep_negative: bool = False,
) -> np.ndarray:
    """Bin patterns by summing, and give them the kind of number they are stored as.

    Parameters
    ----------
    patterns : (scan_y, scan_x, detector_y, detector_x) array
    bin : int
        With more than 1, pixels left over at the far edges are cut off, and values that are
        negative or not finite count as 0 in the sums.
    dtype : numpy.dtype
        From `stored_dtype`.
    exponent : int
        From `scale_exponent`: values are multiplied by two to this power.
    keep_negative : bool
        Whether negative values are summed as they are: noise of read-out around 0.

    Raises
    ------
    InputError
        If an integer does not fit.
    """
    if exponent:
        patterns = np.ldexp(patterns.astype(np.float64), exponent)
    if bin > 1:
        rows, columns = (length // bin for length in patterns.shape[2:])
        cut = patterns[:, :, : rows * bin, : columns * bin]
        cut = without_gaps(cut) if keep_negative else clean(cut)
        parts = cut.reshape(*cut.shape[:2], rows, bin, columns, bin)
        wide = np.float64 if cut.dtype.kind == "f" else np.int64
        patterns = parts.sum(axis=(3, 5), dtype=wide)
    if dtype.kind in "iu" and patterns.dtype.itemsize > dtype.itemsize and patterns.size:
        low, high = int(patterns.min()), int(patterns.max())
        limits = np.iinfo(dtype)
        if low < limits.min or high > limits.max:
            raise InputError(
                f"values that fit into {dtype} ({limits.min:,} to {limits.max:,})",
                f"values from {low:,} to {high:,}",
                "store the data as float32, or bin less with --bin",
            )
    return np.ascontiguousarray(patterns, dtype=dtype)


def whole_or_part(region: Region | None, shape: tuple[int, int], option: str, what: str) -> Region:
    """Return first and last row and column of a region, the whole where none is asked for.

    Raises
    ------
    InputError
        If it is empty or reaches beyond ``shape``.
    """
    if region is None:
        return 0, shape[0], 0, shape[1]
    y0, y1, x0, x1 = region
    if not (0 <= y0 < y1 <= shape[0] and 0 <= x0 < x1 <= shape[1]):
        raise InputError(
            f"a region within {shape[0]}×{shape[1]} {what}",
            f"{option} {y0}:{y1},{x0}:{x1}",
            f"give {option} Y0:Y1,X0:X1 with 0 <= Y0 < Y1 <= {shape[0]} and "
            f"0 <= X0 < X1 <= {shape[1]}",
        )
    return y0, y1, x0, x1


def bin_counts(counts: np.ndarray | None, bin: int, shape: tuple[int, int]) -> np.ndarray:
    """Add up counts a detector pixel over the pixels that are binned into one."""
    if counts is None:
        return np.zeros(shape, dtype=np.int64)
    cut = counts[: shape[0] * bin, : shape[1] * bin]
    return cut.reshape(shape[0], bin, shape[1], bin).sum(axis=(1, 3))


def read_mask(
    path: Path | None, detector_shape: tuple[int, int], crop: Region, bin: int
) -> np.ndarray:
    """Read an image of pixels to leave out, and bring it to the stored patterns' shape.

    Parameters
    ----------
    path : Path or None
        ``.npy``, ``.png``, ``.tif`` or ``.bmp``; not zero where a pixel is to be left out.
    detector_shape : (int, int)
        Of the whole detector.
    crop, bin
        A binned pixel is left out when any of those it sums is.

    Returns
    -------
    (detector_y, detector_x) bool array

    Raises
    ------
    InputError
        If there is no such file, or its shape is neither the detector's nor the crop's.
    """
    if path is None:
        shape = ((crop[1] - crop[0]) // bin, (crop[3] - crop[2]) // bin)
        return np.zeros(shape, dtype=bool)
    mask = read_detector_image(path, detector_shape, crop, "--mask", colours=True)[0] != 0
    if mask.all():
        raise InputError(
            "a mask that leaves some pixels",
            f"{path.name} is nowhere zero",
            "invert it: pixels that are not zero are left out",
        )
    return _binned(mask, bin)


def read_detector_image(
    path: Path,
    detector_shape: tuple[int, int],
    crop: Region,
    option: str,
    *,
    colours: bool = False,
) -> tuple[np.ndarray, str]:
    """Read an image of the detector, whole or cropped, and return the crop of it.

    Parameters
    ----------
    path : Path
        ``.npy``, ``.png``, ``.tif`` or ``.bmp``. An array of three axes is a stack of images, of
        which the mean is taken, unless the last one holds colours.
    detector_shape : pair of int
        Of the whole detector.
    crop : tuple of int
    option : str
        What asked for it.
    colours : bool
        Whether a colour picture will do: it is then taken for its brightness.

    Returns
    -------
    image : (detector_y, detector_x) array
    made : str
        How it was made of what the file holds, in words; empty where it is what the file holds.

    Raises
    ------
    InputError
        If there is no such file, it is no picture of numbers, or its shape is neither the
        detector's nor the crop's.
    """
    y0, y1, x0, x1 = crop
    if not path.exists():
        raise InputError(
            f"an image of the detector for {option}",
            f"no file of that name ({path})",
            f"check {option}",
        )
    try:
        if path.suffix.lower() == ".npy":
            image = np.load(path, allow_pickle=False)
        else:
            from orimap.tasks.acquire.formats.files.image_folder import read_as_stored, read_grey

            image = read_grey(path) if colours else read_as_stored(path)
        stored = image.shape
    except (InputError, MemoryError):
        raise
    except Exception as error:
        if is_out_of_reach(error):
            raise
        # Who reads pictures raises whatever the parser stumbled upon.
        words = words_of(error)[:200] or type(error).__name__
        raise InputError(
            f"{option} as .npy, .png, .tif or .bmp",
            f"{path.name} cannot be read ({words})",
            "save it as one of these",
        ) from error
    if image.dtype.kind not in "biuf":
        raise InputError(
            f"an image of numbers for {option}",
            f"{path.name} holds {image.dtype}",
            "save its real values",
        )
    shapes = tuple(detector_shape), (y1 - y0, x1 - x0)
    image, made = _as_one_image(image, shapes, path, option)
    if image.shape == tuple(detector_shape):
        image = image[y0:y1, x0:x1]
    if image.shape != (y1 - y0, x1 - x0):
        turned = image.shape in [shape[::-1] for shape in shapes]
        raise InputError(
            f"an image of {detector_shape[0]}×{detector_shape[1]} pixels for {option}, or of the "
            f"{y1 - y0}×{x1 - x0} that --crop leaves",
            f"{path.name} has {'×'.join(map(str, stored))}",
            "swap its rows and columns" if turned else "make it the size of the detector",
        )
    return np.asarray(image), made


def _as_one_image(
    image: np.ndarray, shapes: tuple[tuple[int, ...], ...], path: Path, option: str
) -> tuple[np.ndarray, str]:
    """Return the mean of a stack of images, or a picture with equal colours, and what was done.

    ``shapes`` are those that an image may have.
    """
    if image.ndim != 3 or not image.size:
        return image, ""
    last = image.shape[2]
    if image.shape[1:] in shapes or image.shape[:2] not in shapes or last > 4:
        return image.mean(axis=0), f"the mean of its {len(image)} images" if len(image) > 1 else ""
    values = image[..., :3] if last > 2 else image[..., :1]  # without transparency
    if (values == values[..., :1]).all():
        made = "a colour picture, whose colours are equal"
        return values[..., 0], made if last > 2 else "the first of its values a pixel"
    raise InputError(
        f"one value a pixel for {option}",
        f"{path.name} has {'×'.join(map(str, image.shape))}: a colour picture, with "
        f"{last} values a pixel",
        "save the values of the detector as one channel, a stack of images as .npy with the "
        "images first",
    )


def reduce_mask(mask: np.ndarray, crop: Region, bin: int) -> np.ndarray:
    """Bring a mask of the whole detector to the stored patterns' shape, as ``read_mask`` does."""
    return _binned(mask[crop[0] : crop[1], crop[2] : crop[3]], bin)


def _binned(mask: np.ndarray, bin: int) -> np.ndarray:
    """Leave a binned pixel out when any of those it sums is."""
    shape = (mask.shape[0] // bin, mask.shape[1] // bin)
    return bin_counts(mask.astype(np.int64), bin, shape) > 0


def describe_reduction(
    scan_shape: tuple[int, int],
    detector_shape: tuple[int, int],
    roi: Region,
    crop: Region,
    bin: int,
) -> list[str]:
    """Say in plain words what of an acquisition is not taken as it is."""
    notes = []
    if math.prod((roi[1] - roi[0], roi[3] - roi[2])) < math.prod(scan_shape):
        notes.append(f"only scan rows {roi[0]}:{roi[1]} and columns {roi[2]}:{roi[3]} are taken")
    rows, columns = crop[1] - crop[0], crop[3] - crop[2]
    if rows * columns < math.prod(detector_shape):
        notes.append(f"detector cut to rows {crop[0]}:{crop[1]} and columns {crop[2]}:{crop[3]}")
    if bin > 1:
        text = f"{bin}×{bin} detector pixels summed into one"
        if rows % bin or columns % bin:
            text += f"; {rows % bin} rows and {columns % bin} columns left over are cut off"
        notes.append(text + "; negative values and those that are not finite count as 0 in it")
    return notes
