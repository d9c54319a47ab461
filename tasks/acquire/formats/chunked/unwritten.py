"""Find the positions that a file has room for and no data: never written, or lost in a copy.

HDF5 and Zarr give a fill value in place of chunks, and of the source files of a virtual data set,
that are not there. Patterns of zeros look like patterns; so what is there is counted, which takes
a look at the index of the file and reads nothing of the scan.
"""

import glob
import math
import os
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from orimap.tasks.acquire.formats.chunked.hdf5_files import opened
from orimap.tasks.errors import InputError

if TYPE_CHECKING:
    import h5py

DETECTOR = (-2, -1)
# Zarr leaves out chunks that hold nothing but the fill value. Where others of the same part of the
# detector, so many of them looked at, all hold at least so many other values, none is left out by
# chance: of counts that would be once in 10¹⁰.
CHUNKS_LOOKED_AT = 4
FEWEST_VALUES = 25
MOST_NAMED = 3


@dataclass(frozen=True)
class NoData:
    """Positions of which a file holds no data.

    Parameters
    ----------
    positions : array of bool
        Of all axes but those of the detector, True where there is nothing.
    why : str
        What is not there, for people.
    awaited : tuple of str
        Names of files that are not there and may still come.
    """

    positions: np.ndarray
    why: str
    awaited: tuple[str, ...] = ()


