import errno
import pickle

import numpy as np
import pytest

from orimap.tasks.errors import (
    InputError,
    UnavailableError,
    as_whole,
    is_out_of_reach,
    nearest,
    words_of,
)


def test_the_three_parts_stand_below_each_other_or_in_one_line():
    error = InputError("an even number", "3", "add 1")
    assert str(error) == "needed: an even number\nfound: 3\nwhat to do: add 1"
    assert error.reason == "needed: an even number; found: 3"
    assert error.in_one_line == "needed: an even number; found: 3; add 1"


def test_an_error_travels_between_processes_with_all_its_parts():
    there = pickle.loads(pickle.dumps(UnavailableError("a server", "none", "start it")))
    assert type(there) is UnavailableError
    assert (there.needed, there.found, there.remedy) == ("a server", "none", "start it")


@pytest.mark.parametrize(
    ("error", "out_of_reach"),
    [
        (OSError(errno.EIO, "Input/output error"), True),
        (OSError(errno.ESTALE, "Stale file handle"), True),
        (OSError("Can't read data (file read failed: time = now, errno = 5, error message)"), True),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), True),
        (OSError("Can't synchronously read data (filter returned failure during read)"), False),
        (OSError("Unable to open file (truncated file: eof = 100)"), False),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), False),
        (ValueError("errno = 5"), False),
    ],
)
def test_a_disk_that_does_not_answer_is_told_from_a_file_that_is_damaged(error, out_of_reach):
    assert is_out_of_reach(error) is out_of_reach


def test_what_the_system_says_comes_without_its_number(tmp_path):
    with pytest.raises(FileNotFoundError) as absent:
        (tmp_path / "none").read_text()
    assert words_of(absent.value) == f"No such file or directory: '{tmp_path / 'none'}'"
    assert words_of(OSError(errno.ENOSPC, "No space left on device")) == "No space left on device"
    assert words_of(ValueError("two\n  lines")) == "two lines"


def test_the_nearest_name_is_found_where_one_is_near():
    assert nearest("filtr", ["filter", "file", "k"]) == "filter"
    assert nearest("grains", ["filter", "file", "k"]) is None


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3), (-2, -2), (2.0, 2), (np.int64(5), 5), (np.float32(4), 4), (np.uint8(0), 0),
        (2.5, None), (float("nan"), None), (float("inf"), None), (True, None), (np.True_, None),
        ("3", None), (None, None), ([1], None), (1j, None),
    ],
)  # fmt: skip
def test_a_whole_number_of_any_library_is_taken_and_nothing_else(value, number):
    assert as_whole(value) == number
