import h5py
import numpy as np
import pytest

from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.errors import InputError

ALL = slice(None)
LISTS = h5py.vlen_dtype(np.uint32)


def write_events(path, frames, positions, *, scan=(4, 5), detector=(6, 7), version=None):
    """Write lists of pixels as stempy does."""
    with h5py.File(path, "w") as file:
        if version:
            file.attrs["version"] = version
        group = file.create_group("electron_events")
        stored = group.create_dataset("frames", (len(frames),), dtype=LISTS)
        for number, pixels in enumerate(frames):
            stored[number] = pixels
        stored.attrs["Nx"], stored.attrs["Ny"] = detector[1], detector[0]
        where = group.create_dataset("scan_positions", data=np.array(positions, np.uint32))
        where.attrs["Nx"], where.attrs["Ny"] = scan[1], scan[0]


def events(pattern):
    """Return a pattern as the list of its electrons, some pixels twice."""
    return np.repeat(np.arange(pattern.size, dtype=np.uint32), pattern.ravel())


@pytest.fixture
def patterns(small_scan):
    """A scan of few electrons, with pixels hit more than once."""
    return np.minimum(small_scan, 3).reshape(20, 6, 7)


def test_lists_of_electrons_become_counts(tmp_path, patterns):
    write_events(tmp_path / "a.h5", [events(p) for p in patterns], range(20))
    acquisition = open_acquisition(tmp_path / "a.h5")
    assert (acquisition.reader, acquisition.scan_shape) == ("stempy", (4, 5))
    expected = patterns.reshape(4, 5, 6, 7)
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), expected)
    np.testing.assert_array_equal(acquisition.read(slice(1, 3), slice(2, 4)), expected[1:3, 2:4])
    assert "rows there" in acquisition.guesses[0]  # 6×7 pixels: Nx could be either


def test_frames_in_any_order_and_several_of_one_position_are_added(tmp_path, patterns):
    halves = [events(p)[n::2] for n in (0, 1) for p in patterns]
    positions = [*range(20), *range(20)]
    order = np.random.default_rng(0).permutation(40)
    write_events(
        tmp_path / "a.h5", [halves[n] for n in order], [positions[n] for n in order], version=2
    )
    acquisition = open_acquisition(tmp_path / "a.h5")
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), patterns.reshape(4, 5, 6, 7))
    assert "40 frames at 20 positions: those of one are added up" in acquisition.notes


def test_the_frames_of_a_position_follow_one_another_in_version_3(tmp_path, patterns):
    halves = [events(p)[n::2] for p in patterns for n in (0, 1)]
    write_events(tmp_path / "a.h5", halves, range(20), version=3)
    acquisition = open_acquisition(tmp_path / "a.h5")
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), patterns.reshape(4, 5, 6, 7))


def test_the_frames_of_a_position_may_be_a_row_of_lists(tmp_path, patterns):
    write_events(tmp_path / "a.h5", [events(p) for p in patterns], range(20))
    with h5py.File(tmp_path / "a.h5", "a") as file:
        facts = dict(file["electron_events/frames"].attrs)
        del file["electron_events/frames"]
        frames = file.create_dataset("electron_events/frames", (20, 3), dtype=LISTS)
        for number, pattern in enumerate(patterns):
            for part in range(3):
                frames[number, part] = events(pattern)[part::3]
        frames.attrs.update(facts)
    acquisition = open_acquisition(tmp_path / "a.h5")
    expected = patterns.reshape(4, 5, 6, 7)
    np.testing.assert_array_equal(acquisition.read(slice(1, 4), slice(2, 5)), expected[1:4, 2:5])


def test_positions_without_a_frame_are_not_measured(tmp_path, patterns):
    kept = [n for n in range(20) if n not in (3, 11)]
    patterns[5] = 0  # a frame without electrons is one
    write_events(tmp_path / "a.h5", [events(patterns[n]) for n in kept], kept)
    acquisition = open_acquisition(tmp_path / "a.h5")
    assert (
        "2 of 20 positions, in rows 0 to 2, have no data: no frame was taken there; "
        "not measured, and left out"
    ) in acquisition.notes
    assert np.flatnonzero(acquisition.no_data).tolist() == [3, 11]
    read = acquisition.read(ALL, ALL).reshape(20, 6, 7)
    assert read[[3, 11]].max() == 0
    np.testing.assert_array_equal(read[kept], patterns[kept])


def test_a_square_detector_leaves_no_doubt(tmp_path, patterns):
    square = patterns[..., :6]
    write_events(tmp_path / "a.h5", [events(p) for p in square], range(20), detector=(6, 6))
    assert open_acquisition(tmp_path / "a.h5").guesses == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scan": (3, 5)}, "5 frames of a.h5 lie elsewhere"),
        ({"detector": (4, 4)}, "events on 4×4 pixels"),
        ({"positions": range(13)}, "20 frames and 13 positions"),
    ],
)
def test_events_that_do_not_fit_are_refused(tmp_path, patterns, change, message):
    told = {"positions": range(20), **change}
    write_events(tmp_path / "a.h5", [events(p) for p in patterns], **told)
    with pytest.raises(InputError, match=message):
        open_acquisition(tmp_path / "a.h5").read(ALL, ALL)


def test_sizes_that_are_missing_are_asked_for(tmp_path, patterns):
    write_events(tmp_path / "a.h5", [events(p) for p in patterns], range(20))
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file["electron_events/frames"].attrs["Nx"]
    with pytest.raises(InputError, match="Nx and Ny"):
        open_acquisition(tmp_path / "a.h5")
