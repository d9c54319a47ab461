"""Say what a run is, for the page that shows it: headline, calibration, what there is to see.

Tested in tests/flows/viewer/test_run_routes.py.
"""

from dataclasses import asdict
from functools import partial
from typing import Any

from orimap.flows.viewer.run.writing import Writer
from orimap.tasks.errors import shown_name
from orimap.tasks.factorise.stored_fits import fit_group
from orimap.tasks.report import words
from orimap.tasks.report.figures.palette import cluster_colours
from orimap.tasks.store import variables
from orimap.tasks.store.groups import complete_mark, group_attributes, open_group
from orimap.tasks.store.open_results import (
    Revision,
    find_revision,
    revision_names,
    revision_page,
    revision_store,
)
from orimap.tasks.view.clustered import Clustered
from orimap.tasks.view.layers import OF_ORIENTATIONS, Layer
from orimap.tasks.view.numbers import Drawing, NumberMap, numbered_like
from orimap.tasks.view.opened import Opened

REPORT = "report.html"
FRAMES = {False: "as acquired", True: "centred"}
FILTERS = {
    "raw": "as analysed",
    "mean": "as analysed (3 × 3 mean)",
    "epattern": "as analysed (ePattern)",
}


def describe_run(run: Opened, revision: str | None, writer: Writer) -> dict[str, Any]:
    """Return all that the page has to know of a run before it asks for numbers."""
    # What is saved meanwhile is then among both, never among none.
    saving = [asdict(each) for each in writer.saving]
    known = run.state.analysis is not None and run.has("acquisition")
    facts: dict[str, Any] = dict(run.acquisition.attrs) if known else {}
    decision = dict(run.group("decision").attrs) if run.has("decision") else {}
    root = group_attributes(run.analysis, "") if run.state.complete else {}
    clusters = run.clusters(revision) if run.has("clusters") else None
    name = shown_name(run.folder.resolve().name)
    answer = _automatic(run, root, decision)
    layers = run.layers(revision)
    edited = None if revision is None else find_revision(run.folder, revision)
    shown = answer if edited is None or clusters is None else _edited(edited, clusters, answer)
    return {
        "name": name,
        "title": str(root.get("acquisition", facts.get("source_file", name))),
        **shown,
        "automatic": answer["headline"],
        "edits": [] if edited is None else list(edited.edits),
        "notes": [*(str(note) for note in root.get("notes", ())), *damaged_revisions(run)],
        "state": run.words,
        "version": run.version,
        "scan": _scan(run, facts) if known else None,
        "detector": _detector(run, facts) if known else None,
        "intensity_unit": str(facts.get("intensity_units", "electron")),
        "pattern_kinds": pattern_kinds(run, clusters),
        "virtual_frame": _frame(run),
        "layers": [layer_words(layer) for layer in layers],
        "oriented": any(layer.group == OF_ORIENTATIONS for layer in layers),
        "numbers": numbers(run),
        "revisions": [revision_words(each) for each in revisions(run)],
        "saving": saving,
        "failed": None if writer.failed is None else asdict(writer.failed),
        "writable": writer.can_write and can_be_edited(run),
        "report": _report(run, revision, writer),
    }


def _automatic(run: Opened, root: dict[str, Any], decision: dict[str, Any]) -> dict[str, Any]:
    """Return headline, confidence and reasons of the automatic result, or how far the run is."""
    if not run.has("clusters"):
        headline = f"{run.words[0].upper()}{run.words[1:]}"
    else:
        clusters = run.clusters()
        headline = words.headline(
            len(set(clusters.parent.tolist())),
            str(run.group("decision").attrs.get("confidence")),
            clusters.count,
            # Earlier versions did not ask.
            crystal=bool(root.get("crystal_found", True)),
            countable=bool(root.get("countable", True)),
        )
    return {
        "headline": headline,
        "confidence": decision.get("confidence"),
        "reasons": [str(reason) for reason in decision.get("reasons", ())],
    }


def _edited(revision: Revision, clusters: Clustered, automatic: dict[str, Any]) -> dict[str, Any]:
    """Return headline, confidence and reasons of a revision."""
    return {
        "headline": words.edited_headline(clusters.count, revision.title),
        "confidence": words.BY_HAND,
        "reasons": words.edited_reasons(revision.edits, automatic["headline"]),
    }


def _report(run: Opened, revision: str | None, writer: Writer) -> str | None:
    """Return the address of the page of a result; None where there is none."""
    if revision is None:
        return REPORT if (run.folder / REPORT).is_file() else None
    there = run.state.complete and writer.offers_report(revision)
    return revision_page(run.folder, revision)[0].name if there else None


def _step(facts: dict[str, Any], axis: str) -> tuple[list[float] | None, str | None]:
    """Return the calibration of two axes, and its unit; None where there is none."""
    step, unit = words.decoded(facts.get(f"{axis}_step")), facts.get(f"{axis}_units", "px")
    if step is None or unit == "px" or not all((words.number(v) or 0) > 0 for v in step):
        return None, None
    return [float(v) for v in step], str(unit)


def _scan(run: Opened, facts: dict[str, Any]) -> dict[str, Any]:
    step, unit = _step(facts, "scan")
    shape = variables.scan_total_intensity.read(run.acquisition).shape
    return {"shape": list(shape), "step": step, "unit": unit}


def _detector(run: Opened, facts: dict[str, Any]) -> dict[str, Any]:
    step, unit = _step(facts, "detector")
    shape = variables.detector_mean.read(run.acquisition).shape
    return {"shape": list(shape), "step": step, "unit": unit, "centre": _centre(run)}


