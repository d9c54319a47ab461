"""Find what lies beside an array in an HDF5 or Zarr file and describes its axes.

Zarr arrays and netCDF files name their dimensions, and coordinates of these names lie beside them.
NeXus groups list their ``axes``. EMD groups number theirs: dim1, dim2 and so on.
"""

import math
import os
from collections.abc import Sequence
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np

from orimap.tasks.acquire.formats.calibration import Axis
from orimap.tasks.acquire.formats.meaning.names import read_name


class Coordinate(NamedTuple):
    """The name of an axis, and its values along it with their unit where they are given."""

    name: str
    values: np.ndarray | None = None
    units: str = ""

    def axis(self, size: int) -> Axis:
        """Return the axis; one whose values are not evenly spaced has no step."""
        if self.values is None or size < 2:
            return Axis(self.name, size)
        steps = np.diff(self.values)
        fits = self.values.shape == (size,) and np.allclose(steps, steps[0], rtol=1e-3)
        return Axis(self.name, size, float(steps.mean()) if fits else math.nan, self.units)


def zarr_axes(root: Any, name: str, array: Any) -> tuple[tuple[Axis, ...], tuple[str, ...]]:
    """Return the axes of a Zarr array by its dimension names, and notes.

    Parameters
    ----------
    root : zarr.Group or None
        Where coordinates may lie.
    name : str
        Path of the array in it.
    array : zarr.Array
    """
    labels = getattr(array.metadata, "dimension_names", None)
    labels = labels or array.attrs.get("_ARRAY_DIMENSIONS") or [""] * array.ndim
    beside = name.rpartition("/")[0]
    found = []
    for label in labels:
        place = f"{beside}/{label}" if beside else label
        there = root is not None and label and place in root
        found.append(_coordinate(str(label or ""), root[place] if there else None))
    return _placed(found, array.shape)


def hdf5_axes(array: Any) -> tuple[tuple[Axis, ...], tuple[str, ...]]:
    """Return the axes of an HDF5 data set by what describes them, and notes.

    Parameters
    ----------
    array : h5py.Dataset
    """
    group = array.parent
    # Names that are no text come as bytes.
    name = os.fsdecode(array.name).rpartition("/")[2]
    for find in (_nexus, _scales, _numbered):
        found = find(group, name, array)
        if any(each.name for each in found) and len(found) == array.ndim:
            return _placed(found, array.shape)
    return tuple(Axis("", size) for size in array.shape), ()


def _nexus(group: Any, name: str, array: Any) -> list[Coordinate]:
    """Return what a NeXus group says of its signal: a list of names, or one text with colons."""
    listed = _texts(array.attrs.get("axes")) or (
        _texts(group.attrs.get("axes")) if _texts(group.attrs.get("signal")) in ([], [name]) else []
    )
    if len(listed) == 1:
        listed = [part.strip() for part in listed[0].strip("[]").replace(",", ":").split(":")]
    places = [group.attrs.get(f"{each}_indices") for each in listed]
    numbers = [int(place) for place in places if np.size(place) == 1 and place is not None]
    if sorted(numbers) == list(range(len(listed))):
        listed = [listed[numbers.index(number)] for number in range(len(listed))]
    return [
        _coordinate("" if each == "." else each, group.get(each) if each != "." else None)
        for each in listed
    ]


def _scales(group: Any, name: str, array: Any) -> list[Coordinate]:
    """Return what dimension scales say, which netCDF files have, or labels alone."""
    found = []
    for dimension in array.dims:
        scale = dimension[0] if len(dimension) else None
        label = dimension.label or ("" if scale is None else scale.name.rpartition("/")[2])
        empty = scale is None or b"without variable" in scale.attrs.get("NAME", b"")
        found.append(_coordinate(label, None if empty else scale))
    return found


def _numbered(group: Any, name: str, array: Any) -> list[Coordinate]:
    """Return what the numbered axes of an EMD group say."""
    first = 0 if "dim0" in group else 1
    found = [group.get(f"dim{first + number}") for number in range(array.ndim)]
    if any(axis is None or not hasattr(axis, "attrs") for axis in found):
        return []
    names = [next(iter(_texts(axis.attrs.get("name"))), "") for axis in found]
    return [_coordinate(each, axis) for each, axis in zip(names, found, strict=True)]


def _coordinate(name: str, stored: Any) -> Coordinate:
    """Return a coordinate with the values that are stored for it, if any are."""
    if stored is None or len(getattr(stored, "shape", ())) != 1 or stored.dtype.kind not in "iuf":
        return Coordinate(name)
    units = next(iter(_texts(stored.attrs.get("units"))), "")
    return Coordinate(name, np.asarray(stored[...], dtype=float), units)


def _placed(
    found: Sequence[Coordinate], shape: Sequence[int]
) -> tuple[tuple[Axis, ...], tuple[str, ...]]:
    """Put names to the axes whose sizes they have; say so where the file has another order.

    Edges are one more than the pixels between them.
    """

    def fit(order: Sequence[Coordinate]) -> bool:
        return all(
            each.values is None or len(each.values) in (size, size + 1)
            for each, size in zip(order, shape, strict=True)
        )

    order, notes = list(found), ()
    if not fit(found):
        sizes = ", ".join(
            f"{each.name} ({'?' if each.values is None else len(each.values)})" for each in found
        )
        described = f"the file describes its axes as {sizes}; the data are {_by(shape)}"
        complete = all(each.values is not None for each in found)
        fitting = [each for each in permutations(found) if fit(each)] if complete else []
        # Axes of one kind and size can stand for one another: the first order keeps them in turn.
        if len({tuple(read_name(each.name).mark for each in one) for one in fitting}) == 1:
            order = list(fitting[0])
            notes = (f"{described}: taken as {', '.join(each.name for each in order)}",)
        else:
            notes = (f"{described}: only the names are used",)
    axes = tuple(each.axis(size) for each, size in zip(order, shape, strict=True))
    return axes, notes


def _by(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))


def _texts(value: Any) -> list[str]:
    """Return the texts of an attribute, which may be one or several, in bytes or not."""
    if value is None:
        return []
    return [
        each.decode("utf-8", "replace") if isinstance(each, bytes) else str(each)
        for each in np.ravel(value)
    ]
