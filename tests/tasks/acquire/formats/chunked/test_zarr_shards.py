"""Chunks that were never written into the shards of a Zarr array."""

import numpy as np
import pytest
import zarr

from orimap.tasks.acquire.formats.chunked.zarr_shards import absent_in_shards
from orimap.tasks.acquire.open_acquisition import open_acquisition

SHAPE = (6, 8, 10, 12)


@pytest.fixture
def counts():
    return np.random.default_rng(3).poisson(2, SHAPE).astype("u2") + np.uint16(1)


def sharded(path, **how):
    how = {"chunks": (1, 8, 5, 12), "shards": (4, 8, 10, 12), "fill_value": 0} | how
    return zarr.create_array(path, shape=SHAPE, dtype="u2", **how)


@pytest.mark.parametrize("location", ["end", "start"])
def test_a_list_tells_which_chunks_a_shard_has(tmp_path, counts, location):
    codec = zarr.codecs.ShardingCodec(chunk_shape=(1, 8, 5, 12), index_location=location)
    array = sharded(tmp_path / "a.zarr", chunks=(4, 8, 10, 12), shards=None, serializer=codec,
                    compressors=None)  # fmt: skip
    array[:5, :, :5] = counts[:5, :, :5]
    array[1, :, 5:] = counts[1, :, 5:]
    found = absent_in_shards(array, np.zeros((2, 1, 1, 1), bool))
    expected = np.ones((6, 1, 2, 1), bool)
    expected[:5, :, 0] = False
    expected[1] = False
    np.testing.assert_array_equal(found, expected)


def test_a_scan_that_was_stopped_within_a_shard(tmp_path, counts):
    array = sharded(tmp_path / "scan.zarr")
    array[:5] = counts[:5]
    array[1, :, 5:] = 0
    acquisition = open_acquisition(tmp_path / "scan.zarr")
    expected = np.zeros((6, 8), bool)
    expected[[1, 5]] = True
    np.testing.assert_array_equal(acquisition.no_data, expected)
    assert (
        "3 of 12 chunks within the shards of the array are not there: lost in a copy, or never "
        "written"
    ) in " ".join(acquisition.notes)


def test_a_part_of_the_detector_that_was_never_written_into_shards(tmp_path, counts):
    array = sharded(tmp_path / "scan.zarr")
    array[:, :, :5] = counts[:, :, :5]
    acquisition = open_acquisition(tmp_path / "scan.zarr")
    assert acquisition.no_data is None
    assert acquisition.no_pixels[5:].all()
    assert not acquisition.no_pixels[:5].any()


def test_whole_shards_and_arrays_without_any_lack_nothing(tmp_path, counts):
    array = sharded(tmp_path / "scan.zarr")
    array[...] = counts
    assert not absent_in_shards(array, np.zeros((2, 1, 1, 1), bool)).any()
    assert open_acquisition(tmp_path / "scan.zarr").no_data is None
    plain = zarr.create_array(tmp_path / "plain.zarr", data=counts, chunks=(1, 8, 10, 12))
    assert absent_in_shards(plain, np.zeros((6, 1, 1, 1), bool)) is None


def test_a_lost_shard_of_few_electrons_a_pattern_is_told_by_all_of_another(tmp_path):
    counts = np.zeros(SHAPE, "u2")
    counts[:, :, 4, 3:9] = 1
    array = sharded(tmp_path / "scan.zarr", chunks=(1, 1, 10, 12), shards=(3, 8, 10, 12))
    array[...] = counts
    (tmp_path / "scan.zarr" / "c" / "1" / "0" / "0" / "0").unlink()
    acquisition = open_acquisition(tmp_path / "scan.zarr")
    assert acquisition.no_data[3:].all()
    assert not acquisition.no_data[:3].any()
    assert "1 of 2 chunks of the array is not there (c/1/0/0/0)" in " ".join(acquisition.notes)
