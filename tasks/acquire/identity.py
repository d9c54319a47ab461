"""What tells the content of one file from another without reading all of it.

Two digests are made of it, and both are kept by users: that of an acquisition as it is read, in
results, and that of files as they arrive, in journals. Neither may change. What a run was started
with is kept beside them while it reads, so that files which change meanwhile are noticed.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orimap.tasks.errors import InputError

if TYPE_CHECKING:
    from hashlib import _Hash

# At either end of a file: headers, and what is written last.
IDENTITY_BYTES = 64 * 1024
# Of an acquisition of more files than this, only some are opened.
IDENTITY_CONTENTS_AT_MOST = 256
# Looked at between the ends of an acquisition of few files, in so many places, while it is read:
# a copy may keep the time and the size of what it replaces.
PLACES, PLACE_BYTES, LARGE_FILES_AT_MOST = 16, 16 * 1024, 16
# Of the files that have changed, in a message.
MOST_NAMED = 3


def add_ends(digest: "_Hash", path: Path, size: int) -> None:
    """Add the first and the last bytes of a file to a digest.

    Parameters
    ----------
    digest : hashlib object
    path : Path
    size : int
        Of the file, bytes, as it was looked at.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as file:
        digest.update(file.read(IDENTITY_BYTES))
        file.seek(max(0, size - IDENTITY_BYTES))
        digest.update(file.read(IDENTITY_BYTES))


class ChangedError(InputError):
    """The files of an acquisition are not those any more that it was opened from.

    Parameters
    ----------
    name : str
        Of the acquisition.
    found : str
        What has changed.
    """

    def __init__(self, name: str, found: str) -> None:
        self.name = name
        super().__init__(
            f"files of {name} that stay as they are while they are read",
            found,
            "run it again when it is complete: nothing that was read of it is kept",
        )

    def __reduce__(self) -> tuple:
        """Travel between processes."""
        return type(self), (self.name, self.found)


@dataclass(frozen=True)
class Status:
    """What the file system says of a file: bytes, time of the last writing, and its number."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> "Status | None":
        """Return that of the file a path leads to, None where there is none."""
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return cls(found.st_size, found.st_mtime_ns, found.st_ino)


@dataclass(frozen=True)
class Sources:
    """The files that an acquisition was opened from, as they were then.

    They stay in the process that has opened it: there may be very many. A copy that travels knows
    of none.

    Parameters
    ----------
    files : tuple of Path
    statuses : tuple of Status or None
    sample : str
        Digest of some of their content.
    """

    files: tuple[Path, ...] = ()
    statuses: tuple[Status | None, ...] = ()
    sample: str = ""

    @classmethod
    def of(cls, files: Sequence[Path]) -> "Sources":
        """Look at files as they are now."""
        several = tuple(path.absolute() for path in files)
        return cls(several, tuple(map(Status.of, several)), _sample(several))

    def __reduce__(self) -> tuple:
        return Sources, ()

    def require_unchanged(self, name: str) -> None:
        """Raise where a file is not as it was, or another has taken its place.

        A file that was moved and has its old content, size and time is the same one.

        Raises
        ------
        ChangedError
            With the names of the files, and how they differ.
        """
        now = tuple(map(Status.of, self.files))
        said = [
            differs(path.name, before, after)
            for path, before, after in zip(self.files, self.statuses, now, strict=True)
        ]
        said = [words for words in said if words]
        if not said and self.files and _sample(self.files) != self.sample:
            replaced = [
                path.name
                for path, before, after in zip(self.files, self.statuses, now, strict=True)
                if before != after
            ]
            what = f"another file has taken the place of {replaced[0]}" if replaced else ""
            said = [what or f"the content of {name} is another one"]
        if said:
            more = f"; and {len(said) - MOST_NAMED} more" if len(said) > MOST_NAMED else ""
            raise ChangedError(name, "; ".join(said[:MOST_NAMED]) + more)


def differs(name: str, before: Status | None, after: Status | None) -> str:
    """Say what has happened to a file, nothing where nobody seems to have written to it.

    Its number alone says nothing: some network file systems give a file new ones at will.
    """
    if before == after:
        return ""
    if after is None:
        return f"{name} is not there any more"
    if before is None:
        return f"{name} was not there before"
    if (before.size, before.mtime_ns) == (after.size, after.mtime_ns):
        return ""
    if before.inode != after.inode:
        return f"another file has taken the place of {name}"
    if before.size != after.size:
        return f"{name} had {before.size:,} bytes and has {after.size:,}"
    return f"{name} was written to"


def _sample(files: Sequence[Path]) -> str:
    """Return a digest of some of the content of files; those that are gone add nothing."""
    digest = hashlib.sha256()
    few = len(files) <= LARGE_FILES_AT_MOST
    step = max(1, -(-len(files) // IDENTITY_CONTENTS_AT_MOST))
    for path in files[::step]:
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                add_ends(digest, path, size)
                for place in range(1, PLACES if few else 1):
                    file.seek(size * place // PLACES)
                    digest.update(file.read(PLACE_BYTES))
        except (FileNotFoundError, NotADirectoryError):
            continue
    return digest.hexdigest()
