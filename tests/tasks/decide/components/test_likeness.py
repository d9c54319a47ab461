import numpy as np

from orimap.tasks.decide.components.likeness import (
    SIGNIFICANT,
    background_of,
    backgrounds,
    opening_size,
    reflection_cosines,
    reflection_images,
)

SIZE = 64
Y, X = np.mgrid[:SIZE, :SIZE]
NOTHING_LEFT_OUT = np.zeros((SIZE, SIZE), bool)
SMOOTH = np.exp(-np.hypot(Y - 32, X - 32) / 15)


def discs(spots, radius=1.5):
    """Unit discs at (y, x), with a soft edge."""
    image = np.zeros((SIZE, SIZE))
    for y, x in spots:
        image += np.clip(radius + 0.5 - np.hypot(Y - y, X - x), 0, 1)
    return image


def shares(counts, left_out):
    """Of each pattern, what lies surely above its background and is brighter than it."""
    below = backgrounds(counts, left_out)
    inside = np.where(left_out, 0.0, counts)
    above = inside - below
    sure = (above > SIGNIFICANT * np.sqrt(np.maximum(below, 1))) & (above > below)
    total = np.maximum(inside.sum(axis=(1, 2)), 1e-300)
    return np.where(sure, above, 0).sum(axis=(1, 2)) / total


def lattice(angle_deg, spacing=11.0):
    """Spots of a square lattice about the centre, without the direct beam."""
    angle = np.deg2rad(angle_deg)
    first = spacing * np.array([np.cos(angle), np.sin(angle)])
    second = np.array([-first[1], first[0]])
    spots = [
        32 + h * first + k * second for h in range(-3, 4) for k in range(-3, 4) if (h, k) != (0, 0)
    ]
    return [spot for spot in spots if np.all((spot > 4) & (spot < SIZE - 5))]


def test_different_lattices_have_little_in_common():
    images = reflection_images(
        np.stack([discs(lattice(a)) + 0.3 * SMOOTH for a in (0, 25)]), NOTHING_LEFT_OUT
    )
    cosine = reflection_cosines(images)
    np.testing.assert_allclose(np.diag(cosine), 1)
    assert cosine[0, 1] < 0.5


def test_cosines_are_those_of_numpy():
    images = np.random.default_rng(0).random((3, 9, 12))
    unit = images / np.linalg.norm(images.reshape(3, -1), axis=1)[:, None, None]
    expected = [[np.sum(one * other) for other in unit] for one in unit]
    np.testing.assert_allclose(reflection_cosines(images), expected, atol=1e-12)


def test_nothing_agrees_with_an_empty_image():
    images = np.stack([np.zeros((30, 30)), np.eye(30)])
    np.testing.assert_allclose(reflection_cosines(images), [[0, 0], [0, 1]], atol=1e-12)


def test_background_has_hardly_any_share_in_reflections_and_discs_have_most():
    counts = np.stack([1e5 * SMOOTH / SMOOTH.sum(), 1e5 * discs(lattice(10)) / 500])
    share = shares(counts, NOTHING_LEFT_OUT)
    assert share[0] < 0.02
    assert share[1] > 0.6


def test_counting_noise_on_a_background_is_no_reflection():
    noisy = np.random.default_rng(0).poisson(3e4 * SMOOTH / SMOOTH.sum(), (4, SIZE, SIZE))
    assert shares(noisy.astype(float), NOTHING_LEFT_OUT).max() < 0.05


def test_pixels_left_out_take_no_part():
    left_out = np.hypot(Y - 32, X - 32) < 6
    beam = 100 * discs([(32, 32)], radius=3)[None]
    assert reflection_images(beam + discs(lattice(0)), left_out)[0][left_out].max() == 0
    assert shares(1e4 * beam, left_out)[0] == 0


def test_an_empty_pattern_has_no_reflections():
    empty = np.zeros((1, SIZE, SIZE))
    assert reflection_images(empty, NOTHING_LEFT_OUT).max() == 0
    assert shares(empty, NOTHING_LEFT_OUT)[0] == 0


def test_the_scale_of_a_component_does_not_matter_to_its_reflections():
    pattern = discs(lattice(10))[None] + 0.1 * SMOOTH
    np.testing.assert_allclose(
        reflection_images(pattern, NOTHING_LEFT_OUT),
        reflection_images(1e4 * pattern, NOTHING_LEFT_OUT),
        atol=1e-12,
    )


def test_the_opening_takes_discs_away_and_keeps_what_is_smooth():
    size = opening_size((SIZE, SIZE))
    assert size == 7
    assert opening_size((256, 200)) == 21
    background = background_of(SMOOTH + discs(lattice(10, spacing=14)), size)
    assert np.abs(background - SMOOTH)[8:-8, 8:-8].max() < 0.35 * 1.0
    assert np.median(np.abs(background - SMOOTH)[8:-8, 8:-8]) < 0.06


def test_a_halo_goes_all_the_way_round_and_is_no_reflection():
    y, x = np.mgrid[:64, :64]
    radius = np.hypot(y - 31.5, x - 31.5)
    halo = 1000 * np.exp(-((radius - 14) ** 2) / (2 * 2.0**2))
    spots = halo.copy()
    for row, column in ((20, 40), (45, 28), (31, 10)):
        spots += 4000 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 2)
    share = shares(np.stack([halo, spots]), radius < 4)
    assert share[0] < 0.01
    # 3 spots of 4000 * 2 pi each, beside the halo's sum; their feet count as background.
    expected = 3 * 4000 * 2 * np.pi / spots.sum()
    assert 0.7 * expected < share[1] < expected
