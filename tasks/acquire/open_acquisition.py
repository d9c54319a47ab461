"""Open an acquisition: choose its reader and its data set, carry over its calibration."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from orimap.tasks.acquire.acquisition import Acquisition
from orimap.tasks.acquire.formats.calibration import NM_PER_UNIT, Axis, plain_unit
from orimap.tasks.acquire.formats.choose_signal import choose_signal, doubt_choice
from orimap.tasks.acquire.formats.meaning.axes import Reordered, in_order
from orimap.tasks.acquire.formats.meaning.given import calibrate
from orimap.tasks.acquire.formats.meaning.names import EXAMPLE, parse_axes
from orimap.tasks.acquire.formats.meaning.packed import Unpacked
from orimap.tasks.acquire.formats.readers import open_recognised, open_signals
from orimap.tasks.acquire.formats.recognise import reader_by_name, recognise, require_text
from orimap.tasks.acquire.formats.signals import Signal
from orimap.tasks.acquire.formats.stacks.place_frames import Spaced
from orimap.tasks.acquire.formats.stacks.scan_shape import (
    Asked,
    Frames,
    rows_kept,
    shape_of_stack,
)
from orimap.tasks.acquire.gaps import describe_gaps, find_gaps
from orimap.tasks.acquire.identity import (
    IDENTITY_CONTENTS_AT_MOST,
    Sources,
    Status,
    add_ends,
)
from orimap.tasks.acquire.links import allowed_by, elsewhere, require_inside
from orimap.tasks.errors import InputError
from orimap.tasks.lines import printable


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
    opened: Signal | None = None,
    roots: Sequence[Path] = (),
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
    opened : Signal, optional
        An array of this process, which is to be found at ``path`` as Zarr later on: everything
        can be checked before it is written.
    roots : sequence of Path
        Folders that it may lead to by links; everything where there are none.

    Raises
    ------
    InputError
        If there is no such file, it is not whole, holds no scan of patterns, more than one choice
        is left, or what it says of its axes contradicts itself.
    """
    path = Path(path)
    require_text(path.absolute())
    main = Status.of(path) if opened is None and os.path.isfile(path) else None
    asked = Asked(scan_shape, skip_frames, keep_rows, image_names)
    if opened is not None:
        found = "Zarr"
        signals = [in_order(opened, None if axes is None else parse_axes(axes))]
    else:
        if os.path.exists(path):  # False as well where a name is too long
            require_inside(path, roots)
        found = recognise(path) if reader is None else _asked_reader(path, reader)
        if dataset is not None and found not in ("HDF5", "Zarr"):
            found = "Zarr" if path.is_dir() else "HDF5"
        if reader is None:
            found, signals = open_recognised(path, found, dataset=dataset, asked=asked, axes=axes)
        else:
            signals = open_signals(path, found, dataset=dataset, asked=asked, axes=axes)
    left_out = sum(skip_frames or (0, 0))
    number, leading = choose_signal(path, signals, signal, scan_shape, left_out)
    doubt = "" if signal is not None else doubt_choice(signals, number, scan_shape, left_out)
    chosen = signals[number]
    for file in chosen.files:
        allowed_by(path, roots)(file)
    if chosen.contradiction:
        raise InputError(
            "to know which axes are the scan and which the detector",
            f"{path.name}, {chosen.title!r}: {chosen.contradiction}",
            f"give them in the order in which they are stored, for instance --axes {EXAMPLE}",
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
        notes.append("the first two axes are taken as the scan, the last two as the detector")
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
        notes.append(f"data set {chosen.title!r} chosen; the file also holds: {', '.join(others)}")
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
        signal=printable(title),
        other_signals=tuple(map(printable, others)),
        scan_shape=scan,
        detector_shape=(shape[-2], shape[-1]),
        dtype=dtype,
        scan_step=steps.step,
        scan_units=steps.units,
        detector_step=detector.step,
        detector_units=detector.units,
        beam_energy_kev=microscope.beam_energy_kev,
        notes=tuple(map(printable, (*notes, *microscope.notes))),
        guesses=tuple(map(printable, (*filter(None, [doubt]), *frames.guesses))),
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
        sources=Sources.of(chosen.files),
        main=main,
        elsewhere=elsewhere(path, chosen.files),
        roots=tuple(roots),
    )
    acquisition.keep_open(chosen.array)
    _require_last_pattern(acquisition)
    return acquisition


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
            "leave out --scan-shape: the file knows its own",
        )
    if asked.skip_frames is not None and any(asked.skip_frames):
        raise InputError(
            "patterns in one row, of which --skip-frames leaves out some",
            f"{held} positions in rows and columns",
            "leave out --skip-frames; --keep-rows takes the first rows only, --roi any part",
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
    """Digest names, sizes, times and samples of content of all files, and what was chosen.

    A digest of all content, where there is one, stands in their place.
    """
    digest = hashlib.sha256(choice.encode())
    if signal.content_digest:
        digest.update(signal.content_digest.encode())
        return digest.hexdigest()
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
