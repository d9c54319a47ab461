import struct

import numpy as np
import pytest

from orimap.tasks.acquire.formats.files.tvips_parts import cut_stream, parts_of
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.errors import InputError

ALL = slice(None)
FRAME_BYTES = 60 + 2 * 6 * 7


@pytest.fixture
def stream(tmp_path, small_scan):
    """A stream of 20 frames of 6×7 in so many files; the rotator index counts from 1, or stays."""

    def write(parts=1, *, counts=True):
        for part, frames in enumerate(np.array_split(np.arange(20), parts)):
            head = struct.pack("<13I", 256, 2, 7, 6, 16, 0, 0, 1, 1, 10, 200, 0, 60).ljust(
                256, b"\0"
            )
            frame = [
                struct.pack("<12I", n, *[0] * 11) + struct.pack("<I", n + 1 if counts else 0)
                for n in frames.tolist()
            ]
            pixels = small_scan.reshape(20, 6, 7)[frames].astype("<u2")
            body = b"".join(
                h.ljust(60, b"\0") + p.tobytes() for h, p in zip(frame, pixels, strict=True)
            )
            (tmp_path / f"s_{part:03d}.tvips").write_bytes((b"" if part else head) + body)
        return tmp_path / "s_000.tvips"

    return write


@pytest.mark.parametrize("counts", [True, False])
def test_a_stream_of_several_files_is_read_as_one(stream, small_scan, counts):
    path = stream(3, counts=counts)
    assert [file.name[2:5] for file in parts_of(path, up_to_a_gap=False)] == ["000", "001", "002"]
    acquisition = open_acquisition(path, scan_shape=(4, 5))
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan)


def test_a_part_that_is_missing_is_named(stream, tmp_path, small_scan):
    path = stream(3)
    (tmp_path / "s_001.tvips").unlink()
    with pytest.raises(InputError, match=r"s_001\.tvips beside s_000\.tvips") as error:
        open_acquisition(path, scan_shape=(4, 5))
    assert "--keep-rows" in error.value.remedy
    acquisition = open_acquisition(path, scan_shape=(4, 5), keep_rows=1)
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan[:1])
    with pytest.raises(InputError, match=r"name s_000\.tvips"):
        open_acquisition(tmp_path / "s_002.tvips")


@pytest.mark.parametrize("parts", [1, 3])
def test_a_stream_whose_last_frame_is_cut_gives_its_whole_rows(stream, tmp_path, small_scan, parts):
    path = stream(parts)
    last = tmp_path / f"s_{parts - 1:03d}.tvips"
    last.write_bytes(last.read_bytes()[:-30])
    with pytest.raises(InputError, match="3 whole rows and 4 more"):
        open_acquisition(path, scan_shape=(4, 5))
    acquisition = open_acquisition(path, scan_shape=(4, 5), keep_rows=3)
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan[:3])
    assert acquisition.guesses == ()
    assert f"{FRAME_BYTES - 30} bytes of a frame that is cut" in acquisition.notes[0]


def test_another_file_than_the_last_must_be_whole(stream, tmp_path):
    path = stream(2)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match=r"whole frames of 144 bytes in s_000\.tvips"):
        cut_stream(parts_of(path, up_to_a_gap=False))
    (tmp_path / "s_001.tvips").unlink()
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match="none: it is cut short"):
        open_acquisition(path)
