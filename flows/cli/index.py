"""The command that finds crystals and orientations of the clusters of a finished run: index."""

from pathlib import Path
from typing import Annotated

import typer

from orimap.flows.cli.answers import Debug, Quiet, answers
from orimap.tasks.errors import InputError
from orimap.tasks.lines import say


@answers
def index(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a finished run")],
    crystal: Annotated[
        list[Path],
        typer.Option(metavar="FILE", help="CIF of a crystal; may be repeated: the best is taken"),
    ] = [],  # noqa: B006  (never changed)
    precession: Annotated[
        float, typer.Option(metavar="DEGREES", help="Half angle of the cone of a precessed beam")
    ] = 0.0,
    detector_rotation: Annotated[
        float,
        typer.Option(metavar="DEGREES", help="From the scan's columns to the detector's"),
    ] = 0.0,
    detector_flip: Annotated[
        bool, typer.Option("--detector-flip", help="Detector rows count the other way")
    ] = False,
    beam_energy: Annotated[
        str | None,
        typer.Option(metavar="ENERGY", help="In place of what the file says: 200keV, 200kV"),
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Say which crystal each cluster is and how it is oriented, from its pattern and CIF files.

    Nothing is fitted again. Orientations are stored beside maps and patterns (/orientations of
    analysis.zarr), and the page shows them. Where a pattern does not decide, both candidates are
    named. Later decisions are indexed with the same crystals.
    """
    from orimap.flows.pipeline.runtime.runner import PlainRunner, choose_display

    display = choose_display(quiet=quiet)
    with display.run(f"opening {directory}"):
        from orimap.flows.pipeline.index import index as index_run
        from orimap.tasks.index.index_results import Setup
        from orimap.tasks.report.orientations.section import answer_sentence

        setup = Setup(
            precession_deg=precession,
            rotation_deg=detector_rotation,
            flip=detector_flip,
            beam_energy_kev=read_energy(beam_energy),
        )
        found = index_run(directory, crystal, setup, PlainRunner(display))
    width = len(str(len(found.clusters)))
    for each in found.clusters:
        say(f"{each.cluster + 1:>{width}}  {each.sentence}")
    say(answer_sentence(found.clusters), *found.remarks, f"report: {directory / 'report.html'}")


def read_energy(text: str | None) -> float | None:
    """Return a beam energy in keV; None where none is given.

    Raises
    ------
    InputError
        If it is none.
    """
    from orimap.tasks.acquire.formats.meaning.given import read_beam_energy

    if text is None:
        return None
    try:
        return read_beam_energy(text)
    except ValueError as error:
        raise InputError(
            "an energy of the electrons, or a voltage, with its unit",
            f"--beam-energy {text}: {error}",
            "give it as 200keV or 200kV",
        ) from error
