"""Write ``report.html``, one page that needs nothing beside it, and its figures as PNG files."""

import io
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from orimap.tasks.report import sentences as text
from orimap.tasks.report import words
from orimap.tasks.report.figures.images import pattern_levels
from orimap.tasks.report.figures.palette import cluster_colours, text_colour
from orimap.tasks.report.page import data_address, render, write_figures
from orimap.tasks.report.results import (
    METRICS,
    Results,
    analysed_mask,
    fidelity_scores,
    measured_sentence,
    noise_table,
    read_results,
    reflection_map_titles,
    source_name,
    stored_k,
    uniform_value,
)
from orimap.tasks.store import variables
from orimap.tasks.store.whole_file import write_whole

TILE_PIXELS = (160, 256)  # patterns on the page are enlarged to the first, reduced to the second


def _tile(pattern: np.ndarray, mask: np.ndarray | None) -> str:
    """Return a pattern as an image to embed, of a size that suits the page."""
    from PIL import Image

    image = Image.fromarray(np.round(255 * pattern_levels(pattern, mask)).astype(np.uint8))
    smallest, largest = TILE_PIXELS
    longest = max(image.size)
    if longest > largest:
        image = image.resize(
            [max(1, round(side * largest / longest)) for side in image.size], Image.Resampling.BOX
        )
    elif longest < smallest:
        times = -(-smallest // longest)
        image = image.resize([side * times for side in image.size], Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, "png", optimize=True)
    return data_address(buffer.getvalue())


def _cluster_cards(results: Results) -> list[dict]:
    """Return what the page shows of each cluster: pattern, number, size, fidelity."""
    labels = results.values("clusters", "cluster_label")
    means = results.values("clusters", "cluster_mean_pattern")
    representatives = results.values("clusters", "cluster_representative")
    mask = analysed_mask(results)
    owners = results.values("clusters", "component_cluster")
    parents = results.values("clusters", "cluster_parent")
    if labels is None:
        return []
    count = int(labels.max()) + 1
    for patterns in (means, representatives):
        count = max(count, 0 if patterns is None else len(patterns))
    scores = fidelity_scores(results)
    cards = []
    for cluster, colour in enumerate(cluster_colours(count)):
        size = int(np.count_nonzero(labels == cluster))
        cards.append(
            {
                "cluster": cluster,
                "colour": colour,
                "ink": text_colour(colour),
                "positions": words.count_text(size, "position"),
                "share": words.percent_text(size / labels.size),
                "components": []
                if owners is None
                else [
                    int(c)
                    for c in np.flatnonzero(
                        owners == (cluster if parents is None else parents[cluster])
                    )
                ],
                "mean": None if means is None else _tile(means[cluster], mask),
                "representative": None
                if representatives is None
                else _tile(representatives[cluster], mask),
                "scores": {
                    name: words.score_text(name, values[cluster]) for name, values in scores.items()
                },
            }
        )
    return cards


def _criteria_rows(results: Results) -> list[dict]:
    """Return every criterion's vote."""
    rows = []
    for criterion in words.decoded(results.attr("decision").get("criteria")) or []:
        criterion = words.decoded(criterion)
        rows.append(
            {
                "name": str(criterion.get("name", "?")),
                "vote": words.figure_text(criterion.get("vote")),
                "margin": words.figure_text(criterion.get("margin"), 2),
                "used": bool(criterion.get("used")),
                "why": str(criterion.get("why") or ""),
            }
        )
    return rows


def _k_table(results: Results) -> dict[str, list]:
    """Return every value stored along k, as columns with their meaning and rows of text."""
    ds = results.groups["decision"]
    # A store lists its arrays in no particular order; their declaration tells a story.
    declared = [v.name for v in vars(variables).values() if isinstance(v, variables.Variable)]
    columns = [name for name in declared if name.startswith("k_")]
    columns += sorted(name for name in ds if name.startswith("k_") and name not in columns)
    columns = [name for name in columns if results.values("decision", name) is not None]
    names = {f"k_{key}": name for name, key in METRICS.items()}
    heads = [
        {
            "name": names.get(name, name[2:].replace("_", " ")),
            "meaning": ds[name].attrs.get("long_name", ""),
        }
        for name in columns
    ]
    rows = [
        [str(int(k))]
        + [
            ("yes" if ds[name].values[i] else "no")
            if ds[name].dtype.kind == "b"
            else words.figure_text(ds[name].values[i], 4)
            for name in columns
        ]
        for i, k in enumerate(ds["k"].values if columns else [])
    ]
    return {"heads": heads, "rows": rows}


def _noise(results: Results) -> dict[str, Any]:
    """Return the table of noise standard deviations: kinds, unit and a row for each cluster."""
    table = noise_table(results)
    if not table:
        return {}
    units = results.groups["clusters"][f"cluster_nsd_{next(iter(table))}"].attrs.get("units", "1")
    return {
        "kinds": list(table),
        "units": units,
        "rows": [
            [words.figure_text(value, 2) for value in values]
            for values in zip(*table.values(), strict=True)
        ],
    }


def _uniform_sentences(results: Results) -> list[str]:
    """Say the value of each map of reflections that is the same everywhere."""
    _, uniform = reflection_map_titles(results)
    sentences = []
    for name, title in uniform.items():
        stored = results.groups["reflection_maps"][name]
        units = stored.attrs.get("units", "1")
        if name == variables.scan_prominence_threshold.name and units == "1":
            units = "standard deviations of the noise"
        sentences.append(text.uniform_sentence(title, uniform_value(stored.values), units))
    return sentences


def _page(results: Results, run: Mapping[str, Any], images: Mapping[str, dict]) -> dict[str, Any]:
    """Return what the template shows."""
    facts, decision = results.attr("acquisition"), results.attr("decision")
    labels = results.values("clusters", "cluster_label")
    ratio = results.values("overlap", "overlap_ratio")
    level = results.values("overlap", "overlap_level")
    second = results.values("overlap", "second_label")
    owners = results.values("clusters", "component_cluster")
    left_out = analysed_mask(results)
    clusters = decided = stored_k(results, "decided_k")
    parents = results.values("clusters", "cluster_parent")
    if parents is not None:
        # Pieces of one pattern are clusters of their own, but no further patterns.
        decided = len(np.unique(parents))
    numbers = {"decided_k": decided, "fitted_k": stored_k(results, "fitted_k")}
    overlapping = None
    if labels is not None and ratio is not None and level is not None:
        overlapping = text.overlap_rows(labels, ratio, level)
    request = run.get("request") or words.decoded(results.attrs.get("request")) or {}
    confidence = decision.get("confidence")
    return {
        "title": words.headline(decided, confidence, clusters),
        "confidence": confidence,
        "source": source_name(facts),
        "measured": measured_sentence(results),
        "decided": decided,
        "runner_up": words.whole(decision.get("runner_up")),
        "fitted": numbers["fitted_k"],
        "strategy": decision.get("strategy"),
        "none_share": None
        if labels is None or (labels >= 0).all()
        else words.percent_text(np.count_nonzero(labels < 0) / labels.size),
        "clusters": _cluster_cards(results),
        "pixels_left_out": left_out is not None and bool(left_out.any()),
        "images": images,
        "sentences": text.decision_sentences(
            {**decision, **numbers},
            0 if owners is None else int(np.count_nonzero(owners < 0)),
        ),
        "knee": words.whole(decision.get("knee")),
        "criteria": _criteria_rows(results),
        "k_table": _k_table(results),
        "overlap": overlapping,
        "overlap_note": text.overlap_sentence(results.attr("overlap")),
        "map_notes": text.map_sentences(results.attr("clusters"), request, parents),
        "taken_apart": text.decomposition_sentence(results.attr("decomposition")),
        "overlap_pairs": []
        if labels is None or second is None or ratio is None
        else text.overlap_pairs(labels, second, ratio),
        "noise": _noise(results),
        "reflections": [
            *text.reflection_sentences(results.attr("reflection_maps")),
            *_uniform_sentences(results),
        ],
        "beam_shift": text.beam_shift_sentence(results.values("acquisition", "scan_beam_shift")),
        "repairs": text.repairs(
            facts,
            results.values("acquisition", "detector_mask"),
            left_out,
            run.get("notes") or [],
        ),
        "checked": bool(facts),
        "intensity": text.intensity_sentence(facts),
        "counts_like": facts.get("counts_like"),
        "reader": facts.get("reader"),
        "signal": facts.get("signal"),
        "agreement": words.figure_text(results.attr("baseline").get("agreement"), 2),
        "steps": text.step_rows(run.get("steps") or []),
        "seconds": words.seconds_text(run.get("seconds")),
        "peak": words.bytes_text(run.get("peak_bytes")),
        "predicted": words.bytes_text(run.get("predicted_peak_bytes")),
        "machine": text.machine_rows(run.get("machine") or {}),
        "request": json.dumps(request, indent=2, default=str, ensure_ascii=False),
        "versions": run.get("versions") or {"orimap": results.attrs.get("orimap_version", "–")},
        "written": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
    }


FIGURES = (
    *("cluster_map", "clusters", "overlap", "baseline", "fidelity", "shares"),
    *("decomposition", "line"),
    *("acquisition", "beam_shift"),
    *("loss", "held_out", "distinct", "pairs", "scree"),
    *("reflection_maps", "dark_field"),
)


def write_report(results: Path, output: Path, *, run: Mapping[str, Any]) -> Path:
    """Write ``output/report.html`` and ``output/figures/*.png`` from the stored results.

    Parameters
    ----------
    results : Path
        ``analysis.zarr``. What is not in it is named as missing on the page.
    output : Path
        Folder; only the report and the figures named in ``FIGURES`` are written, each whole. A
        figure of an earlier report that cannot be drawn any more is removed.
    run : mapping
        What ``run.json`` holds: request, versions, machine, steps, times and memory.

    Returns
    -------
    Path
        Of the report.

    Raises
    ------
    InputError
        If there are no results.
    """
    from orimap.tasks.report import drawings as draw

    found = read_results(results)
    drawings = [
        *draw.map_drawings(found),
        *draw.overlap_drawings(found),
        *draw.acquisition_drawings(found),
        *draw.evidence_drawings(found),
        *draw.reflection_drawings(found),
    ]
    images = write_figures(output / "figures", drawings, FIGURES)
    report = output / "report.html"
    write_whole(report, render("report.html", _page(found, run, images)))
    return report
