"""The evidence for every number of components."""

from dataclasses import replace

import numpy as np
import pytest

from orimap.flows.pipeline.steps.gather_evidence import (
    _cross_validation,
    gather_evidence,
    left_out_pixels,
)
from orimap.tasks.decide.evidence.evidence import Limits
from orimap.tasks.decide.reasons import CROSS_VALIDATION, HELD_OUT, SPECTRUM, STABILITY
from orimap.tasks.stream.blocks import silent


def asking(run, **changes):
    return replace(run, request=run.request.model_copy(update=changes))


def test_every_score_is_that_of_the_stored_fit(stages):
    progress = []
    found = gather_evidence(stages.run, lambda *so_far: progress.append(so_far), stages.fitted)
    np.testing.assert_array_equal(found.ks, [1, 2, 3, 4])
    for number, k in enumerate(found.ks):
        fit = stages.run.folder.read(f"fits/k{k:02d}")
        assert found.loss[number] == fit.attrs["loss"]
        assert found.loss_error[number] == fit.attrs["loss_error"]
        assert found.relative_error[number] == fit.attrs["relative_error"]
        np.testing.assert_array_equal(
            found.deviance[number], fit["scan_held_out_deviance"].values.ravel()
        )
    assert found.mean_intensity == stages.run.folder.read("analysed").attrs["mean_intensity"]
    assert found.distinct[0] == 1
    assert found.distinct[1] == 2
    assert progress == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


def test_raw_counts_have_a_spectrum_and_need_no_cross_validation(stages):
    found = gather_evidence(stages.run, silent, stages.fitted)
    assert found.spectrum.rank >= 1
    assert found.cross_validation is None
    assert HELD_OUT not in found.skipped
    assert SPECTRUM not in found.skipped
    # 42 positions are too few, or enough: one of the two is told.
    assert (STABILITY in found.skipped) is (found.stability == {})


def test_other_strategies_go_by_the_fits_alone(stages):
    found = gather_evidence(asking(stages.run, strategy="knee"), silent, stages.fitted)
    assert (found.spectrum, found.stability, found.skipped) == (None, {}, {})
    assert (found.silhouette, found.published) == (None, None)
    np.testing.assert_array_equal(found.distinct[:2], [1, 2])


def test_what_the_data_do_not_allow_is_told(stages):
    prepared = stages.prepared
    prepared = replace(prepared, ingested=replace(prepared.ingested, counts=False))
    fitted = replace(stages.fitted, prepared=prepared)
    found = gather_evidence(stages.run, silent, fitted)
    assert found.deviance is None
    assert found.skipped[HELD_OUT] == ("the values are not counts, of which half could be held out")
    # The camera's noise is known: that of counts. Three grains.
    assert found.spectrum.rank == 3
    # Blocks of the patterns are left out instead.
    assert found.cross_validation.shape == (4, 42)
    assert CROSS_VALIDATION not in found.skipped
    # What half of the positions cannot hold predicts no more.
    many = _cross_validation(stages.run, replace(fitted, ks=[*range(1, 31)]), {})
    np.testing.assert_allclose(many[:4], found.cross_validation, rtol=0.02)
    np.testing.assert_array_equal(many[21:], np.repeat(many[20:21], 9, axis=0))
    assert np.ptp(many[:21].mean(axis=1)) > 0
    found = gather_evidence(asking(stages.run, filter="mean"), silent, fitted)
    assert found.cross_validation is None
    assert found.skipped[CROSS_VALIDATION] == "the filter shares noise between positions or pixels"
    assert found.skipped[SPECTRUM] == "it needs raw patterns"


@pytest.mark.parametrize(
    ("known", "why"),
    [
        ({"camera_spread": 0.4}, "neighbouring pixels share noise: a point spread"),
        ({"intensity_dispersion": None}, "it needs counts, or a camera whose noise could be"),
    ],
)
def test_the_spectrum_needs_noise_of_single_pixels(stages, monkeypatch, known, why):
    prepared = replace(stages.prepared, ingested=replace(stages.prepared.ingested, counts=False))
    fitted = replace(stages.fitted, prepared=prepared)
    acquisition = stages.run.folder.read("acquisition")
    acquisition.attrs.update(known)
    if known.get("intensity_dispersion", 1) is None:
        del acquisition.attrs["intensity_dispersion"]
    read = stages.run.folder.read
    monkeypatch.setattr(
        stages.run.folder, "read", lambda g: acquisition if g == "acquisition" else read(g)
    )
    found = gather_evidence(stages.run, silent, fitted)
    assert found.spectrum is None
    assert found.skipped[SPECTRUM].startswith(why)


def test_the_limits_of_the_acquisition_are_told(stages, monkeypatch):
    # 42 positions of 48×48 pixels span far more than the four components that were fitted.
    found = gather_evidence(stages.run, silent, stages.fitted).limits
    assert found == Limits(42, more_components=True, next_bin=2, guesses=())
    acquisition = stages.run.folder.read("acquisition")
    acquisition["scan_measured"][0] = 0
    acquisition.attrs["guesses"] = ["its shape"]
    read = stages.run.folder.read
    monkeypatch.setattr(
        stages.run.folder, "read", lambda g: acquisition if g == "acquisition" else read(g)
    )
    few = gather_evidence(asking(stages.run, bin=64), silent, stages.fitted).limits
    assert few == Limits(35, more_components=True, next_bin=None, guesses=("its shape",))


def test_masked_pixels_and_the_direct_beam_are_left_out(stages):
    left_out = left_out_pixels(stages.run)
    sketch = stages.run.folder.read("sketch")
    assert left_out.shape == (48, 48)
    assert left_out[24, 24]
    assert not left_out.all()
    np.testing.assert_array_equal(
        ~left_out, sketch["detector_fitted"].values & sketch["detector_valid"].values
    )
