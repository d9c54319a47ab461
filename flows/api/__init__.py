"""Count, locate and map the diffraction patterns of 4D-STEM scans, with nobody in the loop.

This file is installed as ``orimap`` itself, so every worker imports it: nothing but the standard
library at the top, everything else where it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from pathlib import Path
    from typing import Any

    import xarray as xr

__all__ = ["__version__", "open", "run", "simulate"]


def run(
    file: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    quiet: bool = False,
    **request: Any,
) -> Path:
    """Analyse an acquisition: how many patterns, where each one is, where they overlap.

    The same as ``orimap run`` without a record in Prefect. Worker processes do not import the
    script that calls this.

    Parameters
    ----------
    file : path
        The acquisition: a file, or a folder of images.
    output : path
        Folder for the results. What an earlier run left there and is still valid is reused.
    quiet : bool
        Show no progress on standard error.
    **request
        The options of ``orimap run`` with underscores, ``scan_shape=(40, 48)`` or ``k="1:12"``.

    Returns
    -------
    Path
        The folder of the results, for `open`.

    Raises
    ------
    InputError
        If the request or the acquisition is at fault; what is needed, what was found and what to
        do are its ``needed``, ``found`` and ``remedy``.
    """
    from pathlib import Path

    from orimap.flows.pipeline.runtime.runner import PlainRunner, choose_display
    from orimap.flows.request.request import Request
    from orimap.tasks.errors import InputError

    asked = Request.read(file=Path(file), output=Path(output), **request)
    if asked.orchestrate == "always":
        raise InputError(
            "a run without a record in Prefect (orimap.run)",
            "orchestrate='always'",
            "leave orchestrate out, or use orimap run --orchestrate always",
        )
    display = choose_display(quiet=quiet)
    with display.run(f"opening {asked.file.name}"):
        from orimap.flows.pipeline.pipeline import run_pipeline

        return run_pipeline(asked, PlainRunner(display))


def open(folder: str | os.PathLike[str]) -> xr.DataTree:
    """Open the results of a run, lazily.

    Parameters
    ----------
    folder : path
        The folder that `run` returned.

    Returns
    -------
    DataTree
        ``analysis.zarr``: ``attrs["decided_k"]`` is the number of patterns,
        ``["clusters"]["cluster_label"]`` the map, ``["overlap"]["overlap_ratio"]`` the overlaps.

    Raises
    ------
    InputError
        If the folder holds no complete results.
    """
    from pathlib import Path

    from orimap.tasks.store.open_results import open_results

    return open_results(Path(folder))


def simulate(out: str | os.PathLike[str], *, quiet: bool = False, **recipe: Any) -> Path:
    """Write a simulated scan, and its truth beside it (.npz).

    Parameters
    ----------
    out : path
        File to write: .zarr, .hspy, .blo or .npy.
    quiet : bool
        Show no progress on standard error.
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
        If the recipe cannot be simulated, or the file cannot be written.
    """
    from pathlib import Path

    from orimap.flows.pipeline.runtime.runner import PlainRunner, choose_display
    from orimap.tasks.simulate.recipe import ScanRecipe
    from orimap.tasks.simulate.write_scan import write_scan

    planned, written = ScanRecipe(**recipe), Path(out)
    PlainRunner(choose_display(quiet=quiet)).step(
        "simulate a scan", lambda progress: write_scan(planned, written, progress)
    )
    return written


def __getattr__(name: str) -> str:
    """Look up the version when somebody asks for it."""
    if name == "__version__":
        from importlib.metadata import version

        return version("orimap")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
