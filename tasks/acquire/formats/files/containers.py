"""Find scans of patterns inside HDF5 and Zarr files, wherever they lie in them."""

import importlib
import math
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from orimap.tasks.acquire.formats.calibration import Axis
from orimap.tasks.acquire.formats.chunked.hdf5_files import Hdf5Array, load_h5py, opened
from orimap.tasks.acquire.formats.chunked.linked_files import files_behind
from orimap.tasks.acquire.formats.chunked.no_data import NoData, joined
from orimap.tasks.acquire.formats.chunked.unwritten import missing_in_hdf5, missing_in_zarr
from orimap.tasks.acquire.formats.chunked.virtual_sources import source_file
from orimap.tasks.acquire.formats.meaning.axes import detector_axes
from orimap.tasks.acquire.formats.meaning.coordinates import hdf5_axes, zarr_axes
from orimap.tasks.acquire.formats.meaning.describe_swift import DESCRIPTION, described_by_swift
from orimap.tasks.acquire.formats.meaning.given import stored_beam_energy
from orimap.tasks.acquire.formats.meaning.packed import unpacked, zarr_attributes
from orimap.tasks.acquire.formats.signals import CONTENT_DIGEST, Signal, holds_patterns, is_complex
from orimap.tasks.errors import InputError, words_of
from orimap.tasks.lines import printable


class Concatenated:
    """Stacks of patterns one behind the other, cut along the first axis only."""

    def __init__(self, parts: list[Any]) -> None:
        self.parts = parts
        self.dtype = parts[0].dtype
        self.shape = (sum(part.shape[0] for part in parts), *parts[0].shape[1:])
        self.ndim = len(self.shape)

    def __getitem__(self, cut: slice) -> np.ndarray:
        """Read the patterns of a slice along the first axis."""
        start, stop, _ = cut.indices(self.shape[0])
        found, offset = [], 0
        for part in self.parts:
            low, high = max(start - offset, 0), min(stop - offset, part.shape[0])
            if low < high:
                found.append(part[low:high])
            offset += part.shape[0]
        return np.concatenate(found)


def open_hdf5(path: Path, dataset: str | None, asked: Sequence[str] | None = None) -> list[Signal]:
    """Open one data set by its path in the file, or list those that could hold patterns.

    ``asked`` are the stored axes where somebody says what they are, here and in what follows.

    Raises
    ------
    InputError
        If the file is damaged, or holds no such data set.
    OSError
        If it cannot be reached.
    """
    h5py = load_h5py()
    importlib.import_module("hdf5plugin")  # registers the compressions that files can have
    with opened(path) as file:
        if dataset is None:
            arrays = _once(list(_hdf5_arrays(file)))
        else:
            found = file.get(os.fsencode(dataset.strip("/")))
            if not isinstance(found, h5py.Dataset):
                raise _no_such(path, dataset, [_title(name) for name, _ in _hdf5_arrays(file)])
            arrays = [(os.fsencode(dataset.strip("/")), found)]
        return [_hdf5_signal(path, name, array, asked) for name, array in arrays]


def _hdf5_signal(path: Path, name: bytes, array: Any, asked: Sequence[str] | None) -> Signal:
    """Describe one data set of an HDF5 file."""
    axes, notes = hdf5_axes(array)
    signal = Signal(
        _title(name),
        Hdf5Array(path, name, array),
        axes,
        with_others((path, *_sources(array, path.parent)), files_behind(path, name)),
        notes=notes,
        read_memory_bytes=_chunk_bytes(array),
        no_data=missing_in_hdf5(array, detector_axes(axes, asked)),
    )
    signal = described_by_swift(signal, array.attrs.get(DESCRIPTION))
    return unpacked(signal, dict(array.attrs))


