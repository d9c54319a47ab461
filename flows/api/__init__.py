"""Count, locate and map the diffraction patterns of 4D-STEM scans, with nobody in the loop.

This file is installed as ``orimap`` itself, so every worker imports it: nothing but the standard
library at the top, everything else where it is used.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path
    from typing import Any, Literal, ParamSpec, TypeVar

    from orimap.flows.interactive.results import Results
    from orimap.flows.pipeline.estimate import Estimate
    from orimap.flows.pipeline.redecide import Answer

    P = ParamSpec("P")
    T = TypeVar("T")

__all__ = [
    "Results",
    "__version__",
    "decide",
    "edit",
    "export",
    "index",
    "open",
    "run",
    "simulate",
    "verify",
]


def _in_python(call: Callable[P, T]) -> Callable[P, T]:
    """Have errors name the arguments of a function where a command names its options."""

    @functools.wraps(call)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        from orimap.flows.interactive.words import speaking_python

        return speaking_python(call)(*args, **kwargs)

    return called


@overload
def run(
    file: Any,
    output: str | os.PathLike[str],
    *,
    config: str | os.PathLike[str] | None = None,
    quiet: bool = False,
    dry_run: Literal[False] = False,
    **request: Any,
) -> Results: ...


@overload
def run(
    file: Any,
    output: str | os.PathLike[str],
    *,
    config: str | os.PathLike[str] | None = None,
    quiet: bool = False,
    dry_run: Literal[True],
    **request: Any,
) -> Estimate: ...


@_in_python
def run(
    file: Any,
    output: str | os.PathLike[str],
    *,
    config: str | os.PathLike[str] | None = None,
    quiet: bool = False,
    dry_run: bool = False,
    **request: Any,
) -> Results | Estimate:
    """Analyse an acquisition: how many patterns, where each one is, where they overlap.

    The same as ``orimap run``. Worker processes do not import the script that calls this. Of calls
    from several threads, one waits for the other.

    Parameters
    ----------
    file : path or array
        The acquisition: a file, a folder of images, or an array (scan_y, scan_x, detector_y,
        detector_x) of NumPy, Dask or xarray, in any unit of intensity. Dimensions of an xarray
        array may be in another order if their names say so; coordinates with ``units`` calibrate
        it. A Dask array is computed chunk by chunk, never as a whole; it is written into
        ``output`` for as long as the run takes.
    output : path
        Folder for the results. What an earlier run left there and is still valid is reused; an
        array is known again by its values, axes and calibration.
    config : path, optional
        YAML file with options; those given here go before them.
    quiet : bool
        Show no progress.
    dry_run : bool
        Check everything, and return what a run would need.
    **request
        The options of ``orimap run`` with underscores, ``scan_shape=(40, 48)`` or ``k="1:12"``;
        with ``crystals=["a.cif", "b.cif"]`` the clusters are indexed as `index` does.

    Returns
    -------
    Results
        With ``dry_run`` the Estimate: memory_bytes, disk_bytes, seconds.

    Raises
    ------
    InputError
        If the request or the acquisition is at fault; what is needed, what was found and what to
        do are its ``needed``, ``found`` and ``remedy``.
    """
    import os
    from pathlib import Path

    from orimap.cluster.environment import keep_compiled_code

    keep_compiled_code()
    from orimap.flows.cli.answers import analyse
    from orimap.flows.interactive.results import Results
    from orimap.flows.interactive.turns import in_turn
    from orimap.flows.pipeline.runtime.runner import choose_display
    from orimap.flows.request.config import read_config
    from orimap.flows.request.request import Request, laid_over

    folder, display = Path(output), choose_display(quiet=quiet)
    given = {name: value for name, value in request.items() if value is not None}
    asked = laid_over(read_config(Path(config)) if config is not None else {}, given)

    def read(acquisition: Path) -> Request:
        return Request.read(**asked | {"file": acquisition, "output": folder})

    if isinstance(file, (str, os.PathLike)):
        if dry_run:
            from orimap.flows.pipeline.check import check, check_place
            from orimap.flows.pipeline.estimate import estimate

            plan = check(read(Path(file)))
            check_place(plan)
            return estimate(plan)
        asked_for = read(Path(file))
        with in_turn(display.note):
            analyse(asked_for, display, debug=False)
    else:
        from orimap.flows.interactive.arrays import as_file, estimate_array

        if dry_run:
            return estimate_array(file, folder, read)
        with in_turn(display.note), as_file(file, folder, read, display) as known:
            analyse(known, display, debug=False)
    return Results(folder)


@overload
def decide(
    folder: str | os.PathLike[str],
    *,
    quiet: bool = False,
    dry_run: Literal[False] = False,
    **changes: Any,
) -> Results: ...


@overload
def decide(
    folder: str | os.PathLike[str],
    *,
    quiet: bool = False,
    dry_run: Literal[True],
    **changes: Any,
) -> Answer: ...


@_in_python
def decide(
    folder: str | os.PathLike[str],
    *,
    quiet: bool = False,
    dry_run: bool = False,
    **changes: Any,
) -> Results | Answer:
    """Decide again from the fits of a finished run, without fitting again.

    The same as ``orimap decide``: what is not given stays as it was. The file of the acquisition is
    not needed. Results that were opened before are refused afterwards: open them anew.

    Parameters
    ----------
    folder : path or Results
        Of the finished run.
    quiet : bool
        Show no progress.
    dry_run : bool
        Return what would be decided, and leave the results as they are.
    **changes
        The options of ``orimap decide`` with underscores, ``strategy="knee"``.

    Returns
    -------
    Results
        With ``dry_run`` the Answer: patterns, confidence, reasons.

    Raises
    ------
    InputError
        If the folder holds no complete results with their fits and patterns, or the changes are at
        fault. The results stay as they are.
    """
    import os
    from pathlib import Path

    from orimap.flows.cli.results import AS_STORED
    from orimap.flows.interactive.results import Results
    from orimap.flows.interactive.turns import in_turn
    from orimap.flows.pipeline.redecide import redecide
    from orimap.flows.pipeline.runtime.runner import PlainRunner, choose_display
    from orimap.tasks.errors import InputError

    fixed = [name for name in changes if name in AS_STORED]
    if fixed:
        raise InputError(
            "options of a decision, which is made from stored fits",
            f"{', '.join(fixed)}: the fits were made with what the run was asked for",
            "leave it out, or run the analysis anew with it (orimap.run); crystals are given to "
            "orimap.index",
        )
    display = choose_display(quiet=quiet)
    with in_turn(display.note), display.run(f"opening {os.fspath(folder)}"):
        _, after = redecide(Path(folder), changes, PlainRunner(display), dry_run=dry_run)
    return after if dry_run else Results(folder)


@_in_python
def edit(
    folder: str | os.PathLike[str],
    *,
    merge: Iterable[Iterable[int]] = (),
    rename: Mapping[int, str] | None = None,
    background: int | Iterable[int] = (),
    split: int | Iterable[int] = (),
    colour: Mapping[int, str] | None = None,
    revision: str | None = None,
    source: str | None = None,
    quiet: bool = False,
) -> str:
    """Correct the clusters of results by hand, as a revision beside the automatic result.

    The same as ``orimap edit``. Clusters are counted from 1, as on the page of the results; all
    numbers are those before the edit.

    Parameters
    ----------
    folder : path
        The folder that `run` returned.
    merge : iterable of iterables of int
        Clusters that are one: ``[(3, 4)]``.
    rename : mapping of int to str
        Names of clusters: ``{2: "matrix"}``.
    background : int or iterable of int
        Clusters whose positions belong to none.
    split : int or iterable of int
        Clusters to split into the components that were joined to them, or, where they have one
        alone, into the parts that do not touch.
    colour : mapping of int to str
        Colours of clusters on maps and in figures: ``{2: "#aa3377"}``.
    revision : str, optional
        Name of the revision; by default edit-1, or the next that is free.
    source : str, optional
        Name of a revision to start from; by default the automatic result.
    quiet : bool
        Show no progress on standard error.

    Returns
    -------
    str
        The name of the revision, for `open`.

    Raises
    ------
    InputError
        If there are no results, a cluster is not there or cannot be split, or the name is taken.
    """
    from pathlib import Path

    from orimap.flows.interactive.turns import in_turn
    from orimap.flows.pipeline.revise import revise
    from orimap.flows.pipeline.runtime.runner import PlainRunner, choose_display
    from orimap.tasks.maps.by_hand.edits import Edits

    edits = Edits.read(merge, rename or {}, background, split, colour or {})
    runner = PlainRunner(choose_display(quiet=quiet))
    with in_turn(runner.note):
        return revise(Path(folder), edits, runner, revision=revision, source=source).name


@_in_python
def index(
    folder: str | os.PathLike[str],
    crystals: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    precession: float = 0.0,
    detector_rotation: float = 0.0,
    detector_flip: bool = False,
    beam_energy: str | float | None = None,
    quiet: bool = False,
) -> Results:
    """Say which crystal each cluster of finished results is, and how it is oriented.

    The same as ``orimap index``. Nothing is fitted again; the page is written anew.

    Parameters
    ----------
    folder : path or Results
        Of the finished run.
    crystals : path, or iterable of paths
        CIF files: for each cluster the best is taken.
    precession : float
        Half angle of the cone of a precessed beam, degrees.
    detector_rotation : float
        From the scan's columns to the detector's, degrees.
    detector_flip : bool
        Whether detector rows count the other way.
    beam_energy : str or float, optional
        In place of what the file says: ``"200kV"``, or a number of keV.
    quiet : bool
        Show no progress.

    Returns
    -------
    Results
        Of which ``orientations`` are the quaternions, crystals and how reliable they are.

    Raises
    ------
    InputError
        If a CIF is at fault, the folder holds no complete results, or the detector is not
        calibrated. The results stay as they are.
    """
    import os
    from pathlib import Path

    from orimap.flows.cli.index import read_energy
    from orimap.flows.interactive.results import Results
    from orimap.flows.interactive.turns import in_turn
    from orimap.flows.pipeline.index import index as index_run
    from orimap.flows.pipeline.runtime.runner import PlainRunner, choose_display
    from orimap.tasks.index.index_results import Setup

    if isinstance(crystals, (str, os.PathLike)):
        crystals = [crystals]
    files = [Path(each) for each in crystals]
    energy = f"{beam_energy:g}keV" if isinstance(beam_energy, (int, float)) else beam_energy
    setup = Setup(
        precession_deg=precession,
        rotation_deg=detector_rotation,
        flip=detector_flip,
        beam_energy_kev=read_energy(energy),
    )
    display = choose_display(quiet=quiet)
    with in_turn(display.note), display.run(f"opening {os.fspath(folder)}"):
        index_run(Path(folder), files, setup, PlainRunner(display))
    return Results(folder)


@_in_python
def open(folder: str | os.PathLike[str], revision: str | None = None) -> Results:
    """Open the results of a run, lazily.

    Parameters
    ----------
    folder : path
        That a run has filled.
    revision : str, optional
        A correction by hand (``orimap edit``) in place of the automatic result.

    Returns
    -------
    Results
        ``number``, ``confidence``, ``reasons``; ``labels``, ``shares``, ``overlap``,
        ``mean_patterns``, ``representatives`` as labelled arrays; ``cluster(1)`` has all patterns
        of the first cluster; ``orientations`` are there where `run` was given crystals, or `index`
        was called. ``tree`` is all that is stored.

    Raises
    ------
    InputError
        If the folder holds no complete results, or no such revision.
    """
    from orimap.flows.interactive.results import Results

    return Results(folder, revision)


@_in_python
def export(
    folder: str | os.PathLike[str],
    to: str,
    output: str | os.PathLike[str] | None = None,
    *,
    revision: str | None = None,
    format: str | None = None,
    dpi: int | None = None,
    force: bool = False,
) -> Path:
    """Write the results of a run for another program, as ``orimap export`` does.

    Parameters
    ----------
    folder : path
        The folder that `run` returned.
    to : str
        ``"hspy"``, ``"emd"``, ``"tiff"``, ``"csv"``, ``"npz"``, ``"blo"`` or ``"figures"``.
    output : path, optional
        File or folder to write, by default in ``folder/exports``.
    revision : str, optional
        Export this revision, not the automatic result.
    format : str, optional
        Of figures: ``"png"`` (default), ``"svg"`` or ``"pdf"``.
    dpi : int, optional
        Of figures: dots per inch, 300 by default.
    force : bool
        Replace files of that name that are there.

    Returns
    -------
    Path
        The file or the folder that was written. Clusters and components count from 1 in it, and
        labels are 0 where there is no cluster.

    Raises
    ------
    InputError
        If the format is unknown, there are no results, or files of that name are there.
    """
    from pathlib import Path

    from orimap.tasks.export.export import export_results

    place = None if output is None else Path(output)
    return export_results(
        Path(folder), to, place, revision=revision, picture=format, dpi=dpi, force=force
    )


@_in_python
def simulate(
    out: str | os.PathLike[str], *, quiet: bool = False, force: bool = False, **recipe: Any
) -> Path:
    """Write a simulated scan, its truth (.npz) and its crystal (.cif) beside it.

    Parameters
    ----------
    out : path
        File to write: .zarr, .hspy, .blo or .npy.
    quiet : bool
        Show no progress.
    force : bool
        Replace a scan of that name, and what is beside it.
    **recipe
        The fields of `orimap.tasks.simulate.recipe.ScanRecipe`, which are the options of
        ``orimap simulate``: ``scan=(64, 64)``, ``detector=(128, 128)``, ``grains=8`` ...

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        If the recipe cannot be simulated, or the file cannot be written or is there already.
    """
    from pathlib import Path

    from orimap.flows.pipeline.runtime.runner import PlainRunner, choose_display
    from orimap.flows.request.recipe import read_recipe
    from orimap.tasks.simulate.write_scan import require_place, write_scan

    written = Path(out)
    require_place(written, force=force)
    planned = read_recipe(**recipe)
    PlainRunner(choose_display(quiet=quiet)).step(
        "simulate a scan",
        lambda progress: write_scan(planned, written, progress, force=force),
    )
    return written


def __getattr__(name: str) -> Any:
    """Look up the version, or load the class of results, when somebody asks for it."""
    if name == "__version__":
        from importlib.metadata import version

        return version("orimap")
    if name == "Results":
        from orimap.flows.interactive.results import Results

        return Results
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


@_in_python
def verify(folder: str | os.PathLike[str]) -> dict[str, str]:
    """Check that the results of a run are whole: every stored chunk is decoded and compared.

    The same as ``orimap verify``.

    Parameters
    ----------
    folder : path
        That a run has filled.

    Returns
    -------
    dict
        What is damaged, by the part; empty where all is whole. `run` with the same request makes
        it anew.

    Raises
    ------
    InputError
        If the folder holds no results.
    """
    from pathlib import Path

    from orimap.tasks.store.run_folder import settle
    from orimap.tasks.store.whole.verify import verify as check

    settle(Path(folder))
    return {part.name: part.found for part in check(Path(folder)) if part.found is not None}
