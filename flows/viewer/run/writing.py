"""What is written into the folder of a run at the wish of its page: revisions and their reports.

One after the other, in a thread of its own, so that the page goes on meanwhile: it asks how far
each is. A process that ends finishes what it has begun.

Tested in tests/flows/viewer/run/test_writing.py.
"""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from orimap.flows.pipeline.runtime.runner import NoDisplay, PlainRunner
from orimap.flows.viewer.run.asked import AskedEdits
from orimap.tasks.errors import InputError, UnavailableError, words_of
from orimap.tasks.store.locks import holder
from orimap.tasks.store.open_results import (
    REVISIONS,
    delete_revision,
    find_revision,
    name_of_title,
    revision_names,
    revision_page,
    revision_store,
    title_as_given,
)
from orimap.tasks.store.run_folder import only_writer, try_writing
from orimap.tasks.stream.blocks import Progress

LOG = logging.getLogger("orimap.viewer")


class TakenError(InputError):
    """A revision has that title already.

    Parameters
    ----------
    name, title : str
    replaceable : bool
        Whether it may be asked to be replaced: not while it is being saved.
    """

    def __init__(self, name: str, title: str, *, replaceable: bool) -> None:
        there = "is there" if replaceable else "is being saved"
        super().__init__(
            "a title that no revision has yet",
            f"{title}, which {there}",
            "choose another title, or replace that one" if replaceable else "choose another title",
        )
        self.name, self.title, self.replaceable = name, title, replaceable


@dataclass
class Saving:
    """A revision on its way.

    Parameters
    ----------
    name, title : str
    done, total : int
        Parts; a total of 0 is not known yet.
    """

    name: str
    title: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class Failed:
    """A revision that could not be saved, and why."""

    name: str
    title: str
    needed: str
    found: str
    remedy: str