def open_dectris(path: Path) -> list[Signal]:
    """Open a Dectris master file (Arina, Quadro, ...): stacks of patterns in linked files.

    The scan's shape is in none of them. The pixel size, where STEM software wrote it, is in nm.
    """
    h5py = load_h5py()
    importlib.import_module("hdf5plugin")  # registers the compressions that files can have
    files, behind, parts, gaps, largest = [path], [], [], [], 0
    with opened(path) as file:
        group = file["entry/data"]
        for name in sorted(name for name in group if name.startswith("data_")):
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                files.append(path.parent / link.filename)
            behind += files_behind(path, f"entry/data/{name}")
            try:
                part = group[name]
            except (KeyError, OSError) as error:
                raise InputError(
                    f"{files[-1].name} beside {path.name}, which holds its patterns",
                    "it is not there"
                    if not files[-1].exists()
                    else f"it cannot be read ({words_of(error)})",
                    f"copy it into the folder {path.parent.name or path.parent}",
                ) from error
            parts.append(Hdf5Array(path, f"entry/data/{name}", part))
            gaps.append(missing_in_hdf5(part))
            largest = max(largest, _chunk_bytes(part))
        described = file.get("entry/instrument/detector/detectorSpecific")
        facts = (
            {}
            if described is None
            else {
                name: float(described[name][()])
                for name in ("ntrigger", "nimages", "photon_energy")
                if name in described
            }
        )
    stack = Concatenated(parts)
    if "ntrigger" in facts and "nimages" in facts:
        expected = int(facts["ntrigger"]) * int(facts["nimages"])
        if stack.shape[0] < expected:
            raise InputError(
                f"{expected} patterns, as {path.name} says",
                f"{stack.shape[0]} in its {len(parts)} data file(s)",
                "copy the missing data files beside it",
            )
    energy = facts.get("photon_energy", 0.0)
    kev = energy / 1e3 if energy > 0 else None
    axes = [Axis("", size) for size in stack.shape]
    sidecar = path.with_name(path.name.replace("_master.h5", ".h5"))
    if sidecar != path and sidecar.exists():
        with opened(sidecar) as described:
            size = described.get("STEM Metadata")
            if size is not None and "Pixel Size" in size.attrs:
                axes[0] = Axis("", stack.shape[0], float(size.attrs["Pixel Size"][0]), "nm")
                files.append(sidecar)
    return [
        Signal(
            "patterns",
            stack,
            tuple(axes),
            with_others(files, behind),
            kev,
            read_memory_bytes=largest,
            no_data=joined(
                [(part.shape[0], gap) for part, gap in zip(parts, gaps, strict=True)],
                stack.shape[1:],
            ),
        )
    ]


def open_zarr(path: Path, dataset: str | None, asked: Sequence[str] | None = None) -> list[Signal]:
    """Open one Zarr array by its path, or list those that could hold patterns.

    Coordinates named as the axes, evenly spaced and with ``units``, give the calibration.
    """
    root = _zarr_root(path)
    if not hasattr(root, "members"):
        return [_zarr_signal(None, path.stem, root, _zarr_files(path), _zarr_names(path), asked)]
    arrays = {
        name: item
        for name, item in root.members(max_depth=None)
        if not hasattr(item, "members") and _is_listed(item)
    }
    if dataset is not None:
        wanted = dataset.strip("/")
        inside = {name: a for name, a in arrays.items() if name.startswith(f"{wanted}/")}
        chosen = {wanted: arrays[wanted]} if wanted in arrays else inside
        if not chosen:
            raise _no_such(path, dataset, list(arrays))
        arrays = chosen
    files, names = _zarr_files(path), _zarr_names(path)
    return [_zarr_signal(root, name, array, files, names, asked) for name, array in arrays.items()]


def _zarr_signal(
    root: Any,
    name: str,
    array: Any,
    files: tuple[Path, ...],
    names: frozenset[str],
    asked: Sequence[str] | None,
) -> Signal:
    """Describe one array of a Zarr file; ``root`` is None where there is nothing else in it."""
    axes, notes = zarr_axes(root, name, array)
    above = {} if root is None else root.attrs
    energy = stored_beam_energy(array.attrs.get("beam_energy_kev", above.get("beam_energy_kev")))
    memory = math.prod(array.chunks) * array.dtype.itemsize
    gaps = missing_in_zarr(array, names, detector_axes(axes, asked))
    digest = str(above.get(CONTENT_DIGEST, ""))
    signal = Signal(
        name, array, axes, files, energy, notes, memory, no_data=gaps, content_digest=digest
    )
    return unpacked(signal, zarr_attributes(array))


