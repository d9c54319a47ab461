"""Hand an array of this process to a run, which reads files."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from orimap.tasks.store.leftovers import ARRAY_FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any

    from orimap.flows.pipeline.estimate import Estimate
    from orimap.flows.pipeline.plan import Plan
    from orimap.flows.pipeline.runtime.runner import Display
    from orimap.flows.request.request import Request
    from orimap.tasks.acquire.stage_array import ArrayInput


@contextmanager
def as_file(
    array: Any, output: Path, read: Callable[[Path], Request], display: Display
) -> Iterator[Request]:
    """Write an array into the folder of the results, and give the request of a run that reads it.

    Workers are often other processes, or on other machines: they find it where the results go. It
    is removed when the context ends.

    Parameters
    ----------
    array : array-like
        As for ``orimap.tasks.acquire.stage_array.ArrayInput``.
    output : Path
        Folder for the results.
    read : callable
        Makes the request, given the file.
    display : Display
        Shows how far it is.

    Raises
    ------
    InputError
        If the array or the request is at fault, before anything is written; if another run uses
        this folder.
    """
    import shutil

    from orimap.flows.pipeline.refusal import remove_untouched
    from orimap.tasks.acquire.stage_array import write_array
    from orimap.tasks.store.run_folder import only_writer

    given, request, plan = _checked(array, output, read)
    plan.acquisition.close()
    folder = output / ARRAY_FOLDER
    try:
        with only_writer(folder):
            try:
                # A run that was killed may have left one.
                for left in folder.iterdir():
                    shutil.rmtree(left, ignore_errors=True)
                with display.step("take the array") as progress:
                    write_array(given, request.file, progress)
                yield request
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    finally:
        remove_untouched(output)


def estimate_array(array: Any, output: Path, read: Callable[[Path], Request]) -> Estimate:
    """Check the run of an array as `as_file` does; return what it would need.

    Raises
    ------
    InputError
        If the array or the request is at fault, the folder cannot be written, or its disk is too
        small for the array and the results.
    """
    from orimap.flows.pipeline.check import check_place
    from orimap.flows.pipeline.estimate import estimate

    given, _, plan = _checked(array, output, read)
    plan.acquisition.close()
    check_place(plan, beside=given.bytes)
    return estimate(plan)


def _checked(
    array: Any, output: Path, read: Callable[[Path], Request]
) -> tuple[ArrayInput, Request, Plan]:
    """Check an array and the request of its run, before anything is written."""
    from orimap.flows.pipeline.check import check
    from orimap.tasks.acquire.stage_array import ArrayInput

    # Only options are looked at here: the name of the file depends on the array.
    given = ArrayInput(array, read(output).axes)
    given.require_blocks()
    request = read(output / ARRAY_FOLDER / given.name)
    return given, request, check(request, given.signal)
