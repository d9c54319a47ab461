"""The command that corrects results by hand: edit.

Tested in tests/flows/pipeline/test_revise.py.
"""

from pathlib import Path
from typing import Annotated

import typer

from orimap.flows.cli.answers import Debug, Quiet, answers, print_lines, print_table
from orimap.tasks.errors import InputError
from orimap.tasks.lines import say

Numbers = list[str]


@answers
def edit(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a finished run")],
    merge: Annotated[
        Numbers, typer.Option(metavar="N,N", help="Clusters that are one; may be repeated")
    ] = [],  # noqa: B006  (never changed)
    rename: Annotated[
        Numbers, typer.Option(metavar="N=NAME", help="Name a cluster; may be repeated")
    ] = [],  # noqa: B006
    background: Annotated[
        Numbers,
        typer.Option(metavar="N", help="Give the positions of a cluster to none; may be repeated"),
    ] = [],  # noqa: B006
    colour: Annotated[
        Numbers, typer.Option(metavar="N=#RRGGBB", help="Colour of a cluster; may be repeated")
    ] = [],  # noqa: B006
    split: Annotated[
        Numbers,
        typer.Option(
            metavar="N",
            help="Split a cluster into the components that were joined to it, or where it has "
            "one alone into the parts that do not touch; may be repeated",
        ),
    ] = [],  # noqa: B006
    revision: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the revision [edit-1, edit-2 ...]")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="NAME", help="Start from this revision, not from the automatic result"
        ),
    ] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="List the revisions that are there")
    ] = False,
    delete: Annotated[
        str | None, typer.Option(metavar="NAME", help="Remove a revision and its page")
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Correct clusters by hand: write a revision beside the automatic result, never over it.

    Clusters are counted from 1, as on the page. All numbers are those before the edit. Map,
    shares, overlap and patterns are computed again: a few positions of other clusters may move,
    too. orimap report DIR --revision NAME shows them.
    """
    edits = {
        "merge": merge,
        "rename": rename,
        "background": background,
        "split": split,
        "colour": colour,
    }
    if listed or delete is not None:
        _manage(
            directory, delete, listed=listed, asked=any(edits.values()) or bool(revision or source)
        )
        return
    from orimap.flows.pipeline.revise import revise
    from orimap.flows.pipeline.runtime.runner import PlainRunner, choose_display
    from orimap.tasks.maps.by_hand.edits import Edits
    from orimap.tasks.report.words import edited_headline

    made = revise(
        directory,
        Edits.read(**edits),
        PlainRunner(choose_display(quiet=quiet)),
        revision=revision,
        source=source,
    )
    say(edited_headline(len(made.sizes), made.name))
    for sentence in made.said:
        say(sentence)
    print_table(
        ["cluster", "name", "positions"],
        [
            [str(number), name, str(size)]
            for number, (name, size) in enumerate(zip(made.names, made.sizes, strict=True), start=1)
        ],
    )
    say(f"its page: orimap report {directory} --revision {made.name}")


def _manage(directory: Path, delete: str | None, *, listed: bool, asked: bool) -> None:
    """List or remove revisions."""
    from orimap.tasks.report.words import count_text
    from orimap.tasks.store.open_results import delete_revision, find_revision, revision_names
    from orimap.tasks.store.run_folder import only_writer

    if listed and delete is not None:
        raise InputError(
            "either --list or --delete", f"--list and --delete {delete}", "leave one of them out"
        )
    if asked:
        raise InputError(
            "--list or --delete alone",
            "an edit as well",
            "make the edit in another call",
        )
    if not (directory / "analysis.zarr").is_dir():
        raise InputError(
            "the folder of a finished run, with analysis.zarr in it",
            f"{directory} has none"
            if directory.is_dir()
            else f"no folder of that name ({directory})",
            "give the folder that was given to orimap run as --output",
        )
    if delete is not None:
        with only_writer(directory):
            delete_revision(directory, delete)
        say(f"revision {delete} was removed; the automatic result is as it was")
        return
    found = [find_revision(directory, name) for name in revision_names(directory)]
    if not found:
        say("no revisions are there; orimap edit --help says how to make one")
        return
    print_lines(
        [
            (
                each.name,
                f"{count_text(each.patterns, 'cluster')}, {each.made[:16].replace('T', ' ')}. "
                f"{' '.join(each.edits)}"
                + (" OUTDATED: " + each.standing if each.outdated else ""),
            )
            for each in found
        ]
    )
