"""Find the acquisitions of a folder: which files make one, and which are none.

One walk over the folder and the size and time of each file are all it takes: over a network
nothing more may be asked for every few seconds. Nothing is opened.
"""

import fnmatch
import hashlib
import os
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from orimap.tasks.acquire.arrivals.expected_size import merlin_frame_bytes
from orimap.tasks.acquire.arrivals.sidecar_name import SIDECAR, sidecar_names
from orimap.tasks.acquire.formats.recognise import IMAGE_ENDINGS, SIGNATURES
from orimap.tasks.acquire.formats.stacks.describe_empad import raw_file_of
from orimap.tasks.acquire.identity import IDENTITY_CONTENTS_AT_MOST, add_ends

# Endings that scans of patterns come in. Others can be named with include; .tif, .png and .bmp
# alone are pictures, and a picture of a sample is no scan.
ENDINGS = {*SIGNATURES, ".emi", ".tvips", ".mrc", ".mrcz", ".zspy", ".xml"}
# Names that programs give to what they have not finished.
UNFINISHED = (".part", ".partial", ".tmp", ".temp", ".filepart", ".crdownload", ".download", "~")
ZARR_FIRST = ("zarr.json", ".zgroup", ".zarray")
ZARR_ENDINGS = (".zarr", ".zspy")
# Fewer pictures than this in a folder are a few pictures, not a scan of patterns.
IMAGES_AT_LEAST = 16
# What a folder of results holds: no acquisition is looked for in it.
RESULTS = "analysis.zarr"