def open_zspy(path: Path, asked: Sequence[str] | None = None) -> list[Signal]:
    """Open HyperSpy's Zarr form, a group an experiment with ``data`` and ``axis-N`` in it."""
    files, names = _zarr_files(path), _zarr_names(path)
    groups = _zarr_root(path)["Experiments"].groups()
    return [
        _hyperspy_signal(group, name, files, partial(missing_in_zarr, group["data"], names), asked)
        for name, group in groups
    ]


def open_hspy(path: Path, asked: Sequence[str] | None = None) -> list[Signal]:
    """Open HyperSpy's HDF5 form, which holds the same; none where it is older than that.

    Before version 1.2 of the form its groups had other names: those rosettasciio knows.
    """
    h5py = load_h5py()
    importlib.import_module("hdf5plugin")  # registers the compressions that files can have
    signals = []
    with opened(path) as file:
        groups = {
            f"Experiments/{name}": group
            for name, group in file["Experiments"].items()
            if isinstance(group, h5py.Group) and "data" in group
        }
        several = groups.values()
        axes = [f"axis-{number}" for group in several for number in range(group["data"].ndim)]
        if not all("metadata" in group and axis in group for group in several for axis in axes):
            return []
        for number, (place, group) in enumerate(groups.items()):
            general = group.get("metadata/General")
            title = "" if general is None else _text(general.attrs.get("title"))
            title = "" if title == "__unnamed__" else title
            title = title or f"signal {number}"
            gaps = partial(missing_in_hdf5, group["data"])
            # By its place in this file: what a link leads to has a name in another one.
            name = f"{place}/data"
            files = (path, *files_behind(path, name))
            signal = _hyperspy_signal(group, title, files, gaps, asked)
            array = Hdf5Array(path, name, group["data"])
            signals.append(replace(signal, array=array))
    return signals


def _hyperspy_signal(
    group: Any,
    title: str,
    files: tuple[Path, ...],
    gaps: Callable[[tuple[int, int]], NoData | None],
    asked: Sequence[str] | None,
) -> Signal:
    """Describe one experiment of a file of HyperSpy's, HDF5 or Zarr.

    ``gaps`` finds what there is no data of, given which axes are the detector's.
    """
    array = group["data"]
    axes = []
    for number, size in enumerate(array.shape):
        facts = dict(group[f"axis-{number}"].attrs)
        scale, navigate = _number(facts.get("scale")), facts.get("navigate")
        axes.append(
            Axis(
                _text(facts.get("name")),
                size,
                math.nan if scale is None else scale,
                _text(facts.get("units")),
                None if navigate is None else bool(navigate),
            )
        )
    microscope = group.get("metadata/Acquisition_instrument/TEM")
    energy = None if microscope is None else stored_beam_energy(microscope.attrs.get("beam_energy"))
    chunk = _chunk_bytes(array)
    no_data = gaps(detector_axes(axes, asked))
    return Signal(
        title, array, tuple(axes), files, energy, read_memory_bytes=chunk, no_data=no_data
    )


def _hdf5_arrays(
    group: Any, prefix: bytes = b"", seen: set[tuple[int, int]] | None = None
) -> Iterator[tuple[bytes, Any]]:
    """Yield the data sets that could hold patterns, following links between files too.

    Names are bytes, as they are in the file. A group that has several names is looked into once:
    links may lead in circles.
    """
    h5py = load_h5py()
    seen = set() if seen is None else seen
    seen.add(_place(group))
    for name in group:
        try:
            item = group.get(name)  # None where a link leads nowhere
        except (OSError, RuntimeError):  # or to a file that cannot be read, or to itself
            continue
        if isinstance(item, h5py.Group) and _place(item) not in seen:
            yield from _hdf5_arrays(item, prefix + os.fsencode(name) + b"/", seen)
        elif isinstance(item, h5py.Dataset) and _is_listed(item):
            yield prefix + os.fsencode(name), item


