"""Tell by a file's header whether all of it is there, reading a few bytes and calling no library.

Of a file that arrives; one that is opened for a run is checked by its reader (``formats``).

A file that is being written or copied is looked at again and again, over a network as a rule:
opening it for good waits until its own header says that it is whole, or has nothing to say.
"""

import ast
import re
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path

from orimap.tasks.acquire.formats.recognise import SIGNATURES
from orimap.tasks.acquire.formats.stacks.describe_empad import PATTERN_BYTES, describe_empad

# Copying programs reserve the whole size first and fill it from the front: an end of zeros may be
# a place that is still waiting for its data.
TAIL_BYTES = 4096
MRC_PIXEL_BYTES = {0: 1, 1: 2, 2: 4, 4: 8, 6: 2, 12: 2}


@dataclass(frozen=True)
class Told:
    """What a format says about its own length.

    Parameters
    ----------
    whole : bool or None
        None where nothing in the file says.
    words : str
        What was found, for people.
    missing : str
        Name of a file that belongs to it and is not there.
    """

    whole: bool | None
    words: str = ""
    missing: str = ""


UNKNOWN = Told(None, "its format does not say how long it is")


def told_by_header(path: Path) -> Told:
    """Return what the header of an acquisition's main file says about its length.

    Raises
    ------
    OSError
        If the file cannot be read: gone, or no permission.
    """
    told = _TOLD_BY.get(path.suffix.lower())
    if path.is_dir():
        told = _zarr if _is_zarr(path) else None
    if told is None:
        return UNKNOWN
    wanted = SIGNATURES.get(path.suffix.lower())
    if path.is_file() and wanted and not _head(path, 16).startswith(wanted):
        return UNKNOWN
    try:
        return told(path)
    except (struct.error, ValueError, SyntaxError, IndexError, TypeError):
        # A header that is cut short, or is none: opening the file says what is wrong.
        return UNKNOWN


def ends_in_zeros(path: Path) -> bool:
    """Tell whether the end of a file is nothing but zeros."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - TAIL_BYTES))
        return not any(file.read(TAIL_BYTES))


def merlin_frame_bytes(path: Path) -> int:
    """Return the bytes of a frame of a .mib file with its header, by the header of the first.

    Raises
    ------
    OSError, ValueError, IndexError
        If it cannot be read, or is no such file.
    """
    fields = _head(path, 384).split(b",")
    bits = int(fields[6].strip(b"UR ") or 0)
    return int(fields[2]) + int(fields[4]) * int(fields[5]) * bits // 8


def _head(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size)


def _bytes(path: Path, needed: int, contents: str = "") -> Told:
    """Compare a file's size with what its header promises."""
    found = path.stat().st_size
    if found < needed:
        of = f" ({contents})" if contents else ""
        return Told(False, f"{found:,} of the {needed:,} bytes that its header announces{of}")
    return Told(True, f"{found:,} bytes, as its header says")


def _blockfile(path: Path) -> Told:
    """Count the patterns of a .blo file, and look for the mark before its last one."""
    head = _head(path, 28)
    offset = struct.unpack_from("<I", head, 12)[0]
    side, _, columns, rows = struct.unpack_from("<4H", head, 20)
    record = side * side + 6
    told = _bytes(path, offset + rows * columns * record, f"{rows}×{columns} patterns")
    if not told.whole:
        return told
    with path.open("rb") as file:
        marks = []
        for number in (0, rows * columns - 1):
            file.seek(offset + number * record)
            marks.append(file.read(2))
    if marks[0] == b"\xaa\x55" and marks[1] == b"\0\0":
        return Told(False, "the last pattern has no marker yet")
    return told


def _merlin(path: Path) -> Told:
    """Count the frames of a .mib file as its .hdr file promises them; each begins with a mark."""
    header = path.with_suffix(".hdr")
    if not header.exists():
        return Told(False, missing=header.name)
    text = header.read_text(errors="replace")
    found = re.search(r"Frames in Acquisition \(Number\):\s*(\d+)", text)
    if not found:
        return UNKNOWN
    frame, frames = merlin_frame_bytes(path), int(found[1])
    told = _bytes(path, frames * frame, f"{frames} frames")
    if told.whole:
        with path.open("rb") as file:
            file.seek((frames - 1) * frame)
            if not any(file.read(4)):
                return Told(False, "the last frame has no header yet")
    return told


def _numpy(path: Path) -> Told:
    """Read shape and type from the header of a .npy file."""
    with path.open("rb") as file:
        head = file.read(12)
        wide = head[6] > 1
        length = struct.unpack_from("<I" if wide else "<H", head, 8)[0]
        start = 12 if wide else 10
        file.seek(start)
        facts = ast.literal_eval(file.read(length).decode("latin1"))
    item = int(re.search(r"\d+$", facts["descr"])[0])
    shape = facts["shape"]
    return _bytes(path, start + length + prod(shape) * item, "×".join(map(str, shape)))


