import numpy as np
import pytest

from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.errors import InputError

ALL = slice(None)


@pytest.fixture
def write(tmp_path):
    """Write frames of 130×128, whose last two rows are no image, and their description."""

    def write(patterns, *, pixels, raw="scan.raw", more="", tail=b""):
        frames = np.arange(patterns * 130 * 128, dtype="<f4").reshape(patterns, 130, 128)
        (tmp_path / raw).write_bytes(frames.tobytes() + tail)
        (tmp_path / "scan.xml").write_text(
            f'<root><raw_file filename="{raw}"/><pix_x>{pixels[1]}</pix_x>'
            f"<pix_y>{pixels[0]}</pix_y>{more}</root>"
        )
        return tmp_path / "scan.xml", frames[:, :128]

    return write


def modes(**shapes):
    return "".join(
        f'<scan_parameters mode="{mode}"><scan_resolution_x>{x}</scan_resolution_x>'
        f"<scan_resolution_y>{y}</scan_resolution_y></scan_parameters>"
        for mode, (y, x) in shapes.items()
    )


def test_frames_lie_in_a_raw_file_beside_the_description(write):
    path, frames = write(6, pixels=(2, 3))
    acquisition = open_acquisition(path)
    assert (acquisition.reader, acquisition.guesses) == ("EMPAD", ())
    np.testing.assert_array_equal(
        acquisition.read(ALL, slice(1, 3)), frames.reshape(2, 3, 128, 128)[:, 1:3]
    )


@pytest.mark.parametrize(
    ("raw", "more"),
    [("scan_x3_y2.raw", ""), ("scan.raw", modes(search=(2, 3), acquire=(2, 2)))],
)
def test_of_several_shapes_that_with_as_many_positions_is_meant(write, raw, more):
    path, frames = write(6, pixels=(2, 2), raw=raw, more=more)
    acquisition = open_acquisition(path)
    assert acquisition.scan_shape == (2, 3)
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), frames.reshape(2, 3, 128, 128))
    (guess,) = acquisition.guesses
    assert guess.startswith(f"the .xml says 2×2 positions (pix_x and pix_y), and {raw} holds 6")
    assert "read as 2×3" in guess


@pytest.mark.parametrize(
    ("pixels", "raw", "more"),
    [
        ((2, 2), "scan.raw", modes(search=(2, 3), acquire=(3, 2))),
        ((3, 2), "scan_x3_y2.raw", modes(acquire=(3, 2))),
    ],
)
def test_two_shapes_that_fit_ask_for_one(write, pixels, raw, more):
    path, _ = write(6, pixels=pixels, raw=raw, more=more)
    with pytest.raises(InputError, match="several that fit the 6 patterns") as error:
        open_acquisition(path)
    assert "--scan-shape" in error.value.remedy
    assert open_acquisition(path, scan_shape=(3, 2)).scan_shape == (3, 2)


def test_a_shape_against_the_file_is_a_guess(write):
    path, _ = write(6, pixels=(2, 3))
    assert open_acquisition(path, scan_shape=(2, 3)).guesses == ()
    (guess,) = open_acquisition(path, scan_shape=(3, 2)).guesses
    assert guess == "3×2, as --scan-shape says, although the file says 2×3, which fits as well"


def test_a_raw_file_that_was_renamed_is_named(write, tmp_path):
    path, _ = write(6, pixels=(2, 3))
    (tmp_path / "scan.raw").rename(tmp_path / "mine.raw")
    with pytest.raises(InputError, match=r"renamed: mine\.raw"):
        open_acquisition(path)


def test_more_or_fewer_patterns_than_any_shape_has_are_not_dropped(write):
    path, _ = write(7, pixels=(2, 3))
    with pytest.raises(InputError, match="--skip-frames 0:1 after the scan"):
        open_acquisition(path)
    path, frames = write(7, pixels=(4, 3), tail=bytes(100))
    with pytest.raises(InputError, match="--keep-rows 2 takes"):
        open_acquisition(path)
    acquisition = open_acquisition(path, keep_rows=2)
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), frames[:6].reshape(2, 3, 128, 128))
    assert "100 bytes after the last whole pattern of scan.raw are left out" in acquisition.notes


def test_a_missing_raw_file_is_named(write):
    path, _ = write(6, pixels=(2, 3), raw="scan_x3_y2.raw")
    (path.parent / "scan_x3_y2.raw").unlink()
    with pytest.raises(InputError) as error:
        open_acquisition(path)
    assert error.value.needed == "scan_x3_y2.raw beside scan.xml, which holds its patterns"
    path.write_text("<root/>")
    with pytest.raises(InputError, match="names none"):
        open_acquisition(path)


@pytest.mark.parametrize(
    ("view", "steps"),
    [
        (
            "<optics><get_full_scan_field_of_view>[8e-9, 6e-9]</get_full_scan_field_of_view>"
            "</optics>",
            (4.0, 2.0),
        ),
        (
            "<full_scan_field_of_view><x>4.5e-9</x><scale_factor>0.75</scale_factor>"
            "</full_scan_field_of_view>",
            (2.0, 2.0),
        ),
    ],
)
def test_older_descriptions_have_steps(write, view, steps):
    pixel = "<calibrated_pixelsize>0.1</calibrated_pixelsize>"
    more = f"<iom_measurements>{pixel.replace('0.1', '1e-10')}{view}</iom_measurements>"
    path, _ = write(6, pixels=(2, 3), more=more)
    acquisition = open_acquisition(path)
    assert acquisition.scan_step == pytest.approx(steps)
    assert acquisition.scan_units == "nm"
