"""Write ``report.html``, one self-contained page, and its figures as PNG files.

What the page shows is a ``ReportPage``: a dataclass for each section, which a function of
``sections`` fills from the stored results and from ``run.json``.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orimap.tasks.report import words
from orimap.tasks.report.orientations.section import OrientationSection, orientation_section
from orimap.tasks.report.page import Page, minute_now, render
from orimap.tasks.report.results import (
    Results,
    read_results,
    reflection_map_titles,
    source_name,
    stored_k,
)
from orimap.tasks.report.sections import reflections, tables
from orimap.tasks.report.sections.acquisition import (
    AcquisitionSection,
    acquisition_section,
    measured_sentence,
)
from orimap.tasks.report.sections.answer import Answer, ClusterCard, answer_of, cluster_cards
from orimap.tasks.report.sections.evidence import EvidenceSection, evidence_section
from orimap.tasks.report.sections.explore import explored
from orimap.tasks.report.sections.overlap import OverlapSection, overlap_section
from orimap.tasks.report.sections.run import (
    RepairsSection,
    RevisionSection,
    RunSection,
    repairs_section,
    run_section,
)
from orimap.tasks.report.sections.where import MapSection, map_section
from orimap.tasks.store.open_results import Revision, revision_page, revision_store
from orimap.tasks.store.whole_file import write_whole

if TYPE_CHECKING:
    from orimap.tasks.report.drawings.write import Picture

# The figures are drawn in this many parts where several processes draw them.
PARTS = 5


@dataclass(frozen=True)
class ReportPage(Page):
    """All that ``report.html`` shows, section by section; ``figures`` is the name of a folder.

    ``reflections`` are sentences, ``reflections_caption`` explains their maps.
    """

    clusters: Sequence[ClusterCard]
    answer: Answer
    map: MapSection
    evidence: EvidenceSection
    overlap: OverlapSection
    noise: tables.NoiseTable | None
    orientations: OrientationSection | None
    reflections: Sequence[str]
    reflections_caption: str
    agreement: str
    acquisition: AcquisitionSection
    repairs: RepairsSection
    run: RunSection
    revision: RevisionSection | None = None
    figures: str = "figures"
    results: str = ""


def page_of(
    results: Results, run: Mapping[str, Any], revision: Revision | None = None
) -> ReportPage:
    """Fill in every section; the figures are added once they are drawn."""
    answer, cards = answer_of(results), cluster_cards(results)
    request = run.get("request") or words.decoded(results.attrs.get("request")) or {}
    return ReportPage(
        title=_title(results, answer) if revision is None else words.edited_headline(len(cards)),
        source=source_name(results.attr("acquisition")),
        measured=measured_sentence(results),
        clusters=cards,
        images={},
        written=minute_now(),
        explored=explored(results, cards),
        answer=answer,
        map=map_section(results, request, revision is not None),
        evidence=evidence_section(results, answer, request),
        overlap=overlap_section(results),
        noise=tables.noise_rows(results),
        orientations=orientation_section(results),
        reflections=[
            *reflections.reflection_sentences(results.attr("reflection_maps")),
            *reflections.uniform_sentences(results),
        ],
        reflections_caption=reflections.maps_caption(reflection_map_titles(results)[0]),
        agreement=words.figure_text(results.attr("baseline").get("agreement"), 2),
        acquisition=acquisition_section(results),
        repairs=repairs_section(results, run.get("notes") or []),
        run=run_section(results, run, request),
        revision=revision
        and RevisionSection(revision.title or revision.name, revision.edits, revision.standing),
        results=str(results.attrs.get("complete", "")),
    )


def _title(results: Results, answer: Answer) -> str:
    """Return the answer in one sentence."""
    return words.headline(
        answer.decided,
        results.attr("decision").get("confidence"),
        stored_k(results, "decided_k"),
        crystal=answer.crystal,
        countable=answer.countable,
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
        Folder; only the report and the figures named in ``FIGURES`` are written, each
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
    page = replace(page_of(found, run, revision), figures=folder.name)
    images = [call.result() for call in calls] or [draw_part(results, folder, revision=store)]
    for some in images:
        page = replace(page, images={**page.images, **some})
    write_whole(report, render("report.html", page))
    return report


def draw_part(
    results: Path, folder: Path, part: int = 0, parts: int = 1, revision: Path | None = None
) -> dict[str, "Picture"]:
    """Draw one of several parts of the figures that stored results allow, by default all.

    What draws is loaded here, so that a process that has its figures drawn elsewhere does without.
    """
    from orimap.tasks.report.drawings.catalogue import FIGURES, report_drawings
    from orimap.tasks.report.drawings.write import write_figures

    # Neighbours on the page take alike long: each part gets some of every kind.
    names = list(FIGURES)[part::parts]
    return write_figures(folder, report_drawings(read_results(results, revision), names), names)
