"""The commands on the results of a finished run: decide, report, verify.

Tested in tests/flows/pipeline/test_redecide.py.
"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orimap.flows.cli.answers import Debug, Quiet, answers, print_lines, print_table
from orimap.flows.cli.options import with_request_options
from orimap.flows.request.request import CAMERA_FIELDS, INDEX_FIELDS, READING_FIELDS
from orimap.tasks.errors import FAILED, InputError
from orimap.tasks.lines import say

if TYPE_CHECKING:
    from orimap.flows.pipeline.redecide import Answer

# What the stored fits were made with, and what orimap index is for; everything else of a request
# can be chosen anew.
AS_STORED = (
    *("file", "output", *READING_FIELDS),
    *("bin", "crop", "roi", "mask", "centre", "counts"),
    *CAMERA_FIELDS,
    *("filter", "epattern_lengths", "epattern_profile", "dark_field"),
    *("k", "weighting", "direct_beam", "l1", "seed"),
    *INDEX_FIELDS,
    *("orchestrate", "keep", "restart"),
)


@partial(with_request_options, without=AS_STORED, stored=True)
@answers
def decide(
    *,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a finished run")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be decided")
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
    **options: Any,
) -> None:
    """Decide again from the fits of a finished run, without fitting again.

    What is not given stays unchanged, with one exception: a strategy without a number decides, even
    where --distinct or --components chose one before. The file of the acquisition is not needed.
    """
    from orimap.flows.pipeline.runtime.runner import PlainRunner, choose_display
    from orimap.tasks.report.words import headline

    changes = {name: value for name, value in options.items() if value is not None}
    display = choose_display(quiet=quiet)
    with display.run(f"opening {directory}"):
        from orimap.flows.pipeline.redecide import redecide

        before, after = redecide(directory, changes, PlainRunner(display), dry_run=dry_run)
    say(
        headline(after.patterns, after.confidence, crystal=after.crystal, countable=after.countable)
    )
    print_lines(
        [
            ("before", _in_short(before)),
            ("now", _in_short(after)),
            *(("because" if i == 0 else " ", reason) for i, reason in enumerate(after.reasons)),
        ]
    )
    if dry_run:
        say("nothing was changed; without --dry-run maps and report would be drawn anew")
    else:
        say(f"report: {directory / 'report.html'}")


def _in_short(answer: "Answer") -> str:
    """Return an answer in a line."""
    from orimap.tasks.report.words import count_text

    found = count_text(answer.patterns, "pattern") if answer.crystal else "no crystal"
    if not answer.countable:
        found = "too few positions to count"
    return (
        f"{found} from the fit of {count_text(answer.components, 'component')} "
        f"({answer.strategy}, confidence {answer.confidence})"
    )


@answers
def report(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a finished run")],
    revision: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Write the page of a revision (orimap edit) beside it"),
    ] = None,
    debug: Debug = False,
) -> None:
    """Write the report anew from the stored results."""
    import json
    import sys

    from orimap.tasks.report.report import write_report
    from orimap.tasks.store.open_results import find_revision, require_whole_revision
    from orimap.tasks.store.run_folder import RunFolder, only_writer
    from orimap.tasks.store.whole.results import require_whole_results

    results, facts = directory / "analysis.zarr", directory / "run.json"
    if not results.is_dir():
        raise InputError(
            "the folder of a finished run, with analysis.zarr in it",
            f"{directory} has none"
            if directory.is_dir()
            else f"no folder of that name ({directory})",
            "give the folder that was given to orimap run as --output",
        )
    with only_writer(directory):
        RunFolder(directory).recover()
        require_whole_results(directory)
        try:
            run_facts = json.loads(facts.read_text())
        except FileNotFoundError:
            run_facts = {}
        except ValueError:
            run_facts = {}
            say(f"{facts} is cut: the page is written without it", stream=sys.stderr)
        revised = None if revision is None else find_revision(directory, revision)
        if revised is not None:
            require_whole_revision(directory, revised.name)
        say(str(write_report(results, directory, run=run_facts, revision=revised)))
    if revised is not None and revised.outdated:
        say(revised.standing, stream=sys.stderr)


@answers
def verify(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a finished run")],
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Check that results are whole: every stored chunk is decoded and compared.

    Ends with 0 where all is whole, with 1 where something is damaged. orimap run with the same
    request makes what is damaged anew.
    """
    from orimap.flows.pipeline.runtime.runner import PlainRunner, choose_display
    from orimap.tasks.store.run_folder import settle
    from orimap.tasks.store.whole.verify import verify as check

    settle(directory)
    display = choose_display(quiet=quiet)
    with display.run(f"verifying {directory}"):
        checked = PlainRunner(display).step("verify", lambda progress: check(directory, progress))
    print_table(
        ("part", "chunks", "found"),
        [
            (one.name, f"{one.chunks:,}" if one.chunks else "", one.found or "whole")
            for one in checked
        ],
    )
    damaged = sum(one.found is not None for one in checked)
    if damaged:
        say(f"{damaged} of {len(checked)} parts are damaged: orimap run makes them anew")
        raise typer.Exit(FAILED)
    say(f"all {len(checked)} parts are whole")
