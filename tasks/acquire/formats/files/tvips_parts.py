"""Find the parts of a TVIPS stream, and map one whose last frame is cut.

A stream goes on from file to file, numbered from 000. rosettasciio reads until a number is missing,
and nothing of a file that ends within a frame.
"""

import re
from pathlib import Path

import numpy as np

from orimap.tasks.acquire.formats.signals import MappedFile
from orimap.tasks.errors import InputError

GENERAL = np.dtype(
    [("size", "<u4"), ("version", "<u4"), ("width", "<u4"), ("height", "<u4"), ("bits", "<u4"),
     ("others", "V28"), ("frame_head", "<u4")]
)  # fmt: skip


def parts_of(path: Path, *, up_to_a_gap: bool) -> tuple[Path, ...]:
    """Return the files of a stream in order.

    Parameters
    ----------
    path : Path
        The first of them.
    up_to_a_gap : bool
        Only the first rows are asked for: what follows a part that is missing is left out.

    Raises
    ------
    InputError
        If another part than the first was named, or one is missing before the last.
    """
    stem = path.stem[:-3]
    if not path.stem.endswith("000"):
        first = f"{stem}000{path.suffix}"
        raise InputError(
            "the first file of a stream, with the number 000",
            path.name,
            f"name {first}: the others are read with it",
        )
    pattern = re.sub(r"([*?\[])", r"[\1]", stem) + "[0-9][0-9][0-9].tvips"
    found = tuple(sorted(path.parent.glob(pattern)))
    numbers = [int(file.stem[-3:]) for file in found]
    gap = next((n for n, number in enumerate(numbers) if n != number), None)
    if gap is None:
        return found
    if up_to_a_gap:
        return found[:gap]
    missing = f"{stem}{gap:03d}{path.suffix}"
    raise InputError(
        f"{missing} beside {path.name}, which holds some of its patterns",
        f"it is not there, and {found[gap].name} is",
        f"copy it into the folder {path.absolute().parent.name}; if it is lost, --scan-shape YxX "
        "with --keep-rows takes whole rows before it",
    )


def cut_stream(files: tuple[Path, ...]) -> tuple[list[MappedFile], int]:
    """Map the whole frames of a stream whose last file ends within one.

    Parameters
    ----------
    files : tuple of Path
        In order.

    Returns
    -------
    list of MappedFile
        One a file; empty where all frames are whole.
    int
        Bytes of the frame that is cut.

    Raises
    ------
    InputError
        If another file than the last is cut.
    """
    if files[0].stat().st_size < GENERAL.itemsize:
        return [], 0
    head = np.fromfile(files[0], GENERAL, 1)[0]
    if int(head["bits"]) not in (8, 16, 32) or int(head["version"]) != 2:
        return [], 0
    pixels = (f"<u{int(head['bits']) // 8}", (int(head["height"]), int(head["width"])))
    record = np.dtype([("head", "V", int(head["frame_head"])), ("pattern", *pixels)])
    sizes = [file.stat().st_size - (0 if n else int(head["size"])) for n, file in enumerate(files)]
    cut = [n for n, size in enumerate(sizes) if size % record.itemsize]
    if not cut:
        return [], 0
    if cut[0] < len(files) - 1:
        raise InputError(
            f"whole frames of {record.itemsize:,} bytes in {files[cut[0]].name}",
            f"{sizes[cut[0]] % record.itemsize:,} bytes over: it is cut short",
            "copy it again from the microscope",
        )
    mapped = [
        MappedFile(file, record, 0 if n else int(head["size"]), (size // record.itemsize,))
        for n, (file, size) in enumerate(zip(files, sizes, strict=True))
        if size >= record.itemsize
    ]
    if not mapped:
        raise InputError(
            f"whole frames of {record.itemsize:,} bytes in {files[0].name}",
            "none: it is cut short",
            "copy it again from the microscope",
        )
    return mapped, sizes[-1] % record.itemsize
