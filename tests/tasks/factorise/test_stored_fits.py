import numpy as np
import pytest

from orimap.tasks.factorise.exact_pass import ExactPass
from orimap.tasks.factorise.fit_k import Fit, ReadySketch, fit_components
from orimap.tasks.factorise.sketch import sketch_patterns
from orimap.tasks.factorise.stored_fits import (
    basis_fit_group,
    fit_datasets,
    fit_group,
    on_detector,
    read_images,
    read_sketch,
    read_stack,
    read_weighting,
    rounded,
    write_basis_fit,
    write_sketch,
)
from orimap.tasks.factorise.weighting import poisson_weighting
from orimap.tasks.store import variables
from orimap.tasks.store.groups import complete_mark, open_group


@pytest.fixture
def sketched(one_worker, store_patterns, small_scan):
    rng = np.random.default_rng(0)
    valid = rng.random((6, 7)) < 0.9
    beam = np.zeros((6, 7), bool)
    beam[2:4, 3:5] = True
    small_scan[1, 2] = 0
    weighting = poisson_weighting(small_scan.mean(axis=(0, 1)), valid, beam)
    (sketch,) = sketch_patterns(
        one_worker, store_patterns(small_scan), weighting, 12, seed=0, held_out=False
    )
    return sketch, weighting


def test_values_return_to_their_pixels():
    valid = np.array([[True, False], [True, True]])
    np.testing.assert_array_equal(on_detector(np.array([[1, 2, 3]]), valid), [[[1, 0], [2, 3]]])


@pytest.mark.parametrize("poisson", [True, False])
def test_a_sketch_and_its_weighting_are_read_back_in_single_precision(tmp_path, sketched, poisson):
    from dataclasses import replace

    sketch, weighting = sketched[0], replace(sketched[1], poisson=poisson)
    write_sketch(tmp_path / "a.zarr", "sketch", sketch, weighting, (4, 5), "m", direct_beam="found")
    ds = open_group(tmp_path / "a.zarr", "sketch")
    again = read_weighting(ds)
    for name in ("valid", "fitted", "pixel"):
        np.testing.assert_array_equal(getattr(again, name), getattr(weighting, name))
    assert again.poisson is poisson
    back = read_sketch(ds, again)
    for name in ("values", "row_factor"):
        np.testing.assert_array_equal(getattr(back, name), getattr(sketch, name))
    for name in ("right", "excluded"):
        kept = getattr(sketch, name).astype(np.float32)
        np.testing.assert_array_equal(getattr(back, name), kept)
        assert getattr(back, name).dtype == float
    # The left vectors are stored times the singular values.
    np.testing.assert_allclose(back.left, sketch.left, rtol=1e-7)
    assert back.squares == sketch.squares
    assert ds.attrs["direct_beam"] == "found"
    assert ds["scan_basis"].dims == ("scan_y", "scan_x", "direction")
    for k in (1, 3):
        first, second = (
            fit_components(ReadySketch.of(*one), one[1], k, (0, 0)).images
            for one in ((sketch, weighting), (back, again))
        )
        np.testing.assert_allclose(second, first, rtol=1e-4, atol=1e-5 * first.max())


def test_values_are_rounded_each_to_its_own_last_digit():
    values = np.array([0, 1, 1 + 2**-13, 1 + 2**-14.5, 1e-9, 3.4e-38, 12345.678])
    np.testing.assert_array_equal(rounded(values)[:4], [0, 1, 1 + 2**-13, 1])
    np.testing.assert_allclose(rounded(values), values, rtol=2**-14)
    assert rounded(values).dtype == np.float32
    np.testing.assert_array_equal(rounded(rounded(values)), rounded(values))


def test_fits_are_read_back_as_written(tmp_path, sketched):
    weighting = sketched[1]
    pixels = len(weighting.pixel)
    rng = np.random.default_rng(1)
    images = rng.random((2, 3, pixels), np.float32)
    fits = [Fit(images[0], 15, True), Fit(images[1], 40, False)]
    store = tmp_path / "a.zarr"
    write_basis_fit(store, 3, fits, weighting, "mark")
    twelve = Fit(rng.random((12, pixels), np.float32), 15, True)
    write_basis_fit(store, 12, [twelve], weighting, "mark")
    for half, fit in enumerate(fits):
        np.testing.assert_array_equal(read_images(store, 3, weighting.valid, half), fit.images)
    with pytest.raises(KeyError, match="component_training_image"):
        read_images(store, 12, weighting.valid, 1)
    stack = read_stack(0, store, [3, 12], weighting.valid)
    assert stack.ks == (3, 12)
    np.testing.assert_array_equal(stack.table[:, stack.columns(0)].T, fits[0].images)
    # Of a fit that is not wanted, nothing is read: what keeps its place has no two alike.
    one = read_stack(0, store, [3, 5, 12], weighting.valid, wanted=[3, 12])
    np.testing.assert_array_equal(one.table[:, one.columns(0)].T, fits[0].images)
    np.testing.assert_array_equal(one.table[:, one.columns(2)].T, twelve.images)
    np.testing.assert_array_equal(one.table[:, one.columns(1)].sum(axis=1), 1)
    assert (one.table[:, one.columns(1)].sum(axis=0) > 0).all()
    attrs = open_group(store, basis_fit_group(3)).attrs
    assert list(attrs["iterations"]) == [15, 40]
    assert list(attrs["converged"]) == [True, False]
    assert complete_mark(store, basis_fit_group(3)) == "mark"
    assert (basis_fit_group(3), fit_group(12)) == ("basis_fits/k03", "fits/k12")


def passed(loss):
    weights = np.zeros((4, 2), np.float32)
    weights[:, 0] = [1, 2, 3, 4]
    residual = np.array([[1.0, 2.0, 3.0, 3.0]])
    return ExactPass([weights], np.array([loss]), residual, np.array([[5.0, 6, 7, 8]]))


VALID = np.array([[True, True, False], [True, True, True]])
IMAGE = np.array([[1.0, 0, 2, 3, 4], [0, 0, 0, 0, 0]])


def test_component_patterns_have_unit_sum_and_weights_are_in_counts():
    (ds,) = fit_datasets(
        passed([5.0, 10, 15, 20]), [IMAGE], [{"iterations": 7}], VALID, (2, 2), 36.0
    )
    pattern = variables.component_pattern.read(ds).values
    np.testing.assert_allclose(pattern[0], [[0.1, 0, 0], [0.2, 0.3, 0.4]], rtol=2**-14)
    np.testing.assert_array_equal(pattern[1], 0)
    weight = variables.scan_weight.read(ds).values
    np.testing.assert_allclose(weight[..., 0], [[10, 20], [30, 40]])
    np.testing.assert_array_equal(variables.scan_held_out_deviance.read(ds), [[5, 6], [7, 8]])
    assert ds.attrs["loss"] == pytest.approx(12.5 / 5)
    assert (ds.attrs["loss_error"], ds.attrs["loss_positions"]) == (0, 4)
    assert ds.attrs["relative_error"] == pytest.approx(0.5)
    assert (ds.attrs["empty_components"], ds.attrs["iterations"]) == (1, 7)


def test_a_sampled_loss_carries_its_standard_error():
    (ds,) = fit_datasets(passed([5.0, np.nan, 15, np.nan]), [IMAGE], [{}], VALID, (2, 2), 36.0)
    assert ds.attrs["loss"] == pytest.approx(10 / 5)
    assert ds.attrs["loss_error"] == pytest.approx(5 / np.sqrt(2) / 5)
    assert ds.attrs["loss_positions"] == 2
