"""Open an acquisition: choose its reader and its data set, carry over its calibration.

What comes out is a small description that travels to the workers; each opens the file itself and
reads only the patterns it is asked for.
"""

import hashlib
import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from orimap.tasks.acquire.formats.calibration import NM_PER_UNIT, Axis, plain_unit
from orimap.tasks.acquire.formats.choose_signal import choose_signal
from orimap.tasks.acquire.formats.meaning.axes import Reordered
from orimap.tasks.acquire.formats.meaning.given import calibrate
from orimap.tasks.acquire.formats.meaning.names import EXAMPLE
from orimap.tasks.acquire.formats.meaning.packed import Unpacked
from orimap.tasks.acquire.formats.readers import open_signals
from orimap.tasks.acquire.formats.recognise import reader_by_name, recognise, require_text
from orimap.tasks.acquire.formats.signals import Signal
from orimap.tasks.acquire.formats.stacks.place_frames import Spaced
from orimap.tasks.acquire.formats.stacks.scan_shape import (
    NOTHING_ASKED,
    Asked,
    Frames,
    rows_kept,
    shape_of_stack,
)
from orimap.tasks.acquire.gaps import describe_gaps, find_gaps
from orimap.tasks.acquire.identity import IDENTITY_CONTENTS_AT_MOST, add_ends
from orimap.tasks.errors import InputError, is_out_of_reach

# Most that is read at once where only some patterns of a stored chunk are asked for.
LARGEST_ROW_BYTES = 64 * 2**20

_opened: OrderedDict[tuple, Any] = OrderedDict()


