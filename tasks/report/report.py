"""Write ``report.html``, one self-contained page, and its figures as PNG files.

What the page shows is a ``ReportPage``: a dataclass for each section, and a function that fills
it from the stored results and from ``run.json``.
"""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from orimap.tasks.report import sentences, tables, words
from orimap.tasks.report.figures.palette import cluster_colours, text_colour
from orimap.tasks.report.figures.thumbnail import pattern_tile
from orimap.tasks.report.page import (
    Page,
    Picture,
    Swatch,
    data_address,
    minute_now,
    render,
    write_figures,
)
from orimap.tasks.report.results import (
    Results,
    analysed_mask,
    cluster_names,
    fidelity_scores,
    read_results,
    source_name,
    stored_k,
)
from orimap.tasks.store.open_results import Revision, revision_page, revision_store
from orimap.tasks.store.whole_file import write_whole

# The figures are drawn in this many parts where several processes draw them.
PARTS = 5


@dataclass(frozen=True)
class ClusterCard(Swatch):
    """A cluster: how large it is, its patterns (addresses of images) and how well they agree.

    Parameters
    ----------
    name : str
        What somebody called it, mostly nothing.
    positions, share : str
        Number of its positions, and their share of the scan.
    origin : str
        The components that it is made of, or its positions where those are not known.
    mean, representative : str or None
        Mean raw pattern and pattern of the factorisation.
    scores : mapping of metric to str
    """

    name: str
    positions: str
    share: str
    origin: str
    mean: str | None
    representative: str | None
    scores: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """The numbers of distinct patterns, of components fitted, and the next best number.

    ``crystal`` is false where there is none, ``countable`` where positions are too few: then the
    first number says nothing.
    """

    decided: int | None
    fitted: int | None
    runner_up: int | None
    crystal: bool = True
    countable: bool = True


@dataclass(frozen=True)
class MapSection:
    """Remarks on the map of clusters; ``none_share`` of the positions have no cluster."""

    none_share: str | None
    pixels_left_out: bool
    notes: Sequence[str]


@dataclass(frozen=True)
class EvidenceSection:
    """Why that number: reasons, votes, and the values for every k.

    ``owned`` says whether the fitted components are those that clusters are made of.
    """

    sentences: Sequence[str]
    owned: bool
    strategy: str | None
    criteria: Sequence[tables.Criterion]
    knee: int | None
    counts_like: bool | None
    k_table: tables.KTable


@dataclass(frozen=True)
class OverlapSection:
    """Where patterns overlap; ``levels`` are None where no overlap was stored."""

    levels: Sequence[tables.OverlapLevel] | None
    note: str
    pairs: Sequence[tables.OverlapPair]
    taken_apart: str


@dataclass(frozen=True)
class AcquisitionSection:
    """What was measured and how it was read; ``stretched`` is the contrast."""

    reader: str | None
    signal: str | None
    intensity: str
    camera: str
    stretched: bool
    beam_shift: str
    guesses: Sequence[str]


@dataclass(frozen=True)
class RepairsSection:
    """What was masked, clipped or repaired, where that was ``recorded``."""

    sentences: Sequence[str]
    recorded: bool


@dataclass(frozen=True)
class RunSection:
    """Time and memory of the run, what was asked for, and where it ran."""

    steps: Sequence[tables.StepRow]
    seconds: str
    peak: str
    predicted: str
    request: str
    versions: Mapping[str, str]
    machine: Mapping[str, str]


@dataclass(frozen=True)
class RevisionSection:
    """What somebody changed by hand, in sentences, and whether that is ``outdated``."""

    name: str
    edits: Sequence[str]
    outdated: str


@dataclass(frozen=True)
class ReportPage(Page):
    """All that ``report.html`` shows, section by section; ``figures`` is the name of a folder."""

    clusters: Sequence[ClusterCard]
    answer: Answer
    map: MapSection
    evidence: EvidenceSection
    overlap: OverlapSection
    noise: tables.NoiseTable | None
    reflections: Sequence[str]
    agreement: str
    acquisition: AcquisitionSection
    repairs: RepairsSection
    run: RunSection
    revision: RevisionSection | None = None
    figures: str = "figures"


