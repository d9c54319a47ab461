"""Gather the evidence for every number of components from the stores, on the workers."""

import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from orimap.flows.pipeline.runtime.helpers import call_beside
from orimap.flows.pipeline.runtime.run import Fitted, Prepared, Run
from orimap.flows.pipeline.steps.older_rules import older_evidence
from orimap.tasks.decide.candidates import leading_candidates
from orimap.tasks.decide.components.coherence import FEWEST_POSITIONS
from orimap.tasks.decide.countable import FEWEST_TO_COUNT
from orimap.tasks.decide.evidence.evidence import Evidence, Limits
from orimap.tasks.decide.reasons import CROSS_VALIDATION, HELD_OUT, SPECTRUM, STABILITY
from orimap.tasks.factorise import stored_fits
from orimap.tasks.store import variables
from orimap.tasks.store.fingerprint import fingerprint
from orimap.tasks.stream.blocks import Progress, broadcast, submit

# Positions that a 3x3 mean is taken of.
NEIGHBOURS = 9
# Electrons are spread over less than this.
SPREAD_PX = 4
# Two pixels or more are left each way, and no more are summed than --bin allows.
SMALLEST_TO_BIN = 4
LARGEST_BIN = 64


def gather_evidence(run: Run, progress: Progress, fitted: Fitted) -> Evidence:
    """Compare the components of every k, one task each, and collect every score."""
    from orimap.tasks.decide.evidence.compare_components import compare_components

    find_dark_fields(run, fitted)
    left_out = left_out_pixels(run)
    compare = partial(compare_components, split_bent=run.request.split_bent)
    # Large k take longest: first in, so that no worker ends alone with one.
    futures = {
        k: call_beside(
            run.client,
            run.helpers,
            "compare components",
            compare,
            run.folder.analysis,
            stored_fits.fit_group(k),
            left_out,
        )
        for k in reversed(fitted.ks)
    }
    compared = []
    for done, k in enumerate(fitted.ks, start=1):
        compared.append(futures[k].result())
        progress(done, len(futures) + 1)
    # Where most fits show no crystal, single ones that do show noise.
    none = np.median([found.merged.distinct for found, _ in compared]) == 0
    components = [
        replace(found, merged=by_look) if none or not found.merged.distinct else found
        for found, by_look in compared
    ]
    fits = [run.folder.read(stored_fits.fit_group(k)) for k in fitted.ks]
    deviance = None
    if fitted.prepared.counts:
        deviance = np.stack([variables.scan_held_out_deviance.read(f).values.ravel() for f in fits])
    evidence = Evidence(
        np.array(fitted.ks),
        np.array([f.attrs["loss"] for f in fits]),
        np.array([f.attrs["loss_error"] for f in fits]),
        float(run.folder.read("analysed").attrs["mean_intensity"]),
        np.array([f.attrs["relative_error"] for f in fits]),
        deviance,
        components,
        limits=_limits(run, fitted),
        **older_evidence(run, fitted),
    )
    if run.request.strategy == "evidence":
        evidence = _confirming(run, fitted, evidence)
    progress(len(futures) + 1, len(futures) + 1)
    return evidence


def _limits(run: Run, fitted: Fitted) -> Limits:
    """Return what the acquisition itself allows to be told."""
    prepared = fitted.prepared
    patterns, found = prepared.patterns, run.folder.read("acquisition")
    measured = found.get(variables.scan_measured.name)
    positions = patterns.positions if measured is None else int(np.count_nonzero(measured))
    spanned = stored_fits.least_directions(run.folder.analysis, prepared.sketch_groups)
    most = min(spanned, positions - 1, math.prod(patterns.detector_shape))
    bin = 2 * run.request.bin
    return Limits(
        positions,
        fitted.ks[-1] < most,
        bin if min(patterns.detector_shape) >= SMALLEST_TO_BIN and bin <= LARGEST_BIN else None,
        tuple(found.attrs.get("guesses", ())),
    )


