"""The command line: what each command takes and prints. Nothing heavy is imported at the top."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orimap.flows.cli.answers import Debug, Quiet, analyse, answers, print_lines, print_result
from orimap.flows.cli.cluster import cluster
from orimap.flows.cli.doctor import doctor
from orimap.flows.cli.jobs import submit
from orimap.flows.cli.machine import down, up
from orimap.flows.cli.options import Config, read_request, with_request_options
from orimap.flows.cli.perform import perform
from orimap.flows.cli.results import decide
from orimap.flows.cli.simulate import demo, simulate
from orimap.flows.cli.watch import replay, status, watch
from orimap.flows.request.request import Request
from orimap.tasks.errors import InputError

if TYPE_CHECKING:
    from orimap.flows.pipeline.estimate import Estimate

EXAMPLES = """\b
Examples:
  orimap demo
      a simulated scan, analysed and compared with its truth
  orimap info scan.blo
      what is in a file, and what a run would need
  orimap run scan.blo --output results
      how many patterns, where each one is, where they overlap
  orimap run scan.mib --output results --scan-shape 256x256 --bin 2 --k 1:12
      a scan whose file does not know its shape; patterns binned 2 x 2
  orimap run scan.blo --output results --decided-k 9
      again with another number of patterns, from the fits that are there
  orimap decide results --strategy knee
      as an older rule would decide, from the fits that are there
  orimap compare-filters scan.blo --output filters
      raw, 3x3 mean and ePattern side by side: which one to take
  orimap simulate scan.zarr --grains 12 --bend 1.5
      a scan with known truth
"""
TERMINATED = 143
# What compare-filters decides by itself.
OF_EACH_FILTER = ("filter", "restart")

app = typer.Typer(
    name="orimap",
    help="How many diffraction patterns a 4D-STEM scan holds, where each one is, and where they "
    "overlap.",
    epilog=EXAMPLES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # loading rich for the help alone takes longer than all the rest
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line."""
    # What ends a run from outside (a batch system, systemd, a terminal that is closed) ends its
    # workers as well; who started it with nohup wants it to go on.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: sys.exit(TERMINATED))
    sys.unraisablehook = _insist
    app()


def _insist(unraisable: "sys.UnraisableHookArgs") -> None:
    """Send a signal again that fell into a callback, whose exceptions Python drops."""
    sent = {KeyboardInterrupt: signal.SIGINT, SystemExit: signal.SIGTERM}.get(unraisable.exc_type)
    if sent is None:
        sys.__unraisablehook__(unraisable)
    else:
        threading.Timer(0.1, os.kill, (os.getpid(), sent)).start()


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        print(f"orimap {version('orimap')}")
        raise typer.Exit


@app.callback()
def _orimap(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version")
    ] = False,
) -> None:
    pass


app.command()(demo)
app.command()(simulate)


@app.command()
@answers
def info(
    file: Annotated[Path, typer.Argument(help="The acquisition: a file, or a folder of images")],
    reader: Annotated[str | None, typer.Option(help="Read the file with this reader")] = None,
    signal: Annotated[str | None, typer.Option(help="Title or number of the data set")] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Path of the patterns inside HDF5 or Zarr")
    ] = None,
    scan_shape: Annotated[
        str | None, typer.Option(metavar="ROWSxCOLUMNS", help="Where the file does not say")
    ] = None,
    debug: Debug = False,
) -> None:
    """Tell what is in a file, and what a run would need."""
    from orimap.flows.pipeline.estimate import estimate
    from orimap.tasks.acquire.acquisition import describe, open_acquisition

    given = {"reader": reader, "signal": signal, "dataset": dataset, "scan_shape": scan_shape}
    chosen = {name: value for name, value in given.items() if value is not None}
    request = Request.read(file=file, output=Path(), **chosen)
    acquisition = open_acquisition(file, **{name: getattr(request, name) for name in given})
    print_lines(_described(describe(acquisition)))
    print("\na run with nothing else asked for:")
    print_lines(_needs(estimate(request, acquisition)))


