"""Write ``report.html``, one page that needs nothing beside it, and its figures as PNG files."""

import base64
import io
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from orimap.tasks import report_text as text
from orimap.tasks.errors import InputError
from orimap.tasks.palette import cluster_colours, text_colour
from orimap.tasks.stores import open_group

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 130
GROUPS = ("acquisition", "sketch", "decision", "clusters", "overlap", "baseline")
METRICS = {"SSIM": "ssim", "GMSD": "gmsd", "MDSI": "mdsi", "PSNR": "psnr"}
PAIR_METRICS = {**METRICS, "cosine": "cosine"}
SHARE_PIXELS = 400  # a small multiple is drawn some 230 dots wide: more positions do not show
TILE_PIXELS = (160, 256)  # patterns on the page are enlarged to the first, reduced to the second


@dataclass(frozen=True)
class Results:
    """What of ``analysis.zarr`` is there; groups that are not are empty data sets."""

    attrs: Mapping[str, Any]
    groups: Mapping[str, xr.Dataset]
    fits: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)

    def attr(self, group: str) -> Mapping[str, Any]:
        """Return the attributes of one group."""
        return self.groups[group].attrs

    def values(self, group: str, name: str) -> np.ndarray | None:
        """Return an array, or None where it is absent or holds no number."""
        if name not in self.groups[group]:
            return None
        values = self.groups[group][name].values
        if values.size == 0 or (values.dtype.kind == "f" and not np.isfinite(values).any()):
            return None
        return values


@dataclass(frozen=True)
class Drawing:
    """One figure: file name without ending, what it shows (for those who cannot see it)."""

    name: str
    alt: str
    draw: Callable[[], "Figure"]


def read_results(store: Path) -> Results:
    """Open the groups of ``analysis.zarr`` that are there.

    Raises
    ------
    InputError
        If there is no store, or it holds neither a decision nor clusters.
    """

    def group(name: str) -> xr.Dataset:
        try:
            return open_group(store, name)
        except (FileNotFoundError, KeyError):
            return xr.Dataset()

    groups = {name: group(name) for name in GROUPS}
    if not groups["decision"].variables and not groups["clusters"].variables:
        raise InputError(
            "results of a run (analysis.zarr with a decision or clusters)",
            f"{store} holds neither" if store.exists() else f"{store} is not there",
            "run the analysis first: orimap run FILE --output DIR",
        )
    fits = {
        int(folder.name[1:]): group(f"fits/{folder.name}").attrs
        for folder in sorted((store / "fits").glob("k[0-9]*"))
    }
    return Results(group("/").attrs, groups, fits)


def _integer(results: Results, name: str) -> int | None:
    """Return decided_k or fitted_k from the decision, else from the root."""
    return text.whole(results.attr("decision").get(name, results.attrs.get(name)))


def _scan_grid(facts: Mapping[str, Any]) -> Any:
    from orimap.tasks.figures import ScanGrid

    step, units = text.decoded(facts.get("scan_step")), facts.get("scan_units", "px")
    if step is None or units == "px" or not all((text.number(v) or 0) > 0 for v in step):
        return ScanGrid()
    return ScanGrid(float(step[0]), float(step[1]), str(units))


