import numpy as np
import pytest
from skimage.io import imsave

from orimap.tasks.acquire.ingest.defects.correction import Correction, read_correction
from orimap.tasks.errors import InputError

SHAPE, CROP = (6, 8), (1, 5, 2, 8)


@pytest.fixture
def image(tmp_path):
    def save(name, values):
        np.save(tmp_path / name, values)
        return tmp_path / name

    return save


def test_without_anything_values_stay_as_they_are():
    plain = read_correction(SHAPE, CROP)
    values = np.arange(48, dtype=np.uint16).reshape(2, 4, 6)
    assert not plain
    assert plain.of(values) is values
    assert (plain.electrons, plain.notes, plain.blind) == (False, (), None)


def test_values_become_electrons(image):
    rng = np.random.default_rng(0)
    electrons = rng.integers(0, 50, (3, *SHAPE))
    dark, unit = rng.uniform(90, 110, SHAPE), rng.uniform(0.5, 2, SHAPE)
    unit /= np.median(unit[1:5, 2:8])
    found = read_correction(
        SHAPE,
        CROP,
        gain=9,
        dark=image("dark.npy", dark),
        gain_map=image("lit.npy", 7000 * unit),
    )
    seen = (9 * unit * electrons + dark)[:, 1:5, 2:8]
    assert found
    assert found.electrons
    np.testing.assert_allclose(found.of(seen.astype(np.float32)), electrons[:, 1:5, 2:8], atol=1e-4)
    assert [note.split()[0] for note in found.notes] == ["dark", "divided", "divided"]
    # Whole numbers below 0 come out as such.
    assert found.of(np.zeros((4, 6), np.uint16)).min() < -5


def test_a_stack_of_dark_images_is_averaged_and_may_have_the_size_of_the_crop(image):
    stack = np.stack([np.full((4, 6), value) for value in (10, 20, 60)])
    found = read_correction(SHAPE, CROP, dark=image("dark.npy", stack))
    np.testing.assert_array_equal(found.of(np.full((4, 6), 40, np.uint16)), 10)


def test_one_offset_serves_all_pixels():
    found = read_correction(SHAPE, CROP, offset=-5)
    np.testing.assert_array_equal(found.of(np.zeros((4, 6), np.int16)), 5)
    assert not found.electrons


def test_pixels_that_a_gain_map_does_not_see_are_blind(image):
    lit = np.ones(SHAPE)
    lit[2, 3], lit[3, 4] = 0, np.nan
    found = read_correction(SHAPE, CROP, gain_map=image("lit.npy", lit))
    assert np.argwhere(found.blind).tolist() == [[1, 1], [2, 2]]
    assert found.notes[-1] == (
        "2 of 24 pixels masked, where the gain map is not above 0 (1 0, 1 no number)"
    )
    assert found.guesses == ()


def test_a_gain_map_that_is_mostly_blind_is_doubtful(image):
    lit = np.ones(SHAPE)
    lit[:3], lit[3, 2:4] = -1, 0
    found = read_correction(SHAPE, CROP, gain_map=image("lit.npy", lit))
    assert (
        "14 of 24 pixels masked, where the gain map is not above 0 (2 0, 12 below 0)"
        in (found.notes[-1])
    )
    assert found.guesses == (
        "lit.npy is used as a gain map, although it is not above 0 in 58 % of the pixels",
    )


@pytest.fixture
def seen():
    """Four patterns of a few electrons in a camera of 370 units of dark level, and that level."""
    rng = np.random.default_rng(0)
    electrons = rng.poisson(0.5, (4, 48, 64))
    electrons[:, 20:28, 28:36] += 30
    return (370 + 9 * electrons + rng.normal(0, 3, electrons.shape)).round().astype(np.uint16)


@pytest.mark.parametrize("level", [0, 300, 370, 371])
def test_a_dark_image_that_fits_is_no_matter_of_doubt(image, seen, level):
    dark = image("dark.npy", np.full((48, 64), level))
    assert read_correction((48, 64), (0, 48, 0, 64), dark=dark).fitted(seen).guesses == ()


def test_a_dark_image_above_most_values_is_doubtful(image, seen):
    dark = image("dark.npy", np.full((48, 64), 385))
    found = read_correction((48, 64), (0, 48, 0, 64), dark=dark).fitted(seen)
    assert len(found.guesses) == 1
    assert found.guesses[0].startswith("--dark dark.npy is subtracted, although 8")
    assert found.guesses[0].endswith("its median is 385, theirs 373")
    np.testing.assert_array_equal(found.zero, 385)


@pytest.mark.parametrize(("option", "named"), [("dark", "--dark dark.npy"), ("offset", "--offset")])
def test_a_dark_level_that_leaves_nothing_is_refused(image, seen, option, named):
    value = image("dark.npy", np.full((48, 64), 4000)) if option == "dark" else 4000.0
    found = read_correction((48, 64), (0, 48, 0, 64), **{option: value})
    with pytest.raises(InputError, match=f"{named}.*\n.*100 % of the values in 4 patterns"):
        found.fitted(seen)


def test_patterns_that_hold_nothing_say_nothing_of_a_dark_image(image, seen):
    dark = image("dark.npy", np.full((48, 64), 370))
    found = read_correction((48, 64), (0, 48, 0, 64), dark=dark)
    seen[:3] = 0
    assert found.fitted(seen).guesses == ()
    assert found.fitted(0 * seen).guesses == ()


def test_how_an_image_was_made_is_told(image, tmp_path):
    stack = np.stack([np.full(SHAPE, value) for value in (10, 20)])
    assert read_correction(SHAPE, CROP, dark=image("dark.npy", stack)).notes == (
        "dark image dark.npy (the mean of its 2 images) subtracted (mean 15)",
    )
    grey = np.repeat(np.arange(48, dtype=np.uint8).reshape(*SHAPE, 1), 3, axis=2)
    imsave(tmp_path / "grey.png", grey)
    found = read_correction(SHAPE, CROP, dark=tmp_path / "grey.png", gain_map=tmp_path / "grey.png")
    np.testing.assert_array_equal(found.zero, grey[1:5, 2:8, 0])
    assert "grey.png (a colour picture, whose colours are equal) subtracted" in found.notes[0]
    assert "grey.png (a colour picture, whose colours are equal), relative" in found.notes[1]


def test_values_of_double_precision_keep_it():
    assert Correction(np.zeros((4, 6), np.float32)).of(np.full((4, 6), 1e-200)).max() == 1e-200


def test_what_does_not_fit_is_named(image):
    dark = image("dark.npy", np.zeros(SHAPE))
    with pytest.raises(InputError, match=r"--offset 3 and --dark dark\.npy"):
        read_correction(SHAPE, CROP, offset=3, dark=dark)
    for values in (np.zeros((3, 3)), np.zeros(SHAPE, "U3")):
        with pytest.raises(InputError, match="--dark"):
            read_correction(SHAPE, CROP, dark=image("other.npy", values))
    with pytest.raises(InputError, match="24 of 24"):
        read_correction(SHAPE, CROP, dark=image("other.npy", np.full(SHAPE, np.nan)))
    with pytest.raises(InputError, match="--gain-map"):
        read_correction(SHAPE, CROP, gain_map=image("other.npy", np.zeros(SHAPE)))
    with pytest.raises(InputError, match="no file of that name"):
        read_correction(SHAPE, CROP, dark=dark.with_name("absent.npy"))
