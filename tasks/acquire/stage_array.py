"""Write an array of this process as a Zarr store, which workers can read like any acquisition.

An array may be computed while it is read (Dask) or lie in a file that somebody else has opened: it
is taken block by block, each block once. Dimensions that have names and coordinates with units are
read as those of a file are: they say which axes are the scan and how far apart positions lie.
"""

import hashlib
import itertools
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from orimap.tasks.acquire.formats.meaning.axes import detector_axes
from orimap.tasks.acquire.formats.meaning.coordinates import Coordinate
from orimap.tasks.acquire.formats.meaning.names import parse_axes
from orimap.tasks.acquire.formats.signals import (
    CONTENT_DIGEST,
    Signal,
    holds_patterns,
    is_complex,
)
from orimap.tasks.errors import InputError, words_of
from orimap.tasks.stream.blocks import Progress, silent

# The array in its store; coordinates lie beside it, by the names of their dimensions.
TITLE = "pattern_intensity"
# So much of the array is stored in one piece.
CHUNK_BYTES = 4 * 2**20
# An array without chunks of its own is taken in pieces of this size.
BLOCK_BYTES = 64 * 2**20
# Whole patterns are put together from chunks that cut the detector, but no more than this at once.
LARGEST_BLOCK_BYTES = 2**30
# Of what somebody else's error says.
MOST_LETTERS = 200
KINDS = {"xarray": "xarray array", "dask": "Dask array", "numpy": "NumPy array"}


