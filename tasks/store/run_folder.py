"""The folder of one run: half-written results stay apart until the whole is complete.

A run writes into ``DIR/.unfinished`` and moves what it made to its place at the very end, so a
rerun never destroys the last complete result before the new one is complete. Each step writes
groups; a group is marked complete, last, with the fingerprint of its inputs and options.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import xarray as xr
import zarr

from orimap.tasks.errors import InputError, UnavailableError, tell, words_of
from orimap.tasks.store.groups import (
    USUAL,
    complete_mark,
    copy_folder,
    group_attributes,
    link_group,
    open_group,
    remove_group,
    write_group,
)
from orimap.tasks.store.locks import HeldError, held
from orimap.tasks.store.whole.damage import damage
from orimap.tasks.store.whole.flushed import flush_files, flush_folder
from orimap.tasks.store.whole.metadata import groups_below, remove_cut_metadata
from orimap.tasks.store.whole.results import recorded_patterns
from orimap.tasks.store.whole.seal import CHECKSUM, has_sums, recorded, seal
from orimap.tasks.store.whole.verify import differs_from_source

# Moving takes milliseconds, on a slow share seconds.
SETTLE_SECONDS = 10
# The groups of a pattern store that one step makes.
INGESTED = ("raw", "sparse", "spikes")


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
        # What a run is told of groups that are made anew.
        self.tell: Callable[[str], object] = tell
        self._damaged: set[Path] = set()
        self._looked_at: dict[Path, tuple[int, int]] = {}

    @property
    def published_analysis(self) -> Path:
        """The last complete results."""
        return self.root / "analysis.zarr"

    def recover(self) -> None:
        """Finish what a run that was killed while it published left half-moved."""
        if self.is_moving:
            self._move()

    @property
    def is_moving(self) -> bool:
        """Whether results are being put in place, or were when a run was killed."""
        return os.path.exists(self._moving)  # False as well where a name is too long

    def prepare(self) -> None:
        """Make the folder for what is unfinished, after ``recover``."""
        self.recover()
        self.unfinished.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._copying, ignore_errors=True)
        for store in (self.analysis, self.unfinished / "patterns.zarr"):
            for group in ("", *(f for f in ("fits", "basis_fits") if (store / f).is_dir())):
                remove_cut_metadata(store, group)

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
        if published in self._damaged or complete_mark(new, "raw") == mark:
            return new
        return published if complete_mark(published, "raw") == mark else new

    def leave_damaged_patterns(self, mark: str) -> None:
        """Compare all checksums of the patterns that a run begins with; leave damaged groups out.

        Of the last complete results, what is whole is then shared with a store of the run's own,
        where the rest is made anew. Raw patterns and their lists are made in one go.
        """
        new, published = self.unfinished / "patterns.zarr", self.root / "patterns.zarr"
        broken = self._broken(new, list(groups_below(new)) if new.is_dir() else [])
        if set(broken) & {*INGESTED, ""}:
            shutil.rmtree(new)
        for group in broken:
            remove_group(new, group)
        # Patterns of another request stay as they are; of lost ones nothing is known.
        if complete_mark(new, "raw") == mark or complete_mark(published, "raw") not in (mark, None):
            return
        there = list(groups_below(published)) if published.is_dir() else []
        promised = recorded_patterns(self.published_analysis) if there else []
        lost = [group for group in promised if group not in there]
        for group in lost:
            self._tell_damage(published, group, "it is not there")
        broken = [*self._broken(published, there), *lost]
        if "raw" in there and not has_sums(published / "raw" / "pattern_intensity"):
            # Of an earlier version: its only sums are those of the source.
            what = differs_from_source(published, self.published_analysis)
            if what is not None and "raw" not in broken:
                self._tell_damage(published, "raw", what)
                broken.append("raw")
        if not broken:
            return
        self._damaged.add(published)
        whole = [g for g in there if g and g not in broken]
        if set(broken) & set(INGESTED):
            whole = [group for group in whole if group not in INGESTED]
        shutil.rmtree(new, ignore_errors=True)
        zarr.open_group(new, mode="a")
        for group in whole:
            if complete_mark(published, group) is not None:
                link_group(published, new, group)

    def _broken(self, store: Path, groups: Sequence[str]) -> list[str]:
        """Return which groups of a store are damaged, and tell of them."""
        found = {group: damage(store, group, sums=True) for group in groups}
        for group, what in found.items():
            if what is not None:
                self._tell_damage(store, group, what)
        return [group for group, what in found.items() if what is not None]

    def _tell_damage(self, store: Path, group: str, what: str) -> None:
        self.tell(f"{store.name}/{group} is damaged ({what}): it is made anew.")

    def _is_whole(self, store: Path, group: str) -> bool:
        """Return whether a group is undamaged: its checksums are compared once."""
        try:
            written = os.stat(store / group / "zarr.json")
        except FileNotFoundError:
            return False
        key = written.st_ino, written.st_mtime_ns
        if self._looked_at.get(store / group) == key:
            return True
        what = damage(store, group, sums=True)
        if what is None:
            self._looked_at[store / group] = key
            return True
        if store / group not in self._damaged:
            self._damaged.add(store / group)
            self._tell_damage(store, group, what)
        return False

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
        known = recorded(group_attributes(self.analysis, group))
        there = target if known is None else known["arrays"]
        for name, values in ds.data_vars.items():
            if str(name) not in there:
                target.create_array(
                    str(name),
                    data=values.values,
                    compressors=(USUAL, CHECKSUM),
                    dimension_names=tuple(map(str, values.dims)),
                    attributes=dict(values.attrs),
                    overwrite=True,  # left by a kill
                )
                seal(self.analysis, group)

    def reuse(self, group: str, mark: str) -> bool:
        """Make a complete group with this fingerprint available; False if there is none.

        One that is damaged counts as none.
        """
        if complete_mark(self.analysis, group) == mark and self._is_whole(self.analysis, group):
            return True
        published = self.published_analysis
        if complete_mark(published, group) != mark or not self._is_whole(published, group):
            return False
        remove_cut_metadata(self.analysis, group)
        target = self.analysis / group
        zarr.open_group(self.analysis, mode="a")
        remove_group(self.analysis, group)
        shutil.rmtree(self._copying, ignore_errors=True)
        copy_folder(self.published_analysis / group, self._copying)
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

        Everything is complete by now: if this is killed, ``recover`` moves the rest. It is on the
        disk before anything that it replaces is moved, so that a power cut loses no results.
        """
        flush_files(self.unfinished)
        self._moving.touch()
        flush_folder(self.unfinished)
        self._move()

    def _move(self) -> None:
        """Move all that was made to its place, from wherever an earlier call has stopped.

        What is replaced goes first, pages before the results that they show: nobody ever finds a
        page beside results of another run, only one without the other.
        """
        self._replaced.mkdir(exist_ok=True)
        made = [path for path in self.unfinished.iterdir() if path != self._moving]
        stores_last = sorted(made, key=lambda path: (path.suffix == ".zarr", path.name))
        for path in stores_last:
            place = self.root / path.name
            if place.exists():
                place.rename(self._replaced / path.name)
        for path in reversed(stores_last):
            path.rename(self.root / path.name)
        flush_folder(self.root)
        shutil.rmtree(self._replaced)
        self._moving.unlink()
        self.unfinished.rmdir()


def settle(root: Path) -> None:
    """Have the results in a folder belong together, before they are read.

    Where a run is just putting them in place, that is waited for; what a run that was killed has
    left half-moved is moved.

    Raises
    ------
    UnavailableError
        If that takes long, or the folder cannot be written.
    """
    folder, last = RunFolder(root), time.monotonic() + SETTLE_SECONDS
    while folder.is_moving:
        found = "results that a run is putting in place"
        try:
            with held(root / ".lock"):
                folder.recover()
        except HeldError:
            if time.monotonic() < last:
                continue
        except FileNotFoundError:  # moved by another process meanwhile
            continue
        except OSError:
            found = "results that a run has left half-moved as it was killed"
        else:
            return
        raise UnavailableError(
            f"results in {root} that belong together",
            found,
            "try again, or let somebody do so who may write the folder: any command on it moves "
            "the rest",
        )


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
                "wait until it has finished, or give a new run another --output",
            ) from error
        except OSError as error:
            raise InputError(
                f"a folder that can be written for the results ({root})",
                error.strerror or words_of(error),
                "fix its permissions, or give a new run another --output",
            ) from error
        yield
