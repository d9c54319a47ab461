"""Take the pages of a TIFF file for what they are: one pattern each, and say where pages are lost.

Programs that write one page after the other describe each of them alone, and a reader then finds
as many images as there are positions. Where a file is cut, the list of its pages leads beyond its
end: the library reports that to its log, and goes on with the pages before.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orimap.tasks.errors import InputError

# What tifffile reports where the next page lies beyond the end of the file.
BEYOND_THE_END = "invalid page offset"


@contextmanager
def pages_lost() -> Iterator[list[str]]:
    """Keep what tifffile reports from the terminal, and give that which says that pages are lost.

    Yields
    ------
    list of str
        Empty where the list of pages ends within the file.
    """
    lost: list[str] = []

    def heard(record: logging.LogRecord) -> bool:
        if BEYOND_THE_END in (text := record.getMessage()):
            lost.append(text)
        return False

    log = logging.getLogger("tifffile")
    log.addFilter(heard)
    try:
        yield lost
    finally:
        log.removeFilter(heard)


def stack_pages(entries: list[dict]) -> list[dict]:
    """Return pages of one size and type as one stack of patterns; anything else as it is.

    Parameters
    ----------
    entries : list of dict
        As rosettasciio gives them: ``data`` and ``axes`` of each.
    """
    kinds = {(entry["data"].shape, entry["data"].dtype) for entry in entries}
    if len(entries) < 2 or len(kinds) != 1 or entries[0]["data"].ndim != 2:
        return entries
    import dask.array as da

    positions = {"name": "slice", "size": len(entries), "index_in_array": 0}
    detector = sorted(entries[0]["axes"], key=lambda axis: axis.get("index_in_array") or 0)
    axes = [positions, *({**axis, "index_in_array": n} for n, axis in enumerate(detector, 1))]
    return [{**entries[0], "data": da.stack([each["data"] for each in entries]), "axes": axes}]


def say_lost(path: Path, entries: list[dict], lost: list[str]) -> str:
    """Return a note that pages are lost, or nothing.

    Raises
    ------
    InputError
        If they are, and too few are left for a scan.
    """
    if not lost:
        return ""
    if all(entry["data"].ndim < 3 for entry in entries):
        raise InputError(
            f"a whole TIFF file ({path.name})",
            "the list of its pages leads beyond its end: it is cut short or damaged",
            "copy it again from the microscope",
        )
    return "the list of its pages leads beyond the end of the file: it may be cut short"
