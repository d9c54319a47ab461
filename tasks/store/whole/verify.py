"""Check everything that is stored of a run: every chunk is decoded and compared.

Tested in tests/flows/pipeline/test_verify.py.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
import numpy as np
import zarr

from orimap.tasks.errors import InputError, is_out_of_reach, words_of
from orimap.tasks.store.whole.damage import damage
from orimap.tasks.store.whole.metadata import children, groups_below, is_group
from orimap.tasks.store.whole.results import (
    ANALYSIS,
    PATTERNS,
    REVISIONS,
    mark_of,
    recorded_groups,
    recorded_patterns,
)
from orimap.tasks.store.whole.seal import chunk_files

# Of the page: the results that it shows.
BELONGS = re.compile(rb'<meta name="orimap-results" content="([^"]*)">')


@dataclass(frozen=True)
class Checked:
    """What was found of one group of a store, or of a file beside the stores.

    Parameters
    ----------
    name : str
        As ``analysis.zarr/fits/k03`` or ``report.html``.
    chunks : int
        That were decoded and compared.
    found : str or None
        What is damaged, in half a sentence; None where all is whole.
    """

    name: str
    chunks: int
    found: str | None


def verify(
    folder: Path, progress: Callable[[int, int], object] = lambda done, of: None
) -> list[Checked]:
    """Check all results in a folder: both stores, revisions, the page and the record of the run.

    Parameters
    ----------
    folder : Path
    progress : callable
        Called with parts done and parts in all.

    Returns
    -------
    list of Checked

    Raises
    ------
    InputError
        If there are no results in the folder.
    """
    analysis, patterns = folder / ANALYSIS, folder / PATTERNS
    if not analysis.is_dir():
        raise InputError(
            "the folder of a finished run, with analysis.zarr in it",
            f"{folder} has none" if folder.is_dir() else f"no folder of that name ({folder})",
            "give the folder that was given to orimap run as --output",
        )
    parts = [(analysis, group) for group in _groups(analysis, recorded_groups(analysis))]
    if patterns.is_dir():
        parts += [(patterns, group) for group in _groups(patterns, recorded_patterns(analysis))]
    for store in sorted((folder / REVISIONS).glob("*.zarr")):
        parts += [(store, group) for group in _groups(store, recorded_groups(store))]
    checked = []
    for done, (store, group) in enumerate(parts, start=1):
        chunks, found = _check_group(store, group)
        if found is None and (store, group) == (patterns, "raw"):
            found = differs_from_source(patterns, analysis)
        name = f"{store.relative_to(folder)}/{group}".rstrip("/")
        checked.append(Checked(name, chunks, found))
        progress(done, len(parts))
    mark = mark_of(analysis)
    return [
        *checked,
        Checked("report.html", 0, _page_differs(folder / "report.html", mark)),
        Checked("run.json", 0, _record_differs(folder / "run.json", mark)),
    ]


def _groups(store: Path, wanted: list[str]) -> list[str]:
    there = list(groups_below(store))
    return [*there, *(group for group in wanted if group not in there)]


def _check_group(store: Path, group: str) -> tuple[int, str | None]:
    """Return how many chunks of a group were decoded, and what is damaged."""
    if not (store / group).is_dir():
        return 0, "it is not there"
    found = damage(store, group, sums=True)
    if found is not None:
        return 0, found
    chunks = 0
    for node in children(store / group):
        if is_group(node):
            continue
        for key in _decoded(node):
            if isinstance(key, str):
                return chunks, f"{node.name}: {key}"
            chunks += 1
    return chunks, None


def _decoded(node: Path) -> Iterator[tuple[int, ...] | str]:
    """Decode every chunk of an array that is there; yield its place, or what is wrong with it."""
    array = zarr.open_array(node, mode="r")
    for file in sorted(chunk_files(node)):
        place = tuple(int(part) for part in file.relative_to(node).parts[1:])
        region = tuple(
            slice(number * side, (number + 1) * side)
            for number, side in zip(place, array.chunks, strict=True)
        )
        try:
            array[region if region else ...]
        except Exception as error:  # whatever a codec raises for what it cannot decode
            if is_out_of_reach(error):
                raise
            yield f"{file.relative_to(node)} cannot be decoded ({words_of(error)})"
            return
        yield place


def differs_from_source(patterns: Path, analysis: Path) -> str | None:
    """Say where raw patterns differ from the sums taken as they were read; decodes all."""
    source = analysis / "acquisition"
    mark = mark_of(source)
    if mark is None or mark != mark_of(patterns / "raw"):
        return None
    if damage(analysis, "acquisition", sums=True) is not None:  # told of that group
        return None
    try:
        sums = np.asarray(zarr.open_array(source / "block_checksum", mode="r")[:])
        corners = np.asarray(zarr.open_array(source / "block_corner", mode="r")[:])
    except FileNotFoundError:  # results of the first versions
        return None
    array = zarr.open_array(patterns / "raw" / "pattern_intensity", mode="r")
    for (y0, y1, x0, x1), expected in zip(corners.tolist(), sums.tolist(), strict=True):
        block = np.ascontiguousarray(array[y0:y1, x0:x1])
        if google_crc32c.value(block) != expected:
            return f"rows {y0} to {y1} and columns {x0} to {x1} are not what the source held"
    return None


def belong_together(folder: Path) -> bool:
    """Return whether the page and the record of a run are whole and those of the results."""
    mark, page = mark_of(folder / ANALYSIS), folder / "report.html"
    named = BELONGS.search(page.read_bytes()) if page.is_file() else None
    if not page.is_file() or not page.stat().st_size or (named and named[1].decode() != mark):
        return False
    record = folder / "run.json"
    # Somebody may have removed the record.
    return not record.exists() or _record_differs(record, mark) is None


def _page_differs(page: Path, mark: str | None) -> str | None:
    """Say what is wrong with the page."""
    if not page.is_file():
        return "it is not there"
    content = page.read_bytes()
    if not content.rstrip().endswith(b"</html>"):
        return "it is cut"
    named = BELONGS.search(content)
    if named is not None and named[1].decode() != mark:
        return "it shows other results than those of the stores"
    return None


def _record_differs(record: Path, mark: str | None) -> str | None:
    """Say what is wrong with the record of the run."""
    try:
        found = json.loads(record.read_bytes())
        of = found.get("results")
    except FileNotFoundError:
        return "it is not there"
    except (ValueError, AttributeError):
        return "it is cut or damaged"
    return "it is of other results than those of the stores" if of not in (None, mark) else None
