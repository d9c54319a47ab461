import h5py
import pytest

from orimap.tasks.acquire.formats.files.dectris_triggers import DESCRIBED, against_triggers
from orimap.tasks.acquire.open_acquisition import open_acquisition


@pytest.fixture
def master(tmp_path, small_scan):
    """A master file with its patterns in it, and so many triggers and images of each."""

    def write(triggers, images):
        path = tmp_path / "scan_master.h5"
        with h5py.File(path, "w") as file:
            file["entry/data/data_000001"] = small_scan.reshape(20, 6, 7)
            if triggers:
                file[f"{DESCRIBED}/ntrigger"], file[f"{DESCRIBED}/nimages"] = triggers, images
        return path

    return write


def test_a_shape_against_the_triggers_is_a_guess(master):
    path = master(4, 5)
    assert open_acquisition(path, scan_shape=(4, 5)).guesses == ()
    acquisition = open_acquisition(path, scan_shape=(5, 4))
    assert acquisition.scan_shape == (5, 4)
    assert acquisition.guesses == (
        "5×4, as --scan-shape says, although scan_master.h5 has 4 triggers of 5 images each",
    )


@pytest.mark.parametrize(("triggers", "images"), [(20, 1), (1, 20), (4, 6), (0, 0)])
def test_triggers_that_tell_no_lines_contradict_nothing(master, triggers, images):
    assert against_triggers(master(triggers, images), (5, 4)) == ()
