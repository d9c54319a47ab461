"""The folder of one run: half-written results stay apart until the whole is complete.

A run writes into ``DIR/.unfinished`` and moves what it made to its place at the very end, so a
rerun never destroys the last complete result before the new one is complete. Each step writes
groups; a group is marked complete, last, with the fingerprint of its inputs and options.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import xarray as xr
import zarr

from orimap.tasks.errors import InputError, UnavailableError, words_of
from orimap.tasks.store.groups import (
    complete_mark,
    group_attributes,
    link_group,
    open_group,
    remove_group,
    write_group,
)
from orimap.tasks.store.locks import HeldError, held


class RunFolder:
    """Where one run keeps its stores, and which of their groups can be used again.

    ``patterns.zarr`` and ``analysis.zarr`` are looked for among the unfinished ones first (a run
    that was killed), then among the complete ones.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.unfinished = root / ".unfinished"
        self.analysis = self.unfinished / "analysis.zarr"
        self._replaced = root / ".replaced"
        self._moving = self.unfinished / "moving"

    @property
    def published_analysis(self) -> Path:
        """The last complete results."""
        return self.root / "analysis.zarr"

    def recover(self) -> None:
        """Finish what a run that was killed while it published left half-moved."""
        if self._moving.exists():
            self._move()

    def prepare(self) -> None:
        """Make the folder for what is unfinished, after ``recover``."""
        self.recover()
        self.unfinished.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._copying, ignore_errors=True)

    @property
    def _copying(self) -> Path:
        """A group on its way from the complete results."""
        return self.unfinished / "copying"

    def discard(self) -> None:
        """Forget what an earlier unfinished run left."""
        shutil.rmtree(self.unfinished, ignore_errors=True)

    def patterns(self, mark: str) -> Path:
        """Return the pattern store whose /raw holds ``mark``, or where to write a new one."""
        new, published = self.unfinished / "patterns.zarr", self.root / "patterns.zarr"
        if complete_mark(new, "raw") != mark and complete_mark(published, "raw") == mark:
            return published
        return new

    def separate_patterns(self, mark: str, keep: Sequence[str]) -> None:
        """Give an unfinished run a pattern store of its own, with some groups of the published.

        What it then writes leaves the last complete results as they are. The patterns themselves
        are shared: hard links where the file system has them.
        """
        new, published = self.unfinished / "patterns.zarr", self.root / "patterns.zarr"
        if self.patterns(mark) == new:
            return
        shutil.rmtree(new, ignore_errors=True)
        zarr.open_group(new, mode="a")
        for group in keep:
            if complete_mark(published, group) is not None:
                link_group(published, new, group)

    def add(self, group: str, ds: xr.Dataset) -> None:
        """Add arrays to a complete group of the results; leaves those that are there."""
        target = zarr.open_group(self.analysis, path=group, mode="r+")
        for name, values in ds.data_vars.items():
            if str(name) not in target:
                target.create_array(
                    str(name),
                    data=values.values,
                    dimension_names=tuple(map(str, values.dims)),
                    attributes=dict(values.attrs),
                )

    def reuse(self, group: str, mark: str) -> bool:
        """Make a complete group with this fingerprint available; False if there is none."""
        if complete_mark(self.analysis, group) == mark:
            return True
        if complete_mark(self.published_analysis, group) != mark:
            return False
        target = self.analysis / group
        zarr.open_group(self.analysis, mode="a")
        remove_group(self.analysis, group)
        shutil.rmtree(self._copying, ignore_errors=True)
        shutil.copytree(self.published_analysis / group, self._copying)
        target.parent.mkdir(parents=True, exist_ok=True)
        if "/" in group:
            zarr.open_group(self.analysis, path=group.rsplit("/", 1)[0], mode="a")
        self._copying.rename(target)
        return True

    def write(self, group: str, ds: xr.Dataset, mark: str) -> None:
        """Write one group of the results and mark it complete."""
        write_group(self.analysis, group, ds, mark)

    def read(self, group: str) -> xr.Dataset:
        """Open one group of the results lazily."""
        return open_group(self.analysis, group)

    def attributes(self, group: str) -> dict[str, Any]:
        """Return the attributes of one group of the results."""
        return group_attributes(self.analysis, group)

    def publish(self) -> None:
        """Put what this run made in place of the last complete results.

        Everything is complete by now: if this is killed, ``recover`` moves the rest.
        """
        self._moving.touch()
        self._move()

    def _move(self) -> None:
        """Move all that was made to its place, from wherever an earlier call has stopped."""
        self._replaced.mkdir(exist_ok=True)
        for made in sorted(self.unfinished.iterdir()):
            if made == self._moving:
                continue
            place, kept = self.root / made.name, self._replaced / made.name
            if place.exists():
                place.rename(kept)
            made.rename(place)
        shutil.rmtree(self._replaced)
        self._moving.unlink()
        self.unfinished.rmdir()