def _cluster_cards(results: Results) -> list[ClusterCard]:
    """Return what the page shows of each cluster: pattern, number, size, fidelity."""
    labels = results.values("clusters", "cluster_label")
    if labels is None:
        return []
    means = results.values("clusters", "cluster_mean_pattern")
    representatives = results.values("clusters", "cluster_representative")
    mask = analysed_mask(results)
    count = int(labels.max()) + 1
    for patterns in (means, representatives):
        count = max(count, 0 if patterns is None else len(patterns))
    scores, names = fidelity_scores(results), cluster_names(results)

    def tile(patterns: np.ndarray | None, cluster: int) -> str | None:
        return None if patterns is None else data_address(pattern_tile(patterns[cluster], mask))

    cards = []
    for cluster, colour in enumerate(cluster_colours(count)):
        size = int(np.count_nonzero(labels == cluster))
        positions = words.count_text(size, "position")
        cards.append(
            ClusterCard(
                cluster,
                colour,
                text_colour(colour),
                name=names[cluster] if cluster < len(names) else "",
                positions=positions,
                share=words.percent_text(size / labels.size),
                origin=_origin(results, cluster) or positions,
                mean=tile(means, cluster),
                representative=tile(representatives, cluster),
                scores={
                    name: words.score_text(name, values[cluster]) for name, values in scores.items()
                },
            )
        )
    return cards


def _origin(results: Results, cluster: int) -> str:
    """Name the components that a cluster is made of; nothing where they are not known."""
    owners = results.values("clusters", "component_cluster")
    parents = results.values("clusters", "cluster_parent")
    if owners is None:
        return ""
    found = np.flatnonzero(owners == (cluster if parents is None else parents[cluster]))
    if not found.size:
        return ""
    if len(owners) != stored_k(results, "fitted_k"):
        # Components of dark fields, which have no numbers of their own on the page.
        return words.count_text(found.size, "part")
    return f"{words.plural(found.size, 'component')} {', '.join(map(str, found + 1))}"


def _answer(results: Results) -> Answer:
    """Return the numbers; pieces of one pattern are clusters of their own, not patterns."""
    parents = results.values("clusters", "cluster_parent")
    return Answer(
        decided=stored_k(results, "decided_k") if parents is None else len(np.unique(parents)),
        fitted=stored_k(results, "fitted_k"),
        runner_up=words.whole(results.attr("decision").get("runner_up")),
        # Earlier versions did not ask.
        crystal=bool(results.attr("decision").get("crystal_found", True)),
        countable=bool(results.attr("decision").get("countable", True)),
    )


def _map_section(results: Results, request: Mapping[str, Any]) -> MapSection:
    labels = results.values("clusters", "cluster_label")
    left_out = analysed_mask(results)
    none_share = None
    measured = results.values("acquisition", "scan_measured")
    if labels is not None:
        without = labels < 0 if measured is None else (labels < 0) & (measured > 0)
        if without.any():
            none_share = words.percent_text(np.count_nonzero(without) / labels.size)
    return MapSection(
        none_share=none_share,
        pixels_left_out=left_out is not None and bool(left_out.any()),
        notes=[
            *sentences.not_measured_sentences(measured),
            *sentences.map_sentences(
                results.attr("clusters"), request, results.values("clusters", "cluster_parent")
            ),
        ],
    )


def _evidence_section(results: Results, answer: Answer) -> EvidenceSection:
    facts = results.attr("decision")
    owners = results.values("clusters", "component_cluster")
    return EvidenceSection(
        sentences=sentences.decision_sentences(
            {**facts, "decided_k": answer.decided, "fitted_k": answer.fitted},
            0 if owners is None else int(np.count_nonzero(owners < 0)),
        ),
        owned=owners is not None and len(owners) == answer.fitted,
        strategy=facts.get("strategy"),
        criteria=tables.criteria_rows(facts),
        knee=words.whole(facts.get("knee")),
        counts_like=results.attr("acquisition").get("counts_like"),
        k_table=tables.k_table(results),
    )


def _overlap_section(results: Results) -> OverlapSection:
    labels = results.values("clusters", "cluster_label")
    second = results.values("overlap", "second_label")
    ratio = results.values("overlap", "overlap_ratio")
    level = results.values("overlap", "overlap_level")
    levels, pairs = None, []
    if labels is not None and ratio is not None:
        if level is not None:
            levels = tables.overlap_rows(labels, ratio, level)
        if second is not None:
            pairs = tables.overlap_pairs(labels, second, ratio)
    return OverlapSection(
        levels=levels,
        note=sentences.overlap_sentence(results.attr("overlap")),
        pairs=pairs,
        taken_apart=sentences.decomposition_sentence(results.attr("decomposition")),
    )


def _acquisition_section(results: Results) -> AcquisitionSection:
    facts = results.attr("acquisition")
    return AcquisitionSection(
        reader=facts.get("reader"),
        signal=facts.get("signal"),
        intensity=sentences.intensity_sentence(facts),
        camera=sentences.camera_sentence(facts),
        stretched=words.number(facts.get("camera_gamma")) is not None,
        beam_shift=sentences.beam_shift_sentence(results.values("acquisition", "scan_beam_shift")),
        guesses=sentences.guess_sentences(facts),
    )