def find_dark_fields(run: Run, fitted: Fitted) -> None:
    """Find the places of all reflections and the dark fields there; write /dark_fields."""
    from orimap.tasks.decide.grains.stored import DARK_FIELDS, write_dark_fields

    prepared, ks = fitted.prepared, fitted.ks
    # Few components are means over much of the scan, many show what is rare.
    shown = sorted({ks[max(1, len(ks) // part) - 1] for part in (1, 2, 4)})
    radius, centre = prepared.disc_radius_px, prepared.beam_position
    dispersion, odd_lines = _dispersion(run, fitted), _odd_lines(run, prepared)
    mark = fingerprint(
        scores=[fitted.score_fingerprint(k) for k in shown],
        radius=radius,
        centre=centre,
        dispersion=dispersion,
        pedestal=prepared.patterns.floor,
        odd_lines=odd_lines,
    )
    if not run.request.restart and run.folder.reuse(DARK_FIELDS, mark):
        return
    groups = [stored_fits.fit_group(k) for k in shown]
    made = partial(
        write_dark_fields,
        run.folder.analysis,
        groups,
        mark,
        radius_px=radius,
        centre=centre,
        dispersion=dispersion,
        pedestal=prepared.patterns.floor,
        odd_lines=odd_lines,
    )
    submit(run.client, "dark fields", made).result()


def _odd_lines(run: Run, prepared: Prepared) -> tuple[list[int], list[int]]:
    """Return the rows and columns of the detector that are unlike those beside them."""
    if prepared.centred:
        return [], []  # they lie elsewhere in each pattern
    found = run.folder.read("acquisition").attrs
    return list(found.get("odd_rows", ())), list(found.get("odd_columns", ()))


def _dispersion(run: Run, fitted: Fitted) -> float:
    """Return the variance of a filtered intensity over its mean, 1 where it is not known."""
    dispersion = intensity_dispersion(run, fitted.prepared)
    if dispersion is None or dispersion <= 0:
        return 1.0
    return dispersion / (NEIGHBOURS if fitted.prepared.filter == "mean" else 1)


def intensity_dispersion(run: Run, prepared: Prepared) -> float | None:
    """Return the variance of an intensity as measured over its mean; None where it is not known."""
    if prepared.counts:
        return 1.0
    found = run.folder.read("acquisition").attrs
    dispersion = found.get("intensity_dispersion", found["fano"])
    return float(dispersion) if dispersion is not None and np.isfinite(dispersion) else None


def _confirming(run: Run, fitted: Fitted, evidence: Evidence) -> Evidence:
    """Add what confirms or doubts the numbers that come into question."""
    skipped: dict[str, str] = {}
    evidence = replace(evidence, skipped=skipped)
    counts = fitted.prepared.counts
    if not counts:
        skipped[HELD_OUT] = "the values are not counts, of which half could be held out"
        evidence = replace(evidence, cross_validation=_cross_validation(run, fitted, skipped))
    spectrum = None
    needs = _spectrum_needs(run, fitted)
    if needs:
        skipped[SPECTRUM] = needs
    else:
        dispersion = intensity_dispersion(run, fitted.prepared) or 1.0
        made = partial(_spectrum, run.folder.analysis, fitted.ks[-1], dispersion)
        spectrum = submit(run.client, "spectrum", made).result()
    return replace(
        evidence, spectrum=spectrum, stability=_stability(run, fitted, evidence, skipped)
    )


def _spectrum_needs(run: Run, fitted: Fitted) -> str:
    """Say why the spectrum's noise is not known; empty where it is."""
    if run.request.filter != "raw":
        return "it needs raw patterns"
    found = run.folder.read("acquisition").attrs
    if fitted.prepared.counts:
        return ""
    if "intensity_dispersion" not in found:
        return "it needs counts, or a camera whose noise could be measured"
    if _pixels_share_noise(run):
        return "neighbouring pixels share noise: a point spread"
    return ""


def _pixels_share_noise(run: Run) -> bool:
    """Return whether a point spread was measured."""
    return bool(run.folder.read("acquisition").attrs.get("camera_spread", 0.0) > 0)


def _spectrum(store: Path, k: int, dispersion: float) -> Any:
    """Bi-whiten the sketch by the largest fit, on a worker."""
    from orimap.tasks.decide.evidence.spectrum import bi_whitened_rank
    from orimap.tasks.store.groups import open_group

    stored, fit = open_group(store, "sketch"), open_group(store, stored_fits.fit_group(k))
    weighting = stored_fits.read_weighting(stored)
    return bi_whitened_rank(
        stored_fits.read_sketch(stored, weighting),
        weighting,
        variables.scan_weight.read(fit).values.reshape(-1, k).astype(float),
        variables.component_pattern.read(fit).values[:, weighting.valid].astype(float),
        dispersion,
    )


def _cross_validation(run: Run, fitted: Fitted, skipped: dict[str, str]) -> np.ndarray | None:
    """Predict blocks that no fit saw, from a sample of the patterns."""
    from orimap.tasks.decide.evidence.cross_validation import bi_cross_validate
    from orimap.tasks.decide.evidence.sample import sample_patterns

    patterns, ks = fitted.prepared.patterns, fitted.ks
    if run.request.filter != "raw":
        why = "the filter shares noise between positions or pixels"
    elif patterns.positions < 2 * FEWEST_TO_COUNT:
        why = f"{patterns.positions} scan positions are too few to leave half of them out"
    else:
        weighting = stored_fits.read_weighting(run.folder.read("sketch"))
        # Noise that neighbouring pixels share would pass from one half to the other.
        rows = sample_patterns(
            run.client,
            patterns,
            weighting,
            seed=run.request.seed,
            side_px=SPREAD_PX if _pixels_share_noise(run) else 1,
        )
        within = [k for k in ks if 2 * k <= min(rows.shape)]
        if len(rows) >= 2 * FEWEST_TO_COUNT and len(within) >= min(2, len(ks)):
            validate = partial(bi_cross_validate, seed=run.request.seed)
            # Beside the task: Dask warns of large ones.
            (sent,) = broadcast(run.client, rows)
            error = submit(run.client, "cross-validate", validate, sent, within).result().error
            # What half of the values cannot hold predicts no more than what it can.
            beyond = np.repeat(error[-1:], len(ks) - len(within), axis=0)
            return np.concatenate([error, beyond])
        few = f"{len(rows)} scan positions and {rows.shape[1]} detector pixels"
        why = f"{few} are too few to leave half of them out"
    skipped[CROSS_VALIDATION] = why
    return None


def _stability(
    run: Run, fitted: Fitted, evidence: Evidence, skipped: dict[str, str]
) -> dict[int, float]:
    """Refit the two or three numbers in question from other positions and other starts."""
    ks = sorted({int(evidence.ks[c.first]) for c in leading_candidates(evidence)})
    found = run.folder.read("sketch")
    positions = fitted.prepared.patterns.positions
    if positions < FEWEST_POSITIONS or ks[-1] > found.sizes["direction"]:
        skipped[STABILITY] = f"{positions} scan positions are too few to leave some out"
        return {}
    futures = [
        submit(run.client, "stability", _stability_of, run.folder.analysis, k, run.request.seed)
        for k in ks
    ]
    return {k: future.result() for k, future in zip(ks, futures, strict=True)}


def _stability_of(store: Path, k: int, seed: int) -> float:
    """Return the smallest silhouette over resampled fits, on a worker."""
    from orimap.tasks.decide.evidence.stability import stability
    from orimap.tasks.store.groups import open_group

    stored = open_group(store, "sketch")
    sketch = stored_fits.read_sketch(stored, stored_fits.read_weighting(stored))
    return stability(sketch, k, seed=seed).smallest


def left_out_pixels(run: Run) -> np.ndarray:
    """Return the pixels that say nothing about orientation: masked ones and the direct beam."""
    weighting = stored_fits.read_weighting(run.folder.read("sketch"))
    return stored_fits.on_detector(weighting.fitted, weighting.valid) == 0