class ArrayInput:
    """An array of patterns, described as a data set of a file is; nothing is computed yet.

    Parameters
    ----------
    array : xarray.DataArray, dask.array.Array, numpy.ndarray or alike
        With ``shape``, ``dtype`` and cutting by slices.
    axes : str, optional
        The axes as they are stored, where somebody says what they are (``--axes``).

    Raises
    ------
    InputError
        If it is no array of numbers with three to five axes.
    """

    def __init__(self, array: Any, axes: str | None = None) -> None:
        self.name = _name(array)
        array = _one_array(array)
        self.coordinates = tuple(_coordinates(array))
        attrs = getattr(array, "attrs", None)
        attrs = attrs if isinstance(attrs, dict) else {}
        self.attrs = {
            name: attrs[name] for name in ("units", "beam_energy_kev") if _is_plain(attrs.get(name))
        }
        self.array = Cut(array)
        _require_patterns(self.name, self.array)
        sizes = zip(self.coordinates, self.array.shape, strict=True)
        self.axes = tuple(each.axis(size) for each, size in sizes)
        asked = None if axes is None else parse_axes(axes)
        self.detector = detector_axes(self.axes, asked)

    @property
    def signal(self) -> Signal:
        """The array as what readers of files return, to be checked before it is written."""
        energy = self.attrs.get("beam_energy_kev")
        energy = float(energy) if isinstance(energy, (int, float)) else None
        return Signal(TITLE, self.array, self.axes, (), energy)

    @property
    def blocks(self) -> list[tuple[slice, ...]]:
        """The pieces in which the array is taken: whole patterns of some positions."""
        shape, chunks = self.array.shape, self.array.chunks
        if chunks is None:
            return list(_grid(shape, self.pieces(BLOCK_BYTES)))
        cuts = [
            [length] if axis in self.detector else sizes
            for axis, (length, sizes) in enumerate(zip(shape, chunks, strict=True))
        ]
        return list(itertools.product(*map(_slices, cuts)))

    @property
    def bytes(self) -> int:
        """Bytes of the whole array, which compression may make fewer."""
        return math.prod(self.array.shape) * self.array.dtype.itemsize

    @property
    def pattern_bytes(self) -> int:
        """Bytes of one pattern."""
        first, second = (self.array.shape[axis] for axis in self.detector)
        return first * second * self.array.dtype.itemsize

    def pieces(self, most_bytes: int) -> tuple[int, ...]:
        """Return the size of pieces of whole patterns, the last scan axis longest."""
        sizes, patterns = list(self.array.shape), max(1, most_bytes // self.pattern_bytes)
        for axis in reversed(range(len(sizes))):
            if axis not in self.detector:
                sizes[axis] = max(1, min(sizes[axis], patterns))
                patterns //= sizes[axis]
        return tuple(sizes)

    def require_blocks(self) -> None:
        """Check that whole patterns can be had without computing too much at once.

        Raises
        ------
        InputError
            If chunks cut the detector, and those of one piece of the scan are too large.
        """
        chunks = self.array.chunks
        if chunks is None or all(len(chunks[axis]) == 1 for axis in self.detector):
            return
        scan = [axis for axis in range(len(chunks)) if axis not in self.detector]
        largest = self.pattern_bytes * math.prod(max(chunks[axis]) for axis in scan)
        if largest > LARGEST_BLOCK_BYTES:
            whole = ", ".join(f"{axis}: -1" for axis in self.detector)
            raise InputError(
                "chunks that hold whole patterns (the detector's axes one chunk each)",
                f"chunks of {' × '.join(str(max(each)) for each in chunks)}: whole patterns of "
                f"one piece of the scan take {largest / 2**30:.1f} GiB",
                f"give array.rechunk({{{whole}}}) with smaller chunks along the scan",
            )


class Cut:
    """An array whose pieces are computed, or read, when they are cut out."""

    def __init__(self, array: Any) -> None:
        # Cutting a labelled array would cut its coordinates, too.
        self._array = getattr(array, "variable", array)
        dtype = np.dtype(array.dtype).newbyteorder("=")
        # What no store knows: numbers of more than eight bytes.
        self.dtype = np.dtype(float) if dtype.kind == "f" and dtype.itemsize > 8 else dtype
        self.shape, self.ndim = tuple(array.shape), len(array.shape)
        chunks = getattr(array, "chunks", None)
        computed = isinstance(chunks, tuple) and all(isinstance(each, tuple) for each in chunks)
        self.chunks = chunks if computed else None

    def __getitem__(self, cut: Any) -> np.ndarray:
        """Return a piece in memory."""
        try:
            piece = self._array[cut]
            if hasattr(piece, "compute"):
                piece = piece.compute()
            values = getattr(piece, "values", piece)
        except (InputError, MemoryError):
            raise
        except Exception as error:
            # Whatever somebody's own function, or a library that reads for it, stumbled upon.
            where = "; ".join(f"{each.start}:{each.stop}" for each in _ranges(cut, self.shape))
            words = words_of(error)[:MOST_LETTERS]
            raise InputError(
                "an array whose values can be computed",
                f"computing a piece of it ({where}) failed: {type(error).__name__}"
                + (f": {words}" if words else ""),
                "mend what makes the array; array[...].compute() of this piece shows where it "
                "fails",
            ) from error
        if np.ma.is_masked(values):
            raise _masked("a masked array")
        return np.asarray(values, dtype=self.dtype)


def write_array(given: ArrayInput, store: Path, progress: Progress = silent) -> None:
    """Write an array as a Zarr store, with the digest of its values, axes and calibration.

    Parameters
    ----------
    given : ArrayInput
    store : Path
        Nothing is there yet.
    progress : callable
        Is told how many pieces are done, of how many.
    """
    import zarr

    blocks, array = given.blocks, given.array
    root = zarr.open_group(store, mode="w", attributes=given.attrs)
    patterns = root.create_array(
        TITLE,
        shape=array.shape,
        dtype=array.dtype,
        chunks=given.pieces(CHUNK_BYTES),
        dimension_names=[each.name or None for each in given.coordinates],
        # Zeros that are not written would pass for patterns that were never taken.
        config={"write_empty_chunks": True},
    )
    for each in given.coordinates:
        if each.values is not None and each.name != TITLE:
            root.create_array(
                each.name,
                data=each.values,
                dimension_names=[each.name],
                attributes={"units": each.units},
            )
    pieces = list(_grid(patterns.shape, patterns.chunks))
    for done, block in enumerate(blocks, start=1):
        patterns[block] = array[block]
        progress(done, len(blocks) + len(pieces))
    # Piece by piece as they are stored, whatever the array was computed in.
    digest = hashlib.sha256(repr(_described(given)).encode())
    for done, piece in enumerate(pieces, start=len(blocks) + 1):
        digest.update(np.ascontiguousarray(patterns[piece]).data)
        progress(done, len(blocks) + len(pieces))
    root.attrs[CONTENT_DIGEST] = digest.hexdigest()


def _described(given: ArrayInput) -> list[Any]:
    """Return what tells one array from another with the same values."""
    axes = [
        (each.name, each.units, None if each.values is None else each.values.tolist())
        for each in given.coordinates
    ]
    attrs = sorted((name, str(value)) for name, value in given.attrs.items())
    return [given.array.shape, given.array.dtype.str, axes, attrs]


def _grid(shape: Sequence[int], sizes: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """Yield the pieces of an array one after the other."""
    steps = [range(0, length, size) for length, size in zip(shape, sizes, strict=True)]
    for starts in itertools.product(*steps):
        yield tuple(slice(at, at + size) for at, size in zip(starts, sizes, strict=True))


def _slices(sizes: Sequence[int]) -> list[slice]:
    """Return slices of these sizes one behind the other."""
    return [slice(*pair) for pair in itertools.pairwise([0, *itertools.accumulate(sizes)])]


def _name(array: Any) -> str:
    """Return what to call an array where the name of a file would stand."""
    name = getattr(array, "name", None)
    if type(array).__module__.startswith("xarray") and isinstance(name, str) and name:
        return "".join(letter if letter.isprintable() and letter != "/" else "_" for letter in name)
    return KINDS.get(type(array).__module__.partition(".")[0], "array")


def _one_array(array: Any) -> Any:
    """Return an array that can be cut; of a data set its only one.

    Raises
    ------
    InputError
        If it is something else, or hides values behind a mask.
    """
    if hasattr(array, "data_vars"):
        held = list(array.data_vars)
        if len(held) != 1:
            raise InputError(
                "one array of patterns",
                f"a data set with {', '.join(map(str, held)) or 'none'}",
                "give the array with the patterns, dataset['name']",
            )
        return array[held[0]]
    if not (hasattr(array, "shape") and hasattr(array, "dtype") and hasattr(array, "__getitem__")):
        held_array = hasattr(array, "data") and hasattr(array, "axes_manager")
        raise InputError(
            "a file, or an array of patterns (NumPy, Dask, xarray)",
            f"{type(array).__name__}",
            "give signal.data, or the file that it was loaded from"
            if held_array
            else "give the path of a file, or an array with four axes",
        )
    if isinstance(array, np.ma.MaskedArray):
        if np.ma.is_masked(array):
            raise _masked("a masked array")
        return array.data
    # A Dask array tells of what kind its pieces will be; xarray has put numbers in place of masks.
    if isinstance(getattr(array, "_meta", None), np.ma.MaskedArray):
        raise _masked(
            "a Dask array of masked arrays", "dask.array.ma.filled(array.astype(float), numpy.nan)"
        )
    return array


def _masked(found: str, filled: str = "array.astype(float).filled(numpy.nan)") -> InputError:
    """Return the error for values that hide behind a mask."""
    return InputError(
        "an array that holds its values itself",
        found,
        f"give {filled}: what is not a number counts as not measured",
    )


def _ranges(cut: Any, shape: Sequence[int]) -> Iterator[range]:
    """Yield the range that a cut takes of each axis."""
    given = cut if isinstance(cut, tuple) else (cut,)
    for axis, length in enumerate(shape):
        part = given[axis] if axis < len(given) else slice(None)
        yield range(length)[part] if isinstance(part, slice) else range(part, part + 1)


def _require_patterns(name: str, array: Cut) -> None:
    """Raise where an array cannot hold a scan of patterns.

    Raises
    ------
    InputError
        With its shape and type.
    """
    if not all(isinstance(size, (int, np.integer)) for size in array.shape):
        raise InputError(
            "an array whose shape is known",
            f"chunks of unknown sizes ({array.shape})",
            "call array.compute_chunk_sizes() before",
        )
    shape = "×".join(map(str, array.shape)) or "a single value"
    if is_complex(array.shape, array.dtype):
        raise InputError(
            "patterns of real intensities",
            f"{name}: {shape}, {array.dtype}",
            "give the intensities, abs(array) ** 2",
        )
    if not array.shape or not min(array.shape) or not holds_patterns(array.shape, array.dtype):
        raise InputError(
            "an array (scan_y, scan_x, detector_y, detector_x) of numbers; one of three axes, "
            "patterns in one row, with scan_shape=(rows, columns)",
            f"{name}: {shape}, {array.dtype}",
            "give the whole scan, one pattern at every position",
        )


def _coordinates(array: Any) -> Iterator[Coordinate]:
    """Yield what an array says of its axes; only labelled ones say anything."""
    labelled = "xarray" in sys.modules and isinstance(array, sys.modules["xarray"].DataArray)
    if not labelled:
        for _ in getattr(array, "shape", ()):
            yield Coordinate("")
        return
    for dim in array.dims:
        if dim in array.coords and array.coords[dim].dtype.kind in "iuf":
            along = array.coords[dim]
            units = along.attrs.get("units", "")
            yield Coordinate(str(dim), np.asarray(along, dtype=float), str(units))
        else:
            yield Coordinate(str(dim))


def _is_plain(value: Any) -> bool:
    """Return whether an attribute is a text or a number."""
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)
