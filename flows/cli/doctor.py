"""``orimap doctor``: what is wrong with this machine, before something depends on it."""

from pathlib import Path
from typing import Annotated

import typer

from orimap.flows.cli.answers import FAILED, Debug, answers

PREFECT_PORT = 4200


@answers
def doctor(
    watch: Annotated[Path | None, typer.Option(help="Folder that acquisitions arrive in")] = None,
    results: Annotated[Path | None, typer.Option(help="Folder of all results")] = None,
    state: Annotated[
        Path | None, typer.Option(help="Folder of journal and server [RESULTS/.orimap]")
    ] = None,
    port: Annotated[int, typer.Option(help="Of the Prefect server of orimap up")] = PREFECT_PORT,
    debug: Debug = False,
) -> None:
    """Check versions, folders, rights, disk, clocks and ports; say what is wrong and what to do.

    Exit code 1 if something is wrong. Workers are tried by orimap cluster check.
    """
    from orimap.flows.machine.doctor import examine

    if state is None and results is not None:
        state = results / ".orimap"
    wrong = 0
    for finding in examine(watch=watch, results=results, state=state, port=port):
        print(f"{finding.state:<6} {finding.what:<16} {finding.found}")
        if finding.state != "ok":
            print(f"{'':<23} what to do: {finding.remedy}")
        wrong += finding.state == "wrong"
    if wrong:
        raise typer.Exit(FAILED)
