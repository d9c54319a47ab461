import numpy as np
import pytest

from orimap.tasks.acquire.ingest.beam_disc import BeamDisc
from orimap.tasks.acquire.ingest.defects.spikes import find_spikes
from orimap.tasks.acquire.ingest.defects.tracks import above_chance

SCAN, DETECTOR = (7, 8), (32, 34)
USED = np.ones(DETECTOR, bool)
BEAM = BeamDisc(15.5, 16.5, 4)
Y, X = np.indices(DETECTOR)


def spot(y, x, width=1.2):
    return np.exp(-((Y - y) ** 2 + (X - x) ** 2) / (2 * width**2))


def counted(seed=0):
    """A beam of about 1,500 electrons, four reflections, background: about 2,000 in all."""
    pattern = 60 * spot(15.5, 16.5, 2) + 0.2
    pattern += 8 * sum(spot(*at) for at in [(5, 6), (26, 27), (8, 25), (24, 8)])
    rng = np.random.default_rng(seed)
    return rng.poisson(np.broadcast_to(pattern, (*SCAN, *DETECTOR))).astype(np.uint16)


TRACK = [(2 + n, 31 - n // 3) for n in range(12)]
BLOB = [(27 + i, 3 + j) for i in range(3) for j in range(3)]


@pytest.mark.parametrize(
    ("pixels", "value"), [(TRACK, 3000), (TRACK, 400), (BLOB, 900)], ids=["track", "dim", "blob"]
)
@pytest.mark.parametrize("kind", ["u2", "f4"])
def test_what_is_brighter_than_a_whole_pattern_is_no_reflection(pixels, value, kind):
    plain = counted()
    hit = plain.copy()
    for v, w in pixels:
        hit[3, 4, v, w] = value
    found = find_spikes(hit.astype(kind), USED, BEAM)
    assert {tuple(place) for place in found.place.tolist()} == {(3, 4, v, w) for v, w in pixels}
    assert set(found.value.tolist()) == {value}
    np.testing.assert_allclose(found.taken_out_of(hit.astype(kind)), plain, atol=30)
    assert found.instead.max() <= 10


def test_hits_beside_each_other_and_through_the_beam_are_found():
    plain = counted()
    hit = plain.copy()
    lit = {(3, 4, v, w) for v, w in TRACK} | {(3, 5, v, w) for v, w in BLOB}
    lit |= {(2, 5, n, 10 + n // 4) for n in range(4, 28)}
    for y, x, v, w in lit:
        hit[y, x, v, w] = 1000 if (y, x) == (3, 5) else 4000
    found = find_spikes(hit, USED, BEAM)
    assert {tuple(place) for place in found.place.tolist()} == lit


def test_what_the_beam_may_have_lit_is_left():
    """A crystal of one position that takes all of the direct beam, in two sharp reflections."""
    scan = counted()
    beam = BEAM.mask(DETECTOR, times=2)
    lost = int(scan[3, 4, beam].sum())
    scan[3, 4, beam] = 0
    for v, w in [(4, 4), (27, 20)]:
        scan[3, 4, v : v + 2, w : w + 2] = lost // 8
    assert len(find_spikes(scan, USED, BEAM)) == 0


def test_behind_a_beam_stop_nothing_is_known():
    scan = counted()
    scan[..., BEAM.mask(DETECTOR, times=2)] = 0
    for v, w in BLOB:
        scan[3, 4, v, w] = 3000
    assert len(find_spikes(scan, USED, BEAM)) == 0


def test_there_are_none_where_the_specimen_ends():
    """Thick beside thin: the direct beam is ten times as bright, and reflections are gone."""
    scan = counted()
    thin = np.random.default_rng(1).poisson(600 * spot(15.5, 16.5, 2), (7, 3, *DETECTOR))
    scan[:, :3] = thin
    assert len(find_spikes(scan, USED, BEAM)) == 0
    scan = counted()
    scan[3, 4] = thin[0, 0]
    assert len(find_spikes(scan, USED, BEAM)) == 0


def test_more_than_chance_gives_is_three_deviations_and_three_electrons():
    assert above_chance(np.array(16.0), 1.0, 3.0) == 16 + 3 * (5 + 1)
    assert above_chance(np.array(0.0), 2.0, 0.0) == 6


def test_there_are_none_where_nothing_is_bright():
    dim = np.random.default_rng(0).poisson(0.05, (3, 3, *DETECTOR)).astype(np.uint16)
    assert len(find_spikes(dim, USED, BEAM)) == 0
