"""The commands that analyse an acquisition: info, run, compare-filters.

Tested in tests/flows/cli/test_main.py.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orimap.flows.cli.answers import Debug, Quiet, analyse, answers, print_lines, print_result
from orimap.flows.cli.options import Config, read_request, with_request_options
from orimap.flows.request.allowed import allowed_roots
from orimap.flows.request.names import dashed
from orimap.flows.request.request import READING_FIELDS, Request
from orimap.tasks.errors import InputError
from orimap.tasks.lines import say

if TYPE_CHECKING:
    from orimap.flows.pipeline.estimate import Estimate
    from orimap.tasks.acquire.acquisition import Acquisition

# Of files that links lead to, so many are named.
MOST_FILES = 12
# What compare-filters decides by itself.
OF_EACH_FILTER = ("filter", "keep", "restart")


@partial(with_request_options, without={*Request.model_fields} - {*READING_FIELDS})
@answers
def info(
    *,
    file: Annotated[Path, typer.Argument(help="The acquisition: a file, or a folder of images")],
    debug: Debug = False,
    **options: Any,
) -> None:
    """Show what is in a file, and what a run would need."""
    from orimap.flows.pipeline.estimate import estimate
    from orimap.flows.pipeline.plan import Plan
    from orimap.tasks.acquire.acquisition import describe
    from orimap.tasks.acquire.open_acquisition import open_acquisition

    given = {name: value for name, value in options.items() if value is not None}
    request = Request.read(file=file, output=Path(), **given)
    acquisition = open_acquisition(file, roots=allowed_roots(), **request.reading)
    facts = describe(acquisition)
    print_lines([*_described(facts), *_seen(acquisition)])
    _print_guesses(facts["guesses"])
    say("", "a run with the default options:")
    print_lines(_needs(estimate(Plan.of(request, acquisition))))


def _described(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what there is to tell about an acquisition, as names and words."""
    from orimap.tasks.report.words import bytes_text

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
        ("also in it", ", ".join(facts["other_signals"])),
        ("scan", "{} × {} positions".format(*facts["scan_shape"])),
        ("patterns", "{} × {} pixels, {dtype}".format(*facts["detector_shape"], **facts)),
        ("scan step", step("scan")),
        ("detector step", step("detector")),
        ("beam energy", f"{energy:.4g} keV" if energy else ""),
        ("on disk", bytes_text(facts["bytes_on_disk"])),
        ("as an array", bytes_text(facts["bytes_as_array"])),
        *(("" if number else "data from", file) for number, file in enumerate(_some_of(facts))),
        *(("note", note) for note in facts["notes"]),
    ]


def _some_of(facts: dict[str, Any]) -> list[str]:
    """Return the files elsewhere that an acquisition takes data from, the first of very many."""
    files = facts["elsewhere"]
    more = len(files) - MOST_FILES
    return [*files[:MOST_FILES], *([f"and {more} more"] if more > 0 else [])]


def _seen(acquisition: "Acquisition") -> list[tuple[str, str]]:
    """Return what some patterns from all over the scan show, as names and words."""
    from orimap.tasks.acquire.ingest.sample import Sample
    from orimap.tasks.report.sections.acquisition import camera_sentence

    rows, columns = acquisition.scan_shape
    y, x = acquisition.detector_shape
    sample = Sample.of(acquisition, (0, rows, 0, columns), (0, y, 0, x), 1)
    counts = sample.whole_numbers and sample.in_electrons and sample.lowest >= 0
    camera = camera_sentence({**sample.attributes, "counts_like": counts})
    return [
        *(("values" if not place else "", said) for place, said in enumerate(sample.in_words)),
        ("camera", camera.removeprefix("The camera ")),
    ]


def _print_guesses(guesses: Sequence[str]) -> None:
    """Print what was guessed, where anything was."""
    if guesses:
        say("", "guessed, since the file does not say:")
        print_lines([("guess", guess) for guess in guesses])


def _needs(estimate: "Estimate") -> list[tuple[str, str]]:
    """Return what a run needs, as names and words."""
    from orimap.tasks.report.words import bytes_text

    seconds = estimate.seconds
    return [
        ("k", _from_to(*estimate.range_of_k)),
        ("workers", str(estimate.workers)),
        ("memory", f"about {bytes_text(estimate.memory_bytes)} over all processes"),
        ("disk", f"at most {bytes_text(estimate.disk_bytes)}"),
        ("time", f"about {seconds:.0f} s" if seconds < 90 else f"about {seconds / 60:.0f} min"),
    ]


