"""The command that takes results to other programs.

Tested in tests/flows/pipeline/test_export.py.
"""

from pathlib import Path
from typing import Annotated

import typer

from orimap.flows.cli.answers import Debug, Quiet, answers
from orimap.tasks.export.formats import FORMATS, PICTURES
from orimap.tasks.lines import say

FORMATS_EXPLAINED = "\b\nFormats:\n" + "\n".join(
    f"  {name:<8} {form.meant_for}" for name, form in FORMATS.items()
)


@answers
def export(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a finished run")],
    to: Annotated[str, typer.Option(metavar="|".join(FORMATS), help="Which format (see below)")],
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE|FOLDER", help="What to write [in DIR/exports]"),
    ] = None,
    revision: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Export this revision, not the automatic result"),
    ] = None,
    picture: Annotated[
        str | None,
        typer.Option("--format", metavar="|".join(PICTURES), help="Format of figures [png]"),
    ] = None,
    dpi: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="Dots per inch of figures [300]")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace files of that name that are there")
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write results for another program: patterns, maps and labels, with their calibration.

    Clusters and components count from 1; labels are 0 where there is no cluster.
    """
    from orimap.flows.pipeline.runtime.runner import PlainRunner, choose_display
    from orimap.tasks.export.export import export_results

    place = PlainRunner(choose_display(quiet=quiet)).step(
        f"export {to}",
        lambda _: export_results(
            directory, to, output, revision=revision, picture=picture, dpi=dpi, force=force
        ),
    )
    say(str(place))
