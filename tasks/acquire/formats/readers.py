"""Open the data sets of a file, each as something that can be cut like an array.

Nothing is read but headers. What can be mapped into memory is mapped (``.npy``, ``.blo``,
``.mib``), HDF5 and Zarr are cut by their own libraries (HyperSpy's files are one or the other), and
every other format goes through rosettasciio's lazy arrays, which are computed where they are cut.
"""

import importlib
import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from orimap.tasks.acquire.formats.calibration import Axis
from orimap.tasks.acquire.formats.chunked.hdf5_files import load_h5py
from orimap.tasks.acquire.formats.chunked.linked_files import linked_files
from orimap.tasks.acquire.formats.chunked.others_readers import gaps_behind
from orimap.tasks.acquire.formats.files.dectris_triggers import against_triggers
from orimap.tasks.acquire.formats.files.mrc_length import Length, as_long_as_it_is
from orimap.tasks.acquire.formats.files.ser_elements import count_elements, missing_elements
from orimap.tasks.acquire.formats.files.tiff_pages import pages_lost, say_lost, stack_pages
from orimap.tasks.acquire.formats.files.tvips_parts import cut_stream, parts_of
from orimap.tasks.acquire.formats.meaning.axes import Reordered, detector_axes, in_order
from orimap.tasks.acquire.formats.meaning.given import stored_beam_energy
from orimap.tasks.acquire.formats.meaning.names import counts_rows_by_x, parse_axes
from orimap.tasks.acquire.formats.recognise import rosettasciio_readers
from orimap.tasks.acquire.formats.signals import TIMES, MappedFile, Signal, unknown_axes
from orimap.tasks.acquire.formats.stacks.count_rotator import (
    Rotator,
    frames_of_scan,
    rotator_index,
)
from orimap.tasks.acquire.formats.stacks.place_frames import Places, describe_numbers, spaced
from orimap.tasks.acquire.formats.stacks.scan_shape import NOTHING_ASKED, Asked
from orimap.tasks.errors import InputError, is_out_of_reach, words_of

# Their patterns lie in files or parts of their own, and can only be cut one behind the other.
FRAME_BY_FRAME = ("images", "Arina")

# Where axes that say nothing of themselves may come in either order, and why.
EITHER_ORDER = {
    "DigitalMicrograph": "versions of DigitalMicrograph differ, and this file does not tell",
    "EMD": "programs number the axes of EMD files from either end",
}


class NotUnderstoodError(InputError):
    """A reader stumbled over a file: it is damaged, or of another kind."""


def open_recognised(
    path: Path,
    reader: str,
    *,
    dataset: str | None = None,
    asked: Asked = NOTHING_ASKED,
    axes: str | None = None,
) -> tuple[str, list[Signal]]:
    """Open a file with the reader that it looks like, or as plain HDF5 where that stumbles.

    Names alone make a file look like that of a program: a group ``Acquisition``, the ending
    ``.emd``.

    Returns
    -------
    (str, list of Signal)
        The reader that opened it, and what ``open_signals`` gives.
    """
    stumbled: NotUnderstoodError | None = None
    try:
        signals = open_signals(path, reader, dataset=dataset, asked=asked, axes=axes)
    except NotUnderstoodError as error:
        signals, stumbled = [], error
    if not signals and path.is_file() and load_h5py().is_hdf5(path):
        plain = open_signals(path, "HDF5", dataset=dataset, asked=asked, axes=axes)
        if any(signal.may_be_scan for signal in plain):
            note = f"read as plain HDF5: the reader {reader} finds nothing in it that it knows"
            return "HDF5", [replace(each, notes=(note, *each.notes)) for each in plain]
    if stumbled is not None:
        raise stumbled
    return reader, signals


