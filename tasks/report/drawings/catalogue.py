"""Say which figures stored results allow: one function a figure, in the order of the page.

Each returns what the figure shows, in words, and how to draw it, or None where what it needs was
not stored.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from matplotlib.figure import Figure

from orimap.tasks.report.drawings import evidence, maps, overlap
from orimap.tasks.report.drawings.write import Drawing
from orimap.tasks.report.orientations import drawings as orientations
from orimap.tasks.report.results import Results

Drawn = tuple[str, Callable[[], Figure]] | None

FIGURES: Mapping[str, Callable[[Results], Drawn]] = {
    "cluster_map": maps.draw_cluster_map,
    "clusters": maps.draw_clusters,
    "distinct": evidence.draw_distinct,
    "held_out": evidence.draw_held_out,
    "loss": evidence.draw_loss,
    "scree": evidence.draw_scree,
    "pairs": evidence.draw_pairs,
    "overlap": overlap.draw_overlap,
    "levels": overlap.draw_levels,
    "decomposition": overlap.draw_decomposition,
    "line": overlap.draw_line,
    "fidelity": maps.draw_fidelity,
    "orientations": orientations.draw_orientations,
    "phases": orientations.draw_phases,
    "indexed": orientations.draw_indexed,
    "boundaries": orientations.draw_boundaries,
    "bending": orientations.draw_bending,
    "shares": maps.draw_shares,
    "reflection_maps": maps.draw_reflection_maps,
    "dark_field": maps.draw_dark_field,
    "baseline": maps.draw_baseline,
    "acquisition": maps.draw_acquisition,
    "camera": evidence.draw_camera,
    "beam_shift": maps.draw_beam_shift,
}


def report_drawings(results: Results, names: Iterable[str]) -> Iterator[Drawing]:
    """Return those of the named figures that the results allow; any part of them may be absent."""
    for name in names:
        found = FIGURES[name](results)
        if found is not None:
            alt, draw = found
            yield Drawing(name, alt, draw)
