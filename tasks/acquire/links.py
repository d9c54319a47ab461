"""Hold every file that an acquisition leads to against the folders that may be read.

A file that anybody may put into a watched folder can name others: links in HDF5 files and in Zarr
folders, images and companions that are links themselves. What would be opened is resolved first,
and nothing of it is read where it lies outside.
"""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from orimap.tasks.acquire.formats.chunked.linked_files import Allow, linked_files
from orimap.tasks.acquire.formats.stacks.describe_empad import raw_file_of
from orimap.tasks.errors import InputError

# Companions have the name of the main file up to here.
NUMBERED = re.compile(r"(_master|_movie|_\d+|\d{3})$")
# Readers of these open whatever files they name, wherever these lie.
NAMES_OTHERS = (".asw",)


def require_inside(path: Path, roots: Sequence[Path]) -> None:
    """Raise where an acquisition leads out of the folders that may be read, before it is opened.

    Parameters
    ----------
    path : Path
        Of the acquisition. What lies beside it may be read.
    roots : sequence of Path
        Folders; where there are none, everything may be read.

    Raises
    ------
    InputError
        With where it leads.
    """
    if not roots:
        return
    allow = allowed_by(path, roots)
    allow(path)
    if path.is_dir():
        for link in _links_in(path):
            allow(link)
        return
    if path.suffix.lower() in NAMES_OTHERS:
        raise InputError(
            "a file that holds its patterns itself",
            f"{path.name}, which names other files, wherever these lie",
            "give the file with the patterns",
        )
    for companion in _linked_companions(path):
        allow(companion)
    linked_files(path, allow)


def allowed_by(path: Path, roots: Sequence[Path]) -> Allow:
    """Return what raises for a file outside the folders that may be read.

    Parameters
    ----------
    path : Path
        Of the acquisition that leads there.
    roots : sequence of Path
        Where there are none, everything may be read.
    """
    inside = [root.resolve() for root in roots]
    inside.append(path.absolute().parent.resolve())

    def allow(file: Path) -> None:
        leads = Path(os.path.realpath(file))
        if roots and not any(leads.is_relative_to(root) for root in inside):
            raise InputError(
                f"files under {' or '.join(map(str, roots))}",
                f"{path.name} takes data from {leads}, which lies elsewhere",
                "copy the file into the folder of the acquisition, or have its folder allowed by "
                "the person who operates orimap (ORIMAP_ROOTS)",
            )

    return allow


def elsewhere(path: Path, files: Sequence[Path]) -> tuple[Path, ...]:
    """Return where those files of an acquisition lie that are not with it, links followed.

    Parameters
    ----------
    path : Path
        Of the acquisition.
    files : sequence of Path
        All that belongs to it.
    """
    whole = Path(os.path.realpath(path))
    home = whole if os.path.isdir(whole) else whole.parent
    places = dict.fromkeys(Path(os.path.realpath(file)) for file in files)
    return tuple(place for place in places if not place.is_relative_to(home))


def _links_in(folder: Path) -> Iterator[Path]:
    """Yield all links in a folder, and in the folders below it and those that they lead to.

    A folder is looked into only when whoever asks has gone on.
    """
    seen, ahead = set(), [folder]
    while ahead:
        place = ahead.pop()
        if os.path.realpath(place) in seen:
            continue
        seen.add(os.path.realpath(place))
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.is_symlink():
                    yield Path(entry.path)
                try:
                    if entry.is_dir():
                        ahead.append(Path(entry.path))
                except OSError:
                    continue  # a link that leads in circles


def _linked_companions(path: Path) -> Iterator[Path]:
    """Yield the links beside a file that a reader may take for a part of the same acquisition."""
    stem = NUMBERED.sub("", path.stem)
    named = raw_file_of(path) if path.suffix.lower() == ".xml" else None
    with os.scandir(path.parent) as entries:
        for entry in entries:
            if entry.is_symlink() and (entry.name.startswith(stem) or entry.name == named):
                yield Path(entry.path)
