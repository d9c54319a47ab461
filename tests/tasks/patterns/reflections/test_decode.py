import numpy as np
import pytest

from orimap.tasks.errors import InputError
from orimap.tasks.patterns.reflections.decode import Decoder, decode_images, decode_rows
from orimap.tasks.patterns.reflections.lengths import Lengths
from orimap.tasks.patterns.reflections.reflection_list import Reflections

SHAPE = (21, 26)


def registered(patterns, direct=None):
    """Reflections from a list of lists of (y, x, intensity)."""
    entries = np.array([e for pattern in patterns for e in pattern], np.float32).reshape(-1, 3)
    n = len(patterns)
    return Reflections(
        np.concatenate([[0], np.cumsum([len(p) for p in patterns])]).astype(np.int64),
        *entries.T,
        entries[:, 2],
        np.full(n, -1, np.int32) if direct is None else np.array(direct, np.int32),
        np.ones(n, np.float32),
        np.ones(n, np.float32),
    )


def many(seed=0, n=7, shape=SHAPE):
    """Patterns with up to nine reflections, some beyond the edge, one pattern without any."""
    rng = np.random.default_rng(seed)
    counts = [*rng.integers(1, 10, n - 1), 0]
    patterns = [
        [(rng.uniform(-2, shape[0] + 2), rng.uniform(-2, shape[1] + 2), rng.uniform(1, 90))
         for _ in range(count)]
        for count in counts
    ]  # fmt: skip
    return registered(patterns, [0] * (n - 1) + [-1])


def supersampled(shape, y, x, radius, parts=64):
    """The share of each pixel that lies in a disc, by counting points."""
    rows, columns = ((np.arange(size * parts) + 0.5) / parts - 0.5 for size in shape)
    inside = (rows[:, None] - y) ** 2 + (columns - x) ** 2 <= radius**2
    return inside.reshape(shape[0], parts, shape[1], parts).mean((1, 3))


def one_disc(y, x, height=1.0, radius=2.0, **options):
    decoder = Decoder(SHAPE, Lengths.of_disc(radius), **options)
    return decode_images(registered([[(y, x, height)]]), decoder)[0]


@pytest.mark.parametrize("radius", [0.75, 1.5, 3, 4.6])
def test_a_disc_covers_each_pixel_as_much_as_a_supersampled_one(radius):
    rng = np.random.default_rng(1)
    for _ in range(10):
        y, x = np.float32(rng.uniform((5, 5), (15, 20)))
        drawn = one_disc(y, x, radius=radius)
        np.testing.assert_allclose(drawn, supersampled(SHAPE, y, x, radius), atol=0.03)
        assert drawn.sum() == pytest.approx(np.pi * radius**2, rel=0.01)


def test_a_disc_stands_at_its_sub_pixel_position():
    rows, columns = np.indices(SHAPE)
    for y, x in [(10.0, 12.0), (10.25, 12.5), (9.6, 11.1)]:
        drawn = one_disc(y, x)
        centre = (drawn * rows).sum() / drawn.sum(), (drawn * columns).sum() / drawn.sum()
        np.testing.assert_allclose(centre, (y, x), atol=0.01)


def test_the_height_of_a_disc_is_its_intensity():
    assert one_disc(10, 12, 37.5).max() == 37.5


def test_where_discs_overlap_the_larger_value_counts():
    alone = [one_disc(10, 11, 30), one_disc(10.5, 13, 70)]
    decoder = Decoder(SHAPE, Lengths.of_disc(2))
    for order in (1, -1):
        both = registered([[(10, 11, 30), (10.5, 13, 70)][::order]])
        np.testing.assert_array_equal(decode_images(both, decoder)[0], np.maximum(*alone))


def test_the_direct_beam_is_drawn_half_as_wide_again():
    found = registered([[(10, 12, 1)]], direct=[0])
    drawn = decode_images(found, Decoder(SHAPE, Lengths.of_disc(2)))[0]
    np.testing.assert_array_equal(drawn, one_disc(10, 12, radius=3))


def test_only_what_lies_inside_is_drawn_of_a_disc_at_the_edge():
    drawn = one_disc(-0.5, 25.5)  # its centre is the corner of the frame
    assert drawn.sum() == pytest.approx(np.pi * 4 / 4, rel=0.01)
    assert not one_disc(-5, 12).any()
    assert not one_disc(10, 40).any()