def open_signals(
    path: Path,
    reader: str,
    *,
    dataset: str | None = None,
    asked: Asked = NOTHING_ASKED,
    axes: str | None = None,
) -> list[Signal]:
    """Open every data set that ``reader`` finds in a file, to be read in the order of our axes.

    Parameters
    ----------
    path : Path
    reader : str
    dataset : str, optional
        Path of the data set inside an HDF5 or Zarr file.
    asked : Asked
        What the user says of the scan.
    axes : str, optional
        The axes as they are stored, as ``parse_axes`` reads them, where the file is not to say.

    Raises
    ------
    InputError
        If the file is not what the reader expects, is cut short, or lacks a companion.
    OSError
        If the disk or the network does not answer.
    """
    stored = None if axes is None else parse_axes(axes)
    if stored is not None and reader in FRAME_BY_FRAME:
        raise InputError(
            "an array whose axes have an order (--axes)",
            f"{path.name} holds one pattern after the other",
            "leave out --axes; --scan-shape YxX gives the rows and columns of the scan",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            signals = _open(path, reader, dataset, asked, stored)
        return [in_order(signal, stored) for signal in signals]
    except (InputError, MemoryError):
        raise
    except Exception as error:
        if is_out_of_reach(error):
            raise
        if isinstance(error, ModuleNotFoundError):
            raise NotUnderstoodError(
                f"the library {error.name}, which the reader {reader} needs",
                f"it is not installed ({path.name})",
                "save the scan as an array of four axes, in HDF5, Zarr or .npy",
            ) from error
        # Readers raise whatever their parser stumbled upon: for the user the file is at fault.
        text = words_of(error)[:300] or type(error).__name__
        raise NotUnderstoodError(
            f"a file that the reader {reader} understands",
            f"{path.name}: {text}",
            "check that it is whole and that its companion files lie beside it; "
            "--reader names another reader",
        ) from error


def _open(
    path: Path,
    reader: str,
    dataset: str | None,
    asked: Asked,
    stored: Sequence[str] | None,
) -> list[Signal]:
    """Call the reader of that name."""
    from orimap.tasks.acquire.formats.files import containers, mapped_files, merlin_files
    from orimap.tasks.acquire.formats.files.image_folder import open_images, open_single_frames
    from orimap.tasks.acquire.formats.stacks.gather_events import open_events
    from orimap.tasks.acquire.formats.stacks.read_empad import open_empad

    if reader in ("HDF5", "NeXus"):
        return containers.open_hdf5(path, dataset, stored)
    if reader == "Zarr":
        return containers.open_zarr(path, dataset, stored)
    if reader == "ZSPY":
        return containers.open_zspy(path, stored)
    if reader == "Arina":
        against = against_triggers(path, asked.scan_shape)
        signals = containers.open_dectris(path)
        return [replace(each, guesses=(*each.guesses, *against)) for each in signals]
    if reader == "images":
        return [open_images(path, asked)]
    if reader == "npy":
        return [mapped_files.open_npy(path)]
    if reader == "Blockfile":
        return [mapped_files.open_blockfile(path)]
    if reader == "QuantumDetector":
        opened = open_single_frames if path.is_dir() else merlin_files.open_merlin
        return [opened(path, asked)]
    if reader == "stempy":
        return [open_events(path)]
    if reader == "EMPAD":
        return [open_empad(path, asked)]
    if reader == "HSPY":
        signals = containers.open_hspy(path, stored)
        if signals:
            return signals
    return _open_rosettasciio(path, reader, asked, stored)


def beam_energy(metadata: dict, original: dict, mapping: dict) -> float | None:
    """Find the beam energy in keV where rosettasciio's metadata have it.

    Parameters
    ----------
    metadata, original : dict
        As translated by rosettasciio, and as in the file.
    mapping : dict
        Where in ``original`` a value lies, and how it is converted.
    """
    value = _dig(metadata, "Acquisition_instrument.TEM.beam_energy")
    for source, (target, convert) in mapping.items():
        if value is None and target == "Acquisition_instrument.TEM.beam_energy":
            found = _dig(original, source)
            value = convert(found) if found is not None and convert else found
    kev = stored_beam_energy(value)
    return kev if kev is not None and kev > 0 else None


def _dig(tree: Any, path: str) -> Any:
    """Follow a dotted path through nested dictionaries; None where it ends early."""
    for key in path.split("."):
        tree = tree.get(key) if hasattr(tree, "get") else None
    return tree


def _open_rosettasciio(
    path: Path, reader: str, asked: Asked, stored: Sequence[str] | None
) -> list[Signal]:
    """Open through rosettasciio, lazily where the reader can."""
    load_h5py()
    files = _companions(path, reader)
    if reader == "TVIPS":
        files = parts_of(path, up_to_a_gap=asked.keep_rows is not None)
        whole, cut = cut_stream(files)
        if whole:
            return [_cut_tvips(path, files, whole, cut)]
    elements = {}
    if reader == "TIA":
        elements = {f.name: count_elements(f) for f in files if f.suffix.lower() == ".ser"}
    module = importlib.import_module(rosettasciio_readers()[reader][0])
    # An MRC file may lie beside one that gives the shape, which is asked for otherwise.
    shaped = reader == "MRC" and asked.scan_shape is not None
    options: dict[str, Any] = {"metadata_file": None} if shaped else {}
    lazy = True
    with pages_lost() as lost:
        try:
            entries = module.file_reader(str(path), lazy=True, **options)
        except NotImplementedError:
            entries, lazy = module.file_reader(str(path), **options), False
    if reader == "TIFF":
        entries = stack_pages(entries)
    missing = say_lost(path, entries, lost)
    rotator = frames_of_scan(rotator_index(files)) if reader == "TVIPS" else Rotator()
    signals = []
    for number, entry in enumerate(entries):
        array = entry["data"]
        memory = _largest_chunk(array) if lazy else array.nbytes
        described = sorted(entry["axes"], key=lambda axis: axis.get("index_in_array") or 0)
        axes = tuple(_axis(axis) for axis in described)
        energy = beam_energy(
            entry.get("metadata") or {},
            entry.get("original_metadata") or {},
            entry.get("mapping") or {},
        )
        either_order = EITHER_ORDER.get(reader, "")
        if reader == "DigitalMicrograph":
            # It names axes and takes the last two for the detector by their place alone.
            axes = tuple(replace(axis, name="", navigate=None) for axis in axes)
            swapped = _order_swapped(entry.get("original_metadata") or {})
            if swapped is not None and len(axes) == 4:
                first = (swapped, swapped, not swapped, not swapped)
                axes = tuple(replace(a, navigate=n) for a, n in zip(axes, first, strict=True))
        if reader == "TVIPS":
            # The stream holds no scan step: what is given there is a placeholder.
            axes = tuple(Axis(a.name, a.size, navigate=True) if a.navigate else a for a in axes)
        if reader == "TIFF":
            # Whoever stacks patterns in ImageJ has slices for positions, not depths of a sample.
            axes = tuple(replace(a, name="slice") if a.name == "depth" else a for a in axes)
        axes = axes if len(axes) == array.ndim else unknown_axes(array.shape)
        if (
            reader == "EMD"
            and counts_rows_by_x([a.name for a in axes])
            and axes[-1].name[:1] in "rR"
        ):
            # Its form before version 1 comes with the last axis first: as py4DSTEM stores it.
            array, axes = Reordered(array, (3, 2, 1, 0)), axes[::-1]
        length = Length(array)
        if reader == "MRC" and array.ndim == 3:
            length = as_long_as_it_is(path, array)
            array = length.array
            axes = (replace(axes[0], size=int(array.shape[0])), *axes[1:])
        gaps, guess = gaps_behind(path, array.shape, array.dtype, detector_axes(axes, stored))
        if rotator.at is not None and array.ndim == 3:
            positions = array.shape[0] + 1
            if asked.scan_shape is not None:
                positions = math.prod(asked.scan_shape) + sum(asked.skip_frames or rotator.around)
            if positions > array.shape[0]:
                why = describe_numbers(rotator.at, 0, "position")
                array, gaps = spaced(array, Places(rotator.at, f"{why}, the rotator index"))
                axes = (replace(axes[0], size=array.shape[0]), *axes[1:])
            else:
                guess = "frames are taken in the order they come, although the rotator index skips"
        guesses = tuple(filter(None, (rotator.guess, guess)))
        counted = elements.get(
            _dig(entry.get("metadata") or {}, "General.original_filename") or path.name
        )
        if counted is not None and array.ndim > 2:
            gaps, more = missing_elements(counted, array.shape)
            guesses += more
        signals.append(
            Signal(
                _dig(entry.get("metadata") or {}, "General.title") or f"signal {number}",
                array,
                axes,
                files,
                energy,
                notes=(*filter(None, (rotator.note, missing)), *length.notes),
                read_memory_bytes=memory,
                frames_around=rotator.around,
                guesses=guesses,
                either_order=either_order,
                unbroken_by=TIMES if length.cut else "",
                no_data=gaps,
            )
        )
    return signals


def _cut_tvips(path: Path, files: tuple[Path, ...], whole: list[MappedFile], cut: int) -> Signal:
    """Describe a stream whose last frame is cut, of which the others are read here."""
    from orimap.tasks.acquire.formats.files.containers import Concatenated

    array: Any = Concatenated(list(whole))
    rotator = frames_of_scan(rotator_index(files))
    gaps = None
    if rotator.at is not None:
        why = describe_numbers(rotator.at, 0, "position")
        array, gaps = spaced(array, Places(rotator.at, f"{why}, the rotator index"))
    notes = (f"{cut:,} bytes of a frame that is cut are left out, and the calibration",)
    return Signal(
        path.stem,
        array,
        unknown_axes(array.shape),
        files,
        notes=(*notes, *((rotator.note,) if rotator.note else ())),
        frames_around=rotator.around,
        guesses=(rotator.guess,) if rotator.guess else (),
        unbroken_by=TIMES if rotator.at is None else "",
        no_data=gaps,
    )


def _order_swapped(original: Any) -> bool | None:
    """Return whether a file of DigitalMicrograph says that it stores patterns one after the other.

    With this tag the detector runs fastest. Without it some readers take the scan to run fastest,
    as in older files, and others do not: then None.
    """
    images = _dig(original, "ImageList")
    for image in images.values() if hasattr(images, "values") else ():
        found = _dig(image, "ImageTags.Meta Data.Data Order Swapped")
        if found is not None:
            return str(found).lower() in ("true", "1")
    return None


def _largest_chunk(array: Any) -> int:
    """Return the bytes of the largest piece that a lazy array is computed in."""
    chunks = getattr(array, "chunks", None)
    if chunks is None:
        return array.nbytes
    return math.prod(max(sizes) for sizes in chunks) * array.dtype.itemsize


def _axis(described: dict) -> Axis:
    """Translate one axis of rosettasciio; one that is not uniform has no step."""
    scale, units, navigate = (described.get(key) for key in ("scale", "units", "navigate"))
    return Axis(
        str(described.get("name") or ""),
        int(described.get("size") or 0),
        math.nan if scale is None else float(scale),
        units if isinstance(units, str) else "",
        None if navigate is None else bool(navigate),
    )


def _companions(path: Path, reader: str) -> tuple[Path, ...]:
    """Return the files of an acquisition that consists of several."""

    def beside(pattern: str, stem: str = path.stem) -> list[Path]:
        return sorted(path.parent.glob(re.sub(r"([*?\[])", r"[\1]", stem) + pattern))

    if reader == "TIA" and path.suffix.lower() == ".emi":
        return (path, *beside("_*.ser"))
    if reader == "MRC" and path.stem.endswith("_movie"):
        # What DE cameras write beside: the shape of the scan, and where its positions lie.
        stem = path.stem.removesuffix("_movie")
        told = ("_*info.txt", "_*scan_coordinates.csv")
        return (path, *(file for pattern in told for file in beside(pattern, stem)))
    return (path, *linked_files(path))