def _map_drawings(results: Results) -> list[Drawing]:
    """Return the figures of where the clusters are and how they overlap."""
    from orimap.tasks import figures

    scan = _scan_grid(results.attr("acquisition"))
    mask = results.values("acquisition", "detector_mask")
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
                lambda: figures.cluster_map_figure(labels, count, scan),
            )
        )
        if patterns is not None:
            made.append(
                Drawing(
                    "clusters",
                    "The cluster map and beside it the mean pattern of each cluster.",
                    lambda: figures.clusters_figure(labels, patterns, scan, mask=mask),
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
                    lambda: figures.overlap_figure(labels, ratio, level, count, scan),
                )
            )
        other = results.values("baseline", "kmeans_label")
        if other is not None:
            agreement = text.number(results.attr("baseline").get("agreement"))
            made.append(
                Drawing(
                    "baseline",
                    "The cluster map beside that of k-means.",
                    lambda: figures.baseline_figure(labels, other, scan, agreement),
                )
            )
    if means is not None and representatives is not None:
        scores = _scores(results)
        made.append(
            Drawing(
                "fidelity",
                "The mean raw pattern of each cluster above the pattern of the factorisation.",
                lambda: figures.fidelity_figure(means, representatives, scores, mask=mask),
            )
        )
    shares = results.groups["clusters"].get("cluster_share")
    if shares is not None and shares.size:
        stride = -(-max(shares.shape[:2]) // SHARE_PIXELS)
        made.append(
            Drawing(
                "shares",
                "Maps of the share of each cluster at every position.",
                lambda: figures.share_figure(shares[::stride, ::stride].values, scan.every(stride)),
            )
        )
    bright_field = results.values("acquisition", "scan_virtual_bright_field")
    mean = results.values("acquisition", "detector_mean")
    if bright_field is not None or mean is not None:
        made.append(
            Drawing(
                "acquisition",
                "Virtual bright field of the scan and the mean pattern with masked pixels marked.",
                lambda: figures.acquisition_figure(bright_field, mean, mask, scan),
            )
        )
    return made


def _evidence_drawings(results: Results) -> list[Drawing]:
    """Return the figures of the evidence for k."""
    from orimap.tasks import curves

    facts = results.attr("decision")
    decided, fitted = _integer(results, "decided_k"), _integer(results, "fitted_k")
    marks = {"decided": decided, "fitted": fitted}
    made = []
    k = results.values("decision", "k")
    loss = results.values("decision", "k_component_loss")
    if loss is not None:
        errors = [text.number(results.fits.get(int(n), {}).get("loss_error")) or 0.0 for n in k]
        low, high = text.whole(facts.get("range_low")), text.whole(facts.get("range_high"))
        interest = None if low is None or high is None else (low, high)
        knee = text.whole(facts.get("knee"))
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
                    threshold=text.number(facts.get("drop_threshold")),
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
    pairs = _pairs(results, fitted)
    if pairs:
        clusters = results.values("clusters", "component_cluster")
        if clusters is None or len(clusters) != fitted:
            clusters = np.full(fitted, -1)
        made.append(
            Drawing(
                "pairs",
                f"Pairwise {', '.join(pairs)} between the {fitted} fitted components.",
                lambda: curves.pairs_figure(pairs, clusters),
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


def _scores(results: Results) -> dict[str, np.ndarray]:
    """Return the fidelity metrics that are there."""
    found = {name: results.values("clusters", f"cluster_{key}") for name, key in METRICS.items()}
    return {name: values for name, values in found.items() if values is not None}


def _pairs(results: Results, fitted: int | None) -> dict[str, np.ndarray]:
    """Return the pairwise matrices of the fit used; empty where there is nothing to compare."""
    k = results.values("decision", "k")
    if fitted is None or fitted < 2 or k is None or fitted not in k:
        return {}
    at, found = int(np.flatnonzero(k == fitted)[0]), {}
    for name, key in PAIR_METRICS.items():
        if f"pair_{key}" in results.groups["decision"]:
            matrix = results.groups["decision"][f"pair_{key}"][at, :fitted, :fitted].values
            if np.isfinite(matrix[~np.eye(len(matrix), dtype=bool)]).any():
                found[name] = matrix
    return found


def _data_address(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _tile(pattern: np.ndarray, mask: np.ndarray | None) -> str:
    """Return a pattern as an image to embed, of a size that suits the page."""
    from PIL import Image

    from orimap.tasks.figures import pattern_levels

    image = Image.fromarray(np.round(255 * pattern_levels(pattern, mask)).astype(np.uint8))
    smallest, largest = TILE_PIXELS
    longest = max(image.size)
    if longest > largest:
        image = image.resize(
            [max(1, round(side * largest / longest)) for side in image.size], Image.Resampling.BOX
        )
    elif longest < smallest:
        times = -(-smallest // longest)
        image = image.resize([side * times for side in image.size], Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, "png", optimize=True)
    return _data_address(buffer.getvalue())


def _cluster_cards(results: Results) -> list[dict]:
    """Return what the page shows of each cluster: pattern, number, size, fidelity."""
    labels = results.values("clusters", "cluster_label")
    means = results.values("clusters", "cluster_mean_pattern")
    representatives = results.values("clusters", "cluster_representative")
    mask = results.values("acquisition", "detector_mask")
    owners = results.values("clusters", "component_cluster")
    if labels is None:
        return []
    count = int(labels.max()) + 1
    for patterns in (means, representatives):
        count = max(count, 0 if patterns is None else len(patterns))
    scores = _scores(results)
    cards = []
    for cluster, colour in enumerate(cluster_colours(count)):
        size = int(np.count_nonzero(labels == cluster))
        cards.append(
            {
                "cluster": cluster,
                "colour": colour,
                "ink": text_colour(colour),
                "positions": text.count_text(size, "position"),
                "share": text.percent_text(size / labels.size),
                "components": []
                if owners is None
                else [int(c) for c in np.flatnonzero(owners == cluster)],
                "mean": None if means is None else _tile(means[cluster], mask),
                "representative": None
                if representatives is None
                else _tile(representatives[cluster], mask),
                "scores": {
                    name: text.score_text(name, values[cluster]) for name, values in scores.items()
                },
            }
        )
    return cards


def _criteria_rows(results: Results) -> list[dict]:
    """Return every criterion's vote."""
    rows = []
    for criterion in text.decoded(results.attr("decision").get("criteria")) or []:
        criterion = text.decoded(criterion)
        rows.append(
            {
                "name": str(criterion.get("name", "?")),
                "vote": text.figure_text(criterion.get("vote")),
                "margin": text.figure_text(criterion.get("margin"), 2),
                "used": bool(criterion.get("used")),
                "why": str(criterion.get("why") or ""),
            }
        )
    return rows


def _k_table(results: Results) -> dict[str, list]:
    """Return every value stored along k, as columns with their meaning and rows of text."""
    ds = results.groups["decision"]
    columns = [name for name in ds if name.startswith("k_") and ds[name].dims == ("k",)]
    columns = [name for name in columns if results.values("decision", name) is not None]
    heads = [{"name": name[2:].replace("_", " "), "meaning": ds[name].attrs.get("long_name", "")}
             for name in columns]  # fmt: skip
    rows = [
        [str(int(k))]
        + [
            ("yes" if ds[name].values[i] else "no")
            if ds[name].dtype.kind == "b"
            else text.figure_text(ds[name].values[i], 4)
            for name in columns
        ]
        for i, k in enumerate(ds["k"].values if columns else [])
    ]
    return {"heads": heads, "rows": rows}


def _page(results: Results, run: Mapping[str, Any], images: Mapping[str, dict]) -> dict[str, Any]:
    """Return what the template shows."""
    facts, decision = results.attr("acquisition"), results.attr("decision")
    labels = results.values("clusters", "cluster_label")
    ratio = results.values("overlap", "overlap_ratio")
    level = results.values("overlap", "overlap_level")
    second = results.values("overlap", "second_label")
    mean = results.values("acquisition", "detector_mean")
    mask = results.values("acquisition", "detector_mask")
    owners = results.values("clusters", "component_cluster")
    decided = _integer(results, "decided_k")
    numbers = {"decided_k": decided, "fitted_k": _integer(results, "fitted_k")}
    source = facts.get("source")
    overlapping = None
    if labels is not None and ratio is not None and level is not None:
        overlapping = text.overlap_rows(labels, ratio, level)
    request = run.get("request") or text.decoded(results.attrs.get("request")) or {}
    confidence = decision.get("confidence")
    return {
        "title": text.headline(decided, confidence),
        "confidence": confidence,
        "source": None if source is None else Path(str(source)).name,
        "measured": text.acquisition_sentence(
            None,
            None if labels is None else labels.shape,
            None if mean is None else mean.shape,
            facts,
        ),
        "decided": decided,
        "runner_up": text.whole(decision.get("runner_up")),
        "fitted": numbers["fitted_k"],
        "strategy": decision.get("strategy"),
        "none_share": None
        if labels is None or (labels >= 0).all()
        else text.percent_text(np.count_nonzero(labels < 0) / labels.size),
        "clusters": _cluster_cards(results),
        "images": images,
        "sentences": text.decision_sentences(
            {**decision, **numbers},
            0 if owners is None else int(np.count_nonzero(owners < 0)),
        ),
        "knee": text.whole(decision.get("knee")),
        "criteria": _criteria_rows(results),
        "k_table": _k_table(results),
        "overlap": overlapping,
        "overlap_pairs": []
        if labels is None or second is None or ratio is None
        else text.overlap_pairs(labels, second, ratio),
        "repairs": text.repairs(facts, mask),
        "checked": bool(facts),
        "intensity": text.intensity_sentence(facts),
        "counts_like": facts.get("counts_like"),
        "reader": facts.get("reader"),
        "signal": facts.get("signal"),
        "agreement": text.figure_text(results.attr("baseline").get("agreement"), 2),
        "steps": text.step_rows(run.get("steps") or []),
        "seconds": text.seconds_text(run.get("seconds")),
        "peak": text.bytes_text(run.get("peak_bytes")),
        "predicted": text.bytes_text(run.get("predicted_peak_bytes")),
        "machine": run.get("machine") or {},
        "request": json.dumps(request, indent=2, default=str, ensure_ascii=False),
        "versions": run.get("versions") or {"orimap": results.attrs.get("orimap_version", "–")},
        "written": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
    }


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    descriptor, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


FIGURES = (
    *("cluster_map", "clusters", "overlap", "baseline", "fidelity", "shares", "acquisition"),
    *("loss", "held_out", "distinct", "pairs", "scree"),
)


def write_report(results: Path, output: Path, *, run: Mapping[str, Any]) -> Path:
    """Write ``output/report.html`` and ``output/figures/*.png`` from the stored results.

    Parameters
    ----------
    results : Path
        ``analysis.zarr``. What is not in it is named as missing on the page.
    output : Path
        Folder; only the report and the figures named in ``FIGURES`` are written, each whole. A
        figure of an earlier report that cannot be drawn any more is removed.
    run : mapping
        What ``run.json`` holds: request, versions, machine, steps, times and memory.

    Returns
    -------
    Path
        Of the report.

    Raises
    ------
    InputError
        If there are no results.
    """
    from jinja2 import Environment, FileSystemLoader

    found = read_results(results)
    folder = output / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    images = {}
    for drawing in [*_map_drawings(found), *_evidence_drawings(found)]:
        buffer = io.BytesIO()
        drawing.draw().savefig(buffer, format="png", dpi=DOTS_PER_INCH, facecolor="white")
        png = buffer.getvalue()
        _write_whole(folder / f"{drawing.name}.png", png)
        images[drawing.name] = {"address": _data_address(png), "alt": drawing.alt}
    for name in set(FIGURES) - set(images):
        (folder / f"{name}.png").unlink(missing_ok=True)
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    page = templates.get_template("report.html").render(_page(found, run, images))
    report = output / "report.html"
    _write_whole(report, page.encode())
    return report
