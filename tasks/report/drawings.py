"""List the figures that stored results allow, each with its file name and a description."""

import numpy as np

from orimap.tasks.report import words
from orimap.tasks.report.figures import clusters, curves, overlap, scan_maps
from orimap.tasks.report.figures.images import ScanGrid
from orimap.tasks.report.page import Drawing
from orimap.tasks.report.results import (
    REFLECTION_MAPS,
    Results,
    analysed_mask,
    fidelity_scores,
    mean_patterns,
    pair_matrices,
    reflection_map_titles,
    scan_grid,
    stored_k,
)

SHARE_PIXELS = 400  # a small multiple is drawn some 230 dots wide: more positions do not show


def _sampled(shape: tuple[int, ...], scan: ScanGrid) -> tuple[int, ScanGrid]:
    """Return the step between the positions that a small map shows, and the grid of those."""
    step = -(-max(shape[:2]) // SHARE_PIXELS)
    return step, scan.every(step)


def map_drawings(results: Results) -> list[Drawing]:
    """Return the figures of where the clusters are and how they overlap."""
    scan = scan_grid(results.attr("acquisition"))
    mask = analysed_mask(results)
    labels = results.values("clusters", "cluster_label")
    means = results.values("clusters", "cluster_mean_pattern")
    representatives = results.values("clusters", "cluster_representative")
    made = []
    patterns = means if means is not None else representatives
    if labels is not None:
        count = max(int(labels.max()) + 1, 0 if patterns is None else len(patterns))
        made.append(
            Drawing(
                "cluster_map",
                f"Map of the scan, each position in the colour of its cluster; {count} clusters.",
                lambda: clusters.cluster_map_figure(labels, count, scan),
            )
        )
        if patterns is not None:
            made.append(
                Drawing(
                    "clusters",
                    "The cluster map and beside it the mean pattern of each cluster.",
                    lambda: clusters.clusters_figure(labels, patterns, scan, mask=mask),
                )
            )
        ratio = results.values("overlap", "overlap_ratio")
        level = results.values("overlap", "overlap_level")
        if ratio is not None and level is not None:
            made.append(
                Drawing(
                    "overlap",
                    "Three maps: clusters darkened where a second pattern is present, the ratio of "
                    "the second share to the first, and the levels of 75 to 95 per cent.",
                    lambda: clusters.overlap_figure(labels, ratio, level, count, scan),
                )
            )
        other = results.values("baseline", "kmeans_label")
        if other is not None:
            agreement = words.number(results.attr("baseline").get("agreement"))
            made.append(
                Drawing(
                    "baseline",
                    "The cluster map beside that of k-means.",
                    lambda: clusters.baseline_figure(labels, other, scan, agreement),
                )
            )
    if means is not None and representatives is not None:
        scores = fidelity_scores(results)
        made.append(
            Drawing(
                "fidelity",
                "The mean raw pattern of each cluster above the pattern of the factorisation.",
                lambda: clusters.fidelity_figure(means, representatives, scores, mask=mask),
            )
        )
    shares = results.groups["clusters"].get("cluster_share")
    if shares is not None and shares.size:
        step, coarse = _sampled(shares.shape, scan)
        made.append(
            Drawing(
                "shares",
                "Maps of the share of each cluster at every position.",
                lambda: clusters.share_figure(shares[::step, ::step].values, coarse),
            )
        )
    return made


def overlap_drawings(results: Results) -> list[Drawing]:
    """Return the figures of the strongest overlap: what it is made of, and a line through it."""
    fitted = results.values("sketch", "detector_fitted")
    fitted = None if fitted is None else fitted.astype(bool)
    made = []
    found, facts = results.groups["decomposition"], results.attr("decomposition")
    if "decomposed_pattern" in found:
        units = {"electron": "electrons"}.get(results.intensity_units, results.intensity_units)
        parts = overlap.parts_of(
            *(
                found[f"decomposed_{name}"].values
                for name in ("contribution", "share", "share_error", "background")
            ),
            units=units,
        )
        y, x = (int(at) for at in facts["position"])
        made.append(
            Drawing(
                "decomposition",
                f"The pattern at row {y}, column {x} as the sum of what each cluster contributes, "
                "of the background and of what is left.",
                lambda: overlap.decomposition_figure(
                    found["decomposed_pattern"].values,
                    parts,
                    found["decomposed_residual"].values,
                    units=units,
                    clusters=found.sizes["cluster"],
                    fitted=fitted,
                ),
            )
        )
    line = results.groups["line"]
    labels = results.values("clusters", "cluster_label")
    ratio = results.values("overlap", "overlap_ratio")
    if "line_pattern" in line and labels is not None and ratio is not None:
        names = ("position", "pattern", "share", "share_error")
        made.append(
            Drawing(
                "line",
                "The map of clusters with a line across an overlap, the shares along the line as "
                "curves, and below them the patterns.",
                lambda: overlap.line_figure(
                    labels,
                    ratio,
                    *(line[f"line_{name}"].values for name in names),
                    scan_grid(results.attr("acquisition")),
                    fitted=fitted,
                ),
            )
        )
    return made


def acquisition_drawings(results: Results) -> list[Drawing]:
    """Return the figures of what was measured."""
    scan = scan_grid(results.attr("acquisition"))
    bright_field = results.values("acquisition", "scan_virtual_bright_field")
    means = mean_patterns(results)
    made = []
    if bright_field is not None or means:
        made.append(
            Drawing(
                "acquisition",
                "Virtual bright field of the scan and the mean pattern with masked pixels marked"
                + (", as acquired and as analysed." if len(means) > 1 else "."),
                lambda: clusters.acquisition_figure(bright_field, means, scan),
            )
        )
    shift = results.values("acquisition", "scan_beam_shift")
    if shift is not None:
        step, coarse = _sampled(shift.shape, scan)
        made.append(
            Drawing(
                "beam_shift",
                "Two maps of where the direct beam lies in each pattern, along y and along x.",
                lambda: scan_maps.beam_shift_figure(shift[::step, ::step], coarse),
            )
        )
    return made


def evidence_drawings(results: Results) -> list[Drawing]:
    """Return the figures of the evidence for k."""
    facts = results.attr("decision")
    decided, fitted = stored_k(results, "decided_k"), stored_k(results, "fitted_k")
    marks = {"decided": decided, "fitted": fitted}
    made = []
    k = results.values("decision", "k")
    loss = results.values("decision", "k_component_loss")
    if loss is not None:
        errors = [words.number(results.fits.get(int(n), {}).get("loss_error")) or 0.0 for n in k]
        low, high = words.whole(facts.get("range_low")), words.whole(facts.get("range_high"))
        interest = None if low is None or high is None else (low, high)
        knee = words.whole(facts.get("knee"))
        units = results.groups["decision"]["k_component_loss"].attrs.get("units", "electron")
        made.append(
            Drawing(
                "loss",
                "Loss against the number of components"
                + (f", knee at {knee}." if knee is not None else ", without a knee."),
                lambda: curves.loss_figure(
                    k,
                    loss,
                    relative=results.values("decision", "k_relative_loss"),
                    error=np.array(errors),
                    knee=knee,
                    interest=interest,
                    units=units,
                    **marks,
                ),
            )
        )
    drop = results.values("decision", "k_held_out_drop")
    if drop is not None:
        error = results.values("decision", "k_held_out_drop_error")
        made.append(
            Drawing(
                "held_out",
                "Drop in held-out deviance with each further component, on a logarithmic scale.",
                lambda: curves.held_out_figure(
                    k,
                    drop,
                    np.zeros(len(drop)) if error is None else error,
                    threshold=words.number(facts.get("drop_threshold")),
                    **marks,
                ),
            )
        )
    distinct = results.values("decision", "k_distinct")
    if distinct is not None:
        made.append(
            Drawing(
                "distinct",
                "Number of distinct patterns after merging against the number fitted.",
                lambda: curves.distinct_figure(
                    k, distinct, background=results.values("decision", "k_background"), **marks
                ),
            )
        )
    pairs = pair_matrices(results, fitted)
    if pairs:
        owners = results.values("clusters", "component_cluster")
        if owners is None or len(owners) != fitted:
            owners = np.full(fitted, -1)
        made.append(
            Drawing(
                "pairs",
                f"Pairwise {', '.join(pairs)} between the {fitted} fitted components.",
                lambda: curves.pairs_figure(pairs, owners),
            )
        )
    spectra = {
        "weighted patterns (sketch)": results.values("sketch", "singular_value"),
        "patterns (tsqr)": results.values("baseline", "scree_value"),
    }
    spectra = {name: values for name, values in spectra.items() if values is not None}
    if spectra:
        made.append(
            Drawing(
                "scree",
                "Singular values on a logarithmic scale.",
                lambda: curves.scree_figure(spectra, **marks),
            )
        )
    return made


def reflection_drawings(results: Results) -> list[Drawing]:
    """Return the figures of the maps made from registered reflections."""
    ds = results.groups["reflection_maps"]
    scan = scan_grid(results.attr("acquisition"))
    varied, _ = reflection_map_titles(results)
    made = []
    if varied:
        step, coarse = _sampled(ds[next(iter(varied))].shape, scan)
        panels = [
            scan_maps.MapPanel(
                title,
                ds[name].values[::step, ::step],
                ds[name].attrs.get("units", "1"),
                REFLECTION_MAPS[name][1],
            )
            for name, title in varied.items()
        ]
        titles = ", ".join(varied.values())
        made.append(
            Drawing(
                "reflection_maps",
                f"Maps of the scan from registered reflections: {titles}.",
                lambda: scan_maps.scan_maps_figure(panels, coarse),
            )
        )
    fields = ds.get("cluster_dark_field")
    if fields is not None and fields.size:
        owners, own = ds["place_cluster"].values, ds["place_own"].values
        places = np.bincount(owners[own], minlength=fields.shape[2])
        thin, seen = _sampled(fields.shape, scan)
        made.append(
            Drawing(
                "dark_field",
                "Virtual dark field of the reflections that are each cluster's own.",
                lambda: scan_maps.dark_fields_figure(
                    fields[::thin, ::thin].values,
                    seen,
                    units=fields.attrs.get("units", "1"),
                    places=places,
                ),
            )
        )
    return made
