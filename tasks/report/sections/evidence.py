"""Why that number: what is said of the decision, and below each of its curves."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from orimap.tasks.report.results import MOST_WRITTEN, Results, automatic_k
from orimap.tasks.report.sections import tables
from orimap.tasks.report.sections.answer import Answer
from orimap.tasks.report.words import count_text, decoded, figure_text, plural, whole


@dataclass(frozen=True)
class EvidenceSection:
    """Why that number: reasons, votes, the values for every k, and what stands below curves.

    ``decided`` is the number of the automatic result; ``captions`` are by the name of the figure.
    """

    sentences: Sequence[str]
    decided: int | None
    strategy: str | None
    criteria: Sequence[tables.Criterion]
    captions: Mapping[str, str]
    no_held_out: str
    k_table: tables.KTable


def evidence_section(
    results: Results, answer: Answer, request: Mapping[str, Any]
) -> EvidenceSection:
    """Return what is said of the decision."""
    facts = results.attr("decision")
    decided = automatic_k(results) if results.automatic else answer.decided
    owners = results.values("clusters", "component_cluster")
    k, error = results.values("decision", "k"), results.values("decision", "k_held_out_drop_error")
    counts_like = results.attr("acquisition").get("counts_like")
    loss = results.values("decision", "k_component_loss")
    return EvidenceSection(
        sentences=decision_sentences(
            {**facts, "decided_k": decided, "fitted_k": answer.fitted},
            0 if owners is None else int(np.count_nonzero(owners < 0)),
        ),
        decided=decided,
        strategy=facts.get("strategy"),
        criteria=tables.criteria_rows(facts),
        captions={
            "distinct": distinct_sentence(
                k, results.values("decision", "k_distinct"), merged=not request.get("no_merge")
            ),
            "held_out": held_out_sentence(
                counts_like, bars=error is not None and np.any(error > 0)
            ),
            "loss": loss_sentence(k, loss, whole(facts.get("knee")), facts.get("strategy")),
            "scree": "Singular values, each set over its first. Directions that stand out above a "
            "level tail hold signal; bending and a drifting beam add directions of their own.",
            "pairs": pairs_sentence(
                None if owners is None else len(owners) == answer.fitted, answer.fitted
            ),
        },
        no_held_out=no_held_out_sentence(counts_like),
        k_table=tables.k_table(results),
    )


def decision_sentences(facts: Mapping[str, Any], background: int) -> list[str]:
    """Say how the number was found and how near the next best was; then the stored reasons."""
    decided, fitted = whole(facts.get("decided_k")), whole(facts.get("fitted_k"))
    reasons = [str(reason) for reason in decoded(facts.get("reasons")) or []]
    sentences = []
    told = any(reason.startswith("The fit used has") for reason in reasons)
    if not told and fitted is not None and decided is not None:
        text = f"The fit used has {count_text(fitted, 'component')}"
        if fitted == decided and not background:
            text += ", each a distinct pattern"
        elif decided < fitted:
            text += f"; {count_text(decided, 'distinct pattern')} {plural(decided, 'is', 'are')}"
            text += " left after merging those that show the same reflections"
            if background:
                text += f" and setting {count_text(background, 'background component')} aside"
        else:
            text += f"; {count_text(decided, 'distinct pattern')} {plural(decided, 'is', 'are')}"
            text += " told apart in them"
        sentences.append(text + ".")
    sentences += reasons
    failed = decoded(facts.get("failed_fits"))
    if failed is not None and len(failed):
        sentences.append("These fits gave no result: k = " + ", ".join(map(str, failed)) + ".")
    return sentences


def distinct_sentence(
    k: np.ndarray | None, distinct: np.ndarray | None, *, merged: bool = True
) -> str:
    """Say how many patterns of each fit are distinct.

    Parameters
    ----------
    k, distinct : (k,) arrays or None
        Components fitted and patterns left of them; below 0 where that is not known.
    merged : bool
        Whether components that show the same reflections were merged.
    """
    text = (
        "Components that show the same reflections, at neighbouring positions, are merged."
        if merged
        else "Here components that show the same reflections would be merged; it was asked to keep "
        "them apart."
    )
    if k is None or distinct is None:
        return text
    known = [(int(n), int(d)) for n, d in zip(k, distinct, strict=True) if d >= 0]
    repeating = [n for n, d in known if d < n]
    if not known:
        return text
    last, left = known[-1]
    if not repeating:
        return (
            f"{text} In none of the fits was there one to merge: the blue line is the dotted one."
        )
    before = [n for n, _ in known if n < repeating[0]]
    if before:
        up_to = "the fit" if len(before) == 1 else "the fits"
        text += f" In {up_to} of {_span(before)} there was none to merge."
    return f"{text} Of {count_text(last, 'component')}, the most tried, {left} are distinct."


def _span(numbers: Sequence[int]) -> str:
    """Return numbers that follow one another: 1 component, 1 to 6 components."""
    if len(numbers) == 1:
        return count_text(numbers[0], "component")
    return f"{numbers[0]} to {count_text(numbers[-1], 'component')}"


def held_out_sentence(counts_like: bool | None, *, bars: bool) -> str:
    """Say what was kept out of the fits, and how its error is to be read."""
    if counts_like is None:
        text = "Part of the data was kept out of the fits and predicted."
    elif counts_like:
        text = "Half of the electrons were kept out of the fits."
    else:
        text = (
            "Half of the positions and half of the pixels were kept out of the fits, in turn, and "
            "predicted from the others."
        )
    text += " A further component that describes something real lowers the error on what was kept "
    text += "out by far more than its uncertainty"
    return text + ("; the bars are one standard error." if bars else ".")


def no_held_out_sentence(counts_like: bool | None) -> str:
    """Say why there is no held-out curve."""
    if counts_like is not None and not counts_like:
        return (
            "There is no held-out curve: the intensities do not behave as electron counts, so they "
            "cannot be split in half at random."
        )
    return "There is no held-out curve: no counts were held out in this run."


def loss_sentence(
    k: np.ndarray | None, loss: np.ndarray | None, knee: int | None, strategy: str | None = None
) -> str:
    """Say how the loss goes on as k grows, and what its knee is.

    Parameters
    ----------
    k, loss : (k,) arrays or None
        NaN where a fit has none.
    knee : int or None
    strategy : str, optional
        What the number was decided by.
    """
    text = "" if k is None or loss is None else _course(np.asarray(k), np.asarray(loss, float))
    if knee is None:
        return (text + " The loss has no knee.").strip()
    text += f" Its knee is at {knee}"
    if k is not None and loss is not None and _levels_off(np.asarray(k), np.asarray(loss), knee):
        text += ", where it stops falling steeply"
    if strategy == "knee":
        return f"{text}; this run was asked to take the number from it.".strip()
    text += ". It depends on the range of k and does not decide alone."
    return text.strip()


def _course(k: np.ndarray, loss: np.ndarray) -> str:
    """Say whether the loss falls everywhere, or from where on it does not."""
    known = np.isfinite(loss)
    k, loss = k[known], loss[known]
    if len(k) < 2:
        return ""
    steps = np.diff(loss)
    if (steps < 0).all():
        return "The loss falls with every further component."
    at = int(np.argmin(loss))
    smallest = f"{_digits(loss[at], loss)} at k = {k[at]}"
    if at == 0:
        return f"No further component lowers the loss: it is smallest at k = {k[0]}."
    if at < len(k) - 1:
        last = f"{_digits(loss[-1], loss)} at k = {k[-1]}"
        return f"The loss is smallest, {smallest}; beyond it does not fall further ({last})."
    rises = [str(n) for n in k[1:][steps >= 0]]
    return (
        f"The loss is smallest at the largest k tried, {k[-1]}, but does not fall at every step: "
        f"not at k = {', '.join(rises)}."
    )


def _digits(value: float, among: np.ndarray) -> str:
    """Return a loss with as many decimals as tell it from the others."""
    spread = float(np.ptp(among))
    if not spread or not 1e-6 < spread < 1e6:
        return figure_text(value, 4)
    return f"{value:.{max(0, 2 - math.floor(math.log10(spread)))}f}"


def _levels_off(k: np.ndarray, loss: np.ndarray, knee: int) -> bool:
    """Return whether the loss falls less steeply from its knee on than before it."""
    known = np.isfinite(loss)
    k, loss = k[known], np.asarray(loss, float)[known]
    at = np.flatnonzero(k == knee)
    if not at.size or at[0] in (0, len(k) - 1):
        return False
    i = int(at[0])
    before = (loss[0] - loss[i]) / (k[i] - k[0])
    after = (loss[i] - loss[-1]) / (k[-1] - k[i])
    return before > max(after, 0)


def pairs_sentence(owned: bool | None, fitted: int | None) -> str:
    """Say what the matrices of pairs show.

    Parameters
    ----------
    owned : bool or None
        Whether the fitted components are those that clusters are made of; None where it is not
        known what clusters are made of.
    fitted : int or None
        Number of components.
    """
    text = "Every component of the fit"
    if owned is False:
        text += " to whole patterns"
    text += " against every other; brighter is more alike, in all panels."
    if owned:
        text += (
            " The coloured squares name the cluster that a component belongs to, grey is "
            "background. A bright cell between two colours would mean two clusters with almost the "
            "same pattern."
        )
    elif owned is False:
        text += (
            " Two that are alike repeat one pattern, as of a grain that bends. Clusters are made "
            "of parts that are fitted to the reflections alone: these numbers do not apply to them."
        )
    if fitted is not None and fitted > MOST_WRITTEN:
        text += f" Of more than {MOST_WRITTEN} components the values are not written out."
    return text
