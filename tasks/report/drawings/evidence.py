"""Say how the evidence for the number of patterns, and the noise of the camera, are drawn.

Tested in tests/tasks/report/drawings/test_catalogue.py.
"""

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

from orimap.tasks.report import words
from orimap.tasks.report.figures import curves
from orimap.tasks.report.figures.pairs import pairs_figure
from orimap.tasks.report.results import (
    MOST_WRITTEN,
    Results,
    automatic_k,
    camera_rows,
    cluster_names,
    colours_of,
    pair_matrices,
    stored_k,
)

Drawn = tuple[str, Callable[[], Figure]] | None


def _marks(results: Results) -> dict[str, int | None]:
    """Return the numbers that are marked on every curve."""
    return {"decided": automatic_k(results), "fitted": stored_k(results, "fitted_k")}


def draw_distinct(results: Results) -> Drawn:
    """Draw how many patterns of each fit are distinct."""
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


def draw_held_out(results: Results) -> Drawn:
    """Draw how far each further component lowers the held-out error."""
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


def draw_loss(results: Results) -> Drawn:
    """Draw the loss over k."""
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


def draw_scree(results: Results) -> Drawn:
    """Draw singular values."""
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


def draw_pairs(results: Results) -> Drawn:
    """Draw how alike the components are."""
    fitted = stored_k(results, "fitted_k")
    matrices = pair_matrices(results, fitted)
    if not matrices:
        return None
    owners = results.values("clusters", "component_cluster")
    if owners is None or len(owners) != fitted:
        # Patterns were told apart by components of dark fields, which are others.
        owners = None
    return (
        f"Pairwise {', '.join(matrices)} between the {fitted} fitted components.",
        lambda: pairs_figure(
            matrices,
            owners,
            most_written=MOST_WRITTEN,
            colours=None if owners is None else colours_of(results, int(owners.max()) + 1),
            names=cluster_names(results),
        ),
    )


def draw_camera(results: Results) -> Drawn:
    """Draw noise over brightness."""
    found = {
        name: results.values("acquisition", f"brightness_{name}")
        for name in ("mean", "variance", "variance_error", "whole_variance", "whole_variance_error")
    }
    stored = {name: values for name, values in found.items() if values is not None}
    if len(stored) < len(found):
        return None
    facts = results.attr("acquisition")
    table = camera_rows(facts)
    gain, shift, offset, read_noise = (
        words.number(facts.get(f"camera_{name}"))
        for name in ("gain", "shift", "offset", "read_noise")
    )
    units = words.units_text(results.intensity_units)
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