@dataclass(frozen=True)
class Acquisition:
    """One scan of diffraction patterns in a file; holds no open file and no array.

    Parameters
    ----------
    path : Path
    reader, signal : str
        Who reads it, and the title of the data set chosen.
    other_signals : tuple of str
        The data sets of the file that were not chosen.
    scan_shape, detector_shape : tuple of int
        (y, x) each.
    dtype : numpy.dtype
        As in the file, in this machine's byte order.
    scan_step, scan_units
        Along (y, x); "nm" or "px".
    detector_step, detector_units
        Along (y, x); "1/Å" or "px".
    beam_energy_kev : float or None
    notes : tuple of str
        Every repair, choice and dropped calibration, in plain words.
    guesses : tuple of str
        What the file does not say, as what it was read, and why: one sentence each. Whatever the
        map depends on is here rather than among the notes; confidence is not high with a guess.
    read_memory_bytes : int
        What one reader needs beyond the block it reads.
    source_bytes : int
        Size on disk of all files that belong to it.
    identity : str
        Digest of names, sizes, times and samples of content of these files, and of what was
        chosen in them. The folder they lie in does not matter.
    dataset : str or None
        Path inside an HDF5 or Zarr file, as asked for.
    stack : bool
        The patterns lie in one row; ``scan_shape`` was asked for, told by the file or guessed.
    signal_number : int
        Place of the data set among those of the file.
    leading : int or None
        Which of several stacked scans, where there are five axes.
    grey_levels : bool
        Eight-bit images, stretched by whoever wrote them, rather than electrons.
    axes : str or None
        The axes as they are stored, as asked for.
    no_data : (scan_y, scan_x) array of bool, or None
        True at positions of which the file holds nothing, or not the whole pattern; None where it
        has all.
    no_pixels : (detector_y, detector_x) array of bool, or None
        True for pixels of which the file holds nothing, at most positions at least; None where it
        has all. They are read as 0.
    awaited : tuple of str
        Names of files with patterns that are not there and may still come.
    asked : Asked
        What the user said of the scan.
    first_frame : int
        Patterns before the scan, where they lie in one row.
    """

    path: Path
    reader: str
    signal: str
    other_signals: tuple[str, ...]
    scan_shape: tuple[int, int]
    detector_shape: tuple[int, int]
    dtype: np.dtype
    scan_step: tuple[float, float]
    scan_units: str
    detector_step: tuple[float, float]
    detector_units: str
    beam_energy_kev: float | None
    notes: tuple[str, ...]
    guesses: tuple[str, ...]
    read_memory_bytes: int
    source_bytes: int
    identity: str
    dataset: str | None
    stack: bool
    signal_number: int
    leading: int | None
    grey_levels: bool
    axes: str | None = None
    no_data: np.ndarray | None = field(default=None, compare=False)
    no_pixels: np.ndarray | None = field(default=None, compare=False)
    awaited: tuple[str, ...] = ()
    asked: Asked = NOTHING_ASKED
    first_frame: int = 0

    @property
    def pattern_bytes(self) -> int:
        """Bytes of one pattern as acquired."""
        return math.prod(self.detector_shape) * self.dtype.itemsize

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """Read a rectangle of the scan.

        Parameters
        ----------
        rows, columns : slice
            Of scan positions, without step.

        Returns
        -------
        (scan_y, scan_x, detector_y, detector_x) array
            In memory, in this machine's byte order. At positions of which the file holds nothing:
            whatever its library gives instead.

        Raises
        ------
        InputError
            If the file is damaged there.
        OSError
            If the disk or the network does not answer.
        """
        try:
            return self._read(rows, columns)
        except (InputError, MemoryError):
            raise
        except Exception as error:
            # Libraries raise whatever they stumbled upon: HDF5 an OSError, compressors their own.
            if is_out_of_reach(error):
                raise
            first, _, _ = rows.indices(self.scan_shape[0])
            words = " ".join(str(error).split())[:200] or type(error).__name__
            raise InputError(
                f"patterns of all {self.scan_shape[0]}×{self.scan_shape[1]} positions in "
                f"{self.path.name}",
                f"those at row {first} of the scan cannot be read ({words})",
                "copy the file again from the microscope: it is cut short or damaged",
            ) from error

    def _read(self, rows: slice, columns: slice) -> np.ndarray:
        """Read a rectangle of the scan, with the errors of whoever reads it."""
        array = self._array()
        y0, y1, _ = rows.indices(self.scan_shape[0])
        x0, x1, _ = columns.indices(self.scan_shape[1])
        if not self.stack:
            cut = (slice(y0, y1), slice(x0, x1))
            return self._native(array[cut if self.leading is None else (self.leading, *cut)])
        width, first = self.scan_shape[1], self.first_frame
        shape = (y1 - y0, x1 - x0, *self.detector_shape)
        if x1 - x0 == width:
            whole = slice(first + y0 * width, first + y1 * width)
            return self._native(array[whole]).reshape(shape)
        patterns = np.empty(shape, self.dtype)
        for number, row in enumerate(range(y0, y1)):
            start = first + row * width
            patterns[number] = self._native(array[start + x0 : start + x1])
        return patterns

    def read_row(self, row: int, columns: Sequence[int]) -> Iterator[np.ndarray]:
        """Yield patterns of one scan row; what is stored together is read together.

        Parameters
        ----------
        row : int
        columns : sequence of int
            Ascending.
        """
        width = self._columns_stored_together()
        for _, together in groupby(columns, key=lambda column: column // width):
            several = list(together)
            first = several[0]
            patterns = self.read(slice(row, row + 1), slice(first, several[-1] + 1))[0]
            yield from (patterns[column - first] for column in several)

    def _columns_stored_together(self) -> int:
        """Return how many positions of a scan row a compressed chunk holds; 1 where none does."""
        chunks = getattr(self._array(), "chunks", None)
        if self.stack or chunks is None or not all(isinstance(size, int) for size in chunks):
            return 1
        columns: int = chunks[-3]
        return columns if columns * self.pattern_bytes <= LARGEST_ROW_BYTES else 1

    def _native(self, piece: Any) -> np.ndarray:
        """Bring a cut piece into memory, in order and in native bytes."""
        if hasattr(piece, "compute"):
            piece = piece.compute(scheduler="synchronous")
        patterns = np.ascontiguousarray(piece, dtype=self.dtype)
        if self.no_pixels is not None:
            patterns[..., self.no_pixels] = 0
        return patterns

    def keep_open(self, array: Any) -> None:
        """Keep the opened array for this process, since opening parses every header."""
        _opened[self._key] = array
        while len(_opened) > 2:
            _opened.popitem(last=False)

    @property
    def _key(self) -> tuple:
        """The path, data set and identity by which an opened array is found again."""
        return str(self.path), self.signal_number, self.identity

    def _array(self) -> Any:
        """Return the opened array, opening it where this process has not yet."""
        if self._key not in _opened:
            signals = open_signals(
                self.path, self.reader, dataset=self.dataset, asked=self.asked, axes=self.axes
            )
            self.keep_open(signals[self.signal_number].array)
        return _opened[self._key]


def open_acquisition(
    path: Path | str,
    *,
    reader: str | None = None,
    signal: str | None = None,
    dataset: str | None = None,
    scan_shape: tuple[int, int] | None = None,
    skip_frames: tuple[int, int] | None = None,
    keep_rows: int | None = None,
    image_names: str | None = None,
    axes: str | None = None,
    scan_step: str | None = None,
    detector_step: str | None = None,
    beam_energy: str | None = None,
) -> Acquisition:
    """Find out what a file holds, and choose the scan of patterns in it.

    Parameters
    ----------
    path : Path or str
        A file, a Zarr folder or a folder of images.
    reader : str, optional
        Overrides what the content says.
    signal : str, optional
        Title or number of the data set to take.
    dataset : str, optional
        Path of the data set inside an HDF5 or Zarr file.
    scan_shape : (int, int), optional
        Rows and columns, for patterns stored in one row.
    skip_frames : (int, int), optional
        Patterns before and after the scan, for patterns stored in one row.
    keep_rows : int, optional
        Take the first rows only, of a scan that was stopped early.
    image_names : str, optional
        How images are named, with ``{x}`` and ``{y}`` for column and row, or ``order``.
    axes : str, optional
        The axes in the order in which they are stored, ``detector_y,detector_x,scan_y,scan_x``.
    scan_step, detector_step, beam_energy : str, optional
        Calibrations with their units, which go before those of the file: ``2nm``, ``0.01/Å`` or
        ``0.5mrad``, ``200keV``.

    Raises
    ------
    InputError
        If there is no such file, it is not whole, holds no scan of patterns, more than one choice
        is left, or what it says of its axes contradicts itself.
    """
    path = Path(path)
    require_text(path.absolute())
    found = recognise(path) if reader is None else _asked_reader(path, reader)
    if dataset is not None and found not in ("HDF5", "Zarr"):
        found = "Zarr" if path.is_dir() else "HDF5"
    asked = Asked(scan_shape, skip_frames, keep_rows, image_names)
    signals = open_signals(path, found, dataset=dataset, asked=asked, axes=axes)
    number, leading = choose_signal(path, signals, signal)
    chosen = signals[number]
    if chosen.contradiction:
        raise InputError(
            "to know which axes are the scan and which the detector",
            f"{path.name}, {chosen.title!r}: {chosen.contradiction}",
            f"name them in the order in which they are stored, for instance --axes {EXAMPLE}",
        )
    shape = tuple(int(n) for n in chosen.array.shape)
    described = chosen.axes
    if leading is not None:
        shape, described = shape[1:], described[1:]
    if not min(shape):
        raise InputError(
            "a scan with patterns in it",
            f"{path.name} holds {'×'.join(map(str, shape))} values: none",
            "copy it again from the microscope: it may have been written before the scan was",
        )
    stack = len(shape) == 3
    if stack:
        frames = shape_of_stack(path, found, chosen, asked)
    else:
        frames = _frames_of_four_axes(path, shape, chosen, asked)
    scan = frames.scan_shape
    notes = [*chosen.notes, *frames.notes]
    if any(axis.navigate is None for axis in described) and len(described) == 4:
        notes.append("the first two axes are taken for the scan, the last two for the detector")
    microscope = calibrate(
        *_split_axes(described, scan),
        chosen.beam_energy_kev,
        scan_step=scan_step,
        detector_step=detector_step,
        given_energy=beam_energy,
    )
    steps, detector = microscope.scan, microscope.detector
    others = [s.title for n, s in enumerate(signals) if n != number]
    if others:
        notes.append(f"data set {chosen.title!r} chosen; also there: {', '.join(others)}")
    gaps, awaited = None, ()
    if chosen.no_data is not None:
        gaps, awaited = find_gaps(path, chosen.no_data, leading, frames), chosen.no_data.awaited
        notes += describe_gaps(gaps, chosen.no_data)
    title = chosen.title if leading is None else f"{chosen.title}[{leading}]"
    dtype = np.dtype(chosen.array.dtype).newbyteorder("=")
    choice = _choice(f"{found} {title} {dataset} {scan}", asked, frames)
    given = [each for each in (axes, scan_step, detector_step, beam_energy) if each is not None]
    if isinstance(chosen.array, (Reordered, Spaced, Unpacked)):
        # Results of versions that read what is stored as it is are not those of this one.
        given.append(type(chosen.array).__name__)
    no_pixels = gaps.pixels if gaps is not None and gaps.pixels.any() else None
    if no_pixels is not None:
        given.append(f"without pixels {hashlib.sha256(no_pixels.tobytes()).hexdigest()}")
    acquisition = Acquisition(
        path=path.resolve(),
        reader=found,
        signal=title,
        other_signals=tuple(others),
        scan_shape=scan,
        detector_shape=(shape[-2], shape[-1]),
        dtype=dtype,
        scan_step=steps.step,
        scan_units=steps.units,
        detector_step=detector.step,
        detector_units=detector.units,
        beam_energy_kev=microscope.beam_energy_kev,
        notes=(*notes, *microscope.notes),
        guesses=frames.guesses,
        read_memory_bytes=chosen.read_memory_bytes,
        source_bytes=sum(file.stat().st_size for file in chosen.files),
        identity=_identity(chosen, " ".join([choice, *given])),
        dataset=dataset,
        stack=stack,
        signal_number=number,
        leading=leading,
        grey_levels=dtype == np.uint8 and found in ("Blockfile", "images", "TIFF", "Image"),
        axes=axes,
        no_data=gaps.positions if gaps is not None and gaps.positions.any() else None,
        no_pixels=no_pixels,
        awaited=awaited,
        asked=asked,
        first_frame=frames.first,
    )
    acquisition.keep_open(chosen.array)
    _require_last_pattern(acquisition)
    return acquisition


def describe(acquisition: Acquisition) -> dict[str, Any]:
    """Return what there is to tell about an acquisition, as plain values for people and JSON."""
    positions = math.prod(acquisition.scan_shape)
    return {
        "file": acquisition.path.name,
        "reader": acquisition.reader,
        "signal": acquisition.signal,
        "other_signals": list(acquisition.other_signals),
        "scan_shape": list(acquisition.scan_shape),
        "detector_shape": list(acquisition.detector_shape),
        "dtype": str(acquisition.dtype),
        "scan_step": list(acquisition.scan_step),
        "scan_units": acquisition.scan_units,
        "detector_step": list(acquisition.detector_step),
        "detector_units": acquisition.detector_units,
        "beam_energy_kev": acquisition.beam_energy_kev,
        "bytes_on_disk": acquisition.source_bytes,
        "bytes_as_array": positions * acquisition.pattern_bytes,
        "read_memory_bytes": acquisition.read_memory_bytes,
        "notes": list(acquisition.notes),
        "guesses": list(acquisition.guesses),
    }


def _require_last_pattern(acquisition: Acquisition) -> None:
    """Read the last pattern: where a file ends too soon, this is what is missing."""
    y, x = acquisition.scan_shape
    acquisition.read(slice(y - 1, y), slice(x - 1, x))


def _asked_reader(path: Path, reader: str) -> str:
    """Return the reader asked for, after checking that there is something to read."""
    name = reader_by_name(reader)
    if not path.exists():
        recognise(path)
    return name


def _frames_of_four_axes(
    path: Path, shape: tuple[int, ...], signal: Signal, asked: Asked
) -> Frames:
    """Return the rows and columns that a file gives itself, and that nothing asked contradicts."""
    scan = (shape[0], shape[1])
    held = f"{path.name} holds {scan[0]}×{scan[1]}"
    if asked.scan_shape is not None and tuple(asked.scan_shape) != scan:
        raise InputError(
            f"a scan of {asked.scan_shape[0]}×{asked.scan_shape[1]} positions, as --scan-shape "
            "says",
            held,
            "leave --scan-shape away: the file knows its own",
        )
    if asked.skip_frames is not None and any(asked.skip_frames):
        raise InputError(
            "patterns in one row, of which --skip-frames leaves out some",
            f"{held} positions in rows and columns",
            "leave --skip-frames away; --keep-rows takes the first rows only, --roi any part",
        )
    kept = rows_kept(path, scan, asked.keep_rows)
    note = f"the first {kept[0]} of {scan[0]} rows are kept, as --keep-rows says"
    return Frames(0, kept, (note,) if kept != scan else (), signal.guesses)


def _split_axes(
    axes: tuple[Axis, ...], scan: tuple[int, int]
) -> tuple[tuple[Axis, Axis], tuple[Axis, Axis]]:
    """Return scan and detector axes; one row of patterns has a step only where it is a length.

    Its axis is mostly time or a number, which the calibration then drops.
    """
    detector = (axes[-2], axes[-1])
    if len(axes) > 3:
        return (axes[-4], axes[-3]), detector
    row = axes[-3] if plain_unit(axes[-3].units) in NM_PER_UNIT else Axis("", 0)
    y, x = (Axis("", size, row.scale, row.units) for size in scan)
    return (y, x), detector


def _choice(choice: str, asked: Asked, frames: Frames) -> str:
    """Return what was chosen in a file, with what tells apart scans of one shape in it."""
    if frames.first:
        choice += f" from frame {frames.first}"
    return choice if asked.image_names is None else f"{choice} named {asked.image_names}"


def _identity(signal: Signal, choice: str) -> str:
    """Digest names, sizes, times and samples of content of all files, and what was chosen."""
    digest = hashlib.sha256(choice.encode())
    files = signal.files
    sampled = set(
        np.linspace(0, len(files) - 1, min(len(files), IDENTITY_CONTENTS_AT_MOST)).astype(int)
    )
    for number, path in enumerate(files):
        status = path.stat()
        digest.update(
            f"{path.name} {status.st_size} {status.st_mtime_ns}".encode("utf-8", "surrogateescape")
        )
        if number in sampled:
            add_ends(digest, path, status.st_size)
    return digest.hexdigest()
