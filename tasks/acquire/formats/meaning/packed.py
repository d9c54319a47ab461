"""Unpack values that were stored smaller than they are, by the CF conventions of netCDF.

``scale_factor`` and ``add_offset`` turn what is stored into what was meant; ``_FillValue``,
``missing_value`` and the valid range tell what was never measured, which becomes NaN. xarray
writes these attributes into Zarr and HDF5 alike.

References
----------
CF Conventions 1.11, sections 2.5.1 (missing data) and 8.1 (packed data).
"""

import base64
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from orimap.tasks.acquire.formats.signals import Signal

# Attributes that say how values are packed, and of how many numbers each consists; None: any.
ATTRIBUTES = {
    "scale_factor": 1, "add_offset": 1, "_FillValue": None, "missing_value": None,
    "valid_min": 1, "valid_max": 1, "valid_range": 2,
}  # fmt: skip
# Unpacking is not exact: what is nearer to 0 than this share of a step is 0.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Packing:
    """How values were packed.

    Parameters
    ----------
    scale, offset : float
        A value is ``scale * stored + offset``.
    missing : tuple of float
        Stored values that stand for nothing measured.
    valid : (float, float)
        Smallest and largest stored value that is valid.
    unsigned : bool
        Stored as signed integers, and meant to be unsigned.
    """

    scale: float = 1.0
    offset: float = 0.0
    missing: tuple[float, ...] = ()
    valid: tuple[float, float] = (-math.inf, math.inf)
    unsigned: bool = False

    @property
    def note(self) -> str:
        """What was done, for people."""
        parts = []
        if (self.scale, self.offset) != (1, 0):
            sign = "-" if self.offset < 0 else "+"
            parts.append(f"{self.scale:g} × stored {sign} {abs(self.offset):g}")
        if self.missing:
            fill = " or ".join(f"{value:g}" for value in self.missing)
            parts.append(f"a stored {fill} was not measured")
        if self.valid != (-math.inf, math.inf):
            low, high = self.valid
            parts.append(f"stored values outside {low:g} to {high:g} were not measured")
        if self.unsigned:
            parts.append("stored as signed integers, meant to be unsigned")
        return f"values unpacked as their attributes say: {'; '.join(parts)}"

    def unpack(self, stored: np.ndarray) -> np.ndarray:
        """Return values as float32, NaN where nothing was measured.

        Parameters
        ----------
        stored : (..., y, x) array of numbers

        Returns
        -------
        (..., y, x) float32 array
        """
        if self.unsigned:
            stored = stored.view(stored.dtype.str.replace("i", "u"))
        values = np.empty(stored.shape, np.float32)
        # An image at a time: in between, values take 8 bytes.
        images = (-1, *stored.shape[-2:])
        for part, result in zip(stored.reshape(images), values.reshape(images), strict=True):
            exact = part.astype(np.float64) * self.scale + self.offset
            exact[np.abs(exact) < ROUNDING * abs(self.scale)] = 0
            exact[(part < self.valid[0]) | (part > self.valid[1])] = np.nan
            for missing in self.missing:
                exact[part == missing] = np.nan
            result[...] = exact
        return values


class Unpacked:
    """An array whose values are unpacked where they are cut.

    Parameters
    ----------
    array : array-like
        As stored; cut into NumPy arrays.
    packing : Packing
    """

    def __init__(self, array: Any, packing: Packing) -> None:
        self._array, self._packing = array, packing
        self.shape, self.ndim = tuple(array.shape), array.ndim
        self.dtype = np.dtype(np.float32)
        self.chunks = getattr(array, "chunks", None)

    def __getitem__(self, cut: Any) -> np.ndarray:
        """Read a piece and unpack it."""
        return self._packing.unpack(np.asarray(self._array[cut]))