class Writer:
    """Writes into the folder of one run, one thing at a time.

    Parameters
    ----------
    folder : Path
    writable : bool
        Whether anything may be written.
    """

    def __init__(self, folder: Path, *, writable: bool) -> None:
        self.folder, self.writable = folder, writable
        self.failed: Failed | None = None
        self._saving: dict[str, Saving] = {}
        self._reports: set[str] = set()
        self._broken: dict[str, InputError] = {}
        self._changing = threading.Lock()
        self._busy = threading.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="orimap-writes")

    @property
    def can_write(self) -> bool:
        """Whether something may be written, and can be."""
        return self.writable and not self._obstacle()

    def _obstacle(self) -> str:
        """Return what keeps revisions from being written, empty where nothing does."""
        revisions = self.folder / REVISIONS
        if revisions.is_symlink():
            return f"{REVISIONS} is a link, which is not followed"
        try:
            try_writing(revisions if revisions.exists() else self.folder)
        except OSError as error:
            return words_of(error)
        return ""

    @property
    def saving(self) -> list[Saving]:
        """What is being saved, in the order in which it will be there."""
        with self._changing:
            return list(self._saving.values())

    def save(self, asked: AskedEdits, check: Callable[[], Any] = lambda: None) -> Saving:
        """Begin to write a revision.

        Parameters
        ----------
        asked : AskedEdits
        check : callable
            Tries the edits once nothing else is at fault; raises InputError where one is.

        Raises
        ------
        InputError
            If nothing may be written, or the title is at fault; TakenError if a revision has it,
            UnavailableError if a run is writing there.
        """
        self._require_writable()
        if not asked.steps:
            raise InputError("something to change", "no edit", "make an edit first")
        title = title_as_given(asked.title or "")
        self._require_nobody_else()
        check()
        with self._changing:
            for each in self._saving.values():
                if each.title == title:
                    raise TakenError(each.name, title, replaceable=False)
            names = revision_names(self.folder)
            named = next((n for n in names if self._title(n) == title), None)
            if named is not None and not asked.replace:
                raise TakenError(named, title, replaceable=True)
            name = named or name_of_title(title, [*names, *self._saving])
            saving = self._saving[name] = Saving(name, title)
        self._thread.submit(self._save, saving, asked)
        return saving

    def _title(self, name: str) -> str | None:
        """Return the title of a revision, None where its files are damaged."""
        with suppress(Exception):  # whatever is in them
            return find_revision(self.folder, name).title
        return None

    def _save(self, saving: Saving, asked: AskedEdits) -> None:
        """Write a revision, and remember why where it could not be."""
        from orimap.flows.pipeline.revise import revise

        def progress(done: int, total: int) -> None:
            saving.done, saving.total = done, total

        write = partial(
            revise,
            self.folder,
            asked.steps,
            PlainRunner(_Shown(progress)),
            revision=saving.name,
            title=saving.title,
            source=asked.source,
            overwrite=asked.replace,
        )
        with self._busy:
            error = _error_of(write)
        with self._changing:
            # It is listed as soon as it is not on its way any more.
            del self._saving[saving.name]
            self.failed = error and Failed(
                saving.name, saving.title, error.needed, error.found, error.remedy
            )

    def delete(self, name: str) -> None:
        """Remove a revision, and its page.

        Raises
        ------
        InputError
            If there is none of that name, or nothing may be written; UnavailableError while
            something is being written there.
        """
        self._require_writable()
        find_revision(self.folder, name)
        self._require_nobody_else()
        if not self._busy.acquire(blocking=False):
            raise UnavailableError(
                "results into which nothing is being written",
                "something is being saved",
                "wait until it is there",
            )
        try:
            with only_writer(self.folder):
                delete_revision(self.folder, name)
        finally:
            self._busy.release()

    def report(self, name: str) -> bool:
        """Return whether the page of a revision is there; begin to write it where it is not.

        Raises
        ------
        InputError
            If there is no such revision, it may not be written, or could not be: once, then it is
            tried again.
        """
        found = find_revision(self.folder, name)
        if self._is_written(name):
            return True
        self._require_writable()
        with self._changing:
            if error := self._broken.pop(name, None):
                raise error
            if name in self._reports:
                return False
            self._reports.add(name)
        self._thread.submit(self._report, found.name)
        return False

    def offers_report(self, name: str) -> bool:
        """Return whether the page of a revision is there, or would be written."""
        return self.can_write or revision_page(self.folder, name)[0].is_file()

    def _is_written(self, name: str) -> bool:
        """Return whether the page of a revision is there and not older than it."""
        try:
            page = revision_page(self.folder, name)[0].lstat()
            made = (revision_store(self.folder, name) / "zarr.json").stat()
        except OSError:
            return False
        # Where nothing may be written, an older page is better than none.
        return page.st_mtime_ns >= made.st_mtime_ns or not self.writable

    def _report(self, name: str) -> None:
        """Write the page of a revision, and remember why where it could not be."""
        with self._busy:
            error = _error_of(partial(_write_report, self.folder, name))
        with self._changing:
            self._reports.discard(name)
            if error:
                self._broken[name] = error

    def _require_writable(self) -> None:
        if not self.writable:
            raise InputError(
                "a page on which edits may be saved",
                "one that only shows the results",
                "use orimap edit, or start orimap view without --read-only",
            )
        if obstacle := self._obstacle():
            raise InputError(
                "a folder in which edits can be saved",
                obstacle,
                "copy the results to where you may write, and look at them there",
            )

    def _require_nobody_else(self) -> None:
        """Check that no other run writes into the folder; what this one writes is waited for."""
        owner = holder(self.folder / ".lock")
        if owner is not None and not self._busy.locked():
            raise UnavailableError(
                f"{self.folder} for this edit alone",
                f"another run is writing it (process {owner or 'unknown'})",
                "wait until it has finished",
            )


class _Shown(NoDisplay):
    """Hands on the progress of a step."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    @contextmanager
    def step(self, name: str) -> Iterator[Progress]:
        """Run with the progress handed on."""
        yield self._progress


def _write_report(folder: Path, name: str) -> None:
    """Write the page of a revision as it is now."""
    from orimap.tasks.report.report import write_report

    with only_writer(folder):
        facts = folder / "run.json"
        run = json.loads(facts.read_text()) if facts.is_file() else {}
        write_report(
            folder / "analysis.zarr", folder, run=run, revision=find_revision(folder, name)
        )


def _error_of(work: Callable[[], Any]) -> InputError | None:
    """Do some work; return what kept it from being done, in words."""
    try:
        work()
    except InputError as error:
        return error
    except OSError as error:
        return UnavailableError(
            "a folder that can be written", error.strerror or words_of(error), "save it again"
        )
    except Exception as error:
        LOG.error("writing failed", exc_info=error)
        return InputError(
            "an answer",
            "something went wrong in orimap view",
            "its log says what; try it again",
        )
    return None
