"""Tell results that cannot be read from a fault of this program, and say which part it is.

Whatever reads stores raises errors of its own kind where a file was cut off or is no longer there.

Tested in tests/flows/viewer/test_damaged.py.
"""

from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from orimap.tasks.errors import InputError, shown, words_of
from orimap.tasks.store.whole.damage import DamagedError

# What reads stores, and what of ours checks what was read.
READERS = ("zarr", "numcodecs", "xarray", "orimap.tasks.store")


class MissingError(InputError):
    """Nothing is wrong, and what is asked for does not exist."""


def damage_of(error: BaseException, folder: Path) -> DamagedError | None:
    """Return what an error says of the results, None where it does not come from reading them.

    Parameters
    ----------
    error : Exception
    folder : Path
        Of the run: the part that cannot be read is named by its place in it.
    """
    frames = list(_frames(error))
    if not any(_reads(frame) for frame in frames):
        return None
    places = [place for frame in frames for place in _places(frame)]
    # The deepest is the nearest to what went wrong.
    inside = [place for place in reversed(places) if place.is_relative_to(folder)]
    named = str(inside[0].relative_to(folder)) if inside else "their stores"
    return damaged(f"{named} cannot be read: {shown(words_of(error) or type(error).__name__)}")


def damaged(found: str) -> DamagedError:
    """Return that results are damaged; ``found`` says which part, and in what way."""
    return DamagedError("results that can be read", f"damaged results: {found}")


def _frames(error: BaseException) -> Iterator[FrameType]:
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next


def _reads(frame: FrameType) -> bool:
    module = str(frame.f_globals.get("__name__", ""))
    return any(module == reader or module.startswith(f"{reader}.") for reader in READERS)


def _places(frame: FrameType) -> Iterator[Path]:
    """Return the groups and arrays that a function works on."""
    if not _reads(frame):
        return
    known: dict[str, Any] = dict(frame.f_locals)
    store, group = known.get("store"), known.get("group")
    if isinstance(store, Path):
        yield store / group if isinstance(group, str) else store
    for value in known.values():
        if type(value).__name__ == "StorePath":
            yield Path(str(getattr(value.store, "root", ""))) / value.path
        elif type(value).__name__ in ("Array", "AsyncArray", "Group", "AsyncGroup"):
            at = value.store_path
            yield Path(str(getattr(at.store, "root", ""))) / at.path
