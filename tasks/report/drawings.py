"""Say which figures stored results allow: one function a figure, in the order of the page.

Each returns what the figure shows, in words, and how to draw it, or None where what it needs was
not stored.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
from matplotlib.figure import Figure

from orimap.tasks.report import tables, words
from orimap.tasks.report.figures import clusters, curves, overlap, scan_maps
from orimap.tasks.report.figures.images import ScanGrid
from orimap.tasks.report.page import Drawing
from orimap.tasks.report.results import (
    REFLECTION_MAPS,
    Results,
    analysed_mask,
    cluster_names,
    drawn_labels,
    fidelity_scores,
    mean_patterns,
    not_measured,
    pair_matrices,
    reflection_map_titles,
    scan_grid,
    stored_k,
    where_measured,
)

SHARE_PIXELS = 400  # a small multiple is drawn some 230 dots wide: more positions do not show

Drawn = tuple[str, Callable[[], Figure]] | None


def report_drawings(results: Results, names: Iterable[str]) -> Iterator[Drawing]:
    """Return those of the named figures that the results allow; any part of them may be absent."""
    for name in names:
        found = FIGURES[name](results)
        if found is not None:
            alt, draw = found
            yield Drawing(name, alt, draw)


def _grid(results: Results) -> ScanGrid:
    return scan_grid(results.attr("acquisition"))


def _sampled(shape: tuple[int, ...], scan: ScanGrid) -> tuple[int, ScanGrid]:
    """Return the step between the positions that a small map shows, and the grid of those."""
    step = -(-max(shape[:2]) // SHARE_PIXELS)
    return step, scan.every(step)


def _missing(results: Results, step: int) -> np.ndarray | None:
    """Return which positions of a small map were not measured, None where all were."""
    missing = not_measured(results)
    return None if missing is None else missing[::step, ::step]


# Where each pattern is ----------------------------------------------------------------------


def _patterns(results: Results) -> np.ndarray | None:
    """Return the mean pattern of each cluster, or else its pattern from the factorisation."""
    means = results.values("clusters", "cluster_mean_pattern")
    return results.values("clusters", "cluster_representative") if means is None else means


def _cluster_count(labels: np.ndarray, patterns: np.ndarray | None) -> int:
    """Return the number of clusters; the last ones may have no position."""
    return max(int(labels.max()) + 1, 0 if patterns is None else len(patterns))


def _cluster_map(results: Results) -> Drawn:
    labels = drawn_labels(results)
    if labels is None:
        return None
    count = _cluster_count(labels, _patterns(results))
    return (
        f"Map of the scan, each position in the colour of its cluster; {count} clusters.",
        lambda: clusters.cluster_map_figure(labels, count, _grid(results)),
    )


def _clusters(results: Results) -> Drawn:
    labels, patterns = drawn_labels(results), _patterns(results)
    if labels is None or patterns is None:
        return None
    return (
        "The cluster map and beside it the mean pattern of each cluster.",
        lambda: clusters.clusters_figure(
            labels, patterns, _grid(results), mask=analysed_mask(results)
        ),
    )


# Why that number ----------------------------------------------------------------------------


def _marks(results: Results) -> dict[str, int | None]:
    """Return the numbers that are marked on every curve."""
    return {"decided": stored_k(results, "decided_k"), "fitted": stored_k(results, "fitted_k")}


def _distinct(results: Results) -> Drawn:
    distinct = results.values("decision", "k_distinct")
    if distinct is None:
        return None
    return (
        "Number of distinct patterns after merging against the number fitted.",
        lambda: curves.distinct_figure(
            results.values("decision", "k"),
            distinct,
            background=results.values("decision", "k_background"),
            **_marks(results),
        ),
    )


def _held_out(results: Results) -> Drawn:
    drop = results.values("decision", "k_held_out_drop")
    if drop is None:
        return None
    error = results.values("decision", "k_held_out_drop_error")
    return (
        "Drop in the held-out error with each further component, on a logarithmic scale.",
        lambda: curves.held_out_figure(
            results.values("decision", "k"),
            drop,
            np.zeros(len(drop)) if error is None else error,
            threshold=words.number(results.attr("decision").get("drop_threshold")),
            **_marks(results),
        ),
    )


def _loss(results: Results) -> Drawn:
    loss = results.values("decision", "k_component_loss")
    if loss is None:
        return None
    k, facts = results.values("decision", "k"), results.attr("decision")
    errors = [words.number(results.fits.get(int(n), {}).get("loss_error")) or 0.0 for n in k]
    low, high = words.whole(facts.get("range_low")), words.whole(facts.get("range_high"))
    knee = words.whole(facts.get("knee"))
    return (
        "Loss against the number of components"
        + (f", knee at {knee}." if knee is not None else ", without a knee."),
        lambda: curves.loss_figure(
            k,
            loss,
            relative=results.values("decision", "k_relative_loss"),
            error=np.array(errors),
            knee=knee,
            interest=None if low is None or high is None else (low, high),
            units=results.intensity_units,
            **_marks(results),
        ),
    )


def _scree(results: Results) -> Drawn:
    stored = {
        "weighted patterns (sketch)": results.values("sketch", "singular_value"),
        "patterns (tsqr)": results.values("baseline", "scree_value"),
    }
    spectra = {name: values for name, values in stored.items() if values is not None}
    if not spectra:
        return None
    return (
        "Singular values on a logarithmic scale.",
        lambda: curves.scree_figure(spectra, **_marks(results)),
    )


def _pairs(results: Results) -> Drawn:
    fitted = stored_k(results, "fitted_k")
    pairs = pair_matrices(results, fitted)
    if not pairs:
        return None
    owners = results.values("clusters", "component_cluster")
    if owners is None or len(owners) != fitted:
        # Patterns were told apart by components of dark fields, which are others.
        owners = None
    return (
        f"Pairwise {', '.join(pairs)} between the {fitted} fitted components.",
        lambda: curves.pairs_figure(pairs, owners),
    )


# Where patterns overlap ---------------------------------------------------------------------


def _overlap(results: Results) -> Drawn:
    labels = drawn_labels(results)
    ratio = results.values("overlap", "overlap_ratio")
    level = results.values("overlap", "overlap_level")
    if labels is None or ratio is None or level is None:
        return None
    count = _cluster_count(labels, _patterns(results))
    return (
        "Three maps: clusters darkened where a second pattern is present, the ratio of "
        "the second share to the first, and the levels of 75 to 95 per cent.",
        lambda: clusters.overlap_figure(labels, ratio, level, count, _grid(results)),
    )


def _fitted_pixels(results: Results) -> np.ndarray | None:
    """Return which pixels of the detector were fitted, (dy, dx), where that is known."""
    fitted = results.values("sketch", "detector_fitted")
    return None if fitted is None else fitted.astype(bool)


def _decomposition(results: Results) -> Drawn:
    found = results.groups["decomposition"]
    if "decomposed_pattern" not in found:
        return None
    units = {"electron": "electrons"}.get(results.intensity_units, results.intensity_units)
    fitted = _fitted_pixels(results)
    seen = 1 if fitted is None else fitted
    contribution, background, measured, residual = (
        found[f"decomposed_{name}"].values * seen
        for name in ("contribution", "background", "pattern", "residual")
    )
    share, error = (found[f"decomposed_{name}"].values for name in ("share", "share_error"))
    parts = overlap.parts_of(contribution, share, error, background, units=units)
    y, x = (int(at) for at in found.attrs["position"])
    return (
        f"The pattern at row {y}, column {x} as the sum of what each cluster contributes, "
        "of the background and of what is left.",
        lambda: overlap.decomposition_figure(
            measured,
            parts,
            residual,
            units=units,
            clusters=found.sizes["cluster"],
            fitted=fitted,
        ),
    )


def _line(results: Results) -> Drawn:
    line = results.groups["line"]
    labels = drawn_labels(results)
    ratio = results.values("overlap", "overlap_ratio")
    if "line_pattern" not in line or labels is None or ratio is None:
        return None
    names = ("position", "pattern", "share", "share_error")
    return (
        "The map of clusters with a line across an overlap, the shares along the line as "
        "curves, and below them the patterns.",
        lambda: overlap.line_figure(
            labels,
            ratio,
            *(line[f"line_{name}"].values for name in names),
            _grid(results),
            fitted=_fitted_pixels(results),
            cluster_names=cluster_names(results),
        ),
    )


# How well patterns are reproduced, and how much of each is where ----------------------------


def _fidelity(results: Results) -> Drawn:
    means = results.values("clusters", "cluster_mean_pattern")
    representatives = results.values("clusters", "cluster_representative")
    if means is None or representatives is None:
        return None
    return (
        "The mean raw pattern of each cluster above the pattern of the factorisation.",
        lambda: clusters.fidelity_figure(
            means, representatives, fidelity_scores(results), mask=analysed_mask(results)
        ),
    )


def _shares(results: Results) -> Drawn:
    shares = results.groups["clusters"].get("cluster_share")
    if shares is None or not shares.size:
        return None
    step, coarse = _sampled(shares.shape, _grid(results))
    return (
        "Maps of the share of each cluster at every position.",
        lambda: clusters.share_figure(
            where_measured(results, shares.values, np.nan)[::step, ::step], coarse
        ),
    )


# What the registered reflections show -------------------------------------------------------


def _reflection_maps(results: Results) -> Drawn:
    ds = results.groups["reflection_maps"]
    varied, _ = reflection_map_titles(results)
    if not varied:
        return None
    step, coarse = _sampled(ds[next(iter(varied))].shape, _grid(results))

    def draw() -> Figure:
        panels = [
            scan_maps.MapPanel(
                title,
                ds[name].values[::step, ::step],
                ds[name].attrs.get("units", "1"),
                REFLECTION_MAPS[name][1],
            )
            for name, title in varied.items()
        ]
        return scan_maps.scan_maps_figure(panels, coarse, _missing(results, step))

    titles = ", ".join(varied.values())
    return f"Maps of the scan from registered reflections: {titles}.", draw


def _dark_field(results: Results) -> Drawn:
    ds = results.groups["reflection_maps"]
    fields = ds.get("cluster_dark_field")
    if fields is None or not fields.size:
        return None
    owners, own = ds["place_cluster"].values, ds["place_own"].values
    step, coarse = _sampled(fields.shape, _grid(results))
    return (
        "Virtual dark field of the reflections that are each cluster's own.",
        lambda: scan_maps.dark_fields_figure(
            where_measured(results, fields.values, np.nan)[::step, ::step],
            coarse,
            units=fields.attrs.get("units", "1"),
            places=np.bincount(owners[own], minlength=fields.shape[2]),
        ),
    )


# Baseline and acquisition -------------------------------------------------------------------


def _baseline(results: Results) -> Drawn:
    labels = drawn_labels(results)
    other = results.values("baseline", "kmeans_label")
    if labels is None or other is None:
        return None
    agreement = words.number(results.attr("baseline").get("agreement"))
    return (
        "The cluster map beside that of k-means.",
        lambda: clusters.baseline_figure(labels, other, _grid(results), agreement),
    )


def _acquisition(results: Results) -> Drawn:
    bright_field = results.values("acquisition", "scan_virtual_bright_field")
    means = mean_patterns(results)
    if bright_field is not None:
        bright_field = where_measured(results, bright_field, np.nan)
    if bright_field is None and not means:
        return None
    return (
        "Virtual bright field of the scan and the mean pattern with masked pixels marked"
        + (", as acquired and as analysed." if len(means) > 1 else "."),
        lambda: clusters.acquisition_figure(bright_field, means, _grid(results)),
    )


def _camera(results: Results) -> Drawn:
    found = {
        name: results.values("acquisition", f"brightness_{name}")
        for name in ("mean", "variance", "variance_error", "whole_variance", "whole_variance_error")
    }
    stored = {name: values for name, values in found.items() if values is not None}
    if len(stored) < len(found):
        return None
    facts = results.attr("acquisition")
    table = tables.camera_rows(facts)
    gain, shift, offset, read_noise = (
        words.number(facts.get(f"camera_{name}"))
        for name in ("gain", "shift", "offset", "read_noise")
    )
    units = {"grey level": "grey levels"}.get(results.intensity_units, results.intensity_units)
    if units == "electron":
        # That of counts; other values have it for want of a better one.
        units = "electrons" if facts.get("counts_like") else ""
    measured = "; ".join(f"{name}: {value}" for name, value in table.items())
    return (
        "Variance of the noise against mean intensity, of single pixels and together with their "
        "neighbours" + (f". Measured: {measured}." if measured else "."),
        lambda: curves.camera_figure(
            stored["mean"],
            {
                "single pixels": (stored["variance"], stored["variance_error"]),
                "with their neighbours": (stored["whole_variance"], stored["whole_variance_error"]),
            },
            line=None if gain is None or shift is None else (gain, shift),
            offset=offset,
            read_noise=read_noise,
            saturation=words.number(facts.get("saturation_value")),
            units=units,
            table=table,
        ),
    )


def _beam_shift(results: Results) -> Drawn:
    shift = results.values("acquisition", "scan_beam_shift")
    if shift is None:
        return None
    step, coarse = _sampled(shift.shape, _grid(results))
    return (
        "Two maps of where the direct beam lies in each pattern, along y and along x.",
        lambda: scan_maps.beam_shift_figure(shift[::step, ::step], coarse, _missing(results, step)),
    )


FIGURES: Mapping[str, Callable[[Results], Drawn]] = {
    "cluster_map": _cluster_map,
    "clusters": _clusters,
    "distinct": _distinct,
    "held_out": _held_out,
    "loss": _loss,
    "scree": _scree,
    "pairs": _pairs,
    "overlap": _overlap,
    "decomposition": _decomposition,
    "line": _line,
    "fidelity": _fidelity,
    "shares": _shares,
    "reflection_maps": _reflection_maps,
    "dark_field": _dark_field,
    "baseline": _baseline,
    "acquisition": _acquisition,
    "camera": _camera,
    "beam_shift": _beam_shift,
}
