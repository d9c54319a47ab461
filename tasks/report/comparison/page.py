"""Write ``comparison.html`` and ``comparison.json``: what each filter makes of an acquisition.

Tested in tests/tasks/report/comparison/test_compare.py.
"""

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from orimap.tasks.report import words
from orimap.tasks.report.comparison.compare import (
    Filtered,
    Verdict,
    agreement,
    common_count,
    judge,
    match_clusters,
)
from orimap.tasks.report.figures.palette import cluster_colours, text_colour
from orimap.tasks.report.page import (
    Page,
    Swatch,
    minute_now,
    render,
)
from orimap.tasks.report.results import (
    NOISE_KINDS,
    noise_table,
    source_name,
    stored_k,
)
from orimap.tasks.report.sections.acquisition import measured_sentence
from orimap.tasks.report.sections.tables import noise_of_all
from orimap.tasks.simulate.truth import Truth
from orimap.tasks.store.whole_file import write_whole

if TYPE_CHECKING:
    from orimap.tasks.report.drawings.write import Picture


@dataclass(frozen=True)
class TruthNote:
    """The truth that the maps were compared with: file, number of grains, and how it was found."""

    name: str
    grains: str
    found: bool


@dataclass(frozen=True)
class FilterRow:
    """A filter in the table, as it is printed.

    Parameters
    ----------
    title, folder : str
    favoured : bool
        Whether the evidence favours it.
    k, fitted : int
        Distinct patterns decided, and components fitted.
    runner_up, confidence, ari, overlap_f1 : str
    seeds : str
        The number that each seed decides.
    seconds, peak : str
        Time and memory of the filter's own steps.
    in_part : bool
        Whether the run resumed after a break: only the rest was timed.
    """

    title: str
    folder: str
    favoured: bool
    k: int
    fitted: int | None
    runner_up: str
    confidence: str
    ari: str
    overlap_f1: str
    seeds: str
    seconds: str
    in_part: bool
    peak: str


@dataclass(frozen=True)
class NotShared:
    """The number of clusters of the other filters that one filter does not find."""

    filter: str
    count: str
    verb: str


@dataclass(frozen=True)
class ComparisonPage(Page):
    """All that ``comparison.html`` shows; ``seeds`` is the largest number of seeds of a filter.

    ``kinds`` are those of noise that were measured, ``whole_clusters`` says whether at all
    positions; ``held_out`` what was kept out of the fits.
    """

    reasons: Sequence[str]
    truth: TruthNote | None
    seeds: int
    filters: Sequence[FilterRow]
    kinds: Sequence[str]
    whole_clusters: bool
    held_out: str
    no_held_out: str
    not_shared: Sequence[NotShared]


def write_comparison(
    output: Path,
    filters: Sequence[Filtered],
    truth: Truth | None,
    *,
    request: Mapping[str, Any],
    truth_found: bool = False,
) -> Path:
    """Write the page, its figures and its numbers.

    Parameters
    ----------
    output : Path
        Folder that holds the runs, each in a folder named after its filter.
    filters : sequence of Filtered
        All of the same positions.
    truth : Truth or None
    request : mapping
        The request of the comparison.
    truth_found : bool
        Whether the truth was found beside the acquisition, not named by the user.

    Returns
    -------
    Path
        Path of the page.
    """
    from orimap.tasks.report.comparison.drawings import FIGURES, comparison_drawings
    from orimap.tasks.report.drawings.write import write_figures

    numbers = match_clusters([f.label for f in filters])
    agreements = agreement({f.name: f.label for f in filters})
    verdict = judge(filters, agreements, truth)
    images = write_figures(output / "figures", comparison_drawings(filters, numbers), FIGURES)
    found = _numbers(filters, numbers, agreements, verdict, truth, truth_found)
    found["request"] = dict(request)
    write_whole(
        output / "comparison.json",
        (json.dumps(found, indent=2, default=str, allow_nan=False) + "\n").encode(),
    )
    page = output / "comparison.html"
    content = _page(filters, numbers, verdict, truth, truth_found, images)
    write_whole(page, render("comparison.html", content))
    return page


def _numbers(
    filters: Sequence[Filtered],
    numbers: Sequence[np.ndarray],
    agreements: Mapping[tuple[str, str], float],
    verdict: Verdict,
    truth: Truth | None,
    truth_found: bool,
) -> dict[str, Any]:
    """Return what comparison.json holds; a number that is not known is null."""
    return {
        "orimap_version": importlib.metadata.version("orimap"),
        "written": datetime.now().astimezone().isoformat(timespec="seconds"),
        "verdict": asdict(verdict),
        "truth": truth
        and {"file": str(truth.source), "grains": truth.grains, "found_beside": truth_found},
        "agreement": [{"filters": list(pair), "ari": value} for pair, value in agreements.items()],
        "filters": {f.name: _filter_numbers(f, n) for f, n in zip(filters, numbers, strict=True)},
    }