@dataclass(frozen=True)
class File:
    """A file, and what tells that it has changed."""

    path: Path
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Arrival:
    """The files of one acquisition, whole or not.

    Parameters
    ----------
    main : Path
        What is named to analyse it: a file, a Zarr folder or a folder of images.
    files : tuple of File
        All that belongs to it.
    missing : str
        Name of the main file, where only others of it have come so far.
    beside : tuple of File
        What says how to analyse it; no part of the acquisition itself.
    """

    main: Path
    files: tuple[File, ...]
    missing: str = ""
    beside: tuple[File, ...] = field(default=())

    @property
    def signature(self) -> str:
        """Digest of names, sizes and times: while it stays, nothing has been written."""
        told = [(str(f.path), f.size, f.mtime_ns) for f in (*self.files, *self.beside)]
        return hashlib.sha256(repr(told).encode()).hexdigest()[:16]

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files)

    @property
    def written(self) -> float:
        """When the last of it was written, seconds since 1970 by the clock of its machine."""
        return max((file.mtime_ns for file in self.files), default=0) / 1e9

    def identity(self, folder: Path) -> str:
        """Return a digest of its name in a folder, sizes and samples of content; not of times.

        Raises
        ------
        OSError
            If a file cannot be read any more.
        """
        digest = hashlib.sha256(self.main.relative_to(folder).as_posix().encode())
        step = max(1, -(-len(self.files) // IDENTITY_CONTENTS_AT_MOST))
        for number, file in enumerate(self.files):
            name = os.path.relpath(file.path, self.main.parent)
            digest.update(f"\n{name} {file.size}\n".encode("utf-8", "surrogateescape"))
            if number % step == 0:
                add_ends(digest, file.path, file.size)
        return digest.hexdigest()


def find_arrivals(
    folder: Path,
    *,
    include: Sequence[str] = (),
    leave_out: Collection[Path] = (),
    complain: Callable[[Path, str], None],
) -> list[Arrival]:
    """Find what may be acquisitions in a folder and all folders below it.

    Parameters
    ----------
    folder : Path
        Without links in it.
    include : sequence of str
        Patterns (``*.blo``, ``day1/*``) of names to take, instead of all that are known.
    leave_out : collection of Path
        Folders not to look into.
    complain : callable
        Called with a path and a reason for what is passed over and should not have to be.

    Raises
    ------
    OSError
        If the folder itself cannot be listed.
    """
    walk = _Walk(folder, tuple(include), frozenset(leave_out), complain)
    walk.into(folder)
    return sorted(walk.found, key=lambda arrival: arrival.main)


class _Walk:
    """One walk over a folder."""

    def __init__(
        self,
        root: Path,
        include: tuple[str, ...],
        leave_out: frozenset[Path],
        complain: Callable[[Path, str], None],
    ) -> None:
        self.root, self.include, self.leave_out = root, include, leave_out
        self.complain = complain
        self.found: list[Arrival] = []

    def into(self, folder: Path) -> None:
        """Look into one folder; what lies below it and cannot be listed is told and passed over."""
        files, folders = self._list(folder)
        if RESULTS in {path.name for path in folders}:
            return
        beside = {file.path.name: file for file in files if file.path.name.endswith(SIDECAR)}
        frames = _single_frames(files)
        apart = {file.path for file in frames}
        taken = self._group([file for file in files if file.path not in apart])
        for main, (parts, missing) in taken.items():
            self._add(main, parts, missing, beside)
        images = frames or [file for file in files if file.path.suffix.lower() in IMAGE_ENDINGS]
        if frames and (folder == self.root or taken):
            self.complain(
                folder,
                f"holds {len(frames)} .mib files of one pattern each: put those of one scan into a "
                "folder of their own",
            )
        elif folder != self.root and not taken and _is_series(images):
            # Beside the folder, as with a file: the folder itself holds patterns only.
            names = sidecar_names(folder)
            outside = [file for name in names for file in _status(folder.with_name(name))]
            self._add(folder, images, "", {file.path.name: file for file in outside})
        for path in folders:
            try:
                if _looks_like_zarr(path):
                    parts = sorted(_all_files(path), key=lambda file: file.path)
                    self._add(path, parts, "", beside)
                else:
                    self.into(path)
            except FileNotFoundError:
                continue  # gone since it was listed
            except OSError as error:
                self.complain(path, f"cannot be opened: {error.strerror or error}")

    def _list(self, folder: Path) -> tuple[list[File], list[Path]]:
        """Return the files and folders of a folder that are looked at."""
        files, folders = [], []
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name.lower().endswith(UNFINISHED):
                    continue
                path = Path(entry.path)
                if not _is_text(entry.name):
                    self.complain(path, "has a name that is not valid UTF-8: rename it")
                elif entry.is_symlink():
                    self._refuse_link(path)
                elif entry.is_dir():
                    if path not in self.leave_out:
                        folders.append(path)
                elif entry.is_file():
                    files += _status(path)
        return sorted(files, key=lambda file: file.path), sorted(folders)

    def _refuse_link(self, path: Path) -> None:
        """Pass over a link: what lies in the folder is found at its own place."""
        try:
            inside = path.resolve().is_relative_to(self.root)
        except (OSError, RuntimeError):  # it leads nowhere, or in circles
            return
        if not inside:
            self.complain(path, "is a link that leads out of the watched folder: not followed")

    def _add(
        self, main: Path, parts: Iterable[File], missing: str, beside: dict[str, File]
    ) -> None:
        """Take one acquisition, unless other names were asked for."""
        name = main.relative_to(self.root).as_posix()
        if self.include and not any(
            fnmatch.fnmatch(each, pattern) for pattern in self.include for each in (name, main.name)
        ):
            return
        sidecars = [beside[name] for name in sidecar_names(main) if name in beside]
        self.found.append(Arrival(main, tuple(parts), missing, tuple(sidecars[:1])))

    def _group(self, files: list[File]) -> dict[Path, tuple[list[File], str]]:
        """Put files together that belong together; return them by their main file."""
        by_path = {file.path: file for file in files}
        groups: dict[Path, list[File]] = {}
        for file in files:
            main = self._main_of(file, by_path)
            if main is not None:
                groups.setdefault(main, []).append(file)
        return {
            main: (parts, "" if main in by_path else main.name) for main, parts in groups.items()
        }

    def _main_of(self, file: File, by_path: dict[Path, File]) -> Path | None:
        """Return the file that is named to analyse the acquisition this one belongs to."""
        path, ending = file.path, file.path.suffix.lower()
        if ending == ".hdr":
            mib = path.with_suffix(".mib")
            return mib if mib in by_path else None
        if ending == ".ser" and (found := re.fullmatch(r"(.+)_\d+", path.stem)):
            return path.with_name(found[1] + ".emi")
        if ending == ".tvips" and (found := re.fullmatch(r"(.*)\d{3}", path.stem)):
            return path.with_name(found[1] + "000.tvips")
        if ending == ".h5":
            found = re.fullmatch(r"(.+)_data_\d+", path.stem)
            master = path.with_name((found[1] if found else path.stem) + "_master.h5")
            if found or master in by_path:
                return master
        if ending == ".raw":
            return _xml_of(path, by_path)
        if ending == ".xml":
            return path if _raw_of(path, file.size, file.mtime_ns) else None
        known = ending in ENDINGS or path.name.lower().endswith(".zarr.zip")
        return path if known or (self.include and ending != ".yaml") else None


def _is_text(name: str) -> bool:
    """Tell a name that is text from one of other bytes, which no result could be named after."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _status(path: Path) -> list[File]:
    """Return a file with its size and time; nothing if it has gone since it was listed."""
    try:
        status = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return []
    return [File(path, status.st_size, status.st_mtime_ns)]


def _all_files(folder: Path) -> list[File]:
    """Return all files in a folder and below it; raise where one cannot be listed."""

    def refuse(error: OSError) -> None:
        raise error

    found = []
    for place, _, names in os.walk(folder, onerror=refuse):
        for name in names:
            found += _status(Path(place, name))
    return found


def _looks_like_zarr(folder: Path) -> bool:
    """Tell a Zarr folder, by its ending even before its first file is there."""
    return folder.suffix.lower() in ZARR_ENDINGS or any(
        (folder / name).exists() for name in ZARR_FIRST
    )


def _is_series(images: list[File]) -> bool:
    """Tell whether images are a numbered series: names that differ in their digits only."""
    patterns = {re.sub(r"\d+", "#", file.path.name.lower()) for file in images}
    return len(images) >= IMAGES_AT_LEAST and len(patterns) == 1 and "#" in next(iter(patterns))


def _single_frames(files: list[File]) -> list[File]:
    """Return the Merlin files that hold one frame each, where those of a folder all do."""
    merlin = [file for file in files if file.path.suffix.lower() == ".mib"]
    sizes = {file.size for file in merlin}
    if len(sizes) != 1 or not _is_series(merlin):
        return []
    frame_bytes = _frame_bytes(merlin[0].path, merlin[0].size, merlin[0].mtime_ns)
    return merlin if frame_bytes and sizes == {frame_bytes} else []


@lru_cache(maxsize=1024)
def _frame_bytes(mib: Path, _size: int, _mtime_ns: int) -> int:
    """Return the bytes of a frame of a Merlin file, 0 where it does not say; read when it changes.

    The one place beside .xml files where something is opened: a size alone could be a scan's.
    """
    try:
        return merlin_frame_bytes(mib)
    except (OSError, ValueError, IndexError):
        return 0


def _xml_of(raw: Path, by_path: dict[Path, File]) -> Path | None:
    """Return the .xml file that describes a .raw file."""
    for path, file in by_path.items():
        described = path.suffix.lower() == ".xml" and _raw_of(path, file.size, file.mtime_ns)
        if described == raw.name:
            return path
    return None


@lru_cache(maxsize=1024)
def _raw_of(xml: Path, _size: int, _mtime_ns: int) -> str | None:
    """Return the .raw file that an .xml file describes, reading it again only when it changes."""
    try:
        return raw_file_of(xml)
    except OSError:
        return None
