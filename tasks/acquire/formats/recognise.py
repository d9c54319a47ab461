"""Recognise by a file's content the reader that it needs.

Endings lie: several programs write ``.h5``, and a text file may be called ``.blo``. What a file
begins with, or what an HDF5 or Zarr file holds, decides; the ending only where content cannot.
"""

import os
import re
from functools import cache
from pathlib import Path
from typing import Any

from orimap.tasks.errors import InputError, is_out_of_reach, words_of
from orimap.tasks.lines import printable

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
IMAGE_ENDINGS = (".bmp", ".tif", ".tiff", ".png")

# What the first bytes must be for an ending; formats that have no signature are left to their
# reader. TIA: little-endian mark and ES vision's 0x0197. DM3/4: version, big-endian.
SIGNATURES = {
    ".blo": (b"IMGBLO",),
    ".mib": (b"MQ1,",),
    ".npy": (b"\x93NUMPY",),
    ".ser": (b"II\x97\x01",),
    ".dm3": (b"\x00\x00\x00\x03",),
    ".dm4": (b"\x00\x00\x00\x04",),
    ".hspy": (HDF5_SIGNATURE,),
    ".emd": (HDF5_SIGNATURE,),
    ".de5": (HDF5_SIGNATURE,),
    ".app5": (HDF5_SIGNATURE,),
    ".nxs": (HDF5_SIGNATURE,),
    ".h5": (HDF5_SIGNATURE,),
    ".hdf5": (HDF5_SIGNATURE,),
}

# Our own readers, and those of rosettasciio that take precedence for their ending.
OWN_READERS = (
    *("npy", "images", "HDF5", "Arina", "stempy", "Zarr", "ZSPY", "Blockfile"),
    "QuantumDetector",
)
# Files that accompany an acquisition, and the ending of the one to name instead.
COMPANION_OF = {".hdr": ".mib", ".raw": ".xml"}
READER_OF_ENDING = {
    ".blo": "Blockfile",
    ".mib": "QuantumDetector",
    ".npy": "npy",
    ".mrc": "MRC",
    ".xml": "EMPAD",
    ".hspy": "HSPY",
    ".emd": "EMD",
    ".de5": "EMD",
}


@cache
def rosettasciio_readers() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return module and endings of every rosettasciio reader, by its name."""
    import rsciio

    return {
        plugin["name"]: (plugin["api"], tuple(f".{e.lower()}" for e in plugin["file_extensions"]))
        for plugin in rsciio.IO_PLUGINS
    }


def reader_by_name(name: str) -> str:
    """Return a reader's proper name, whatever the case it was asked for in.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    known = [*OWN_READERS, *rosettasciio_readers()]
    for proper in known:
        if proper.lower() == name.lower():
            return proper
    raise InputError(
        "the name of a reader",
        f"--reader {name}",
        f"choose one of {', '.join(sorted(set(known), key=str.lower))}",
    )


def recognise(path: Path) -> str:
    """Return the name of the reader for a file or folder.

    Raises
    ------
    InputError
        If there is nothing, nothing in it, or nothing that is known.
    """
    if not path.exists():
        raise InputError(
            "an acquisition: a file, a Zarr folder or a folder of images",
            f"no file of that name ({path})",
            "check the spelling and that the disk is mounted",
        )
    if not os.access(path, os.R_OK):
        raise InputError(
            f"permission to read {path.name}", "no permission", "change its permissions"
        )
    if path.is_dir():
        return _recognise_folder(path)
    if path.stat().st_size == 0:
        raise InputError(
            f"an acquisition in {path.name}",
            "an empty file (0 bytes)",
            "copy it again from the microscope; an interrupted transfer leaves such files",
        )
    with path.open("rb") as file:
        head = file.read(16)
    ending = path.suffix.lower()
    wanted = SIGNATURES.get(ending)
    if wanted and not head.startswith(wanted):
        raise InputError(
            f"a {ending} file, which begins with {wanted[0]!r}",
            f"{path.name} begins with {head[:8]!r}",
            "check that it is what its name says; --reader names another reader",
        )
    if head.startswith(HDF5_SIGNATURE) and ending not in (".hspy", ".emd", ".de5", ".app5", ".nxs"):
        return _recognise_hdf5(path)
    if ending == ".zspy":
        return "ZSPY"
    if ending == ".zip":
        return "Zarr"
    return READER_OF_ENDING.get(ending) or _reader_of_ending(path, ending)


