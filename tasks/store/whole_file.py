"""Write a file whole or not at all, whatever ends this process or the machine meanwhile."""

import os
from pathlib import Path

from orimap.tasks.process_name import own_name


def write_whole(path: Path, content: bytes | str) -> None:
    """Replace a file as a whole: a reader sees the old one or the new one, never a part.

    The content is on the disk before it takes its place, so that it outlasts a power cut.

    Parameters
    ----------
    path : Path
        In a folder that exists.
    content : bytes or str
        Text is written as UTF-8.

    Raises
    ------
    OSError
        If the folder cannot be written; the old file then stays, and nothing is left beside it.
    """
    # A name of its own: two processes that write the same file do not mix what they write.
    partial = path.with_name(f".{path.name}.{own_name()}-{os.urandom(4).hex()}")
    data = content.encode() if isinstance(content, str) else content
    try:
        with partial.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
