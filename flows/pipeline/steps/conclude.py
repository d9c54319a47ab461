"""The steps that draw conclusions from the scored fits: maps, baseline, remarks."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from orimap.flows.pipeline.runtime.run import Decided, Prepared, Run
from orimap.flows.pipeline.steps.gather_evidence import intensity_dispersion
from orimap.tasks.factorise import stored_fits
from orimap.tasks.patterns.reflections.stored_list import read_lengths
from orimap.tasks.patterns.rows import OUTSIDE
from orimap.tasks.patterns.source import LISTS
from orimap.tasks.store import variables
from orimap.tasks.store.fingerprint import fingerprint
from orimap.tasks.store.groups import open_group
from orimap.tasks.stream.blocks import Progress, submit

if TYPE_CHECKING:
    from orimap.tasks.maps.labels_and_overlap import Maps
    from orimap.tasks.maps.parts import Parts
    from orimap.tasks.patterns.source import PatternSource


# What the maps are stored in.
MAPS = ("grains", "clusters", "overlap", "decomposition", "line")
# Patterns along the line through the strongest overlap: as many as fit beside each other.
LINE_POINTS = 9


def map_clusters(run: Run, progress: Progress, decided: Decided) -> None:
    """Draw the maps of the decided fit; write /clusters, /overlap and an example of one."""
    from orimap.tasks.maps import clusters
    from orimap.tasks.maps.labels_and_overlap import map_clusters as draw

    request, prepared = run.request, decided.fitted.prepared
    mark = clusters_fingerprint(run, decided)
    if all(run.can_reuse("clusters", group, mark) for group in MAPS):
        return
    run.reused.discard("clusters")
    parts = decided_parts(run, decided)
    run.folder.write("grains", parts.stored, mark)
    maps = draw(
        parts.weights,
        parts.component_cluster,
        noise=parts.noise,
        present=parts.present,
        sure=parts.sure,
        regularity=request.regularity,
        split=request.split_unconnected,
    )
    ds = described(run, prepared, parts.stored, maps, progress)
    run.folder.write("clusters", ds, mark)
    run.folder.write("overlap", clusters.overlap_dataset(maps), mark)
    _take_apart(run, prepared, maps, mark)


def described(
    run: Run, prepared: Prepared, stored: xr.Dataset, maps: "Maps", progress: Progress
) -> xr.Dataset:
    """Return /clusters: maps, and the patterns of every cluster, in one pass over the scan."""
    from orimap.tasks.maps import clusters
    from orimap.tasks.maps.decomposition import source_attrs
    from orimap.tasks.patterns.noise import cluster_noise

    pattern = variables.component_pattern.read(stored).values.astype(float)
    weight = variables.scan_weight.read(stored).values
    mask = variables.detector_mask.read(run.folder.read("analysed")).values > 0
    count = len(maps.size)
    mean = clusters.mean_patterns(
        run.client,
        prepared.patterns,
        maps.label,
        count,
        progress=lambda done, of: progress(done, 2 * of),
    )
    noise = cluster_noise(
        run.client,
        prepared.patterns,
        maps.label,
        count,
        ~mask,
        progress=lambda done, of: progress(of + done, 2 * of),
    )
    shown = clusters.representatives(pattern, weight, maps)
    # The pedestal of the noise is no intensity.
    shown = np.where(mask, shown, shown - prepared.patterns.floor)
    ds = clusters.clusters_dataset(maps, mean - prepared.patterns.pedestal, shown, noise, mask)
    ds.attrs.update(source_attrs(prepared.patterns))
    return ds


def clusters_fingerprint(run: Run, decided: Decided) -> str:
    """Return the fingerprint of the maps of the decided fit."""
    return fingerprint(
        decision=decided.fingerprint,
        fitted=decided.fitted_k,
        regularity=run.request.regularity,
        split=run.request.split_unconnected,
    )


def _take_apart(run: Run, prepared: Prepared, maps: "Maps", mark: str) -> None:
    """Write /decomposition of the strongest overlap and /line through it; empty without one."""
    analysis, patterns = run.folder.analysis, prepared.patterns
    example, along = taken_apart(analysis, patterns, maps)
    run.folder.write("decomposition", example, mark)
    run.folder.write("line", along, mark)


def taken_apart(
    analysis: Path, patterns: "PatternSource", maps: "Maps", revision: Path | None = None
) -> tuple[xr.Dataset, xr.Dataset]:
    """Return /decomposition and /line; the groups of a revision stand in place of others."""
    from orimap.tasks.maps import decomposition as d

    example, along = xr.Dataset(), xr.Dataset()
    place = d.strongest_overlap(maps.overlap_ratio, maps.ratio_error, maps.second_label)
    if place is not None:
        example = d.decomposition(analysis, patterns, place, revision)
        pair = (maps.label[place], maps.second_label[place])
        ends = d.line_through(place, *(maps.share[..., cluster] for cluster in pair))
        if ends is not None:
            along = d.line(analysis, patterns, *ends, LINE_POINTS, revision)
    return example, along


def decided_parts(run: Run, decided: Decided) -> "Parts":
    """Return what maps are drawn of, from a worker."""
    from orimap.tasks.maps.parts import grain_parts, parts_by_look

    dispersion, store = _dispersion(run, decided.fitted.prepared), run.folder.analysis
    asked = decided.component_cluster
    groups = None if asked is None else np.array(asked, np.int16)
    by_look = partial(parts_by_look, store, decided.fitted_k, dispersion, component_cluster=groups)
    by_grains = partial(
        grain_parts,
        store,
        decided.fitted_k,
        dispersion,
        split_bent=run.request.split_bent,
        component_cluster=groups,
    )
    return submit(run.client, "grains", by_grains if decided.has_reflections else by_look).result()


def _dispersion(run: Run, prepared: Prepared) -> "float | np.ndarray | None":
    """Return what gives shares their errors; None where the noise of the patterns is not known."""
    from orimap.tasks.maps.regularity import positions_around

    filtered = run.request.filter
    if filtered == "epattern":
        return None
    dispersion = intensity_dispersion(run, prepared)
    if dispersion is None or filtered != "mean":
        return dispersion
    return dispersion / positions_around(prepared.patterns.scan_shape)


def map_reflections(run: Run, _progress: Progress, decided: Decided) -> None:
    """Draw the maps that the registered reflections give; write /reflection_maps."""
    prepared, region = decided.fitted.prepared, run.request.dark_field
    mark = fingerprint(clusters=clusters_fingerprint(run, decided), region=region)
    if run.can_reuse("reflections", "reflection_maps", mark):
        return
    label = variables.cluster_label.read(run.folder.read("clusters")).values
    run.folder.write("reflection_maps", reflection_dataset(run, prepared, label), mark)


def reflection_dataset(run: Run, prepared: Prepared, label: np.ndarray) -> xr.Dataset:
    """Return /reflection_maps, for a map of clusters."""
    from orimap.tasks.maps.reflection_maps import reflection_maps
    from orimap.tasks.patterns.reflections.stored_list import list_size, read_reflections

    store = prepared.store
    beam = open_group(store, "beam")
    return reflection_maps(
        read_reflections(store, LISTS[0]),
        label,
        -variables.scan_beam_drift.read(beam).values if prepared.centred else None,
        read_lengths(store, LISTS[0]),
        prepared.patterns.detector_shape,
        run.request.dark_field,
        units=run.folder.read("acquisition").attrs["intensity_units"],
        threshold_units="1" if prepared.counts else None,
        size=list_size(store, LISTS[0]),
    )


def remarks(run: Run, decided: Decided) -> list[str]:
    """Return what was left out, sampled or assumed, for the report and the results."""
    from orimap.tasks.report.sections.where import unplaced_sentence
    from orimap.tasks.report.words import count_text, plural

    prepared = decided.fitted.prepared
    found = run.folder.read("acquisition")
    facts = run.folder.read(stored_fits.fit_group(decided.fitted_k)).attrs
    said = [*run.notes, _centring(run, prepared)]
    if run.request.filter == "epattern":
        lengths = read_lengths(prepared.store, LISTS[0])
        asked = run.request.epattern_lengths
        said.append(
            f"ePattern took its lengths from discs of {lengths.disc_radius:.2f} px"
            + {
                ("measured", "measured"): ", as measured.",
                ("paper", "paper"): ", the paper's share of the patterns' width.",
                ("measured", "paper"): ", the paper's share of the patterns' width: there is no "
                "direct beam to measure the discs by.",
            }[asked, lengths.source]
        )
    finding = run.folder.read("sketch").attrs["direct_beam"]
    said.append(finding[0].upper() + finding[1:] + ".")
    if run.request.counts != "auto" and prepared.counts != found.attrs["counts_like"]:
        said.append(
            f"The values were taken {'as' if prepared.counts else 'not as'} counts because of "
            f"--counts {run.request.counts}; their Fano factor says otherwise."
        )
    if facts["loss_error"] > 0:
        said.append(
            f"The loss was computed from a sample of {facts['loss_positions']} positions; its "
            "standard error is in the table of every k."
        )
    if facts["empty_components"]:
        empty = facts["empty_components"]
        said.append(
            f"{count_text(empty, 'component')} of the fit used {plural(empty, 'is', 'are')} empty."
        )
    drawn = run.folder.read("clusters")
    size = variables.cluster_size.read(drawn).values
    # Results of an earlier version looked at all positions and did not say so.
    looked_at = np.atleast_1d(drawn.attrs.get("noise_positions", size))
    if (size > looked_at).any():
        said.append(
            f"The noise of the patterns was measured at {looked_at.max()} positions of each "
            "distinct pattern that has more than that."
        )
    unplaced = drawn.attrs["clusters_without_position"]
    if unplaced:
        said.append(unplaced_sentence(unplaced))
    return said


def _centring(run: Run, prepared: Prepared) -> str:
    """Say whether patterns were centred, and why."""
    from orimap.tasks.report.words import percent_text

    facts = open_group(prepared.store, "beam").attrs
    asked = run.request.centre
    done = "Patterns were centred" if prepared.centred else "Patterns were not centred"
    why = f" (--centre {asked})" if asked != "auto" else ""
    lost = ""
    if prepared.centred:
        mask = variables.detector_mask.read(run.folder.read("analysed")).values
        share = percent_text((mask & OUTSIDE > 0).mean())
        lost = f" {share} of the pixels leave or enter the detector and are masked."
    return f"{done}{why}: {facts['finding'].rstrip('.')}.{lost}"


def compare_baseline(run: Run, _progress: Progress, decided: Decided) -> None:
    """Write /baseline: k-means and scree beside our map."""
    from orimap.tasks.maps.baseline import CHUNK_POSITIONS, baseline

    stored = run.folder.read("acquisition").get(variables.scan_measured.name)
    # Earlier versions did not ask.
    measured = None if stored is None or stored.values.all() else stored.values > 0
    asked = {} if measured is None else {"of": "what was measured"}
    mark = fingerprint(clusters=clusters_fingerprint(run, decided), kind="baseline", **asked)
    if run.can_reuse("baseline", "baseline", mark):
        return
    label = variables.cluster_label.read(run.folder.read("clusters")).values
    count = int(label.max()) + 1
    work = partial(
        baseline, run.folder.analysis, label, count, seed=run.request.seed, measured=measured
    )
    # One chunk is nothing to spread over workers: whoever has loaded dask-ml does it.
    ds = run.helpers.submit(work).result() if label.size <= CHUNK_POSITIONS else work()
    run.folder.write("baseline", ds, mark)
