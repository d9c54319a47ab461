"""The command line: what each command takes and prints. Nothing heavy is imported at the top."""

import functools
import inspect
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from orimap.flows.request import Request, Shape
from orimap.tasks.errors import InputError

if TYPE_CHECKING:
    from orimap.flows.estimate import Estimate
    from orimap.flows.runner import Display

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
  orimap simulate scan.zarr --grains 12 --bend 1.5
      a scan with known truth
"""
FAILED, INPUT_AT_FAULT, INTERRUPTED, TERMINATED = 1, 2, 130, 143

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

Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress, only the result")]
Debug = Annotated[bool, typer.Option("--debug", help="Show where an error comes from")]


def main() -> None:
    """Run the command line."""
    # What ends a run from outside (a batch system, systemd) ends its workers as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    sys.unraisablehook = _insist
    app()


def _insist(unraisable: "sys.UnraisableHookArgs") -> None:
    """Send a signal again that fell into a callback, whose exceptions Python drops."""
    sent = {KeyboardInterrupt: signal.SIGINT, SystemExit: signal.SIGTERM}.get(unraisable.exc_type)
    if sent is None:
        sys.__unraisablehook__(unraisable)
    else:
        threading.Timer(0.1, os.kill, (os.getpid(), sent)).start()


def _answers(command: Callable[..., None]) -> Callable[..., None]:
    """Turn what goes wrong in a command into words on standard error and an exit code."""

    @functools.wraps(command)
    def wrapped(**options: Any) -> None:
        try:
            command(**options)
        except typer.Exit:
            raise
        except KeyboardInterrupt as error:
            print("interrupted", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from error
        except Exception as error:
            if options.get("debug"):
                import traceback

                traceback.print_exc()
            if isinstance(error, InputError):
                print(error, file=sys.stderr)
                raise typer.Exit(INPUT_AT_FAULT) from error
            if not options.get("debug"):
                first = (str(error).strip().splitlines() or [""])[0]
                print(
                    f"failed: {type(error).__name__}: {first} (--debug shows where)",
                    file=sys.stderr,
                )
            raise typer.Exit(FAILED) from error

    return wrapped


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


@app.command()
@_answers
def demo(
    output: Annotated[Path, typer.Option(help="Folder for the scan and the results")] = Path(
        "demo"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another scan")] = 0,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Simulate a scan with known grains, analyse it, and compare."""
    from orimap.flows.runner import PlainRunner, choose_display
    from orimap.tasks.scan_recipe import ScanRecipe
    from orimap.tasks.stores import only_writer
    from orimap.tasks.write_scan import write_scan

    recipe = ScanRecipe(seed=seed)
    scan, results = output / "scan.zarr", output / "results"
    display = choose_display(quiet=quiet)
    with only_writer(output):
        PlainRunner(display).step(
            "simulate a scan", lambda progress: write_scan(recipe, scan, progress)
        )
        # Anew: what an earlier demo left is of another scan.
        request = Request.read(file=scan, output=results, seed=seed, restart=True)
        _analyse(request, display, debug=debug)
        _print_result(results)
        _print_truth(results, scan.with_suffix(".npz"))


