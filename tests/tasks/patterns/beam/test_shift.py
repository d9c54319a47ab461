import h5py
import numpy as np
import pytest

from orimap.tasks.acquire.ingest.beam_disc import BeamDisc
from orimap.tasks.patterns.beam.shift import Descan, measure_descan, sample_places, verdict
from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.scan import plan_scan

SHAPE = (12, 13)
DETECTOR = (64, 68)
CENTRE = (np.array(DETECTOR) - 1) / 2


def simulate(**recipe):
    """Counts of a simulated scan, its truth and its good pixels."""
    given = {"scan": SHAPE, "detector": DETECTOR, "grains": 3, "seed": 4} | recipe
    scan = plan_scan(ScanRecipe(**given))
    return scan.patterns(slice(None)), scan, ~(scan.hot_mask | scan.dead_mask)


@pytest.fixture
def measure(store_patterns, one_worker):
    """Measure patterns in a store of their own."""

    def run(patterns, valid=None, block_shape=None, client=one_worker):
        valid = np.ones(patterns.shape[2:], bool) if valid is None else valid
        source = store_patterns(patterns, block_shape)
        return measure_descan(client, source, patterns.mean(axis=(0, 1)), valid)

    return run


def rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


@pytest.mark.parametrize("dose", [500, 5000])
@pytest.mark.parametrize(
    ("descan", "worthwhile"), [(0, False), (0.8, False), (2, True), (6, True), (12, True)]
)
def test_descan_is_measured_to_a_small_part_of_a_pixel(measure, dose, descan, worthwhile):
    patterns, scan, valid = simulate(descan=descan, dose=dose)
    found = measure(patterns, valid)
    assert found.found
    assert found.worthwhile == worthwhile
    assert rms(found.smooth - (scan.descan + CENTRE)) < 0.06
    # The wander leaves out the outermost positions at either end; and the simulator moves patterns
    # by mixing two that are a pixel apart, which looks less than it is for a part of a pixel.
    wander = np.ptp(scan.descan, axis=(0, 1)).max()
    assert found.wander_px == pytest.approx(wander, rel=0.05, abs=0.2)
    # Discs of 150 electrons are aligned on their own noise, which makes them look narrower.
    tolerance = 0.2 if dose == 5000 else 0.35
    assert found.disc.radius == pytest.approx(scan.recipe.disk_radius_px, abs=tolerance)


def test_whole_pixel_shifts_bring_the_beam_to_the_disc(measure):
    patterns, scan, valid = simulate(descan=6)
    found = measure(patterns, valid)
    beam = scan.descan + CENTRE + found.pixel_shift
    assert found.pixel_shift.dtype == np.int16
    assert np.abs(beam - (found.disc.y, found.disc.x)).max() < 0.6
    # The reference is where the largest shift is smallest.
    assert (
        np.abs(found.pixel_shift.min(axis=(0, 1)) + found.pixel_shift.max(axis=(0, 1))).max() <= 1
    )


def test_wide_discs_bending_and_hot_pixels_do_no_harm(measure):
    patterns, scan, valid = simulate(
        detector=(96, 96), descan=5, disk_radius=4.5, bend=1.5, hot=12, dead=10, dose=3000
    )
    found = measure(patterns, valid)
    assert found.worthwhile
    assert rms(found.smooth - (scan.descan + 47.5)) < 0.05
    assert found.disc.radius == pytest.approx(4.5, abs=0.15)


def test_a_beam_dimmer_than_reflections_is_followed(measure):
    patterns, scan, valid = simulate(descan=4, dose=4000)
    truth = scan.descan + CENTRE
    rng = np.random.default_rng(0)
    y, x = np.ogrid[: DETECTOR[0], : DETECTOR[1]]
    for place in zip(*np.nonzero(scan.labels > 0), strict=True):
        beam = np.hypot(y - truth[place][0], x - truth[place][1]) < 3
        patterns[place][beam] = rng.binomial(patterns[place][beam], 0.25)
    assert rms(measure(patterns, valid).smooth - truth) < 0.06


def test_neither_blocks_nor_workers_change_the_result(measure, client):
    patterns, _, valid = simulate(descan=3, dose=1000)
    expected = measure(patterns, valid)
    for found in (measure(patterns, valid, (5, 4)), measure(patterns, valid, (1, 13), client)):
        for name in ("position", "smooth", "inlier", "pixel_shift"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        assert (found.disc, found.finding) == (expected.disc, expected.finding)


def test_empty_patterns_have_no_position_but_a_surface(measure):
    patterns, scan, valid = simulate(descan=4)
    patterns[3:6, 4:9] = 0
    found = measure(patterns, valid)
    empty = np.isnan(found.position).any(axis=-1)
    assert empty[3:6, 4:9].all()
    assert empty.sum() == 15
    assert not found.inlier[empty].any()
    assert rms(found.smooth - (scan.descan + CENTRE)) < 0.05


@pytest.mark.parametrize("shape", [(1, 40), (2, 3), (1, 1)])
def test_scans_of_few_positions_are_measured(measure, shape):
    patterns, scan, valid = simulate(scan=shape, grains=1, descan=4, overlap=0)
    found = measure(patterns, valid)
    assert found.found
    assert rms(found.smooth - (scan.descan + CENTRE)) < 0.1


def test_jitter_within_reach_is_not_taken_for_descan(measure):
    patterns, _, valid = simulate(dose=3000, disk_radius=3.0)
    rng = np.random.default_rng(1)
    for place in np.ndindex(SHAPE):
        patterns[place] = np.roll(patterns[place], rng.integers(-1, 2, 2), axis=(0, 1))
    found = measure(patterns, valid)
    assert found.found
    assert not found.worthwhile
    assert found.scatter_px == pytest.approx(0.8, abs=0.15)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("arm_px", [0, 3])
def test_a_beam_stop_is_recognised(measure, arm_px, masked):
    patterns, _, valid = simulate(descan=3, detector=(96, 96))
    y, x = np.mgrid[:96, :96] - 47.5
    stop = (np.hypot(y, x) < 8) | ((np.abs(y) < arm_px) & (x < 0))
    patterns[:, :, stop] = 0
    found = measure(patterns, valid & ~stop if masked else valid)
    assert not found.found
    assert not found.worthwhile
    assert "no direct beam is recognised" in found.finding
    assert not found.pixel_shift.any()


def test_patterns_without_a_beam_are_left_alone(measure):
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:64, :68] - CENTRE[:, None, None]
    halo = rng.poisson(20 * np.exp(-(y**2 + x**2) / 200), (5, 6, *DETECTOR))
    noise = rng.poisson(3, (5, 6, *DETECTOR))
    for patterns in (halo, noise, np.zeros_like(noise)):
        found = measure(patterns.astype(np.uint16))
        assert not found.found
        assert np.isfinite(found.smooth).all()
        assert np.isnan(found.position).all()


