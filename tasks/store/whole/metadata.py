"""Read and write ``zarr.json`` itself: a tenth of the work of opening a group with Zarr.

Metadata that a power cut has left empty or cut counts as not there.

Tested in tests/tasks/store/whole/test_seal.py.
"""

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE = "zarr.json"


def read_metadata(node: Path) -> dict[str, Any]:
    """Return what describes a group or an array of a store.

    Raises
    ------
    FileNotFoundError
        If it is not there, or not whole.
    """
    path = node / FILE
    try:
        found = json.loads(path.read_bytes())
    except NotADirectoryError as error:
        raise FileNotFoundError(path) from error
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise FileNotFoundError(path) from error
    except ValueError as error:  # no JSON, or no text
        raise FileNotFoundError(f"{path} is cut or damaged") from error
    if not isinstance(found, dict) or found.get("node_type") not in ("group", "array"):
        raise FileNotFoundError(f"{path} describes no group and no array")
    if not isinstance(found.setdefault("attributes", {}), dict):
        raise FileNotFoundError(f"{path} has no attributes")
    return found


def write_metadata(node: Path, metadata: dict[str, Any]) -> None:
    """Replace what describes a group, whole or not at all; a linked file elsewhere stays as it is.

    Whatever a power cut does to it shows: see `orimap.tasks.store.whole.seal`.
    """
    path = node / FILE
    partial = path.with_name(f".{FILE}.{os.getpid()}-{os.urandom(4).hex()}")
    try:
        partial.write_text(json.dumps(metadata, indent=2))
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def remove_cut_metadata(store: Path, group: str = "") -> None:
    """Remove what describes a group, or one above it, where it is cut: Zarr then makes it anew."""
    names = [name for name in group.split("/") if name]
    for many in range(len(names) + 1):
        node = store.joinpath(*names[:many])
        try:
            read_metadata(node)
        except FileNotFoundError:
            (node / FILE).unlink(missing_ok=True)


def children(node: Path) -> Iterator[Path]:
    """Yield the folders of the arrays and groups of a group, in their order."""
    try:
        names = sorted(entry.name for entry in os.scandir(node) if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        if not name.startswith("."):
            yield node / name


def groups_below(store: Path, group: str = "") -> Iterator[str]:
    """Yield the paths of all groups of a store, the one asked for first.

    Folders whose description is missing or cut count where it cannot be that of an array.
    """
    yield group
    for node in children(store / group):
        if is_group(node):
            yield from groups_below(store, f"{group}/{node.name}".lstrip("/"))


def is_group(node: Path) -> bool:
    """Return whether a folder is a group, also where its description is missing or cut."""
    try:
        return bool(read_metadata(node)["node_type"] == "group")
    except FileNotFoundError:
        # An array has its chunks in "c"; a group has arrays.
        return any((inner / FILE).exists() for inner in children(node))