def _centre(run: Opened) -> list[float] | None:
    """Return row and column of the direct beam in centred patterns, or in the mean of others."""
    if run.state.patterns is None:
        return None
    try:
        beam = group_attributes(run.state.patterns, "beam")
    except FileNotFoundError:
        return None
    if not beam.get("found"):
        return None
    return [float(beam["reference_y"]), float(beam["reference_x"])]


def _frame(run: Opened) -> str:
    return FRAMES[run.is_centred]


def pattern_kinds(run: Opened, clusters: Clustered | None) -> list[dict[str, str]]:
    """Return the kinds of pattern that there are, and in which frame each is shown."""
    kinds, acquired = [], FRAMES[False]
    if run.source is not None:
        kinds.append({"id": "raw", "title": "as acquired", "frame": acquired})
        if not run.source.as_acquired:
            title = FILTERS.get(run.source.filter, FILTERS["raw"])
            if run.source.centred:
                title = f"{title}, centred" if "(" in title else "as analysed (centred)"
            kinds.append({"id": "filtered", "title": title, "frame": _frame(run)})
    if clusters is not None:
        kinds.append({"id": "reconstructed", "title": "by the fit", "frame": _frame(run)})
        if run.source is not None:
            title = "residual: pattern less fit"
            kinds.append({"id": "residual", "title": title, "frame": _frame(run)})
    return kinds


def layer_words(layer: Layer) -> dict[str, Any]:
    """Return a map without its numbers."""
    colours = {"colours": list(layer.colours)} if layer.colours else {}
    return {
        "id": layer.id,
        "title": layer.title,
        "group": layer.group,
        "kind": layer.kind,
        "unit": layer.unit,
        **colours,
    }


def numbers(run: Opened) -> list[dict[str, Any]]:
    """Return the numbers of patterns that the fits hold, and a fit that has each of them."""
    if not run.has("decision") or not run.has("clusters"):
        return []
    decision = open_group(run.analysis, "decision")
    distinct = variables.k_distinct.read(decision).values.tolist()
    ks = decision["k"].values.tolist()
    fitted = int(decision.attrs["fitted_k"])
    decided = run.clusters()
    shown = len(set(decided.parent.tolist()))
    # Others are drawn from what the decided one was drawn of, which may not have been kept.
    groups = ("sketch", "dark_fields", *(fit_group(int(k)) for k in ks))
    others = distinct if all(run.has(group) for group in groups) else []
    found = {}
    for number in sorted({*others, shown} - {0}):
        holding = [k for k, n in zip(ks, distinct, strict=True) if n == number]
        k = fitted if number == shown else min(holding, key=lambda k: abs(k - fitted))
        found[number] = {
            "distinct": number,
            "components": k,
            "decided": number == shown,
            "title": f"{words.count_text(number, 'pattern')} ({words.count_text(k, 'component')})",
        }
    return list(found.values())


def revisions(run: Opened) -> list[Revision]:
    """Return what is known of all revisions."""
    if not run.state.complete:
        return []
    return [each for each in map(partial(_readable, run), revision_names(run.folder)) if each]


def _readable(run: Opened, name: str) -> Revision | None:
    """Return what is known of a revision, None where its files are damaged."""
    try:
        if complete_mark(revision_store(run.folder, name), "clusters") is None:
            return None
        return find_revision(run.folder, name)
    except Exception:  # whatever is in its files
        return None


def damaged_revisions(run: Opened) -> list[str]:
    """Say of each revision that cannot be read that it is so."""
    if not run.state.complete:
        return []
    return [
        f"The revision {shown_name(name)} is damaged: it cannot be shown."
        for name in revision_names(run.folder)
        if _readable(run, name) is None
    ]


def revision_words(found: Revision) -> dict[str, Any]:
    """Return a revision as it travels."""
    return {
        "name": found.name,
        "title": found.title,
        "made": found.made,
        "edits": list(found.edits),
        "outdated": found.outdated,
        "patterns": found.patterns,
    }


def can_be_edited(run: Opened) -> bool:
    """Return whether all is there that a revision is made of."""
    return (
        run.state.complete
        and run.state.patterns is not None
        and all(run.has(group) for group in ("grains", "sketch", "dark_fields"))
    )


def cluster_words(clusters: Clustered) -> list[dict[str, Any]]:
    """Return number, name, colour and positions of every cluster."""
    return [
        {"number": n, "name": name, "colour": colour, "positions": int(size)}
        for n, (name, colour, size) in enumerate(
            zip(clusters.names, clusters.colours, clusters.size, strict=True), start=1
        )
    ]


def number_words(run: Opened, found: NumberMap) -> dict[str, Any]:
    """Return the clusters of another number of patterns, numbered and coloured as those decided.

    Each is that of the decided clusters with which it has most positions in common.
    """
    shown, sizes = run.clusters(), found.sizes
    _, numbers = numbered_like(found.label, len(sizes), shown.label, shown.count)
    free = iter(c for c in cluster_colours(len(sizes) + shown.count) if c not in shown.colours)
    clusters = [
        {
            "number": number + 1,
            "name": "",
            "colour": shown.colours[number] if number < shown.count else next(free),
            "positions": size,
            "like": number + 1 if number < shown.count else None,
        }
        for number, size in sorted(zip(numbers, sizes, strict=True))
    ]
    return {
        "distinct": found.distinct,
        "components": found.components,
        "how": found.how,
        "clusters": clusters,
    }


def drawing_words(drawing: Drawing) -> dict[str, Any]:
    """Return how far the map of another number is."""
    return {
        "distinct": drawing.distinct,
        "working": True,
        "done": drawing.done,
        "total": drawing.total,
        "doing": drawing.doing,
    }
