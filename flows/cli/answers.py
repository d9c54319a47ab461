"""What the commands of the command line share: how they run, what they print, how they fail."""

import functools
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orimap.cluster.environment import keep_compiled_code
from orimap.flows.cli.options import state_folder
from orimap.tasks.errors import FAILED, INPUT_AT_FAULT, INTERRUPTED, InputError, words_of
from orimap.tasks.lines import printable, say

if TYPE_CHECKING:
    from orimap.flows.pipeline.runtime.runner import Display
    from orimap.flows.request.request import Request

# Commands whose options are those of a request.
TAKE_REQUESTS = ("run", "compare-filters", "decide", "info", "submit", "replay")
# Beginnings of the reasons that are told beside the answer.
DOUBTS = ("Guessed: ", "Doubtful: ")

Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress, only the result")]
Debug = Annotated[bool, typer.Option("--debug", help="Show where an error comes from")]


def answers(command: Callable[..., None]) -> Callable[..., None]:
    """Turn what goes wrong in a command into words on standard error and an exit code."""

    @functools.wraps(command)
    def wrapped(**options: Any) -> None:
        try:
            keep_compiled_code(_state(options))
            command(**options)
            if sys.stdout is not None:
                sys.stdout.flush()
        except typer.Exit:
            raise
        except KeyboardInterrupt as error:
            say("interrupted", stream=sys.stderr)
            raise typer.Exit(INTERRUPTED) from error
        except Exception as error:
            if isinstance(error, BrokenPipeError) and _nobody_reads():
                raise typer.Exit(FAILED) from error
            if options.get("debug"):
                import traceback

                say(*traceback.format_exc().splitlines(), stream=sys.stderr)
            if isinstance(error, InputError):
                # What a request needs is said by more commands than the one that is named.
                said = str(error).replace("orimap run --help", _help_of(command))
                say(*said.splitlines(), stream=sys.stderr)
                raise typer.Exit(INPUT_AT_FAULT) from error
            if not options.get("debug"):
                first = words_of(error) if isinstance(error, OSError) else _first_line(error)
                say(f"failed: {first} (--debug shows where)", stream=sys.stderr)
            raise typer.Exit(FAILED) from error

    return wrapped


def _help_of(command: Callable[..., None]) -> str:
    """Return what explains the options of a command of its own."""
    name = {"compare": "compare-filters"}.get(command.__name__, command.__name__)
    return f"orimap {name if name in TAKE_REQUESTS else 'run'} --help"


def _state(options: dict[str, Any]) -> Path | None:
    """Return the folder of journal and logs, where a command has one."""
    state, results = options.get("state"), options.get("results")
    if state is None and ("state" not in options or results is None):
        return None
    return state_folder(results, state)


def _first_line(error: Exception) -> str:
    """Return what kind of error it is, and the first line of what it says."""
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}"


def _nobody_reads() -> bool:
    """Return whether the other end of standard output is closed, as by ``head``.

    If so, nothing more is written to it: at its end the interpreter flushes, and would complain.
    """
    import select

    try:
        place = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        return False
    watched = select.poll()
    watched.register(place, select.POLLOUT)
    if not any(state & select.POLLERR for _, state in watched.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), place)
    return True


def analyse(request: "Request", display: "Display", *, debug: bool) -> Path:
    """Run the pipeline, recorded with Prefect where that is asked for; return its folder."""
    with display.run(f"opening {request.file.name}"):
        return _analyse(request, display, debug=debug)


def _analyse(request: "Request", display: "Display", *, debug: bool) -> Path:
    """Load what runs a pipeline, which takes a second or more, and run it."""
    from orimap.flows.prefect import configured

    if configured.wanted(request.orchestrate):
        configured.prepare_environment(debug=debug)
        display.note("loading Prefect, to record the run")
        from orimap.flows.prefect.runner import analyse_recorded

        return analyse_recorded(request, display)
    from orimap.flows.pipeline.pipeline import run_pipeline
    from orimap.flows.pipeline.runtime.runner import PlainRunner

    return run_pipeline(request, PlainRunner(display))


def print_result(output: Path) -> None:
    """Print what was decided and where the report is."""
    import zarr

    from orimap.tasks.report.words import headline

    results = zarr.open_group(output / "analysis.zarr", mode="r")
    clusters = int(results.attrs["decided_k"])
    patterns = len(set(results["clusters/cluster_parent"][:].tolist()))
    decision = results["decision"].attrs
    # Earlier versions did not ask.
    crystal, countable = (
        bool(results.attrs.get(name, True)) for name in ("crystal_found", "countable")
    )
    say(headline(patterns, decision["confidence"], clusters, crystal=crystal, countable=countable))
    if decision["confidence"] != "high":
        # A forced number is compared with the evidence first; else the last reason names the
        # runner-up and what would settle it.
        reasons = decision["reasons"]
        doubtful = [reason for reason in reasons if reason.startswith(DOUBTS)]
        say(*doubtful, reasons[0 if decision["strategy"] == "forced" else -1])
    say(*_orientations(output / "analysis.zarr"), f"report: {output / 'report.html'}")


def _orientations(analysis: Path) -> list[str]:
    """Say how many clusters are indexed, or why none is; nothing where nobody asked for it."""
    from orimap.flows.pipeline.steps.orientations import NOT_INDEXED
    from orimap.tasks.index.stored import read_orientations
    from orimap.tasks.report.orientations.section import answer_sentence
    from orimap.tasks.report.orientations.words import cluster_orientations
    from orimap.tasks.store.groups import group_attributes

    found = read_orientations(analysis)
    if found is not None:
        return [answer_sentence(cluster_orientations(found))]
    tried = group_attributes(analysis, "").get(NOT_INDEXED)
    return [tried["why"]] if tried else []


def print_lines(lines: list[tuple[str, str]]) -> None:
    """Print names and words in two columns, without those that have nothing to say."""
    lines = [(printable(name), printable(words)) for name, words in lines]
    width = max(len(name) for name, _ in lines)
    for name, words in lines:
        if words:
            say(f"{name:<{width}}  {words}")


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a head and rows of words; the last column may be as long as it likes."""
    if not rows:
        say("nothing is there")
        return
    table = [[printable(word) for word in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    for row in table:
        words = [f"{word:<{width}}" for word, width in zip(row, widths, strict=True)]
        say("  ".join(words).rstrip())
