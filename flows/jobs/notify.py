"""One message per acquisition, to the log and to wherever the lab wants it.

Addresses are in the environment, never in a request: they hold secrets. A message that cannot be
sent is a line in the log; the job that it is about has ended by then, and is not changed by it.
"""

import importlib
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orimap.cluster.processes.leftovers import temporary_folder
from orimap.flows.jobs.job import Job
from orimap.flows.jobs.outcome import Outcome, read_outcome
from orimap.flows.jobs.page import page_of
from orimap.flows.jobs.perform import log_tail, perform
from orimap.flows.request.request import Request
from orimap.tasks.errors import InputError, words_of
from orimap.tasks.lines import printable

# Notification blocks of Prefect, TYPE/NAME, and addresses as Apprise reads them (which is what
# those blocks use), for instance mailtos://...; separated by blanks.
NOTIFY_VARIABLE = "ORIMAP_NOTIFY"
# A mail server answers in seconds; nobody's run waits for one that does not.
SEND_SECONDS = 20
THUMBNAIL_PIXELS = 480
TAIL_LINES = 15
SECRET = re.compile(r"(\w+://)\S+")

Note = Callable[[str], None]


@dataclass(frozen=True)
class Message:
    """What is sent: a line, more lines, and perhaps a picture."""

    title: str
    body: str
    failed: bool
    picture: Path | None = None


def perform_and_tell(job: Job, analyse: Callable[[Request], Path], note: Note) -> Outcome:
    """Perform a job, and send one message when it has ended, well or not.

    An interrupted job has not ended; what ``perform`` raises is raised after the message.
    """
    try:
        outcome = perform(job, analyse, note)
    except Exception:
        ended = read_outcome(job.output)
        if ended is not None:
            send(message_about(job, ended), note)
        raise
    send(message_about(job, outcome), note)
    return outcome


def message_about(job: Job, outcome: Outcome) -> Message:
    """Put how a job ended into words."""
    name = job.request.file.name
    if outcome.state == "done":
        return _success(name, job.output, outcome)
    lines = [
        f"{name} could not be analysed: {outcome.reason}",
        f"What to do: {outcome.remedy}.",
        *(each for each in (_attempts(outcome),) if each),
        *([f"Bundle to send: {outcome.bundle}"] if outcome.bundle else []),
        f"Folder: {job.output}",
        "The end of its log:",
        *log_tail(job.output, TAIL_LINES).splitlines(),
    ]
    return _message(f"orimap: {name} failed ({outcome.kind})", lines, failed=True)


def _success(name: str, output: Path, outcome: Outcome) -> Message:
    import zarr

    from orimap.tasks.report.words import headline

    notes = zarr.open_group(output / "analysis.zarr", mode="r").attrs.get("notes", [])
    found = headline(
        outcome.decided_k,
        outcome.confidence,
        crystal=outcome.crystal_found,
        countable=outcome.countable,
    )
    lines = [
        f"{name}: {found}",
        *(f"Note: {note}" for note in notes),
        *(each for each in (_attempts(outcome),) if each),
        *([f"Look at it: {page}"] if (page := page_of(output)) is not None else []),
        f"Report: {Path(outcome.report).resolve().as_uri()}",
    ]
    picture = output / "figures" / "cluster_map.png"
    return _message(
        f"orimap: {name}: {found}",
        lines,
        failed=False,
        picture=picture if picture.is_file() else None,
    )


def tell_put_aside(title: str, reason: str, note: Note) -> None:
    """Send a message about an acquisition that cannot be analysed; nobody waits for it."""
    lines = [
        f"{title} cannot be analysed and was quarantined: {reason}",
        "What to do: put a corrected copy in its place; it is then checked again.",
    ]
    message = _message(f"orimap: {title} was quarantined", lines, failed=True)
    threading.Thread(target=send, args=(message, note), daemon=True).start()


def _message(title: str, lines: Iterable[str], **others: Any) -> Message:
    """Return a message of which each line is one, whatever the names in it hold."""
    return Message(printable(title), "\n".join(map(printable, lines)), **others)


def _attempts(outcome: Outcome) -> str:
    """Say what failed before, where something did."""
    before = outcome.attempts if outcome.state == "done" else outcome.attempts[:-1]
    return f"Failed before: {'; '.join(each.reason for each in before)}" if before else ""


def send(message: Message, note: Note) -> None:
    """Log a message and send it to every address; whatever goes wrong is a line in the log."""
    note(message.title)
    for number, address in enumerate(os.environ.get(NOTIFY_VARIABLE, "").split(), start=1):
        problem: list[str] = []
        work = threading.Thread(target=_try, args=(address, message, problem), daemon=True)
        work.start()
        work.join(SEND_SECONDS)
        if work.is_alive():
            problem.append(f"no answer within {SEND_SECONDS} s")
        if problem:
            note(f"notification {number} ({_shown(address)}) was not sent: {problem[0]}")


def _try(address: str, message: Message, problem: list[str]) -> None:
    try:
        _send_to(address, message)
    except Exception as error:
        words = SECRET.sub(r"\1…", words_of(error))
        problem.append(f"{type(error).__name__}: {words}")


def _shown(address: str) -> str:
    """Return an address without what is secret in it."""
    return SECRET.sub(r"\1…", address)


def _send_to(address: str, message: Message) -> None:
    """Send to one address."""
    if "://" not in address:
        _send_by_block(address, message)
        return
    from apprise import Apprise, NotifyType

    service = Apprise()
    if not service.add(address):
        raise InputError(
            f"addresses that Apprise knows in {NOTIFY_VARIABLE}",
            _shown(address),
            "write it as Apprise's documentation says, or name a block of Prefect as TYPE/NAME",
        )
    with _thumbnail(message.picture) as picture:
        sent = service.notify(
            title=message.title,
            body=message.body,
            notify_type=NotifyType.FAILURE if message.failed else NotifyType.SUCCESS,
            attach=picture,
        )
    if not sent:
        raise ConnectionError("the service did not take it")


def _send_by_block(slug: str, message: Message) -> None:
    """Send by one of Prefect's notification blocks, whose secrets are kept by Prefect."""
    from prefect.blocks.core import Block

    importlib.import_module("prefect.blocks.notifications")  # makes their kinds known
    block = Block.load(slug)
    with block.raise_on_failure():
        block.notify(message.body, subject=message.title)


@contextmanager
def _thumbnail(picture: Path | None) -> Iterator[str | None]:
    """Give the path of a small copy of a picture; mail servers refuse large attachments."""
    if picture is None:
        yield None
        return
    from orimap.tasks.report.figures.thumbnail import thumbnail

    with temporary_folder() as folder:
        small = folder / picture.name
        small.write_bytes(thumbnail(picture, THUMBNAIL_PIXELS))
        yield str(small)
