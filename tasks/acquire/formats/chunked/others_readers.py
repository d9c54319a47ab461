"""Find what an HDF5 file lacks of an array that somebody else's reader has made of it."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from orimap.tasks.acquire.formats.chunked.hdf5_files import load_h5py, opened
from orimap.tasks.acquire.formats.chunked.no_data import NoData
from orimap.tasks.acquire.formats.chunked.unwritten import chunks_not_written, missing_in_hdf5


def gaps_behind(
    path: Path, shape: tuple[int, ...], dtype: np.dtype, detector: tuple[int, int]
) -> tuple[NoData | None, str]:
    """Find what an HDF5 file lacks of an array that somebody else's reader makes of it.

    Returns
    -------
    NoData or None
        Of the one data set of this shape, or with its axes from last to first.
    str
        A guess: where the array is made from another shape, that no pattern is among what lacks.
    """
    h5py = load_h5py()
    if not path.is_file() or not h5py.is_hdf5(path):
        return None, ""
    found: list[Any] = []

    def look(_: str, item: Any) -> None:
        as_many = isinstance(item, h5py.Dataset) and item.size == math.prod(shape)
        if as_many and item.dtype.newbyteorder("=") == dtype.newbyteorder("="):
            found.append(item)

    with opened(path) as file:
        file.visititems(look)
        # Readers give an array as it is stored, or the last axis first; not where both look alike.
        turned = tuple(shape)[::-1]
        if len(found) == 1 and turned != tuple(shape):
            if found[0].shape == tuple(shape):
                return missing_in_hdf5(found[0], detector), ""
            if found[0].shape == turned:
                last = len(shape) - 1
                gaps = missing_in_hdf5(found[0], (last - detector[1], last - detector[0]))
                scan = tuple(range(len(shape) - 2))[::-1]
                return (None if gaps is None else gaps.transposed(scan, (1, 0))), ""
        chunks = [(item.name.lstrip("/"), *chunks_not_written(item)) for item in found]
    said = [f"{lost} of {of} chunks of {name}" for name, lost, of in chunks if lost]
    if not said:
        return None, ""
    return None, (
        f"zeros are taken as counts, although {' and '.join(said)} were never written: which "
        "patterns lack them is not known"
    )
