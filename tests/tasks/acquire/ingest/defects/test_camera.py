import numpy as np
import pytest

from orimap.tasks.acquire.ingest.defects.camera import (
    TOO_FEW,
    UNEVEN,
    Measured,
    measure_camera,
)
from orimap.tasks.acquire.ingest.defects.photon_transfer import FEWEST_GROUPS


def camera_of(three, every, **more):
    return measure_camera(*three, every, **more).camera


@pytest.mark.parametrize(
    ("gain", "offset", "noise", "blur"),
    [
        (9.0, 0.0, 14.0, 0.0),
        (9.0, 100.0, 14.0, 0.6),
        (4.0, 400.0, 6.0, 0.0),
        (2.5, 30.0, 1.0, 0.0),
        (150.0, 0.0, 60.0, 0.45),
        (0.55, 3.0, 0.6, 0.9),
    ],
)
def test_gain_offset_and_noise_of_a_camera_are_found(
    electrons, through, every, gain, offset, noise, blur
):
    camera = camera_of(through(electrons(), gain, offset, noise, blur), every)
    assert camera.gain == pytest.approx(gain, rel=0.05 if blur < 0.7 else 0.12)
    assert camera.offset == pytest.approx(offset, abs=(0.25 if blur else 0.2) * noise)
    assert camera.read_noise == pytest.approx(noise, rel=0.1)
    assert camera.is_linear
    # Values are shifted to where their variance is proportional to them.
    pedestal = noise**2 / gain
    least = 4 * camera.shift_error + 0.2 * pedestal
    assert camera.shift == pytest.approx(pedestal - offset, abs=least)
    assert max(camera.shift + camera.offset, 0) == pytest.approx(
        noise**2 / gain, rel=0.3, abs=0.1 * gain
    )
    kernel = through(np.pad([[1.0]], 8)[None], blur=blur)[0]
    assert camera.spread == pytest.approx(1 - (kernel**2).sum(), abs=0.12)


def test_errors_are_of_the_size_of_what_is_missed(electrons, through, every):
    missed = []
    for seed in range(12):
        found = camera_of(through(electrons(seed=seed), 9, 100, 14, seed=seed), every)
        missed.append([
            (found.gain - 9) / found.gain_error,
            (found.offset - 100) / found.offset_error,
            (found.read_noise - 14) / found.read_noise_error,
            (found.shift - (14**2 / 9 - 100)) / found.shift_error,
        ])  # fmt: skip
    spread = np.sqrt(np.mean(np.square(missed), axis=0))
    assert np.all((spread > 0.05) & (spread < 3)), spread


def test_counts_have_a_gain_of_one_and_nothing_else(electrons, every):
    camera = camera_of(electrons(), every)
    assert camera.gain == pytest.approx(1, rel=0.05)
    assert camera.offset == pytest.approx(0, abs=0.03)
    assert camera.read_noise < 0.15
    assert camera.shift == pytest.approx(0, abs=0.02)
    assert camera.spread == 0


def test_crystal_that_changes_in_brightness_is_not_taken_for_gain(electrons, through, every):
    # Of the beam, 400 electrons a pixel, 3 % are more than half of the noise.
    camera = camera_of(through(electrons(changing=0.03), 9, 0, 14), every)
    assert camera.gain == pytest.approx(9, rel=0.1)


def test_a_stretched_contrast_is_found_where_noise_falls_with_brightness(electrons, through, every):
    seen = np.clip(through(electrons(), 0.5, 3, 1.2, blur=0.9), 0, 255)
    stretched = np.rint(255 * (seen / 255) ** 0.55)
    camera = camera_of(stretched, every)
    assert not camera.is_linear
    assert camera.gamma == pytest.approx(0.55, abs=max(0.15, 2 * camera.gamma_error))
    assert {"camera_gamma", "camera_gamma_error"} <= set(camera.attributes)
    plain = camera_of(np.rint(seen), every)
    assert plain.is_linear
    assert "camera_gamma" not in plain.attributes


def test_saturated_pixels_tell_nothing_of_noise(electrons, through, every):
    three = through(electrons(), 9, 100, 14)
    three[..., -4:] = 65535
    camera = camera_of(three, every)
    assert camera.gain == pytest.approx(9, rel=0.08)
    assert camera.read_noise == pytest.approx(14, rel=0.1)


def test_pixels_may_have_noise_of_their_own(electrons, through, every):
    noise = 14 * np.random.default_rng(3).uniform(0.3, 3, (48, 48))
    camera = camera_of(through(electrons(), 9, 0, noise), every)
    assert camera.gain == pytest.approx(9, rel=0.08)
    # Unless it follows brightness in no order at all, as behind a dark image of steps.
    steps = 60 * (np.indices((48, 48))[0] // 6 % 2)
    found = camera_of(through(electrons(), 9, 0, 2 + steps) + 20 * steps, every)
    assert found is None or abs(found.gain - 9) < 4 * found.gain_error


def test_a_dark_image_that_is_not_even_is_named_as_what_keeps_the_camera_unknown(
    electrons, through, every
):
    waves = 20 * np.sin(np.indices((48, 48))[1] / 3)
    three = through(electrons(dose=0.3, patterns=288), 25, 300, 5)
    assert measure_camera(*three, every).camera.gain == pytest.approx(25, rel=0.1)
    found = measure_camera(*(three + waves), every)
    assert (found.camera, found.why_not) == (None, UNEVEN)
    # What it was told by can be looked at all the same.
    assert len(found.curve.mean) >= FEWEST_GROUPS


def test_what_does_not_tell_is_not_guessed(electrons, every):
    assert measure_camera(*electrons(patterns=5), every) == Measured(None, None, TOO_FEW)
    same = measure_camera(*np.ones((3, 64, 1, 48, 48)), every)
    assert (same.camera, same.why_not) == (None, TOO_FEW)
    assert measure_camera(*np.zeros((3, 0, 1, 48, 48)), every).why_not == TOO_FEW
    # Nothing but read-out noise has no gain that could be known.
    dark = np.random.default_rng(0).normal(400, 6, (3, 64, 1, 48, 48))
    found = measure_camera(*dark, every)
    assert found.camera is None or found.camera.gain_error > 0.05 * found.camera.gain
    assert bool(found.why_not) is (found.camera is None)


def test_the_offset_is_bounded_where_nothing_tells_it(electrons, through, every):
    camera = camera_of(through(electrons(dose=0.05, patterns=48), 9, 50, 14), every)
    if camera is not None:
        assert abs(camera.offset - 50) < 2 * camera.offset_error


def test_values_that_are_not_numbers_count_as_nothing(electrons, through, every):
    three = through(electrons(), 9, 0, 14)
    three[..., 5, 5] = np.nan
    assert camera_of(three, every).gain == pytest.approx(9, rel=0.08)
