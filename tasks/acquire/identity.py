"""What tells the content of one file from another without reading all of it.

Two digests are made of it, and both are kept by users: that of an acquisition as it is read, in
results, and that of files as they arrive, in journals. Neither may change.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import _Hash

# At either end of a file: headers, and what is written last.
IDENTITY_BYTES = 64 * 1024
# Of an acquisition of more files than this, only some are opened.
IDENTITY_CONTENTS_AT_MOST = 256


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