def _repairs_section(results: Results, notes: Sequence[str]) -> RepairsSection:
    facts = results.attr("acquisition")
    return RepairsSection(
        sentences=sentences.repairs(
            facts, results.values("acquisition", "detector_mask"), analysed_mask(results), notes
        ),
        recorded=bool(facts),
    )


def _run_section(
    results: Results, run: Mapping[str, Any], request: Mapping[str, Any]
) -> RunSection:
    return RunSection(
        steps=tables.step_rows(run.get("steps") or []),
        seconds=words.seconds_text(run.get("seconds")),
        peak=words.bytes_text(run.get("peak_bytes")),
        predicted=words.bytes_text(run.get("predicted_peak_bytes")),
        request=json.dumps(request, indent=2, default=str, ensure_ascii=False),
        versions=run.get("versions") or {"orimap": results.attrs.get("orimap_version", "–")},
        machine=tables.machine_rows(run.get("machine") or {}),
    )


def _page(results: Results, run: Mapping[str, Any]) -> ReportPage:
    """Fill in every section; the figures are added once they are drawn."""
    answer = _answer(results)
    confidence = results.attr("decision").get("confidence")
    request = run.get("request") or words.decoded(results.attrs.get("request")) or {}
    return ReportPage(
        title=words.headline(
            answer.decided,
            confidence,
            stored_k(results, "decided_k"),
            crystal=answer.crystal,
            countable=answer.countable,
        ),
        source=source_name(results.attr("acquisition")),
        measured=sentences.measured_sentence(results),
        clusters=_cluster_cards(results),
        images={},
        written=minute_now(),
        answer=answer,
        map=_map_section(results, request),
        evidence=_evidence_section(results, answer),
        overlap=_overlap_section(results),
        noise=tables.noise_rows(results),
        reflections=[
            *sentences.reflection_sentences(results.attr("reflection_maps")),
            *sentences.uniform_sentences(results),
        ],
        agreement=words.figure_text(results.attr("baseline").get("agreement"), 2),
        acquisition=_acquisition_section(results),
        repairs=_repairs_section(results, run.get("notes") or []),
        run=_run_section(results, run, request),
    )


def _revised(page: ReportPage, revision: Revision, figures: str) -> ReportPage:
    """Return the page of a revision: no confidence is in a number that somebody chose."""
    clusters = words.count_text(len(page.clusters), "cluster")
    return replace(
        page,
        title=f"{clusters}, edited by hand",
        revision=RevisionSection(revision.name, revision.edits, revision.standing),
        figures=figures,
    )


def write_report(
    results: Path,
    output: Path,
    *,
    run: Mapping[str, Any],
    executor: Executor | None = None,
    revision: Revision | None = None,
) -> Path:
    """Write ``output/report.html`` and ``output/figures/*.png`` from the stored results.

    Parameters
    ----------
    results : Path
        ``analysis.zarr``. The page names what it does not hold as missing.
    output : Path
        Folder; only the report and the figures named in ``drawings.FIGURES`` are written, each
        whole. A figure of an earlier report that cannot be drawn any more is removed.
    run : mapping
        What ``run.json`` holds: request, versions, machine, steps, times and memory.
    executor : concurrent.futures.Executor, optional
        Its processes, which see both folders, draw the figures; by default this process does.
    revision : Revision, optional
        Of these results: its page is written, ``report-NAME.html`` and ``figures-NAME``.

    Returns
    -------
    Path
        Path of the report.

    Raises
    ------
    InputError
        If there are no results.
    """
    report, folder, store = output / "report.html", output / "figures", None
    if revision is not None:
        report, folder = revision_page(output, revision.name)
        store = revision_store(output, revision.name)
    calls = []
    if executor is not None:
        calls = [executor.submit(draw_part, results, folder, i, PARTS, store) for i in range(PARTS)]
    found = read_results(results, store)
    page = _page(found, run)
    if revision is not None:
        page = _revised(page, revision, folder.name)
    images = [call.result() for call in calls] or [draw_part(results, folder, revision=store)]
    for some in images:
        page = replace(page, images={**page.images, **some})
    write_whole(report, render("report.html", page))
    return report


def draw_part(
    results: Path, folder: Path, part: int = 0, parts: int = 1, revision: Path | None = None
) -> dict[str, Picture]:
    """Draw one of several parts of the figures that stored results allow, by default all.

    What draws is loaded here, so that a process that has its figures drawn elsewhere does without.
    """
    from orimap.tasks.report.drawings import FIGURES, report_drawings

    # Neighbours on the page take alike long: each part gets some of every kind.
    names = list(FIGURES)[part::parts]
    return write_figures(folder, report_drawings(read_results(results, revision), names), names)
