"""Write ``comparison.html`` and ``comparison.json``: what each filter makes of an acquisition."""

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
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
from orimap.tasks.report.page import Drawing, render, write_figures
from orimap.tasks.report.results import (
    NOISE_KINDS,
    analysed_mask,
    measured_sentence,
    noise_table,
    scan_grid,
    source_name,
    stored_k,
)
from orimap.tasks.simulate.truth import Truth
from orimap.tasks.store.whole_file import write_whole

FIGURES = ("maps", "patterns", "noise", "loss", "fluctuation", "held_out")


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
    content = _page(filters, numbers, verdict, truth, truth_found)
    write_whole(page, render("comparison.html", {**content, "images": images}))
    return page


def _drawings(filters: Sequence[Filtered], numbers: Sequence[np.ndarray]) -> list[Drawing]:
    """Return the figures that the results allow."""
    from orimap.tasks.report.figures import comparison as draw

    count = _common(numbers)
    scan = scan_grid(filters[0].results.attr("acquisition"))
    fitted = {f.title: stored_k(f.results, "fitted_k") for f in filters}
    maps = {f.title: renumbered(f.label, n) for f, n in zip(filters, numbers, strict=True)}
    made = [
        Drawing(
            "maps",
            "The cluster maps of all filters side by side, the same grain in the same colour.",
            lambda: draw.maps_figure(maps, scan),
        )
    ]
    patterns = {f.title: f.results.values("clusters", "cluster_representative") for f in filters}
    if count and all(values is not None for values in patterns.values()):
        numbered = {
            title: dict(zip(map(int, n), values, strict=True))
            for (title, values), n in zip(patterns.items(), numbers, strict=True)
        }
        masks = {f.title: analysed_mask(f.results) for f in filters}
        made.append(
            Drawing(
                "patterns",
                "The pattern of every cluster, a row each, after every filter, a column each.",
                lambda: draw.patterns_figure(numbered, count, masks),
            )
        )
    noise = {kind: _noise_of(filters, numbers, kind) for kind in NOISE_KINDS}
    noise = {kind: values for kind, values in noise.items() if np.isfinite(values).any()}
    if noise:
        units = filters[0].results.groups["clusters"]["cluster_nsd_whole"].attrs.get("units", "")
        made.append(
            Drawing(
                "noise",
                "Noise standard deviation of every cluster after every filter, in three ways.",
                lambda: draw.noise_figure(noise, [f.title for f in filters], units),
            )
        )
    losses = {f.title: _losses(f) for f in filters if f.along_k("k_relative_loss")}
    if losses:
        made.append(
            Drawing(
                "loss",
                "Relative loss against the number of components, a curve for each filter.",
                lambda: draw.loss_curves_figure(losses, fitted),
            )
        )
        if any(len(values) > 1 for _, values in losses.values()):
            made.append(
                Drawing(
                    "fluctuation",
                    "Range of the relative loss over seeds, against the number of components.",
                    lambda: draw.fluctuation_figure(losses),
                )
            )
    drops = {f.title: f.along_k("k_held_out_drop") for f in filters}
    drops = {title: found for title, found in drops.items() if found and np.any(found[1] > 0)}
    if drops:
        made.append(
            Drawing(
                "held_out",
                "Drop in held-out deviance over its largest, a curve for each filter.",
                lambda: draw.held_out_curves_figure(drops, fitted),
            )
        )
    return made


def _common(numbers: Sequence[np.ndarray]) -> int:
    """Return how many clusters there are in common numbers."""
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
    """Return what comparison.json holds; numbers that there are not are null."""

    def plain(values: np.ndarray | None) -> list | None:
        return None if values is None else [words.number(value) for value in values]

    def of(filtered: Filtered, number: np.ndarray) -> dict[str, Any]:
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
            "common_cluster": [int(n) for n in number],
            "cluster_nsd": {kind: plain(noise.get(kind)) for kind in NOISE_KINDS},
            "k": [int(k) for k in filtered.results.values("decision", "k")],
            "k_relative_loss": plain(loss and loss[1]),
            "k_held_out_drop": plain(drop and drop[1]),
            "seeds": [asdict(run) for run in filtered.seeds],
        }

    return {
        "orimap_version": importlib.metadata.version("orimap"),
        "written": datetime.now().astimezone().isoformat(timespec="seconds"),
        "verdict": asdict(verdict),
        "truth": truth
        and {"file": str(truth.source), "grains": truth.grains, "found_beside": truth_found},
        "agreement": [{"filters": list(pair), "ari": value} for pair, value in agreements.items()],
        "filters": {f.name: of(f, n) for f, n in zip(filters, numbers, strict=True)},
    }


def _page(
    filters: Sequence[Filtered],
    numbers: Sequence[np.ndarray],
    verdict: Verdict,
    truth: Truth | None,
    truth_found: bool,
) -> dict[str, Any]:
    """Return what the template shows."""
    first = filters[0].results
    return {
        "title": verdict.headline,
        "source": source_name(first.attr("acquisition")),
        "measured": measured_sentence(first),
        "reasons": verdict.reasons,
        "truth": truth
        and {
            "name": truth.source.name,
            "grains": words.count_text(truth.grains, "grain"),
            "found": truth_found,
        },
        "seeds": max(len(f.seeds) for f in filters),
        "filters": [_row(f, f.name in verdict.favoured) for f in filters],
        "clusters": [
            {"cluster": number, "colour": colour, "ink": text_colour(colour)}
            for number, colour in enumerate(cluster_colours(_common(numbers)))
        ],
        "not_shared": [
            {"filter": f.title, "count": words.count_text(missing, "cluster")}
            for f, n in zip(filters, numbers, strict=True)
            if (missing := _common(numbers) - len(n))
        ],
        "written": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
    }


def _row(filtered: Filtered, favoured: bool) -> dict[str, Any]:
    """Return a row of the table of filters."""
    seconds, peak = filtered.cost()
    ks = [run.decided_k for run in filtered.seeds]
    return {
        "title": filtered.title,
        "folder": filtered.name,
        "favoured": favoured,
        "k": filtered.decided_k,
        "fitted": stored_k(filtered.results, "fitted_k"),
        "runner_up": "–" if filtered.runner_up is None else filtered.runner_up,
        "confidence": filtered.confidence,
        "ari": words.figure_text(filtered.scores.get("ari")),
        "overlap_f1": words.figure_text(filtered.scores.get("overlap_f1")),
        "seeds": ", ".join(map(str, ks)),
        "seconds": words.seconds_text(seconds),
        # Of a run that went on after a break, only the rest was timed.
        "in_part": any(step.get("reused") for step in filtered.own_steps),
        "peak": words.bytes_text(peak),
    }
