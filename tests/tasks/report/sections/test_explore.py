import base64
import zlib
from dataclasses import replace

import numpy as np
import pytest

from orimap.tasks.report.results import read_results
from orimap.tasks.report.sections import explore
from orimap.tasks.report.sections.answer import cluster_cards


def unpacked(text, kind):
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), kind)


def test_shares_are_told_to_a_hundredth():
    values = np.array([0, 0.004, 0.005, 0.125, 1, 2.54, 7, -0.2, np.nan])
    np.testing.assert_array_equal(explore.hundredths(values), [0, 0, 1, 13, 100, 254, 254, 0, 255])


def test_what_is_told_is_what_the_store_holds(small_store):
    results = read_results(small_store)
    found = explore.explored(results, cluster_cards(results))
    assert found["full"] == found["shape"] == [6, 7]
    assert found["every"] == 1
    assert (found["step"], found["unit"]) == ([2.5, 2.5], "nm")
    labels = results.values("clusters", "cluster_label")
    np.testing.assert_array_equal(unpacked(found["labels"], "<i2").reshape(6, 7), labels)
    shares = unpacked(found["shares"], np.uint8).reshape(3, 6, 7) / 100
    stored = np.moveaxis(results.values("clusters", "cluster_share"), 2, 0)
    np.testing.assert_allclose(shares, stored, atol=0.0051)
    ratio = unpacked(found["ratio"], np.uint8).reshape(6, 7) / 100
    np.testing.assert_allclose(ratio, results.values("overlap", "overlap_ratio"), atol=0.0051)
    assert len(found["colours"]) == len(found["names"]) == 3


def test_positions_without_a_pattern_are_told_so(small_store):
    results = read_results(small_store)
    measured = np.ones((6, 7), np.uint8)
    measured[2, 3] = 0
    acquired = results.groups["acquisition"].assign(scan_measured=(("scan_y", "scan_x"), measured))
    found = explore.explored(
        replace(results, groups={**results.groups, "acquisition": acquired}), []
    )
    assert unpacked(found["labels"], "<i2").reshape(6, 7)[2, 3] == -2


def test_of_a_huge_scan_every_other_position_is_told(small_store, monkeypatch):
    monkeypatch.setattr(explore, "MOST_NUMBERS", 6 * 7 * 8 // 4)
    results = read_results(small_store)
    found = explore.explored(results, [])
    assert (found["every"], found["full"], found["shape"]) == (2, [6, 7], [3, 4])
    labels = results.values("clusters", "cluster_label")
    np.testing.assert_array_equal(unpacked(found["labels"], "<i2").reshape(3, 4), labels[::2, ::2])


@pytest.mark.parametrize("lost", ["clusters", "overlap"])
def test_what_is_not_stored_is_not_told(small_store, lost):
    results = read_results(small_store)
    found = explore.explored(
        replace(results, groups={**results.groups, lost: type(results.groups[lost])()}), []
    )
    if lost == "clusters":
        assert found is None
    else:
        assert found["ratio"] is found["second"] is None