def require_text(path: Path) -> None:
    """Raise where a name is no text: results and reports, which have it in them, are text.

    Raises
    ------
    InputError
        If the path is not valid UTF-8.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise InputError(
            "a name in UTF-8, for the file and the folders that it lies in",
            printable(str(path)),
            "rename it: another system wrote the name in an encoding of its own",
        ) from error


def _recognise_folder(path: Path) -> str:
    """Return the reader of a folder: Zarr, HyperSpy's Zarr, images, or single Merlin frames."""
    if any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zarray")):
        return "ZSPY" if path.suffix.lower() == ".zspy" else "Zarr"
    names = os.listdir(path)
    for name in names:
        require_text(Path(name))
    if any(name.lower().endswith(IMAGE_ENDINGS) for name in names):
        return "images"
    if any(name.lower().endswith(".mib") for name in names):
        return "QuantumDetector"
    raise InputError(
        "a Zarr folder or a folder of images (BMP, TIFF, PNG)",
        f"{path.name or path} holds {len(names)} entries and none of these",
        "give the file of the acquisition itself",
    )


def _recognise_hdf5(path: Path) -> str:
    """Return the reader of an HDF5 file by the groups it holds."""
    try:
        return _reader_of_hdf5(path)
    except (InputError, MemoryError):
        raise
    except Exception as error:
        # The library raises errors of many kinds for indices that lead nowhere.
        if is_out_of_reach(error):
            raise
        raise InputError(
            f"a whole HDF5 file ({path.name})",
            f"it is damaged ({words_of(error)[:200] or type(error).__name__})",
            "copy it again from the microscope",
        ) from error


def _reader_of_hdf5(path: Path) -> str:
    """Return the reader of an HDF5 file, with the errors of the library."""
    from orimap.tasks.acquire.formats.chunked.hdf5_files import opened

    with opened(path) as file:
        if "Experiments" in file and "file_format" in file.attrs:
            return "HSPY"
        if _is_dectris(file):
            return "Arina"
        if "electron_events/frames" in file:
            return "stempy"
        if "emd_group_type" in file.attrs or "version_major" in file.attrs:
            return "EMD"
        if "Data/Image" in file and "Presentation" in file:
            return "EMD"
        names = [os.fsdecode(name) for name in file]  # bytes where they are no text
        if any(name.startswith("Measurement_") for name in names):
            return "USID"
        if any(name.startswith("Acquisition") for name in names):
            return "Delmic"
    return "HDF5"


def _is_dectris(file: Any) -> bool:
    """Return whether an HDF5 file holds numbered stacks of patterns, or links to such."""
    try:
        group = file.get("entry/data")
    except (OSError, RuntimeError):  # a link to a file that cannot be read
        return False
    if not hasattr(group, "keys"):
        return False
    parts = [name for name in group if os.fsdecode(name).startswith("data_")]
    for name in parts:
        if not re.fullmatch(r"data_\d+", os.fsdecode(name)):
            return False
        try:
            shape = getattr(group.get(name), "shape", None)
        except (OSError, RuntimeError):
            continue
        if shape is not None and len(shape) != 3:
            return False
    return bool(parts)


def _reader_of_ending(path: Path, ending: str) -> str:
    """Return the one rosettasciio reader that claims an ending."""
    claims = [name for name, (_, endings) in rosettasciio_readers().items() if ending in endings]
    if len(claims) == 1:
        return claims[0]
    if not claims and ending in COMPANION_OF:
        raise InputError(
            "the file that holds or describes the patterns",
            f"{path.name}, which only accompanies it",
            f"give the {COMPANION_OF[ending]} file beside it",
        )
    if not claims:
        raise InputError(
            "a file that a reader knows by its content or ending",
            f"{path.name}, with the ending {ending or '(none)'}",
            "give a reader with --reader, or for HDF5 the data set with --dataset",
        )
    raise InputError(
        f"one reader for {ending}",
        f"{len(claims)} claim it: {', '.join(claims)}",
        "choose one with --reader",
    )
