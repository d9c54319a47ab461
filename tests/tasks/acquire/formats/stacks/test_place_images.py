import os
from itertools import product

import numpy as np
import pytest

from orimap.tasks.acquire.formats.stacks.image_names import natural_order
from orimap.tasks.acquire.formats.stacks.place_images import place_images
from orimap.tasks.acquire.formats.stacks.scan_shape import Asked
from orimap.tasks.errors import InputError

ROWS, COLUMNS = 3, 12


@pytest.fixture
def images(tmp_path):
    """Make empty files of given names, written in the order of the scan or all at once."""

    def make(template, *, rows=ROWS, columns=COLUMNS, in_order=False, leave_out=()):
        for number, (y, x) in enumerate(product(range(rows), range(columns))):
            if (y, x) in leave_out:
                continue
            path = tmp_path / template.format(x=x, y=y, n=number)
            path.touch()
            moment = 10**9 + (number // 4 if in_order else 0)  # a clock with few ticks
            os.utime(path, (moment, moment))
        return list(tmp_path.iterdir())

    return make


def names_of(template, rows=ROWS, columns=COLUMNS):
    """Return names in the order of the scan."""
    places = enumerate(product(range(rows), range(columns)))
    return [template.format(x=x, y=y, n=n) for n, (y, x) in places]


def placed(files, **asked):
    found = place_images(files, Asked(**asked))
    return [file.name for file in found.files], found.scan_shape, found


@pytest.mark.parametrize(
    "template",
    [
        "pattern_x{x}y{y}.bmp", "y{y:03d}_x{x:03d}.png", "Scan 12 row {y} column {x}.tif",
        "col-{x}_row-{y}_{n:05d}.tif", "r{y}c{x}.tif", "a2_X{x}_Y{y}.tif", "line{y}_col{x}.tif",
    ],
)  # fmt: skip
def test_words_before_the_numbers_say_which_is_which(images, template):
    names, shape, found = placed(images(template))
    assert names == names_of(template)
    assert (shape, found.guesses) == ((ROWS, COLUMNS), ())
    assert "is the column" in found.notes[0]


@pytest.mark.parametrize("template", ["{x}_{y}.tiff", "{x:03d}-{y:03d}.tiff", "{y}_{x}.tiff"])
def test_the_order_of_writing_tells_which_number_is_faster(images, template):
    names, shape, found = placed(images(template, in_order=True))
    assert names == names_of(template)
    assert shape == (ROWS, COLUMNS)
    assert "in that order the files were written" in found.guesses[0]


@pytest.mark.parametrize("template", ["{x}_{y}_{n}.tiff", "{n:04d}_{y:02d}_{x:02d}.tiff"])
def test_a_counter_tells_which_number_is_faster(images, template):
    names, shape, found = placed(images(template))
    assert names == names_of(template)
    assert shape == (ROWS, COLUMNS)
    assert "counts" in found.guesses[0]


@pytest.mark.parametrize(
    ("template", "in_order"),
    [("{x}_{y}.tiff", False), ("{y:03d}_{x:03d}.tiff", True), ("{x}x{y}.tiff", False)],
)
def test_the_user_is_asked_where_nothing_tells(images, template, in_order):
    files = images(template, in_order=in_order)
    with pytest.raises(InputError, match="which number in the names") as error:
        placed(files)
    example = sorted(files, key=lambda file: natural_order(file.name))[0].stem
    assert example in error.value.found
    middle = example.strip("0")
    assert f"--image-names '{{x}}{middle}{{y}}' if the first is the column" in error.value.remedy
    assert "--image-names order with --scan-shape" in error.value.remedy


def test_the_answer_settles_it(images):
    files = images("{x}_{y}.tiff")
    names, shape, found = placed(files, image_names="{x}_{y}")
    assert (names, shape) == (names_of("{x}_{y}.tiff"), (ROWS, COLUMNS))
    assert (found.notes, found.guesses) == (("images are placed as {x}_{y} says",), ())
    assert placed(files, image_names="{y}_{x}.TIFF")[1] == (COLUMNS, ROWS)
    assert placed(files, image_names="order")[:2] == (
        sorted((file.name for file in files), key=natural_order),
        None,
    )
    assert placed(files, image_names="*{x}_{y}")[1] == (ROWS, COLUMNS)
    with pytest.raises(InputError, match="36 of 36 are not"):
        placed(files, image_names="p{x}_{y}")


def test_a_shape_settles_it_too(images):
    files = images("{x}_{y}.tiff")
    names, shape, found = placed(files, scan_shape=(ROWS, COLUMNS))
    assert (names, shape, found.guesses) == (names_of("{x}_{y}.tiff"), (ROWS, COLUMNS), ())
    assert placed(files, scan_shape=(COLUMNS, ROWS))[1] == (COLUMNS, ROWS)
    with pytest.raises(InputError, match="which number"):
        placed(files, scan_shape=(4, 9))


def test_a_shape_that_contradicts_the_names_is_refused(images):
    with pytest.raises(InputError, match="say 3×12"):
        placed(images("x{x}y{y}.tiff"), scan_shape=(12, 3))


@pytest.mark.parametrize("template", ["p{n}.tif", "scan_12_{n:04d}.tif", "a_{y}_{n}.tif"])
def test_a_number_that_counts_is_no_position(images, template):
    names, shape, found = placed(images(template))
    assert (names, shape) == (names_of(template), None)
    assert (found.notes, found.guesses) == ((), ())


def test_steps_may_be_larger_than_one_and_have_fractions(tmp_path):
    for y, x in product(range(3), range(4)):
        (tmp_path / f"x{0.25 * x:.2f}_y{10 + 5 * y}.tif").touch()
    names, shape, _ = placed(list(tmp_path.iterdir()))
    assert shape == (3, 4)
    assert names[:5] == [
        "x0.00_y10.tif", "x0.25_y10.tif", "x0.50_y10.tif", "x0.75_y10.tif", "x0.00_y15.tif",
    ]  # fmt: skip


@pytest.mark.parametrize("template", ["x{x}y{y}.tif", "{x}_{y}.tif"])
def test_an_image_that_is_missing_is_named_and_leaves_its_place_empty(images, template):
    files = images(template, leave_out=[(1, 4)], in_order=True)
    names, shape, found = placed(files)
    assert (len(names), shape) == (35, (ROWS, COLUMNS))
    np.testing.assert_array_equal(found.places.at, np.delete(np.arange(36), 16))
    assert found.places.evidence == (
        "1 image is missing: there is none for column 4, row 1 (counted from 0)"
    )
    assert found.places.awaited == ("the image for column 4, row 1",)


def test_more_images_that_are_missing_than_a_few_are_refused(images):
    with pytest.raises(InputError) as error:
        placed(images("x{x}y{y}.tif", leave_out=[(0, x) for x in range(1, 12)]))
    assert "25: there is none for column 1, row 0" in error.value.found


@pytest.mark.parametrize("template", ["p{n}.tif", "scan_12_{n:04d}.tif"])
def test_a_number_that_is_missing_leaves_its_place_empty(images, template):
    files = images(template, leave_out=[(0, 5), (2, 0)])
    names, _, found = placed(files, scan_shape=(ROWS, COLUMNS))
    assert len(names) == 34
    np.testing.assert_array_equal(found.places.at, np.delete(np.arange(36), [5, 24]))
    assert "2 images are missing by the numbers of the others (5, 24)" in found.places.evidence
    assert (found.guesses, found.places.awaited) == ((), ("image number 5",))


def test_images_of_which_there_are_enough_are_taken_one_after_the_other_as_a_guess(images):
    found = placed(images("p{n}.tif", leave_out=[(0, 5)]), scan_shape=(5, 7))[2]
    assert found.places is None
    assert "jump from 4 to 6: some may be missing" in found.guesses[0]


def test_first_images_are_missing_where_the_last_has_the_number_of_positions(tmp_path):
    for number in range(3, 13):
        (tmp_path / f"p{number:03d}.tif").touch()
    found = placed(list(tmp_path.iterdir()), scan_shape=(3, 4))[2]
    np.testing.assert_array_equal(found.places.at, np.arange(2, 12))
    assert "(1, 2)" in found.places.evidence
    assert placed(list(tmp_path.iterdir()), scan_shape=(4, 4))[2].unbroken_by == "numbers"


def test_the_last_images_are_missing_of_a_scan_that_was_stopped(images):
    files = images("x{x}y{y}.tif", leave_out=[(2, x) for x in range(5, COLUMNS)])
    names, shape, _ = placed(files)
    assert (len(names), shape) == (29, (3, 12))
    assert placed(files, scan_shape=(8, 12))[1] == (8, 12)


def test_two_images_of_one_position_are_refused(tmp_path):
    for name in ("x0y0.tif", "x1y0.tif", "x01y0.tif", "x0y1.tif", "x1y1.tif"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match="1 positions have more than one"):
        placed(list(tmp_path.iterdir()))


def test_names_of_several_kinds_are_taken_in_order_as_a_guess(tmp_path):
    for name in ("a_1.tif", "b_1.tif", "c_12.tif", "b_2.tif"):
        (tmp_path / name).touch()
    names, shape, found = placed(list(tmp_path.iterdir()))
    assert (names, shape) == (["a_1.tif", "b_1.tif", "b_2.tif", "c_12.tif"], None)
    assert "differ in more than numbers: a_1.tif, b_1.tif, c_12.tif" in found.guesses[0]


def test_a_letter_for_each_row_is_no_guess(images):
    files = [f for row in "abc" for f in images(row + "{x}.tif", rows=1)]
    files = sorted({*files}, key=lambda file: natural_order(file.name))
    names, _, found = placed(files[::-1], scan_shape=(ROWS, COLUMNS))
    assert names == [f"{row}{x}.tif" for row in "abc" for x in range(COLUMNS)]
    assert found.guesses == ()
    assert placed(files, scan_shape=(COLUMNS, ROWS))[2].guesses


@pytest.mark.parametrize(
    "name",
    ["x{:d}_y{:d}.tif", "x{:+d}_y{:+d}.tif", "x={:d}nm_y={:d}nm.tif", "x{:.1e}_y{:.1e}.tif",
     "x{:.1f}_y{:.1f}.tif", "p-x{:d}-y{:d}.tif"],
)  # fmt: skip
@pytest.mark.parametrize("first", [0, -5, -12])
def test_positions_have_signs_fractions_and_exponents(tmp_path, name, first):
    kind = float if "f}" in name or "e}" in name else int
    expected = [name.format(kind(x + first), kind(y - 1)) for y in range(3) for x in range(12)]
    for each in expected:
        (tmp_path / each).touch()
    names, shape, found = placed(list(tmp_path.iterdir()))
    assert (names, shape, found.guesses) == (expected, (3, 12), ())
    assert placed(list(tmp_path.iterdir()), image_names="order")[2].guesses


def test_frames_to_skip_and_positions_in_names_exclude_each_other(images):
    with pytest.raises(InputError, match="--skip-frames leaves out some"):
        placed(images("x{x}_y{y}.tif"), skip_frames=(1, 0), keep_rows=2)


def test_a_comma_may_stand_for_the_point(tmp_path):
    expected = [f"x{x / 2}_y{y / 2}.tif".replace(".", ",", 2) for y in range(3) for x in range(4)]
    for each in expected:
        (tmp_path / each).touch()
    files = list(tmp_path.iterdir())
    assert placed(files)[:2] == (expected, (3, 4))
    assert placed(files, image_names="x{x}_y{y}")[:2] == (expected, (3, 4))


def test_a_template_reads_signs_and_says_what_it_contradicts(images):
    files = images("x-{x}_y{y}.tif")
    assert placed(files, image_names="x{x}_y{y}")[0][0] == "x-11_y0.tif"
    assert placed(files, image_names="*{x}_y{y}")[0][0] == "x-0_y0.tif"
    assert "words before the numbers" in placed(files, image_names="x-{y}_y{x}")[2].guesses[0]


def test_a_shape_against_the_order_of_writing_is_a_guess(images):
    files = images("{x}_{y}.tiff", in_order=True)
    assert placed(files, scan_shape=(ROWS, COLUMNS))[2].guesses == ()
    _, shape, found = placed(files, scan_shape=(COLUMNS, ROWS))
    assert shape == (COLUMNS, ROWS)
    assert "the other way round: in that order the files were written" in found.guesses[0]


@pytest.mark.parametrize("other", ["average.tif", "x3_y1 (1).tif", "dark_0001.tif"])
def test_an_image_that_is_named_otherwise_is_left_out_and_named(images, tmp_path, other):
    (tmp_path / other).touch()
    names, shape, found = placed(images("x{x}_y{y}.tif"))
    assert (names, shape) == (names_of("x{x}_y{y}.tif"), (ROWS, COLUMNS))
    assert f"1 image is left out, named otherwise than x0_y0.tif: {other}" in found.notes[-1]
    assert found.guesses == ()
    (tmp_path / "x3_y1.tif").unlink()
    found = placed(list(tmp_path.iterdir()))[2]
    assert other in found.guesses[0]
    assert found.places is not None


def test_an_image_that_is_named_otherwise_is_no_pattern_of_those_that_are_counted(images, tmp_path):
    (tmp_path / "img_0003 - Copy.tif").touch()
    files = images("img_{n:04d}.tif")
    names, _, found = placed(files, scan_shape=(ROWS, COLUMNS))
    assert (names, found.guesses) == (names_of("img_{n:04d}.tif"), ())
    assert "Copy" in found.notes[0]
    assert "Copy" in placed(files, scan_shape=(ROWS, COLUMNS), skip_frames=(0, 1))[2].guesses[0]
    (tmp_path / "img_0035.tif").unlink()
    with pytest.raises(
        InputError, match=r"35 are named as img_0000.tif, and 1 is not: img_0003 - Copy"
    ):
        placed(list(tmp_path.iterdir()), scan_shape=(ROWS, COLUMNS))


def test_hexadecimal_numbers_count(images):
    files = images("img_{n:04x}.tif")
    names, _, found = placed(files, scan_shape=(ROWS, COLUMNS))
    assert (names, found.guesses) == (names_of("img_{n:04x}.tif"), ())
    assert "hexadecimal" in found.notes[0]


def test_an_order_that_no_number_tells_is_a_guess(tmp_path):
    for name in ("3_5_1.tif", "3_9_0.tif", "4_2_7.tif", "4_5_2.tif", "5_1_6.tif"):
        (tmp_path / name).touch()
    assert "none counts" in placed(list(tmp_path.iterdir()))[2].guesses[0]


@pytest.mark.parametrize(
    ("template", "in_order", "scan_shape", "guess"),
    [
        ("{x}_{y}.tif", False, (ROWS, COLUMNS), "form 12 rows of 3"),
        ("{x}_{y}.tif", True, None, "changes from image to image"),
        ("{x}_{y}.tif", False, (COLUMNS, ROWS), ""),
        ("{y}_{x}.tif", True, (ROWS, COLUMNS), ""),
        ("x{x}_y{y}.tif", False, (ROWS, COLUMNS), "words for column and row"),
        ("y{y}_x{x}.tif", False, (ROWS, COLUMNS), ""),
        ("{n:03d}.tif", False, (ROWS, COLUMNS), ""),
    ],
)
def test_an_order_against_what_names_tell_is_a_guess(images, template, in_order, scan_shape, guess):
    files = images(template, in_order=in_order)
    found = placed(files, image_names="order", scan_shape=scan_shape)[2]
    assert bool(found.guesses) is bool(guess)
    assert guess in "".join(found.guesses)