@app.command()
@_answers
def simulate(
    out: Annotated[Path, typer.Argument(help="File to write: .zarr, .hspy, .blo or .npy")],
    scan: Annotated[str, typer.Option(metavar="ROWSxCOLUMNS", help="Scan positions")] = "64x64",
    detector: Annotated[
        str, typer.Option(metavar="ROWSxCOLUMNS", help="Detector pixels")
    ] = "128x128",
    grains: Annotated[int, typer.Option(help="Number of grains")] = 8,
    dose: Annotated[float, typer.Option(help="Electrons per pattern")] = 5000,
    overlap: Annotated[float, typer.Option(help="Width of grain boundaries in positions")] = 2,
    bend: Annotated[float, typer.Option(help="Degrees that each grain bends")] = 0,
    descan: Annotated[float, typer.Option(help="Pixels that patterns drift over the scan")] = 0,
    hot: Annotated[int, typer.Option(help="Hot detector pixels")] = 0,
    dead: Annotated[int, typer.Option(help="Dead detector pixels")] = 0,
    material: Annotated[str, typer.Option(help="LiNi0.5Mn1.5O4, Si or Au")] = "LiNi0.5Mn1.5O4",
    precession: Annotated[float, typer.Option(help="Half-angle of the precession, degrees")] = 0,
    disk_radius: Annotated[
        float | None, typer.Option(help="Pixels; by default a fiftieth of the detector")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed makes the same scan")] = 0,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write a simulated scan, and its truth beside it (.npz)."""
    from orimap.flows.runner import PlainRunner, choose_display
    from orimap.tasks.scan_recipe import ScanRecipe
    from orimap.tasks.write_scan import write_scan

    recipe = ScanRecipe(
        scan=_rows_and_columns(scan, "--scan"),
        detector=_rows_and_columns(detector, "--detector"),
        grains=grains,
        dose=dose,
        overlap=overlap,
        bend=bend,
        descan=descan,
        hot=hot,
        dead=dead,
        material=material,
        precession=precession,
        disk_radius=disk_radius,
        seed=seed,
    )
    PlainRunner(choose_display(quiet=quiet)).step(
        "simulate a scan", lambda progress: write_scan(recipe, out, progress)
    )
    print(f"{out}\n{out.with_suffix('.npz')}")


def _rows_and_columns(text: str, option: str) -> tuple[int, int]:
    """Read 64x48 as (64, 48)."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(Shape).validate_python(text)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise InputError(
            f"{option} as ROWSxCOLUMNS", f"{text!r}: {message}", "write for instance 64x64"
        ) from error


@app.command()
@_answers
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
    from orimap.flows.estimate import estimate
    from orimap.tasks.acquisition import describe, open_acquisition

    given = {"reader": reader, "signal": signal, "dataset": dataset, "scan_shape": scan_shape}
    chosen = {name: value for name, value in given.items() if value is not None}
    request = Request.read(file=file, output=Path(), **chosen)
    acquisition = open_acquisition(file, **{name: getattr(request, name) for name in given})
    _print_lines(_described(describe(acquisition)))
    print("\na run with nothing else asked for:")
    _print_lines(_needs(estimate(request, acquisition)))


def _described(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what there is to tell about an acquisition, as names and words."""
    from orimap.tasks.report_text import bytes_text

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
    from orimap.tasks.report_text import bytes_text

    seconds = estimate.seconds
    return [
        ("k", "{} to {}".format(*estimate.range_of_k)),
        ("workers", str(estimate.workers)),
        ("memory", f"at most {bytes_text(estimate.memory_bytes)}"),
        ("disk", f"at most {bytes_text(estimate.disk_bytes)}"),
        ("time", f"about {seconds:.0f} s" if seconds < 90 else f"about {seconds / 60:.0f} min"),
    ]


def _print_lines(lines: list[tuple[str, str]]) -> None:
    """Print names and words in two columns, without those that have nothing to say."""
    width = max(len(name) for name, _ in lines)
    for name, words in lines:
        if words:
            print(f"{name:<{width}}  {words}")


# How values are written that are more than a word or a number.
WRITTEN_AS = {
    "k": "FIRST:LAST",
    "l1": "PATTERNS,WEIGHTS",
    "crop": "Y0:Y1,X0:X1",
    "roi": "Y0:Y1,X0:X1",
    "scan_shape": "ROWSxCOLUMNS",
    "cluster": "local|ADDRESS",
}


def _run_parameters() -> Iterator[inspect.Parameter]:
    """Make the parameters of ``orimap run``: one for each field of the request.

    Every value arrives as text, None where it was not given, for the request to read: so
    the command line says and allows what the request does.
    """
    for name, field in Request.model_fields.items():
        kinds = get_args(field.annotation) or (field.annotation,)
        choices = "|".join(kind for kind in kinds if isinstance(kind, str))
        plain = "PATH" if Path in kinds else "INTEGER" if int in kinds else "TEXT"
        metavar = WRITTEN_AS.get(name) or choices or plain
        flag = field.annotation is bool
        default = "" if flag or field.is_required() else _written(field.default)
        described = f"{field.description}{default and f' [{default}]'}"
        option = "--" + name.replace("_", "-")
        if name == "file":
            info = typer.Argument(metavar="FILE", help=described, show_default=False)
        elif flag:
            info = typer.Option(option, help=described)
        else:
            info = typer.Option(option, metavar=metavar, help=described, show_default=False)
        yield inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if flag else None,
            annotation=Annotated[bool if flag else str | None, info],
        )


def _written(default: Any) -> str:
    """Return a default as one would write it."""
    if isinstance(default, tuple):
        whole = all(isinstance(number, int) for number in default)
        return (":" if whole else ",").join(f"{number:g}" for number in default)
    return "" if default is None else str(default)


@_answers
def run(
    *,
    config: Annotated[
        Path | None,
        typer.Option(help="YAML file with options; what the command line gives comes first"),
    ] = None,
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
    from orimap.flows.config import read_config
    from orimap.flows.runner import choose_display

    fields = read_config(config) if config else {}
    fields |= {name: value for name, value in options.items() if value not in (None, False)}
    for name, how in (("file", "FILE"), ("output", "--output DIR")):
        if name not in fields:
            raise InputError(
                Request.model_fields[name].description,
                f"no {how}",
                "orimap run FILE --output DIR; orimap run --help explains the rest",
            )
    request = Request.read(**fields)
    if dry_run:
        _print_plan(request)
        return
    try:
        output = _analyse(request, choose_display(quiet=quiet), debug=debug)
    except KeyboardInterrupt:
        print("the same command goes on where this one stopped", file=sys.stderr)
        raise
    _print_result(output)


def _print_plan(request: Request) -> None:
    """Check all that a run checks before long work, and print what it would do."""
    from orimap.flows.estimate import estimate
    from orimap.flows.pipeline import check, is_complete, run_mark
    from orimap.tasks.acquisition import describe
    from orimap.tasks.stores import RunFolder

    acquisition = check(request)
    _require_writable(request.output)
    there = is_complete(RunFolder(request.output), run_mark(request, acquisition))
    asked = request.model_dump(mode="json", exclude_unset=True, exclude={"file", "output"})
    _print_lines(
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


def _generate(command: Callable[..., None]) -> None:
    """Give ``run`` its options, those of the request before its own."""
    own = [
        parameter
        for parameter in inspect.signature(command).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    parameters = [*_run_parameters(), *own]
    command.__signature__ = inspect.Signature(parameters)
    command.__annotations__ = {p.name: p.annotation for p in parameters}


_generate(run)
app.command()(run)


@app.command()
@_answers
def report(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a finished run")],
    debug: Debug = False,
) -> None:
    """Write the report anew from the stored results."""
    import json

    from orimap.tasks.report import write_report
    from orimap.tasks.stores import only_writer

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


def _analyse(request: Request, display: "Display", *, debug: bool) -> Path:
    """Run the pipeline, recorded with Prefect where that is asked for; return its folder."""
    from orimap.flows import orchestration

    if orchestration.wanted(request.orchestrate):
        orchestration.prepare_environment(debug=debug)
        display.note("loading Prefect, to record the run")
        from orimap.flows.prefect_runner import analyse_recorded

        return analyse_recorded(request, display)
    from orimap.flows.pipeline import run_pipeline
    from orimap.flows.runner import PlainRunner

    return run_pipeline(request, PlainRunner(display))


def _print_result(output: Path) -> None:
    """Print what was decided and where the report is."""
    import zarr

    from orimap.tasks.report_text import headline

    results = output / "analysis.zarr"
    decided = zarr.open_group(results, mode="r").attrs["decided_k"]
    decision = zarr.open_group(results, path="decision", mode="r").attrs
    print(headline(int(decided), decision.get("confidence")))
    print(f"report: {output / 'report.html'}")


def _print_truth(results: Path, truth: Path) -> None:
    """Print how well a result fits the truth of a simulated scan."""
    import numpy as np
    import zarr
    from sklearn.metrics import adjusted_rand_score

    labels = zarr.open_group(results / "analysis.zarr", mode="r")["clusters/cluster_label"][:]
    decided = int(labels.max()) + 1
    with np.load(truth) as known:
        grains, weights = known["labels"], known["weights"]
    index = adjusted_rand_score(grains.ravel(), labels.ravel())
    print(f"truth: {weights.shape[-1]} grains; decided: {decided} patterns")
    print(f"adjusted Rand index of the cluster map: {index:.3f} (1 = every position right)")
