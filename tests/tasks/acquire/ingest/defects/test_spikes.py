import numpy as np
import pytest
import zarr

from orimap.tasks.acquire.ingest.beam_disc import BeamDisc
from orimap.tasks.acquire.ingest.defects.spikes import (
    MOST_A_PATTERN,
    find_spikes,
    is_as_sharp_as_a_pixel,
    noise_of,
)
from orimap.tasks.acquire.ingest.ingest import ingest_acquisition
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.patterns.source import PatternSource
from orimap.tasks.stream.blocks import Block

SCAN, DETECTOR = (7, 8), (32, 34)
USED = np.ones(DETECTOR, bool)
Y, X = np.indices(DETECTOR)


def spot(y, x, width=1.2):
    """A Gaussian spot, averaged over each pixel, of unit height in the middle."""
    fine = (np.arange(8) - 3.5) / 8
    offset = [(axis[..., None] + fine) for axis in (Y, X)]
    profile = [np.exp(-((o - at) ** 2) / (2 * width**2)).mean(axis=-1)
               for o, at in zip(offset, (y, x), strict=True)]  # fmt: skip
    return profile[0] * profile[1]


def expected(dose=1.0):
    """Two grains beside each other: a beam, reflections of their own, background."""
    common = 60 * spot(15.5, 16.5, 2) + 0.3
    grains = [common + 8 * sum(spot(*at) for at in places) for places in (
        [(5, 6), (26, 27), (8, 25)], [(6, 17), (25, 16), (16, 4)])]  # fmt: skip
    left = np.indices(SCAN)[1] < 4
    return dose * np.where(left[..., None, None], *grains)


def counted(dose=1.0, seed=0):
    return np.random.default_rng(seed).poisson(expected(dose)).astype(np.uint16)


HITS = {(0, 0, 3, 30): 400, (3, 5, 20, 2): 60000, (6, 7, 31, 0): 900, (2, 2, 5, 12): 2000}


def hit_at(dose=1.0):
    scan = counted(dose)
    for place, value in HITS.items():
        scan[place] = value
    scan[2, 2, 5, 13] = 2000  # the electrons of one hit, shared by two pixels
    return scan


@pytest.fixture
def hit():
    return hit_at()


def test_single_bright_pixels_are_found_with_what_stands_in_for_them(hit):
    spikes = find_spikes(hit, USED)
    places = [tuple(place) for place in spikes.place]
    assert set(places) == {*HITS, (2, 2, 5, 13)}
    assert spikes.value.tolist() == [int(hit[place]) for place in places]
    assert spikes.instead.max() <= 2
    plain = counted()
    np.testing.assert_allclose(spikes.taken_out_of(hit).astype(float), plain, atol=4)
    assert hit[3, 5, 20, 2] == 60000


@pytest.mark.parametrize("dose", [0.05, 1, 30])
@pytest.mark.parametrize("seed", range(3))
def test_there_are_none_in_counts_of_reflections(dose, seed):
    assert len(find_spikes(counted(dose, seed), USED)) == 0


@pytest.mark.parametrize("dose", [1, 10, 300])
@pytest.mark.parametrize("width", [0.4, 0.6])
def test_sharp_reflections_of_a_grain_of_one_position_are_kept(dose, width):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        scan = expected()
        sharp = sum(spot(*(rng.uniform(2, 29, 2)), width) for _ in range(2))
        scan[3, 3] += 40 * dose * sharp
        found = find_spikes(rng.poisson(scan).astype(np.uint16), USED)
        assert len(found) == 0, found.place


def test_many_sharp_pixels_of_one_pattern_are_a_crystal():
    scan = counted()
    for n in range(MOST_A_PATTERN + 1):
        scan[3, 3, 3 + 4 * n, 30] = 500
    assert len(find_spikes(scan, USED)) == 0
    scan[3, 3, 3, 30] = 0
    assert len(find_spikes(scan, USED)) == MOST_A_PATTERN
    # What is shared by two pixels is one hit.
    scan[3, 3, 7, 31] = scan[3, 3, 12, 31] = 500
    assert len(find_spikes(scan, USED)) == MOST_A_PATTERN + 2