def _is_listed(array: Any) -> bool:
    """Return whether an array could hold patterns, or would if its values were real."""
    return holds_patterns(array.shape, array.dtype) or is_complex(array.shape, array.dtype)


def _title(name: bytes) -> str:
    """Return the name of a data set for people."""
    return printable(os.fsdecode(name))


def _once(arrays: list[tuple[bytes, Any]]) -> list[tuple[bytes, Any]]:
    """Return each data set once, where links lead to it twice: where it is the signal of a group.

    NeXus files link the data of the detector into the group that describes the axes.
    """
    unique: dict[Any, tuple[bytes, Any]] = {}
    for name, array in arrays:
        described = "signal" in array.parent.attrs
        if _place(array) not in unique or described:
            unique[_place(array)] = name, array
    return list(unique.values())


def _place(item: Any) -> tuple[int, int]:
    """Return where a group or data set lies: in which open file, and at which address."""
    found = load_h5py().h5o.get_info(item.id)
    return found.fileno, found.addr


def _sources(array: Any, folder: Path) -> tuple[Path, ...]:
    """Return the files that are there of those that a virtual data set is made of."""
    names = [source.file_name for source in array.virtual_sources()] if array.is_virtual else []
    found = (source_file(name, folder) for name in dict.fromkeys(names) if name != ".")
    return tuple(path for path in found if path is not None)


def with_others(files: Sequence[Path], others: Sequence[Path]) -> tuple[Path, ...]:
    """Return files and, behind them, those of others that are not among them."""
    known = {os.path.realpath(file) for file in files}
    more = [file for file in dict.fromkeys(others) if os.path.realpath(file) not in known]
    return (*files, *more)


def _chunk_bytes(array: Any) -> int:
    """Return the bytes that are decompressed at once; none where the data lie plainly."""
    return math.prod(array.chunks) * array.dtype.itemsize if array.chunks else 0


def _no_such(path: Path, dataset: str, others: list[str]) -> InputError:
    """Return the error for a data set that is not there."""
    return InputError(
        f"a data set {dataset} in {path.name}",
        f"none of that name; those that could hold patterns: {', '.join(others) or 'none'}",
        "give one of them with --dataset",
    )


def _zarr_root(path: Path) -> Any:
    """Open a Zarr folder or a zipped one for reading."""
    import zarr

    store = str(path) if path.is_dir() else zarr.storage.ZipStore(path, mode="r")
    return zarr.open(store, mode="r")


def _zarr_files(path: Path) -> tuple[Path, ...]:
    """Return what tells one Zarr folder from another: itself when zipped, else all it holds.

    What lies in folders that links lead to comes last.
    """
    if path.is_file():
        return (path,)
    found = list(path.rglob("*"))
    ahead = [each for each in found if each.is_symlink() and each.is_dir()]
    seen = {os.path.realpath(path)}
    while ahead:
        linked = ahead.pop(0)
        if os.path.realpath(linked) in seen:
            continue
        seen.add(os.path.realpath(linked))
        below = sorted(linked.rglob("*"))
        found += below
        ahead += [each for each in below if each.is_symlink() and each.is_dir()]
    return tuple(each for each in dict.fromkeys(found) if each.is_file())


def _zarr_names(path: Path) -> frozenset[str]:
    """Return the names of all files of a Zarr folder, or a zipped one, with slashes."""
    if path.is_file():
        with zipfile.ZipFile(path) as zipped:
            return frozenset(zipped.namelist())
    return frozenset(file.relative_to(path).as_posix() for file in _zarr_files(path))


def _text(value: Any) -> str:
    """Return a text that HyperSpy stored, empty where there is none."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return "" if value is None or value == "_None_" else str(value)


def _number(value: Any) -> float | None:
    """Return a positive or negative number, None where there is none."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
