"""Find what a virtual HDF5 data set has no data of: files of rows, frames or detector modules."""

import glob
import math
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from orimap.tasks.acquire.formats.chunked.hdf5_files import opened
from orimap.tasks.acquire.formats.chunked.no_data import NoData, refined
from orimap.tasks.errors import InputError

if TYPE_CHECKING:
    import h5py

MOST_NAMED = 3

# The places along each axis that a selection is made of.
Places = tuple[np.ndarray, ...]
# Finds what a data set lacks, given which axes are the detector's.
Search = Callable[["h5py.Dataset", tuple[int, int]], NoData | None]


def missing_sources(
    dataset: "h5py.Dataset", detector: tuple[int, int], missing: Search
) -> NoData | None:
    """Find what no source of a virtual data set gives.

    Parameters
    ----------
    dataset : h5py.Dataset
        Of an open file.
    detector : pair of int
        Which of its axes are those of the detector, counted from 0.
    missing : callable
        Finds what a source lacks itself.

    Raises
    ------
    InputError
        If one of numbered files is not there, or a source ends too soon.
    """
    folder = Path(dataset.file.filename).parent
    sources = dataset.virtual_sources()
    given: list[tuple[Places, NoData | None]] = []
    lost: list[str] = []
    for source in sources:
        target = _places(source.vspace)
        if target is None:
            # For a number of files that is not known beforehand: it ends before the first gap.
            _require_every_number(source.file_name, folder)
            given.append((tuple(np.arange(size) for size in dataset.shape), None))
            continue
        with ExitStack() as stack:
            part = _source(source, dataset, folder, stack)
            if part is None:
                lost.append(source.file_name)
            else:
                given.append((target, _gaps_of(part, source, target, detector, missing)))
    found = _not_given(given, dataset.shape, detector)
    if not found.lost.any():
        return None
    names = tuple(dict.fromkeys(lost))
    named = ", ".join(names[:MOST_NAMED]) + (", ..." if len(names) > MOST_NAMED else "")
    name = dataset.name.lstrip("/")
    files = len(dict.fromkeys(source.file_name for source in sources))
    why = f"parts of {name} have no data in the files that it is made of"
    if names:
        why = f"{len(names)} of {files} files that {name} is made of cannot be read: {named}"
    return NoData(found.lost, found.part, why, names)


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


def _not_given(
    given: list[tuple[Places, NoData | None]], shape: tuple[int, ...], detector: tuple[int, int]
) -> NoData:
    """Return what is lost where sources give some places, and lack something themselves."""
    scan = tuple(axis for axis in range(len(shape)) if axis not in detector)
    size = tuple(shape[axis] for axis in detector)
    part = np.zeros(size, np.int64)
    # Sources of one module are many: each part of the detector is looked at once.
    areas: dict[tuple, np.ndarray] = {}
    keys = []
    for target, gaps in given:
        area = np.ix_(*(target[axis] for axis in detector))
        key = (*(place.tobytes() for place in area), b"" if gaps is None else gaps.part.tobytes())
        keys.append(key)
        if key not in areas:
            areas[key] = np.zeros(size, np.int64)
            areas[key][area] = 1 if gaps is None else 1 + gaps.part
            part = refined(part, areas[key])
    first = np.unique(part, return_index=True)[1]
    held = np.zeros((len(first), *(shape[axis] for axis in scan)), bool)
    inside = {key: area.ravel()[first] for key, area in areas.items()}
    for (target, gaps), key in zip(given, keys, strict=True):
        place = np.ix_(*(target[axis] for axis in scan))
        for number in np.flatnonzero(inside[key]):
            there = True if gaps is None else ~gaps.lost[inside[key][number] - 1]
            held[number][place] |= there
    return NoData(~held, part).without_copies()


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


def _source(source: Any, dataset: "h5py.Dataset", folder: Path, stack: ExitStack) -> Any:
    """Return the data set that a source is, opened while the stack lasts; None if there is none."""
    if source.file_name == ".":
        return dataset.file.get(source.dset_name)
    path = source_file(source.file_name, folder)
    if path is None:
        return None
    try:
        return stack.enter_context(opened(path)).get(source.dset_name)
    except (OSError, InputError):
        return None


def _gaps_of(
    part: "h5py.Dataset", source: Any, target: Places, detector: tuple[int, int], missing: Search
) -> NoData | None:
    """Return what a source lacks of the places that are taken from it; None where it has all.

    One whose axes are not those of what it is taken for has its detector last, or is believed.
    """
    import h5py

    lengths = [len(place) for place in target]
    same = part.ndim == len(target)
    last = (part.ndim - 2, part.ndim - 1)
    whole = source.src_space.get_select_type() == h5py.h5s.SEL_ALL
    if same and whole:
        taken: Places | None = tuple(np.arange(length) for length in lengths)
    else:
        taken = tuple(map(np.arange, part.shape)) if whole else _places(source.src_space)
    if taken is None or part.ndim < 3 or any(not place.size for place in taken):
        return None
    own = detector if same else last
    scan = tuple(axis for axis in range(part.ndim) if axis not in own)
    if any(taken[axis][-1] >= part.shape[axis] for axis in range(part.ndim)):
        raise InputError(
            f"{'×'.join(str(taken[axis][-1] + 1) for axis in scan)} patterns in {source.file_name}",
            f"it holds {'×'.join(str(part.shape[axis]) for axis in scan)} of them",
            "copy it again from the microscope",
        )
    gaps = missing(part, own)
    if gaps is None:
        return None
    lost = gaps.lost[np.ix_(np.arange(len(gaps.lost)), *(taken[axis] for axis in scan))]
    of_detector = gaps.part[np.ix_(*(taken[axis] for axis in own))]
    outer = tuple(len(target[axis]) for axis in range(len(target)) if axis not in detector)
    alike = of_detector.shape == tuple(lengths[axis] for axis in detector)
    in_order = same or detector == (len(target) - 2, len(target) - 1)
    if not (alike and in_order and math.prod(lost.shape[1:]) == math.prod(outer)):
        return None
    return NoData(lost.reshape(len(lost), *outer), of_detector)


def _places(space: Any) -> Places | None:
    """Return the places along each axis that a selection is made of; None where it has no end.

    Of a selection that is no grid, the box that it lies in.
    """
    import h5py

    if space.get_select_type() == h5py.h5s.SEL_ALL:
        return tuple(np.arange(size) for size in space.shape)
    if space.is_regular_hyperslab():
        steps = space.get_regular_hyperslab()
        if h5py.h5s.UNLIMITED in (*steps[2], *steps[3]):
            return None
        return tuple(
            (start + stride * np.arange(count)[:, None] + np.arange(block)).ravel()
            for start, stride, count, block in zip(*steps, strict=True)
        )
    first, last = space.get_select_bounds()
    return tuple(np.arange(start, stop + 1) for start, stop in zip(first, last, strict=True))