def _described(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what there is to tell about an acquisition, as names and words."""
    from orimap.tasks.report.sentences import bytes_text

    def step(name: str) -> str:
        y, x = facts[f"{name}_step"]
        units = facts[f"{name}_units"]
        if units == "px":
            return "not calibrated"
        return f"{y:.4g} {units}" if y == x else f"{y:.4g} × {x:.4g} {units}"

    energy = facts["beam_energy_kev"]
    return [
        ("file", facts["file"]),
        ("reader", facts["reader"]),
        ("data set", facts["signal"]),
        ("also there", ", ".join(facts["other_signals"])),
        ("scan", "{} × {} positions".format(*facts["scan_shape"])),
        ("patterns", "{} × {} pixels, {dtype}".format(*facts["detector_shape"], **facts)),
        ("scan step", step("scan")),
        ("detector step", step("detector")),
        ("beam energy", f"{energy:.4g} keV" if energy else ""),
        ("on disk", bytes_text(facts["bytes_on_disk"])),
        ("as an array", bytes_text(facts["bytes_as_array"])),
        *(("note", note) for note in facts["notes"]),
    ]


def _needs(estimate: "Estimate") -> list[tuple[str, str]]:
    """Return what a run needs, as names and words."""
    from orimap.tasks.report.sentences import bytes_text

    seconds = estimate.seconds
    return [
        ("k", "{} to {}".format(*estimate.range_of_k)),
        ("workers", str(estimate.workers)),
        ("memory", f"about {bytes_text(estimate.memory_bytes)} over all processes"),
        ("disk", f"at most {bytes_text(estimate.disk_bytes)}"),
        ("time", f"about {seconds:.0f} s" if seconds < 90 else f"about {seconds / 60:.0f} min"),
    ]


@app.command()
@with_request_options
@answers
def run(
    *,
    config: Config = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and say what would be done")
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
    **options: Any,
) -> None:
    """Analyse an acquisition: how many patterns, where each one is, where they overlap.

    A second run into the same folder uses again what still holds: with another --k the patterns,
    with the same request everything.
    """
    from orimap.flows.pipeline.runtime.runner import choose_display

    request = read_request("run", config, options)
    if dry_run:
        _print_plan(request)
        return
    with _can_go_on():
        output = analyse(request, choose_display(quiet=quiet), debug=debug)
    print_result(output)


app.command()(decide)
app.command()(doctor)
app.command(hidden=True)(perform)
app.command()(submit)
app.add_typer(cluster, name="cluster")
app.command()(watch)
app.command()(status)
app.command()(replay)
app.command()(up)
app.command()(down)


@contextmanager
def _can_go_on() -> Iterator[None]:
    """Tell who interrupts long work that it is not lost."""
    try:
        yield
    except KeyboardInterrupt:
        print("the same command goes on where this one stopped", file=sys.stderr)
        raise


def _print_plan(request: Request) -> None:
    """Check all that a run checks before long work, and print what it would do."""
    from orimap.flows.pipeline.estimate import estimate
    from orimap.flows.pipeline.pipeline import check, is_complete, run_mark
    from orimap.tasks.acquire.acquisition import describe
    from orimap.tasks.store.run_folder import RunFolder

    acquisition = check(request)
    _require_writable(request.output)
    there = is_complete(RunFolder(request.output), run_mark(request, acquisition))
    asked = request.model_dump(mode="json", exclude_unset=True, exclude={"file", "output"})
    print_lines(
        [
            *_described(describe(acquisition)),
            ("asked for", ", ".join(f"{name} {value}" for name, value in asked.items())),
            ("results in", str(request.output)),
            *_needs(estimate(request, acquisition)),
        ]
    )
    if there and not request.restart:
        print("the results of this request are there already: nothing would be computed")
    else:
        print("everything is in order; without --dry-run this would be computed")


def _require_writable(folder: Path) -> None:
    """Check that a folder can be written or made, without making it."""
    whole = folder.absolute()
    existing = next(path for path in (whole, *whole.parents) if path.exists())
    if not (existing.is_dir() and os.access(existing, os.W_OK)):
        raise InputError(
            f"a folder that can be written for the results ({folder})",
            f"{existing} is {'not writable' if existing.is_dir() else 'a file'}",
            "choose another folder with --output, or mend its permissions",
        )


@app.command("compare-filters")
@partial(with_request_options, without=OF_EACH_FILTER)
@answers
def compare(
    *,
    seeds: Annotated[
        int, typer.Option(metavar="INTEGER", help="Seeds to try each filter with: what is chance?")
    ] = 3,
    truth: Annotated[
        Path | None,
        typer.Option(
            help="NPZ with labels and weights; by default the one beside FILE, if there is one"
        ),
    ] = None,
    config: Config = None,
    quiet: Quiet = False,
    debug: Debug = False,
    **options: Any,
) -> None:
    """Analyse an acquisition raw, averaged and with ePattern, and say which filter to take.

    Each filter has its results in a folder of its own, as orimap run writes them; one page shows
    them side by side. A second call uses again what still holds.
    """
    import json

    from orimap.flows.pipeline.compare import compare_filters
    from orimap.flows.pipeline.runtime.runner import choose_display

    request = read_request("compare-filters", config, options, without=OF_EACH_FILTER)
    if seeds < 1:
        raise InputError("one seed or more", f"--seeds {seeds}", "give for instance --seeds 3")
    with _can_go_on():
        page = compare_filters(
            request,
            choose_display(quiet=quiet),
            partial(analyse, debug=debug),
            seeds=seeds,
            truth_file=truth,
        )
    found = json.loads(page.with_suffix(".json").read_text())
    print(found["verdict"]["headline"])
    print_lines([(name, _in_short(each)) for name, each in found["filters"].items()])
    print(f"comparison: {page}")


def _in_short(found: dict[str, Any]) -> str:
    """Return what one filter came to, in a line."""
    from orimap.tasks.report.sentences import figure_text, headline

    ari = found["ari"]
    near = "" if ari is None else f", adjusted Rand index {figure_text(ari)}"
    return headline(found["decided_k"], found["confidence"]) + near


@app.command()
@answers
def report(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a finished run")],
    debug: Debug = False,
) -> None:
    """Write the report anew from the stored results."""
    import json

    from orimap.tasks.report.report import write_report
    from orimap.tasks.store.run_folder import only_writer

    results, facts = directory / "analysis.zarr", directory / "run.json"
    if not results.is_dir():
        raise InputError(
            "the folder of a finished run, with analysis.zarr in it",
            f"{directory} has none" if directory.is_dir() else f"there is no folder {directory}",
            "name the folder that was given to orimap run as --output",
        )
    with only_writer(directory):
        run_facts = json.loads(facts.read_text()) if facts.is_file() else {}
        print(write_report(results, directory, run=run_facts))