def _filter_numbers(filtered: Filtered, common: np.ndarray) -> dict[str, Any]:
    """Return what comparison.json holds of one filter; ``common`` numbers its clusters."""
    seconds, peak = filtered.cost()
    drop = filtered.along_k("k_held_out_drop")
    loss = filtered.along_k("k_relative_loss")
    noise = noise_table(filtered.results)
    return {
        "folder": filtered.name,
        "decided_k": filtered.decided_k,
        "fitted_k": stored_k(filtered.results, "fitted_k"),
        "runner_up": filtered.runner_up,
        "confidence": filtered.confidence,
        "crystal_found": bool(filtered.results.attr("decision").get("crystal_found", True)),
        "countable": bool(filtered.results.attr("decision").get("countable", True)),
        "ari": filtered.scores.get("ari"),
        "overlap_f1": filtered.scores.get("overlap_f1"),
        "seconds": seconds,
        "peak_bytes": peak,
        "common_cluster": [int(n) for n in common],
        "cluster_nsd": {kind: _plain(noise.get(kind)) for kind in NOISE_KINDS},
        "k": [int(k) for k in filtered.results.values("decision", "k")],
        "k_relative_loss": _plain(loss and loss[1]),
        "k_held_out_drop": _plain(drop and drop[1]),
        "seeds": [asdict(run) for run in filtered.seeds],
    }


def _plain(values: np.ndarray | None) -> list[float | None] | None:
    """Return numbers as JSON has them; NaN is None."""
    return None if values is None else [words.number(value) for value in values]


def _page(
    filters: Sequence[Filtered],
    numbers: Sequence[np.ndarray],
    verdict: Verdict,
    truth: Truth | None,
    truth_found: bool,
    images: Mapping[str, "Picture"],
) -> ComparisonPage:
    """Fill in what the template shows."""
    first, count = filters[0].results, common_count(numbers)
    return ComparisonPage(
        title=verdict.headline,
        source=source_name(first.attr("acquisition")),
        measured=measured_sentence(first),
        clusters=[
            Swatch(number, colour, text_colour(colour))
            for number, colour in enumerate(cluster_colours(count))
        ],
        images=images,
        written=minute_now(),
        explored=None,
        reasons=verdict.reasons,
        truth=truth
        and TruthNote(
            truth.source.name, words.count_text(truth.grains, "grain"), found=truth_found
        ),
        seeds=max(len(f.seeds) for f in filters),
        filters=[_row(f, f.name in verdict.favoured) for f in filters],
        kinds=[
            kind for kind in NOISE_KINDS if any(kind in noise_table(f.results) for f in filters)
        ],
        whole_clusters=all(noise_of_all(f.results) for f in filters),
        held_out=_held_out(filters),
        no_held_out="There are no held-out curves: "
        + (
            "no further component lowered the error on what was held out."
            if any(f.along_k("k_held_out_drop") for f in filters)
            else "nothing was held out."
        ),
        not_shared=[
            NotShared(
                f.title, words.count_text(missing, "cluster"), words.plural(missing, "is", "are")
            )
            for f, n in zip(filters, numbers, strict=True)
            if (missing := count - len(n))
        ],
    )


def _held_out(filters: Sequence[Filtered]) -> str:
    """Say what was kept out of the fits; it is of values, which a filter may change."""
    counts = {f.results.attr("acquisition").get("counts_like") for f in filters}
    if counts <= {True}:
        return "Half of the electrons were kept out of the fits."
    if counts <= {False}:
        return "Half of the positions and half of the pixels were kept out of the fits, in turn."
    return "Part of the data was kept out of the fits."


def _row(filtered: Filtered, favoured: bool) -> FilterRow:
    """Return a row of the table of filters."""
    seconds, peak = filtered.cost()
    return FilterRow(
        title=filtered.title,
        folder=filtered.name,
        favoured=favoured,
        k=filtered.decided_k,
        fitted=stored_k(filtered.results, "fitted_k"),
        runner_up="–" if filtered.runner_up is None else str(filtered.runner_up),
        confidence=filtered.confidence,
        ari=words.figure_text(filtered.scores.get("ari")),
        overlap_f1=words.figure_text(filtered.scores.get("overlap_f1")),
        seeds=", ".join(str(run.decided_k) for run in filtered.seeds),
        seconds=words.seconds_text(seconds),
        in_part=any(step.get("reused") for step in filtered.own_steps),
        peak=words.bytes_text(peak),
    )
