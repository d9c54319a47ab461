"""Ask orimap: one whole run, then every other strategy anew from the fits of that run."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import xarray as xr
from rows import Reply

from orimap.cluster import client as workers
from orimap.flows.pipeline.pipeline import run_pipeline
from orimap.flows.pipeline.redecide import redecide
from orimap.flows.pipeline.runtime.runner import NoDisplay, PlainRunner
from orimap.flows.request.request import Request

# The run that makes the fits which all strategies decide over.
FIRST = "evidence"


@contextmanager
def shared_workers() -> Iterator[object]:
    """Let all runs share one set of workers: starting them is not what is measured."""
    with workers.open_client("local") as client:

        @contextmanager
        def shared_client(*_: object, **__: object) -> Iterator[object]:
            yield client

        with mock.patch.object(workers, "open_client", shared_client):
            yield client


def ask(
    client: object, scan_file: Path, strategies: list[str], runs: Path | None = None
) -> Iterator[tuple[str, Reply]]:
    """Yield every strategy's name and reply about one scan.

    Parameters
    ----------
    client : distributed.Client
        The workers, for their processor time.
    scan_file : Path
    strategies : list of str
    runs : Path, optional
        Where the folder of the results is kept.

    Notes
    -----
    Seconds are of the whole run for the first strategy, of deciding anew alone for the others.
    """
    runner = PlainRunner(NoDisplay())
    with nullcontext(runs) if runs else TemporaryDirectory() as kept:
        folder = Path(kept) / scan_file.stem
        request = Request.read(file=scan_file, output=folder, orchestrate="never")
        first = _timed(client, lambda: run_pipeline(request, runner), folder)
        for strategy in strategies:
            if strategy == FIRST or first.failure:
                yield strategy, first
                continue
            changes = {"strategy": strategy}
            yield (
                strategy,
                _timed(client, lambda asked=changes: redecide(folder, asked, runner), folder),
            )


def _timed(client: object, work: Callable[[], object], folder: Path) -> Reply:
    """Do the work and read the results; a failure is an answer, too."""
    before, started = _processor_seconds(client), time.perf_counter()
    try:
        work()
        reply = read_reply(folder)
    except Exception as error:  # whatever goes wrong in one scan, the others are measured
        reply = Reply(failure=f"{type(error).__name__}: {error}".splitlines()[0][:200])
    reply.seconds = time.perf_counter() - started
    reply.cpu_seconds = _processor_seconds(client) - before
    return reply


def _processor_seconds(client: object) -> float:
    return time.process_time() + sum(client.run(time.process_time).values())


def read_reply(folder: Path) -> Reply:
    """Read the answer from the folder of a run."""
    tree = xr.open_datatree(folder / "analysis.zarr", engine="zarr", consolidated=False)
    return Reply(
        int(tree.attrs["decided_k"]),
        tree["clusters"]["cluster_label"].values,
        tree["overlap"]["overlap_ratio"].values,
        tree["decision"].attrs["confidence"],
    )