def test_the_sample_is_spread_over_the_scan():
    places = sample_places((100, 2))
    assert places.min(axis=0).tolist() == [0, 0]
    assert places.max(axis=0).tolist() == [99, 1]
    assert len(np.unique(places, axis=0)) == len(places) == 6 * 3 * 2
    assert len(sample_places((4, 5))) == 20


@pytest.mark.parametrize(
    ("wander", "error", "radius", "worthwhile", "reason"),
    [
        (0.9, 0.01, 2.0, False, "less than the 1.0 px"),
        (1.1, 0.01, 2.0, True, "more than the 1.0 px"),
        (1.9, 0.01, 8.0, False, "less than the 2.0 px"),
        (2.1, 0.01, 8.0, True, "more than the 2.0 px"),
        (1.1, 0.30, 2.0, False, "error of measurement"),
    ],
)
def test_a_wander_is_worth_correcting_when_it_blurs(wander, error, radius, worthwhile, reason):
    judged, finding = verdict(wander, error, 0.1, radius)
    assert judged == worthwhile
    assert reason in finding


@pytest.mark.parametrize(
    ("wander", "error", "said"),
    [
        (0.0, 0.001, "over the scan by less than 0.01 px (and"),
        (0.034, 0.001, "over the scan by 0.03 px (and"),
        (0.0, 0.02, "over the scan by 0.0 ± 0.02 px (and"),
    ],
)
def test_how_far_the_beam_moves_is_told_to_what_is_known(wander, error, said):
    assert said in verdict(wander, error, 0.1, 2.0)[1]


def test_shifts_are_from_the_pattern_to_the_disc():
    smooth = np.array([[[10.0, 20.0], [11.4, 17.6]]], np.float32)
    nothing = np.zeros((1, 2), bool)
    disc = BeamDisc(10.0, 20.0, 2.0)
    descan = Descan(smooth, smooth, nothing, disc, 2.4, 0.0, 0.0, True, True, "")
    np.testing.assert_array_equal(descan.pixel_shift, [[[0, 0], [-1, 2]]])


@pytest.mark.parametrize(
    ("name", "worthwhile"),
    [
        ("lnmo_9grains_bent", True),
        ("au_4grains_lowdose", False),
        ("lnmo_3grains_descan", True),
        *(
            pytest.param(name, False, marks=pytest.mark.slow)
            for name in (
                "lnmo_6grains",
                "si_7grains_zone",
                "au_12grains",
                "lnmo_5grains_sped",
                "si_10grains_overlap",
            )
        ),
    ],
)
def test_shared_scans_are_measured_and_judged(measure, shared_data, name, worthwhile):
    from rsciio.hspy import file_reader

    patterns = np.asarray(file_reader(shared_data / "scans" / f"{name}.hspy")[0]["data"])
    with np.load(shared_data / "scans" / f"{name}.npz") as truth:
        expected = truth["descan"] + (np.array(patterns.shape[2:]) - 1) / 2
        valid = ~(truth["hot_mask"] | truth["dead_mask"])
    found = measure(patterns, valid)
    assert found.found
    assert found.worthwhile == worthwhile
    assert rms(found.smooth - expected) < 0.02


def test_shared_real_patterns_are_judged(measure, shared_data):
    from rsciio.blockfile import file_reader as read_blockfile
    from rsciio.hspy import file_reader as read_hspy

    folder = shared_data / "formats"
    precession = measure(np.asarray(read_blockfile(folder / "sped_2x3.blo")[0]["data"]))
    steel = measure(np.asarray(read_hspy(folder / "sped_steel_2x2.hspy")[0]["data"]))
    with h5py.File(folder / "ni_ebsd_3x3.h5") as file:
        stacks = []
        file.visititems(lambda _, item: stacks.append(item))
        kikuchi = next(item[:] for item in stacks if getattr(item, "ndim", 0) == 3)
    kikuchi = measure(kikuchi.reshape(3, 3, 60, 60))
    assert precession.found
    assert precession.scatter_px < 0.2
    assert not precession.worthwhile
    assert steel.found
    assert steel.disc.radius == pytest.approx(3.4, abs=0.3)
    assert not kikuchi.found