def test_a_shift_moves_every_reflection_of_its_pattern_and_of_no_other():
    decoder = Decoder(SHAPE, Lengths.of_disc(2))
    found = registered([[(10, 12, 5), (4, 6, 7)], [(10, 12, 5)]])
    drawn = decode_images(found, decoder, np.array([[1.25, -2.5], [0, 0]]))
    moved = registered([[(11.25, 9.5, 5), (5.25, 3.5, 7)], [(10, 12, 5)]])
    np.testing.assert_allclose(drawn, decode_images(moved, decoder), atol=1e-5)


def test_twice_the_scale_is_the_same_picture_on_finer_pixels():
    fine = decode_images(
        registered([[(7.3, 9.1, 1)]]), Decoder((42, 52), Lengths.of_disc(2.5), scale=2)
    )[0]
    coarse = one_disc(7.3, 9.1, radius=2.5)
    np.testing.assert_allclose(fine.reshape(21, 2, 26, 2).mean((1, 3)), coarse, atol=0.03)


def test_a_gaussian_has_half_its_height_at_the_radius_of_the_disc():
    drawn = one_disc(10, 12, 8, radius=3, profile="gaussian")
    np.testing.assert_allclose(drawn[10, 12:16], 8 * 0.5 ** (np.arange(4) ** 2 / 9), rtol=1e-6)
    assert drawn[10, 15] == pytest.approx(4)
    assert drawn[drawn > 0].min() >= 0.08  # ends at a hundredth of its height


def test_a_gaussian_at_the_edge_is_cut():
    whole = one_disc(10, 12, 8, profile="gaussian")
    cut = one_disc(-1, 12, 8, profile="gaussian")
    np.testing.assert_allclose(cut[:5], whole[11:16], atol=1e-6)
    assert not cut[5:].any()


@pytest.mark.parametrize("profile", ["disc", "gaussian"])
@pytest.mark.parametrize("scale", [1.0, 0.7])
def test_rows_are_the_valid_pixels_of_the_images(profile, scale):
    found = many()
    valid = np.random.default_rng(2).random(SHAPE) > 0.2
    decoder = Decoder(SHAPE, Lengths.of_disc(2), profile, scale)
    shift = np.random.default_rng(3).normal(0, 2, (len(found), 2))
    rows = decode_rows(found, decoder, valid, shift)
    images = decode_images(found, decoder, shift)
    np.testing.assert_allclose(rows.toarray(), images[:, valid], rtol=1e-6)


def test_rows_hold_no_zeros_and_their_columns_are_sorted():
    rows = decode_rows(many(), Decoder(SHAPE, Lengths.of_disc(2)), np.ones(SHAPE, bool))
    assert rows.dtype == np.float64
    assert (rows.data > 0).all()
    for n in range(rows.shape[0]):
        assert (np.diff(rows.indices[rows.indptr[n] : rows.indptr[n + 1]]) > 0).all()
    assert rows[-1].nnz == 0


def test_patterns_are_drawn_independently_of_each_other():
    found, decoder, valid = many(), Decoder(SHAPE, Lengths.of_disc(2)), np.ones(SHAPE, bool)
    whole = decode_rows(found, decoder, valid).toarray()
    for n in range(len(found)):
        alone = decode_rows(found.take(np.array([n])), decoder, valid).toarray()
        np.testing.assert_array_equal(alone[0], whole[n])


def test_no_patterns_give_no_rows():
    rows = decode_rows(registered([]), Decoder(SHAPE, Lengths.of_disc(2)), np.ones(SHAPE, bool))
    assert rows.shape == (0, 21 * 26)


def test_a_reflection_without_intensity_draws_nothing():
    assert not one_disc(10, 12, 0).any()
    assert not one_disc(10, 12, -3).any()


def test_what_cannot_be_drawn_is_refused():
    lengths = Lengths.of_disc(2)
    with pytest.raises(InputError, match="disc or gaussian"):
        Decoder(SHAPE, lengths, "cone")
    with pytest.raises(InputError, match="positive scale"):
        Decoder(SHAPE, lengths, scale=0)
    decoder = Decoder(SHAPE, lengths)
    with pytest.raises(InputError, match="one of \\(5, 5\\)"):
        decode_rows(many(), decoder, np.ones((5, 5), bool))
    with pytest.raises(InputError, match="2 values that are not finite"):
        decode_images(many(n=1), decoder, np.full((1, 2), np.nan))
