"""Where each pattern is: what is said of the map of clusters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from orimap.tasks.report.results import Results, analysed_mask
from orimap.tasks.report.words import (
    cluster_text,
    count_text,
    number,
    percent_text,
    plural,
    whole,
)


@dataclass(frozen=True)
class MapSection:
    """Remarks on the map of clusters; ``none_share`` of the positions have no cluster.

    ``meaning`` says what each colour is.
    """

    meaning: str
    none_share: str | None
    pixels_left_out: bool
    notes: Sequence[str]


def map_section(results: Results, request: Mapping[str, Any], revised: bool) -> MapSection:
    """Return what is said of the map; ``revised`` where somebody edited its clusters."""
    labels = results.values("clusters", "cluster_label")
    parents = results.values("clusters", "cluster_parent")
    left_out = analysed_mask(results)
    none_share = None
    measured = results.values("acquisition", "scan_measured")
    if labels is not None:
        without = labels < 0 if measured is None else (labels < 0) & (measured > 0)
        if without.any():
            none_share = percent_text(np.count_nonzero(without) / labels.size)
    # What the request asked for happened to the automatic result, before it was edited.
    of_request = [] if revised else map_sentences(results.attr("clusters"), request, parents)
    return MapSection(
        meaning=colours_sentence(results.attr("decision"), parents, revised=revised),
        none_share=none_share,
        pixels_left_out=left_out is not None and bool(left_out.any()),
        notes=[*not_measured_sentences(measured), *of_request],
    )


def colours_sentence(
    decision: Mapping[str, Any], parents: np.ndarray | None, *, revised: bool = False
) -> str:
    """Say what a colour of the map stands for.

    Parameters
    ----------
    decision : mapping
        Attributes of /decision.
    parents : (cluster,) array or None
        The cluster whose components each cluster has.
    revised : bool
        Whether somebody edited the clusters.
    """
    if revised:
        return "Each colour is one cluster as it was edited"
    if not decision.get("crystal_found", True):
        return "Each colour is one cluster; none of them shows a crystal"
    if not decision.get("countable", True):
        return "Each colour is one cluster; of so few positions that does not make it a pattern"
    if parents is not None and len(np.unique(parents)) < len(parents):
        return "Each colour is one cluster; some have the same pattern, as said below"
    return "Each colour is one distinct pattern"


def not_measured_sentences(measured: np.ndarray | None) -> list[str]:
    """Say how many positions were not measured; (scan_y, scan_x), 0 where one was not."""
    missing = 0 if measured is None else int(np.count_nonzero(measured == 0))
    if measured is None or not missing:
        return []
    return [
        f"{count_text(missing, 'position')} ({percent_text(missing / measured.size)}) "
        f"{plural(missing, 'was', 'were')} not measured: black in the maps, which does not mean "
        "without a cluster."
    ]


def map_sentences(
    facts: Mapping[str, Any], request: Mapping[str, Any], parents: np.ndarray | None
) -> list[str]:
    """Say what regularity and splitting did to the map.

    Parameters
    ----------
    facts : mapping
        Attributes of /clusters.
    request : mapping
        The request of the run.
    parents : (cluster,) array or None
        The cluster whose components each cluster has.
    """
    said = []
    regularity, moved = number(request.get("regularity")), whole(facts.get("positions_moved"))
    if regularity and moved is not None:
        said.append(
            f"With a regularity of {regularity:g}, {count_text(moved, 'position')} changed to the "
            "cluster of most neighbours; the shares are unchanged."
        )
    if request.get("split_unconnected") and parents is not None:
        whole_ones = len(np.unique(parents))
        if len(parents) == whole_ones:
            said.append("No cluster has unconnected parts that were large enough to be split.")
        else:
            said.append(
                f"{count_text(whole_ones, 'distinct pattern')} were split into "
                f"{count_text(len(parents), 'cluster')} that are each connected in the scan: "
                + "; ".join(
                    f"{', '.join(map(cluster_text, _pieces(parents, parent)))} have the same "
                    "pattern"
                    for parent in np.unique(parents)
                    if np.count_nonzero(parents == parent) > 1
                )
                + "."
            )
    return said


def _pieces(parents: np.ndarray, parent: int) -> list[int]:
    """Return the clusters that one was split into."""
    return np.flatnonzero(parents == parent).tolist()


def unplaced_sentence(patterns: int) -> str:
    """Say that some patterns have no position in the map, because others are stronger."""
    count, are = count_text(patterns, "distinct pattern"), plural(patterns, "is", "are")
    left = plural(patterns, "was", "were")
    return f"{count} {are} not the strongest at any position and {left} left out of the map."