def find_packing(attributes: Mapping[str, Any], dtype: np.dtype) -> Packing | None:
    """Return how the attributes of an array say that it is packed, None where they do not.

    Parameters
    ----------
    attributes : mapping
        Of the array. For a Zarr array of format 2 see ``zarr_attributes``.
    dtype : numpy.dtype
        As stored. In floating point NaN needs no fill value, so that one is left out.
    """
    if dtype.kind not in "iuf":
        return None
    useless = _useless(attributes)
    found = {name: [] if name in useless else _numbers(attributes.get(name)) for name in ATTRIBUTES}
    unsigned = str(_plain(attributes.get("_Unsigned"))).lower() == "true" and dtype.kind == "i"
    missing = [*found["_FillValue"], *found["missing_value"]]
    if is_count(attributes, dtype):
        missing = [value for value in missing if value != 0]
    if unsigned:
        missing = [value % 256**dtype.itemsize for value in missing]
    low, high = (*found["valid_range"], -math.inf, math.inf)[:2]
    packing = Packing(
        *(found["scale_factor"][:1] or [1.0]),
        *(found["add_offset"][:1] or [0.0]),
        tuple(sorted({value for value in missing if not math.isnan(value)})),
        ((*found["valid_min"], low)[0], (*found["valid_max"], high)[0]),
        unsigned,
    )
    return None if packing == Packing() else packing


def _useless(attributes: Mapping[str, Any]) -> list[str]:
    """Return the names of attributes that are there and not the numbers that they should be."""
    found = []
    for name, count in ATTRIBUTES.items():
        numbers = _numbers(attributes.get(name))
        wrong = len(numbers) != count if count else not numbers
        if name in ("scale_factor", "add_offset"):
            wrong = wrong or not math.isfinite(numbers[0])
        if attributes.get(name) is not None and (wrong or (name, numbers) == ("scale_factor", [0])):
            found.append(name)
    return found


def is_count(attributes: Mapping[str, Any], dtype: np.dtype) -> bool:
    """Return whether stored values are whole numbers as they are: of these, 0 is one."""
    packed = _numbers(attributes.get("scale_factor")) + _numbers(attributes.get("add_offset"))
    return dtype.kind in "iu" and not packed


def unpacked(signal: Signal, attributes: Mapping[str, Any]) -> Signal:
    """Return a data set whose values are unpacked where its attributes say that they are packed."""
    dtype = np.dtype(signal.array.dtype)
    useless = _useless(attributes) if dtype.kind in "iuf" else []
    if useless:
        said = " and ".join(f"{name} ({_words(attributes[name])})" for name in useless)
        guess = f"values are taken without {said}: no number that could be meant by it"
        signal = replace(signal, guesses=(*signal.guesses, guess))
    packing = find_packing(attributes, dtype)
    if packing is None:
        fills = [
            *_numbers(attributes.get("_FillValue")),
            *_numbers(attributes.get("missing_value")),
        ]
        if 0 in fills and is_count(attributes, dtype):
            note = "a fill value of 0 is taken as a count of 0: whole numbers that are not packed"
            return replace(signal, notes=(*signal.notes, note))
        return signal
    array = Unpacked(signal.array, packing)
    return replace(signal, array=array, notes=(*signal.notes, packing.note))


def zarr_attributes(array: Any) -> dict[str, Any]:
    """Return the attributes of a Zarr array, with the fill value that xarray keeps elsewhere.

    In format 2 xarray writes ``_FillValue`` as the array's own fill value. Every array has one,
    mostly 0, which for counts is a count: it is taken only where it is something else, or where
    values are packed.
    """
    attributes = dict(array.attrs)
    fill = getattr(array.metadata, "fill_value", None)
    if array.metadata.zarr_format == 2 and fill is not None and "_FillValue" not in attributes:
        packed = "_ARRAY_DIMENSIONS" in attributes and "scale_factor" in attributes
        if fill != 0 or packed:
            attributes["_FillValue"] = fill
    return attributes


def _numbers(value: Any) -> list[float]:
    """Return the finite or missing numbers of an attribute, none where there are none."""
    value = _plain(value)
    if isinstance(value, str):
        value = _decoded(value)
    try:
        return [float(number) for number in np.ravel(value) if number is not None]
    except (TypeError, ValueError):
        return []


def _words(value: Any) -> str:
    """Return an attribute for people, however long it is."""
    text = repr(value.tolist() if isinstance(value, (np.ndarray, np.generic)) else _plain(value))
    return text if len(text) <= 40 else f"{text[:37]}..."


def _plain(value: Any) -> Any:
    """Return text as such."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _decoded(text: str) -> Any:
    """Return a number that xarray wrote into Zarr's format 3 as text: eight bytes in base 64."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return struct.unpack("<d", base64.b64decode(text, validate=True))[0]
    except (ValueError, struct.error):
        return None
