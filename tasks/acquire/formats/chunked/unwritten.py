"""Find what a file has room for and no data: never written, or lost in a copy.

HDF5 and Zarr give a fill value in place of chunks, and of the source files of a virtual data set,
that are not there. Patterns of zeros look like patterns; so what is there is counted, which takes
a look at the index of the file and reads nothing of the scan but, in Zarr, a few chunks.
"""

import math
from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from orimap.tasks.acquire.formats.chunked.no_data import NoData
from orimap.tasks.acquire.formats.chunked.virtual_sources import missing_sources
from orimap.tasks.acquire.formats.chunked.zarr_shards import absent_in_shards

if TYPE_CHECKING:
    import h5py

DETECTOR = (-2, -1)
# Zarr leaves out chunks that hold nothing but the fill value. Where others of the same part of the
# detector, so many of them looked at, all hold at least so many other values, none is left out by
# chance: of counts that would be once in 10¹⁰.
CHUNKS_LOOKED_AT = 4
FEWEST_VALUES = 25
# So many are looked at for such values along the edge of a part that no pattern has.
EDGES_LOOKED_AT = 16
# Shards up to this size are looked at as a whole.
LARGEST_SHARD_BYTES = 16 * 2**20


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
        first, second = (axis % dataset.ndim for axis in detector)
        return missing_sources(dataset, (first, second), missing_in_hdf5)
    if dataset.chunks is None:
        if dataset.external or dataset.id.get_storage_size():
            return None
        return _never_written(dataset, np.ones((1,) * dataset.ndim, bool), detector)
    if not chunks_not_written(dataset)[0]:
        return None
    absent = np.ones(_grid(dataset.shape, dataset.chunks), bool)

    def there(chunk: Any) -> None:
        place = (o // s for o, s in zip(chunk.chunk_offset, dataset.chunks, strict=True))
        absent[tuple(place)] = False

    dataset.id.chunk_iter(there)
    return _never_written(dataset, absent, detector)


def chunks_not_written(dataset: "h5py.Dataset") -> tuple[int, int]:
    """Return how many chunks of an HDF5 data set have no place in its file, and how many it has."""
    if dataset.chunks is None:
        return 0, 1
    chunks = math.prod(_grid(dataset.shape, dataset.chunks))
    return max(0, chunks - dataset.id.get_num_chunks()), chunks


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
    shards_lost = absent
    inside = absent_in_shards(array, absent)
    if inside is not None:
        absent, stored = inside, array.chunks
    if not absent.any():
        return None
    lost, believed = _lost(array, absent, stored, detector)
    if inside is not None and shards_lost.any():
        # A whole shard tells more than one of its chunks, which may hold few electrons.
        whole = _lost(array, shards_lost, array.shards, detector)[0]
        for axis, (shard, chunk) in enumerate(zip(array.shards, array.chunks, strict=True)):
            whole = np.repeat(whole, shard // chunk, axis=axis)
        lost |= whole[tuple(slice(0, n) for n in lost.shape)]
    found = NoData.of_chunks(lost, array.shape, stored, detector)
    note = ""
    if believed:
        note = (
            f"{believed} chunks of {array.path or 'the array'} are not stored, of parts of the "
            "detector that no pattern has: taken as zeros, which is what lies beside them"
        )
    if not lost.any():
        return replace(found, note=note) if note else None
    why = _say_lost(array, lost, shards_lost, keys, in_shards=inside is not None)
    return replace(found, why=why, note=note)


def _say_lost(
    array: Any, lost: np.ndarray, shards_lost: np.ndarray, keys: list[str], *, in_shards: bool
) -> str:
    """Say how many chunks are not there: the files, where they are what is lost."""
    number, of, what = np.count_nonzero(lost), lost.size, "chunks"
    named = "" if in_shards else keys[int(np.argmax(lost))]
    if in_shards:
        gone = np.count_nonzero(shards_lost)
        if gone * math.prod(array.shards) == number * math.prod(array.chunks):
            number, of, named = gone, shards_lost.size, keys[int(np.argmax(shards_lost))]
        else:
            what = "chunks within the shards"
    some = f" ({named}{', ...' if number > 1 else ''})" if named else ""
    return (
        f"{number} of {of} {what} of {array.path or 'the array'} "
        f"{'is' if number == 1 else 'are'} not there{some}: lost in a copy, or never written"
    )


def _never_written(
    dataset: "h5py.Dataset", absent: np.ndarray, detector: tuple[int, int]
) -> NoData | None:
    """Tell of chunks that have no place in a file: HDF5 leaves out none that was written."""
    if not absent.any():
        return None
    name = dataset.name.lstrip("/")
    chunks = dataset.chunks or dataset.shape
    if absent.all():
        why = f"nothing of {name} was ever written"
    else:
        why = f"{np.count_nonzero(absent)} of {absent.size} chunks of {name} were never written"
    return replace(NoData.of_chunks(absent, dataset.shape, chunks, detector), why=why)


def _lost(
    array: Any, absent: np.ndarray, stored: tuple[int, ...], detector: tuple[int, int]
) -> tuple[np.ndarray, int]:
    """Return which chunks of a Zarr array that are not there did not hold the fill value alone.

    The second is how many are not there at any position and were believed to hold nothing else.
    """
    if absent.all() or not _may_be_zero(array.fill_value):
        return absent, 0
    lost = np.zeros_like(absent)
    axes = (detector[0] % absent.ndim, detector[1] % absent.ndim)
    everywhere = absent.all(axis=_others(absent.ndim, detector))
    for part in np.argwhere(~everywhere):
        of_part = _of_part(part, axes, absent.ndim)
        gaps = absent[of_part]
        if gaps.any():
            corner = np.array([cut.start or 0 for cut in of_part])
            lost[of_part] = gaps & _is_filled(array, np.argwhere(~gaps) + corner, stored)
    believed = 0
    for region in _regions(everywhere):
        cut_off = any(
            _edge_is_filled(array, absent, stored, axes, part, step)
            for part in region
            for step in ((-1, 0), (1, 0), (0, -1), (0, 1))
        )
        for part in region:
            of_part = _of_part(part, axes, absent.ndim)
            lost[of_part] = cut_off
            believed += 0 if cut_off else lost[of_part].size
    return lost, believed


def _may_be_zero(fill_value: Any) -> bool:
    """Return whether chunks may be left out because they hold nothing: where that is 0.

    Without a fill value there is none that could be left out.
    """
    return fill_value is not None and bool(fill_value == 0)


def _regions(everywhere: np.ndarray) -> list[np.ndarray]:
    """Return the parts of the detector that no position has, those beside each other together."""
    if not everywhere.any():
        return []
    from skimage.measure import label

    number = label(everywhere, connectivity=1)
    return [np.argwhere(number == each) for each in range(1, number.max() + 1)]


def _of_part(part: np.ndarray, axes: tuple[int, int], ndim: int) -> tuple[slice, ...]:
    """Return the chunks, at all positions, of one part of the detector."""
    cut = [slice(None)] * ndim
    for axis, number in zip(axes, part.tolist(), strict=True):
        cut[axis] = slice(number, number + 1)
    return tuple(cut)


def _edge_is_filled(
    array: Any,
    absent: np.ndarray,
    stored: tuple[int, ...],
    axes: tuple[int, int],
    part: np.ndarray,
    step: tuple[int, int],
) -> bool:
    """Return whether values go up to the edge of a part of the detector that no pattern has.

    ``step`` leads to the part beside it whose last line of pixels is looked at. Zeros do not begin
    where a chunk does.
    """
    beside = part + step
    if (beside < 0).any() or any(
        number >= absent.shape[axis] for number, axis in zip(beside, axes, strict=True)
    ):
        return False
    of_part = _of_part(beside, axes, absent.ndim)
    corner = np.array([cut.start or 0 for cut in of_part])
    there = np.argwhere(~absent[of_part]) + corner
    found = 0
    for place in there[:: max(1, -(-len(there) // EDGES_LOOKED_AT))]:
        first = place * np.array(stored)
        cut = _beginning(array, first, stored)
        for axis, by in zip(axes, step, strict=True):
            size = min(stored[axis], array.shape[axis] - first[axis])
            edge = first[axis] + (0 if by > 0 else size - 1)
            if by:
                cut[axis] = slice(edge, edge + 1)
        found += np.count_nonzero(array[tuple(cut)] != array.fill_value)
        if found >= FEWEST_VALUES:
            return True
    return False


def _is_filled(array: Any, there: np.ndarray, stored: tuple[int, ...]) -> bool:
    """Return whether chunks hold much more than the fill value, by the beginning of some."""
    for place in there[:: -(-len(there) // CHUNKS_LOOKED_AT)]:
        cut = _beginning(array, place * np.array(stored), stored)
        if np.count_nonzero(array[tuple(cut)] != array.fill_value) < FEWEST_VALUES:
            return False
    return True


def _beginning(array: Any, first: np.ndarray, stored: tuple[int, ...]) -> list[slice]:
    """Return what is looked at of a chunk that is stored; of a large shard its first chunk."""
    whole = math.prod(stored) * array.dtype.itemsize <= LARGEST_SHARD_BYTES
    sizes = stored if whole else array.chunks
    return [slice(at, at + size) for at, size in zip(first.tolist(), sizes, strict=True)]


def _others(ndim: int, detector: tuple[int, int]) -> tuple[int, ...]:
    """Return the axes that are not those of the detector."""
    return tuple(axis for axis in range(ndim) if not {axis, axis - ndim} & set(detector))


def _grid(shape: tuple[int, ...], chunks: tuple[int, ...]) -> tuple[int, ...]:
    """Return how many chunks there are along each axis."""
    return tuple(-(-size // chunk) for size, chunk in zip(shape, chunks, strict=True))