def _from_to(first: int, last: int) -> str:
    """Return a range in words, a single number where it is none."""
    return str(first) if first == last else f"{first} to {last}"


def _as_typed(name: str, value: Any) -> str:
    """Return an option as somebody might have typed it, without its dashes."""
    written = dashed(name)
    if value is True:
        return written
    if name == "crystals":
        return ", ".join(f"{written} {file}" for file in value)
    if isinstance(value, list):
        between = {"scan_shape": "x", "l1": ","}.get(name, ":")
        pairs = [value[at : at + 2] for at in range(0, len(value), 2)]
        if name == "k" and value[0] == value[1]:
            pairs = [value[:1]]
        value = ",".join(between.join(f"{each:g}" for each in pair) for pair in pairs)
    return f"{written} {value}"


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

    A second run into the same folder reuses what is still valid: the patterns with another --k,
    everything with the same request.
    """
    from orimap.flows.pipeline.runtime.runner import choose_display

    request = read_request("run", config, options)
    if dry_run:
        _print_plan(request)
        return
    with _can_go_on():
        output = analyse(request, choose_display(quiet=quiet), debug=debug)
    print_result(output)


@contextmanager
def _can_go_on() -> Iterator[None]:
    """Say after an interruption that long work is not lost."""
    try:
        yield
    except KeyboardInterrupt:
        say("the same command continues where this one stopped", stream=sys.stderr)
        raise


def _print_plan(request: Request) -> None:
    """Check all that a run checks before long work, and print what it would do."""
    from orimap.flows.pipeline.check import check, check_place, disk_warning
    from orimap.flows.pipeline.estimate import estimate
    from orimap.flows.pipeline.results import lost_fits
    from orimap.tasks.acquire.acquisition import describe
    from orimap.tasks.store.run_folder import RunFolder

    plan = check(request)
    there = check_place(plan)
    lost = None if there else lost_fits(RunFolder(request.output), plan.ks)
    asked = request.model_dump(mode="json", exclude_unset=True, exclude={"file", "output"})
    print_lines(
        [
            *_described(describe(plan.acquisition)),
            *(("note", note) for note in plan.correction.notes),
            *(("doubtful", guess) for guess in plan.correction.guesses),
            ("asked for", ", ".join(_as_typed(name, value) for name, value in asked.items())),
            ("results in", str(request.output)),
            ("note", lost or ""),
            ("note", "" if there else disk_warning(plan) or ""),
            *_needs(estimate(plan)),
        ]
    )
    _print_guesses(plan.acquisition.guesses)
    if there:
        say("the results of this request exist already: nothing would be computed")
    else:
        say("everything is in order; without --dry-run this would be computed")


@partial(with_request_options, without=OF_EACH_FILTER)
@answers
def compare(
    *,
    seeds: Annotated[
        int,
        typer.Option(
            metavar="INTEGER", help="Number of seeds to try each filter with, to see what is chance"
        ),
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
    them side by side. A second call reuses what is still valid.
    """
    import json

    from orimap.flows.pipeline.runtime.runner import choose_display

    request = read_request("compare-filters", config, options, without=OF_EACH_FILTER)
    if seeds < 1:
        raise InputError("one seed or more", f"--seeds {seeds}", "give for instance --seeds 3")
    display = choose_display(quiet=quiet)
    with _can_go_on(), display.run(f"opening {request.file.name}"):
        from orimap.flows.pipeline.compare import compare_filters

        page = compare_filters(
            request,
            display,
            partial(analyse, debug=debug),
            seeds=seeds,
            truth_file=truth,
        )
    found = json.loads(page.with_suffix(".json").read_text())
    say(found["verdict"]["headline"])
    print_lines([(name, _in_short(each)) for name, each in found["filters"].items()])
    say(f"comparison: {page}")


def _in_short(found: dict[str, Any]) -> str:
    """Return what one filter came to, in a line."""
    from orimap.tasks.report.words import figure_text, headline

    ari = found["ari"]
    near = "" if ari is None else f", adjusted Rand index {figure_text(ari)}"
    answer = headline(
        found["decided_k"],
        found["confidence"],
        crystal=found.get("crystal_found", True),
        countable=found.get("countable", True),
    )
    return answer + near