# Files that make a folder a store, or a part of one.
OF_STORES = ("zarr.json", ".zgroup", ".zarray")


def require_outside_stores(place: Path) -> None:
    """Check that a place to write to lies in no store: what is written there would damage it.

    Raises
    ------
    InputError
        With the store that it lies in.
    """
    for whole in (place.absolute(), place.resolve()):
        for folder in (whole, *whole.parents):
            if any(os.path.exists(folder / name) for name in OF_STORES):
                raise InputError(
                    "a place that is not inside a data set (a Zarr store)",
                    f"{place} is in {folder}" if folder != whole else f"{place} is one",
                    "write elsewhere: what is added to a data set damages it",
                )


def require_writable(folder: Path) -> None:
    """Check that a folder for results can be written, or made, without making it.

    Raises
    ------
    InputError
        If not, with what is in the way.
    """
    try:
        try_writing(nearest_existing(folder))
    except OSError as error:
        raise InputError(
            f"a folder that can be written for the results ({folder})",
            error.strerror or words_of(error),
            "choose another folder with --output, or fix its permissions",
        ) from error
    require_outside_stores(folder)


def try_writing(folder: Path) -> None:
    """Write a file without a name into a folder, which leaves nothing there.

    Raises
    ------
    OSError
        If that cannot be. Rights are not everything: a quota, or a share mounted read-only.
    """
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is {'a file' if folder.exists() else 'not there'}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{folder} is not writable")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except FileNotFoundError as error:  # a folder of the system's own, where no files can be made
        raise PermissionError(f"{folder} takes no files") from error
    except OSError as error:
        # Without the name of the file, which nobody has given.
        raise OSError(f"{folder}: {error.strerror or error}") from error


def nearest_existing(path: Path) -> Path:
    """Return a path, or the nearest of the folders around it that exists.

    Raises
    ------
    OSError
        If a name is too long, or a link leads nowhere.
    """
    whole = path.absolute()
    for place in (whole, *whole.parents):
        if os.path.exists(place):  # False as well where one may not look
            return place
        if place.is_symlink():
            raise FileNotFoundError(f"{place} is a link that leads nowhere")
    return Path(whole.anchor)


@contextmanager
def only_writer(root: Path) -> Iterator[None]:
    """Hold the folder for one run: two runs cannot write it at once.

    Raises
    ------
    InputError
        If the folder cannot be written, or is in a store; UnavailableError if another run holds it.
    """
    require_outside_stores(root)
    with ExitStack() as stack:
        try:
            root.mkdir(parents=True, exist_ok=True)
            stack.enter_context(held(root / ".lock"))
        except HeldError as error:
            raise UnavailableError(
                f"{root} for this run alone",
                f"another run is writing it (process {error.owner or 'unknown'})",
                "wait until it has finished, or choose another folder with --output",
            ) from error
        except OSError as error:
            raise InputError(
                f"a folder that can be written for the results ({root})",
                error.strerror or words_of(error),
                "choose another folder with --output, or fix its permissions",
            ) from error
        yield
