"""Write ``comparison.html`` and ``comparison.json``: what each filter makes of an acquisition."""

import importlib.metadata
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from orimap.tasks.report import words
from orimap.tasks.report.comparison import (
    Filtered,
    Verdict,
    agreement,
    judge,
    match_clusters,
    renumbered,
)
from orimap.tasks.report.figures.palette import cluster_colours, text_colour
from orimap.tasks.report.page import (
    Drawing,
    Page,
    Picture,
    Swatch,
    minute_now,
    render,
    write_figures,
    write_whole,
)
from orimap.tasks.report.results import (
    NOISE_KINDS,
    analysed_mask,
    noise_table,
    scan_grid,
    source_name,
    stored_k,
)
from orimap.tasks.report.sentences import measured_sentence
from orimap.tasks.simulate.truth import Truth

FIGURES = ("maps", "patterns", "noise", "loss", "fluctuation", "held_out")


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
        Of the filter's own steps.
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
    """All that ``comparison.html`` shows; ``seeds`` is the largest number of seeds of a filter."""

    reasons: Sequence[str]
    truth: TruthNote | None
    seeds: int
    filters: Sequence[FilterRow]
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
        What was asked for.
    truth_found : bool
        Whether the truth lay beside the acquisition and was not named by the user.

    Returns
    -------
    Path
        Of the page.
    """
    numbers = match_clusters([f.label for f in filters])
    agreements = agreement({f.name: f.label for f in filters})
    verdict = judge(filters, agreements, truth)
    images = write_figures(output / "figures", _drawings(filters, numbers), FIGURES)
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


def _drawings(filters: Sequence[Filtered], numbers: Sequence[np.ndarray]) -> Iterator[Drawing]:
    """Return the figures that the results allow, in the order of the page."""
    yield _maps(filters, numbers)
    yield from _patterns(filters, numbers)
    yield from _noise(filters, numbers)
    yield from _loss(filters)
    yield from _held_out(filters)


def _maps(filters: Sequence[Filtered], numbers: Sequence[np.ndarray]) -> Drawing:
    from orimap.tasks.report.figures.comparison import maps_figure

    scan = scan_grid(filters[0].results.attr("acquisition"))
    maps = {f.title: renumbered(f.label, n) for f, n in zip(filters, numbers, strict=True)}
    return Drawing(
        "maps",
        "The cluster maps of all filters side by side, the same grain in the same colour.",
        lambda: maps_figure(maps, scan),
    )


def _patterns(filters: Sequence[Filtered], numbers: Sequence[np.ndarray]) -> Iterator[Drawing]:
    from orimap.tasks.report.figures.comparison import patterns_figure

    count = _common(numbers)
    stored = [f.results.values("clusters", "cluster_representative") for f in filters]
    if not count or any(values is None for values in stored):
        return
    numbered = {
        f.title: dict(zip(map(int, n), values, strict=True))
        for f, n, values in zip(filters, numbers, stored, strict=True)
    }
    masks = {f.title: analysed_mask(f.results) for f in filters}
    yield Drawing(
        "patterns",
        "The pattern of every cluster, a row each, after every filter, a column each.",
        lambda: patterns_figure(numbered, count, masks),
    )


def _noise(filters: Sequence[Filtered], numbers: Sequence[np.ndarray]) -> Iterator[Drawing]:
    from orimap.tasks.report.figures.comparison import noise_figure

    tables = {kind: _noise_of(filters, numbers, kind) for kind in NOISE_KINDS}
    noise = {kind: values for kind, values in tables.items() if np.isfinite(values).any()}
    if not noise:
        return
    units = filters[0].results.groups["clusters"]["cluster_nsd_whole"].attrs.get("units", "")
    yield Drawing(
        "noise",
        "Noise standard deviation of every cluster after every filter, in three ways.",
        lambda: noise_figure(noise, [f.title for f in filters], units),
    )


def _fitted(filters: Sequence[Filtered]) -> dict[str, int | None]:
    """Return the number of components fitted with each filter, by title."""
    return {f.title: stored_k(f.results, "fitted_k") for f in filters}


def _loss(filters: Sequence[Filtered]) -> Iterator[Drawing]:
    from orimap.tasks.report.figures.comparison import fluctuation_figure, loss_curves_figure

    losses = {f.title: _losses(f) for f in filters if f.along_k("k_relative_loss")}
    if not losses:
        return
    yield Drawing(
        "loss",
        "Relative loss against the number of components, a curve for each filter.",
        lambda: loss_curves_figure(losses, _fitted(filters)),
    )
    if any(len(values) > 1 for _, values in losses.values()):
        yield Drawing(
            "fluctuation",
            "Range of the relative loss over seeds, against the number of components.",
            lambda: fluctuation_figure(losses),
        )


def _held_out(filters: Sequence[Filtered]) -> Iterator[Drawing]:
    from orimap.tasks.report.figures.comparison import held_out_curves_figure

    stored = {f.title: f.along_k("k_held_out_drop") for f in filters}
    drops = {title: found for title, found in stored.items() if found and np.any(found[1] > 0)}
    if not drops:
        return
    yield Drawing(
        "held_out",
        "Drop in held-out deviance over its largest, a curve for each filter.",
        lambda: held_out_curves_figure(drops, _fitted(filters)),
    )


def _common(numbers: Sequence[np.ndarray]) -> int:
    """Return the number of clusters that all maps have together, in common numbers."""
    return max((int(n.max(initial=-1)) for n in numbers), default=-1) + 1


def _noise_of(filters: Sequence[Filtered], numbers: Sequence[np.ndarray], kind: str) -> np.ndarray:
    """Return one kind of noise as (common cluster, filter); NaN where there is none."""
    table = np.full((_common(numbers), len(filters)), np.nan)
    for column, (filtered, number) in enumerate(zip(filters, numbers, strict=True)):
        values = noise_table(filtered.results).get(kind)
        if values is not None:
            table[number, column] = values
    return table


def _losses(filtered: Filtered) -> tuple[np.ndarray, np.ndarray]:
    """Return k and the relative loss (seed, k) of a filter; NaN where a seed has no such fit."""
    k, _ = filtered.along_k("k_relative_loss")
    table = np.full((len(filtered.seeds), len(k)), np.nan)
    for row, run in enumerate(filtered.seeds):
        _, here, there = np.intersect1d(k, run.k, return_indices=True)
        table[row, here] = np.array(run.relative_loss)[there]
    return k, table


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
    images: Mapping[str, Picture],
) -> ComparisonPage:
    """Fill in what the template shows."""
    first, count = filters[0].results, _common(numbers)
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
        reasons=verdict.reasons,
        truth=truth
        and TruthNote(
            truth.source.name, words.count_text(truth.grains, "grain"), found=truth_found
        ),
        seeds=max(len(f.seeds) for f in filters),
        filters=[_row(f, f.name in verdict.favoured) for f in filters],
        not_shared=[
            NotShared(
                f.title, words.count_text(missing, "cluster"), words.plural(missing, "is", "are")
            )
            for f, n in zip(filters, numbers, strict=True)
            if (missing := count - len(n))
        ],
    )


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