def test_hot_pixels_masked_pixels_and_single_patterns_are_left_to_others(hit):
    hot = counted()
    hot[..., 20, 20] = 700
    assert len(find_spikes(hot, USED)) == 0
    used = USED.copy()
    used[20, 2] = False
    assert len(find_spikes(hit, used)) == len(HITS)
    assert len(find_spikes(hit[:1, :1], USED)) == 0


@pytest.mark.parametrize("gain", [148.0, 1e-30])
def test_units_and_read_out_noise_do_not_matter(hit, gain):
    rng = np.random.default_rng(3)
    plain = gain * (counted() + 0.05 * rng.standard_normal((*SCAN, *DETECTOR)))
    scan = plain.copy()
    scan[3, 5, 20, 2] = 2000 * gain
    spikes = find_spikes(scan, USED)
    assert spikes.place.tolist() == [[3, 5, 20, 2]]
    assert len(find_spikes(plain, USED)) == 0


def test_the_noise_of_counts_is_that_of_electrons():
    gain, dim = noise_of(counted(5), USED)
    assert gain == pytest.approx(1, abs=0.25)
    assert dim <= np.sqrt(1.5) / 0.6745
    rng = np.random.default_rng(3)
    camera = 9 * counted(20) + rng.normal(0, 14, (*SCAN, *DETECTOR))
    assert noise_of(camera, USED)[0] == pytest.approx(9, rel=0.25)


def test_a_beam_as_sharp_as_a_pixel_has_no_spikes_to_look_for():
    beam = BeamDisc(15, 16, 2)
    assert not is_as_sharp_as_a_pixel(spot(15, 16), beam)
    sharp = np.full(DETECTOR, 0.01)
    sharp[15, 16] = 5
    assert is_as_sharp_as_a_pixel(sharp, beam)


@pytest.mark.parametrize("dtype", ["u2", "f4"])
def test_spikes_are_stored_and_left_out_of_all_that_is_worked_out(client, tmp_path, dtype):
    """In the sparse form of counts, and in dense patterns."""
    hit = hit_at(0.02)
    np.save(tmp_path / "hit.npy", hit.astype(dtype))
    cleaned = find_spikes(hit, USED).taken_out_of(hit)
    np.save(tmp_path / "cleaned.npy", cleaned.astype(dtype))
    found = {}
    for name in ("hit", "cleaned"):
        acquisition = open_acquisition(tmp_path / f"{name}.npy")
        store = tmp_path / f"{name}.zarr"
        found[name] = ingest_acquisition(client, acquisition, store, "m")
        assert (found[name].attrs["n_spikes"]) == (5 if name == "hit" else 0)
    for name in ("scan_total_intensity", "detector_mean", "detector_maximum", "detector_fano"):
        np.testing.assert_array_equal(found["hit"][name], found["cleaned"][name])
    store = tmp_path / "hit.zarr"
    raw = zarr.open_group(store, path="raw", mode="r")["pattern_intensity"]
    np.testing.assert_array_equal(raw[:], hit)
    source = PatternSource.open(store, "raw")
    assert source.sparse == (dtype == "u2")
    block = Block(1, 4, 2, 8)
    np.testing.assert_array_equal(source.stored(block, "raw"), cleaned[1:4, 2:8])
    (note,) = [note for note in found["hit"].attrs["notes"] if "X-rays" in note]
    assert note.startswith("5 values left out")
    assert "(0, 0), (2, 2), (3, 5), (6, 7)" in note
    # Another scan in its place has no spikes of this one.
    ingest_acquisition(client, open_acquisition(tmp_path / "cleaned.npy"), store, "n")
    np.testing.assert_array_equal(source.stored(block, "raw"), cleaned[1:4, 2:8])
    assert not (store / "spikes").exists()