def _mrc(path: Path) -> Told:
    """Read columns, rows, sections and mode from an MRC file."""
    head = _head(path, 1024)
    order = ">" if head[212:214] == b"\x11\x11" else "<"
    nx, ny, nz, mode = struct.unpack_from(f"{order}4i", head, 0)
    extended = struct.unpack_from(f"{order}i", head, 92)[0]
    if mode not in MRC_PIXEL_BYTES or min(nx, ny, nz) < 1 or extended < 0:
        return UNKNOWN
    return _bytes(path, 1024 + extended + nx * ny * nz * MRC_PIXEL_BYTES[mode], f"{nz} frames")


def _tia(path: Path) -> Told:
    """Count the valid elements of a .ser file, and look whether the last of them is there."""
    head = _head(path, 34)
    version = struct.unpack_from("<H", head, 4)[0]
    total, valid = struct.unpack_from("<2I", head, 14)
    if not valid or valid < total:
        return Told(False, f"{valid} of {total} elements")
    wide = version >= 0x220
    place = struct.unpack_from("<Q" if wide else "<I", head, 22)[0]
    with path.open("rb") as file:
        size = 8 if wide else 4
        file.seek(place)
        offsets = struct.unpack(f"<{valid}{'Q' if wide else 'I'}", file.read(valid * size))
        needed = max(offsets)
        if valid > 1:  # elements are of one size
            ordered = sorted(offsets)
            needed += ordered[-1] - ordered[-2]
    # After each element stands its tag, of 8 or 16 bytes; it may be stored apart from the last.
    return _bytes(path, needed - 16 if valid > 1 else needed, f"{valid} elements")


def _emi(path: Path) -> Told:
    """Ask for the .ser files beside an .emi file: they hold the patterns."""
    stem = re.sub(r"([*?\[])", r"[\1]", path.stem)
    series = sorted(path.parent.glob(f"{stem}_*.ser"))
    if not series:
        return Told(False, missing=f"{path.stem}_1.ser")
    for each in series:
        told = _tia(each)
        if not told.whole:
            return Told(told.whole, f"{each.name}: {told.words}")
    return Told(True, f"{len(series)} series, as their headers say")


def _digital_micrograph(path: Path) -> Told:
    """Read the length of all tags, which comes first in .dm3 and .dm4 files."""
    version = struct.unpack_from(">I", _head(path, 16), 0)[0]
    length = struct.unpack_from(">Q" if version == 4 else ">I", _head(path, 16), 4)[0]
    return _bytes(path, length, "all its tags") if length else UNKNOWN


def _empad(path: Path) -> Told:
    """Read the scan from the .xml file of an EMPAD detector, and look at its .raw file."""
    described = describe_empad(_head(path, 1 << 20).decode("utf-8", "replace"))
    if described.raw is None:
        return UNKNOWN
    raw = path.with_name(described.raw)
    if not raw.exists():
        return Told(False, missing=raw.name)
    patterns, rest = divmod(raw.stat().st_size, PATTERN_BYTES)
    if described.patterns is None and not rest and described.fitting(patterns):
        return Told(True, f"{patterns} patterns, as its description says")
    expected = described.patterns or next(map(prod, described.shapes.values()), 0)
    return _bytes(raw, expected * PATTERN_BYTES, f"{expected} patterns") if expected else UNKNOWN


def _hdf5(path: Path) -> Told:
    """Read from the superblock of an HDF5 file where it ends; ask for the files it links to."""
    head = _head(path, 64)
    version = head[8]
    size = head[13 if version < 2 else 9]
    place = {0: 24, 1: 28}.get(version, 12) + 2 * size
    needed = int.from_bytes(head[place : place + size], "little")
    # Bit 0 of the flags of version 3: a program has it open for writing.
    if version == 3 and head[11] & 1:
        return Told(False, "a program has it open for writing")
    if not needed or needed == (1 << 8 * size) - 1:
        return Told(False, "its end is not written yet")
    return _bytes(path, needed)


def _zip(path: Path) -> Told:
    """Look for the directory at the end of a zipped store."""
    if zipfile.is_zipfile(path):
        return Told(True, "its directory is there")
    return Told(False, "the directory at its end is not there yet")


def _is_zarr(path: Path) -> bool:
    return any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zarray")) or (
        path.suffix.lower() in (".zarr", ".zspy")
    )


def _zarr(path: Path) -> Told:
    """Ask for the first file of a Zarr folder; chunks that hold nothing may never be written."""
    if any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zarray")):
        return UNKNOWN
    return Told(False, missing="zarr.json")


_TOLD_BY: dict[str, Callable[[Path], Told]] = {
    ".blo": _blockfile,
    ".mib": _merlin,
    ".npy": _numpy,
    ".mrc": _mrc,
    ".ser": _tia,
    ".emi": _emi,
    ".dm3": _digital_micrograph,
    ".dm4": _digital_micrograph,
    ".xml": _empad,
    ".zip": _zip,
    ".zspy": _zip,
    **dict.fromkeys((".hspy", ".emd", ".de5", ".app5", ".nxs", ".h5", ".hdf5"), _hdf5),
}