def missing_in_hdf5(dataset: "h5py.Dataset", detector: tuple[int, int] = DETECTOR) -> NoData | None:
    """Find what an HDF5 data set has room for and no data.

    Parameters
    ----------
    dataset : h5py.Dataset
        Of an open file; three or more axes.
    detector : pair of int
        Which of its axes are those of the detector.

    Returns
    -------
    NoData or None
        None where all is there.

    Raises
    ------
    InputError
        If one of numbered files is not there, and the data set therefore ends before it; or a
        source file ends too soon.
    """
    if dataset.ndim < 3 or not dataset.size:
        return None
    if dataset.is_virtual:
        return _missing_sources(dataset, detector)
    if dataset.chunks is None:
        if dataset.external or dataset.id.get_storage_size():
            return None
        return _never_written(dataset, np.ones((1,) * dataset.ndim, bool), detector)
    grid = _grid(dataset.shape, dataset.chunks)
    if dataset.id.get_num_chunks() >= math.prod(grid):
        return None
    absent = np.ones(grid, bool)

    def there(chunk: Any) -> None:
        place = (o // s for o, s in zip(chunk.chunk_offset, dataset.chunks, strict=True))
        absent[tuple(place)] = False

    dataset.id.chunk_iter(there)
    return _never_written(dataset, absent, detector)


def missing_in_zarr(
    array: Any, names: Collection[str], detector: tuple[int, int] = DETECTOR
) -> NoData | None:
    """Find the chunks of a Zarr array that are not there.

    Parameters
    ----------
    array : zarr.Array
        Three or more axes.
    names : collection of str
        Of all files of its store, from the root, with slashes.
    detector : pair of int
        Which of its axes are those of the detector.

    Returns
    -------
    NoData or None
        None where all is there, or where what is left out is taken for the fill value: chunks that
        may well hold nothing else.
    """
    stored = getattr(array, "shards", None) or array.chunks
    grid = _grid(array.shape, stored)
    prefix = f"{array.path}/" if array.path else ""
    keys = [prefix + array.metadata.encode_chunk_key(place) for place in np.ndindex(grid)]
    absent = np.array([key not in names for key in keys], bool).reshape(grid)
    lost = _lost(array, absent, stored, detector)
    if not lost.any():
        return None
    number, first = np.count_nonzero(lost), keys[int(np.argmax(lost))]
    why = (
        f"{number} of {lost.size} chunks of {array.path or 'the array'} "
        f"{'is' if number == 1 else 'are'} not there ({first}{', ...' if number > 1 else ''}): "
        "lost in a copy, or never written"
    )
    return NoData(_positions(lost, array.shape, stored, detector), why)


def _never_written(
    dataset: "h5py.Dataset", absent: np.ndarray, detector: tuple[int, int]
) -> NoData | None:
    """Tell of chunks that have no place in a file; parts of the detector that none has are none."""
    scan = _others(absent.ndim, detector)
    used = ~absent.all(axis=scan, keepdims=True)
    lost = absent & used if used.any() else absent
    if not lost.any():
        return None
    name = dataset.name.lstrip("/")
    chunks = dataset.chunks or dataset.shape
    if absent.all():
        why = f"nothing of {name} was ever written"
    else:
        why = f"{np.count_nonzero(lost)} of {lost.size} chunks of {name} were never written"
    return NoData(_positions(lost, dataset.shape, chunks, detector), why)


def _lost(
    array: Any, absent: np.ndarray, stored: tuple[int, ...], detector: tuple[int, int]
) -> np.ndarray:
    """Return which chunks of a Zarr array that are not there did not hold the fill value alone."""
    if absent.all():
        return absent
    lost = np.zeros_like(absent)
    axes = tuple(axis % absent.ndim for axis in detector)
    for part in np.ndindex(*(absent.shape[axis] for axis in axes)):
        of_part: list[Any] = [slice(None)] * absent.ndim
        for axis, number in zip(axes, part, strict=True):
            of_part[axis] = slice(number, number + 1)
        gaps = absent[tuple(of_part)]
        if gaps.any() and not gaps.all():
            corner = np.array([cut.start or 0 for cut in of_part])
            lost[tuple(of_part)] = gaps & _is_filled(array, np.argwhere(~gaps) + corner, stored)
    return lost


def _is_filled(array: Any, there: np.ndarray, stored: tuple[int, ...]) -> bool:
    """Return whether chunks hold much more than the fill value, by the beginning of some."""
    for place in there[:: -(-len(there) // CHUNKS_LOOKED_AT)]:
        first = place * np.array(stored)
        cut = tuple(slice(at, at + size) for at, size in zip(first, array.chunks, strict=True))
        if np.count_nonzero(array[cut] != array.fill_value) < FEWEST_VALUES:
            return False
    return True


def _missing_sources(dataset: "h5py.Dataset", detector: tuple[int, int]) -> NoData | None:
    """Find the positions of a virtual data set that no source gives."""
    scan = _others(dataset.ndim, detector)
    held = np.zeros([dataset.shape[axis] for axis in scan], bool)
    folder = Path(dataset.file.filename).parent
    sources = dataset.virtual_sources()
    lost: list[str] = []
    for source in sources:
        target = _cut(source.vspace, scan)
        if target is None:
            # For a number of files that is not known beforehand: it ends before the first gap.
            _require_every_number(source.file_name, folder)
            held[...] = True
            continue
        gaps = _gaps_of_source(source, dataset, folder, target)
        if gaps is None:
            lost.append(source.file_name)
        else:
            region = held[target]
            region |= ~gaps if np.shape(gaps) == region.shape else True
    missing = ~held
    if not missing.any():
        return None
    names = tuple(dict.fromkeys(lost))
    named = ", ".join(names[:MOST_NAMED]) + (", ..." if len(names) > MOST_NAMED else "")
    name = dataset.name.lstrip("/")
    files = len(dict.fromkeys(source.file_name for source in sources))
    why = f"parts of {name} have no data in the files that it is made of"
    if names:
        why = f"{len(names)} of {files} files that {name} is made of cannot be read: {named}"
    return NoData(missing, why, names)


def _require_every_number(name: str, folder: Path) -> None:
    """Raise where one of the files called ``name``, with a number for ``%b``, is not there."""
    before, _, after = Path(name).name.partition("%b")
    place = (folder / name).parent
    found = [
        int(file.name[len(before) : len(file.name) - len(after)])
        for file in place.glob(f"{glob.escape(before)}*{glob.escape(after)}")
        if file.name[len(before) : len(file.name) - len(after)].isdecimal()
    ]
    missing = sorted(set(range(max(found, default=-1) + 1)) - set(found))
    if missing:
        raise InputError(
            f"{before}{missing[0]}{after}, from which patterns are taken",
            f"it is not there, and {sum(number > missing[0] for number in found)} after it are",
            f"copy it into the folder {place.name or place}",
        )


def _gaps_of_source(
    source: Any, dataset: "h5py.Dataset", folder: Path, target: tuple[slice, ...]
) -> Any:
    """Return where a source of a virtual data set has no data, None where there is no source."""
    if source.file_name == ".":
        part = dataset.file.get(source.dset_name)
        return None if part is None else _gaps(part, source, target)
    path = source_file(source.file_name, folder)
    if path is None:
        return None
    with ExitStack() as stack:
        try:
            file = stack.enter_context(opened(path))
        except (OSError, InputError):
            return None
        part = file.get(source.dset_name)
        return None if part is None else _gaps(part, source, target)


def _gaps(part: "h5py.Dataset", source: Any, target: tuple[slice, ...]) -> Any:
    """Return where a data set that is there has no data, of what is taken; False where it has all.

    One whose axes are not those of what it is taken for is believed.
    """
    import h5py

    if part.ndim != len(target) + 2:
        return False
    here = np.zeros(part.shape[:-2], bool)
    missing = missing_in_hdf5(part)
    if missing is not None:
        here = missing.positions
    if source.src_space.get_select_type() == h5py.h5s.SEL_ALL:
        cut = tuple(slice(0, box.stop - box.start) for box in target)
    else:
        cut = _cut(source.src_space, tuple(range(len(target)))) or ()
    if any(box.stop > size for box, size in zip(cut, here.shape, strict=False)):
        raise InputError(
            f"{'×'.join(str(box.stop) for box in cut)} patterns in {source.file_name}",
            f"it holds {'×'.join(map(str, here.shape))} of them",
            "copy it again from the microscope",
        )
    return here[cut]


def source_file(name: str, folder: Path) -> Path | None:
    """Return where a source of a virtual data set lies, None where it is not there.

    Parameters
    ----------
    name : str
        As the data set has it: absolute, or from the folder of its file.
    folder : Path
        Of the file with the virtual data set.
    """
    prefix = os.environ.get("HDF5_VDS_PREFIX", "").replace("${ORIGIN}", str(folder))
    places = [Path(prefix) / name] if prefix else []
    places += [folder / name, folder / Path(name).name]
    return next((place for place in places if place.is_file()), None)


def _cut(space: Any, axes: tuple[int, ...]) -> tuple[slice, ...] | None:
    """Return the box that a selection lies in, along some axes; None where it has no end."""
    import h5py

    if space.get_select_type() == h5py.h5s.SEL_ALL:
        return tuple(slice(0, space.shape[axis]) for axis in axes)
    if space.is_regular_hyperslab() and h5py.h5s.UNLIMITED in space.get_regular_hyperslab()[2]:
        return None
    first, last = space.get_select_bounds()
    return tuple(slice(int(first[axis]), int(last[axis]) + 1) for axis in axes)


def _positions(
    lost: np.ndarray, shape: tuple[int, ...], chunks: tuple[int, ...], detector: tuple[int, int]
) -> np.ndarray:
    """Return the positions of which a part at least lies in a chunk that is lost."""
    scan = _others(len(shape), detector)
    found = lost.any(axis=tuple(axis % len(shape) for axis in detector))
    for place, axis in enumerate(scan):
        found = np.repeat(found, chunks[axis], axis=place)
    return found[tuple(slice(0, shape[axis]) for axis in scan)]


def _others(ndim: int, detector: tuple[int, int]) -> tuple[int, ...]:
    """Return the axes that are not those of the detector."""
    return tuple(axis for axis in range(ndim) if not {axis, axis - ndim} & set(detector))


def _grid(shape: tuple[int, ...], chunks: tuple[int, ...]) -> tuple[int, ...]:
    """Return how many chunks there are along each axis."""
    return tuple(-(-size // chunk) for size, chunk in zip(shape, chunks, strict=True))
