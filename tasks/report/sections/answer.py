"""The answer: how many patterns, and a card for each cluster with all that is known of it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from orimap.tasks.report import words
from orimap.tasks.report.figures.images import pattern_scale_bar
from orimap.tasks.report.figures.palette import text_colour
from orimap.tasks.report.figures.thumbnail import cluster_tile, pattern_tile
from orimap.tasks.report.page import Swatch, data_address
from orimap.tasks.report.results import (
    Results,
    analysed_mask,
    cluster_names,
    colours_of,
    detector_grid,
    drawn_labels,
    fidelity_scores,
    stored_k,
)
from orimap.tasks.store.variables import OVERLAP_RATIO


@dataclass(frozen=True)
class ScaleBar:
    """A scale bar on an image: its length in per cent of the image's width, and as text."""

    percent: float
    text: str


@dataclass(frozen=True)
class ClusterCard(Swatch):
    """A cluster: how large it is, its map and patterns (addresses of images), its numbers.

    Parameters
    ----------
    name : str
        What somebody called it, mostly nothing.
    positions, share : str
        Number of its positions, and their share of the scan.
    origin : str
        The components that it is made of, or its positions where those are not known.
    map : str or None
        Its positions in its colour; None where it has none.
    mean, representative : str or None
        Mean raw pattern and pattern of the factorisation.
    scores : mapping of metric to str
    facts : mapping of str to str
        What else is known of it, by what it is.
    scale : ScaleBar or None
        Of both patterns.
    """

    name: str
    positions: str
    share: str
    origin: str
    map: str | None
    mean: str | None
    representative: str | None
    scores: Mapping[str, str]
    facts: Mapping[str, str]
    scale: ScaleBar | None


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


def answer_of(results: Results) -> Answer:
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


def cluster_cards(results: Results) -> list[ClusterCard]:
    """Return what the page shows of each cluster: map, patterns, number, size, fidelity."""
    labels = drawn_labels(results)
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
    for cluster, colour in enumerate(colours_of(results, count)):
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
                map=data_address(cluster_tile(labels, cluster, colour)) if size else None,
                mean=tile(means, cluster),
                representative=tile(representatives, cluster),
                scores={
                    name: words.score_text(name, values[cluster]) for name, values in scores.items()
                },
                facts=_facts(results, labels == cluster, cluster),
                scale=_scale(results, means if representatives is None else representatives),
            )
        )
    return cards


def _facts(results: Results, inside: np.ndarray, cluster: int) -> dict[str, str]:
    """Return the mean share of a cluster where it is the strongest, and how much of it overlaps."""
    found = {}
    shares = results.groups["clusters"].get("cluster_share")
    if shares is not None and inside.any():
        own = shares[..., cluster].values[inside]
        if np.isfinite(own).any():
            found["mean share"] = words.figure_text(np.nanmean(own), 2)
    ratio = results.values("overlap", "overlap_ratio")
    if ratio is not None and inside.any():
        overlapping = np.count_nonzero(ratio[inside] >= OVERLAP_RATIO)
        found["overlapping"] = words.percent_text(overlapping / np.count_nonzero(inside))
    return found


def _scale(results: Results, patterns: np.ndarray | None) -> ScaleBar | None:
    """Return the scale bar of the patterns of clusters, where there are any."""
    if patterns is None:
        return None
    fraction, text = pattern_scale_bar(patterns.shape[-2:], detector_grid(results))
    return ScaleBar(round(100 * fraction, 2), text)


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
