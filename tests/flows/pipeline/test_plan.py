"""What a run will do, known before it starts."""

from pathlib import Path

import numpy as np
import pytest

from orimap.flows.pipeline.estimate import predicted_seconds
from orimap.flows.pipeline.plan import Plan, ingest_fingerprint, request_fingerprint
from orimap.flows.request.request import Request
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.errors import InputError
from orimap.tasks.index.index_results import Setup


@pytest.fixture
def planned(saved, small_scan, tmp_path):
    """Plan a run on a scan of 4x5 patterns of 6x7 pixels, or on other patterns."""

    whole = saved(tmp_path, small_scan)

    def plan(values=None, **asked):
        file = whole
        if values is not None:
            (tmp_path / "other").mkdir()
            file = saved(tmp_path / "other", values)
        request = Request.read(file=file, output=tmp_path / "out", **asked)
        return Plan.of(request, open_acquisition(file, **request.reading))

    return plan


@pytest.mark.parametrize(
    ("asked", "scan", "detector"),
    [
        ({}, (4, 5), (6, 7)),
        ({"roi": "1:3,0:4"}, (2, 4), (6, 7)),
        ({"crop": "1:6,2:5"}, (4, 5), (5, 3)),
        ({"bin": 2}, (4, 5), (3, 3)),
        ({"roi": "3:4,4:5", "crop": "1:6,2:5", "bin": 2}, (1, 1), (2, 1)),
    ],
)
def test_shapes_are_those_that_are_analysed(planned, asked, scan, detector):
    load = planned(**asked).load
    assert (load.scan_shape, load.detector_shape) == (scan, detector)


@pytest.mark.parametrize(
    ("asked", "ks", "largest"),
    [
        ({}, range(1, 20), 19),  # one less than the 20 positions
        ({"k": "1:20"}, range(1, 20), 19),
        ({"k": "2:20"}, range(2, 21), 19),
        ({"k": "3:5"}, range(3, 6), 19),
        ({"roi": "0:1,0:3"}, range(1, 3), 2),
        ({"roi": "0:1,0:1"}, range(1, 2), 1),
        ({"crop": "0:2,0:2"}, range(1, 5), 4),  # the 4 pixels
        ({"k": "2:2", "components": 2}, range(2, 3), 19),
    ],
)
def test_the_default_range_of_k_is_clipped_to_a_tiny_scan(planned, asked, ks, largest):
    plan = planned(**asked)
    assert plan.ks == tuple(ks)
    assert plan.largest_k == largest
    assert plan.load.k_max == plan.ks[-1]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"k": "2:21"}, r"scan positions \(20\).*--k 2:21.*ends at 20 or below"),
        ({"k": "2:5", "crop": "0:2,0:2"}, "ends at 4 or below"),
        ({"k": "2:5", "components": 6}, r"--components within --k \(2 to 5\).*or widen --k$"),
        ({"k": "2:5", "distinct": 6}, r"components \(5\)\n.*--distinct 6\n.*or widen --k$"),
        ({"roi": "0:1,0:3", "components": 3}, r"within --k \(1 to 2\).*choose one within$"),
        ({"roi": "0:5,0:5"}, "region within 4×5 positions"),
        ({"crop": "0:6,0:8"}, "region within 6×7 detector pixels"),
        ({"mask": "absent.png"}, r"no file of that name \(absent\.png\)"),
        ({"dark_field": "0:2,0:2"}, "add --filter epattern"),
        ({"filter": "epattern", "bin": 2, "dark_field": "0:4,0:2"}, "within 3×3 pixels after"),
    ],
)
def test_what_does_not_fit_the_acquisition_is_refused(planned, asked, message):
    with pytest.raises(InputError, match=f"(?s){message}"):
        planned(**asked)


def test_the_filled_share_is_that_of_four_patterns_as_they_are_stored(planned):
    values = np.zeros((9, 9, 6, 6), np.uint16)
    # Rows and columns 1, 3, 5 and 7 are looked at.
    values[1, 1, :3] = values[5, 5, :, 0] = 1
    values[0] = values[2] = 9
    plan = planned(values)
    share = (18 + 0 + 6 + 0) / (4 * 36)
    assert plan.load.filled == pytest.approx(share)

    def filled(**asked):
        fields = {**plan.request.model_dump(), **asked}
        return Plan.of(Request.read(**fields), plan.acquisition).load.filled

    assert filled(crop="0:3,0:6") == pytest.approx((18 + 3) / (4 * 18))
    assert filled(bin=2) == pytest.approx(1 - (1 - share) ** 4)


@pytest.mark.parametrize(
    ("dtype", "counts", "held_out"),
    [
        ("u2", "auto", True),
        ("u2", "no", False),
        ("f4", "auto", False),
    ],
)
def test_half_may_be_held_out_where_values_may_be_counts(
    planned, small_scan, dtype, counts, held_out
):
    assert planned(small_scan.astype(dtype), counts=counts).load.held_out is held_out


def test_counts_are_whole_numbers(planned, small_scan):
    with pytest.raises(InputError, match="values of type float32"):
        planned(small_scan.astype("f4"), counts="yes")
    with pytest.raises(InputError, match="values that are corrected"):
        planned(counts="yes", offset=3)


def test_what_is_done_to_the_values_is_part_of_the_patterns_fingerprint(planned, tmp_path):
    plain = planned()
    dark = tmp_path / "dark.npy"
    np.save(dark, np.zeros(plain.acquisition.detector_shape))
    for asked in ({"gain": 9}, {"offset": 0}, {"dark": dark}):
        found = planned(**asked)
        assert found.ingest_fingerprint != plain.ingest_fingerprint
        assert found.fingerprint != plain.fingerprint
        assert found.load.dtype == np.float32
        assert found.correction
    first = planned(dark=dark).ingest_fingerprint
    assert planned(dark=dark).ingest_fingerprint == first
    np.save(dark, np.ones(plain.acquisition.detector_shape))
    assert planned(dark=dark).ingest_fingerprint != first


def test_what_is_known_of_the_camera_is_kept_as_it_was_checked(planned, tmp_path):
    dark = tmp_path / "dark.npy"
    np.save(dark, np.full((6, 7), 2.0))
    plan = planned(dark=dark, crop="1:6,2:5")
    dark.unlink()
    np.testing.assert_array_equal(plan.correction.zero, np.full((5, 3), 2.0))


def test_a_dark_level_that_leaves_nothing_is_refused(planned):
    with pytest.raises(InputError, match=r"--offset 1e\+06.*\n.*nothing is left of them"):
        planned(offset=1e6)


def test_reflections_are_registered_for_epattern_alone(planned):
    assert planned(filter="epattern").load.registered
    assert not planned(filter="mean").load.registered


def test_threads_take_a_small_scan_unless_something_else_is_asked_for(planned, monkeypatch):
    assert planned().load.threads
    assert not planned(cluster="processes").load.threads
    assert not planned(worker_memory="2 GiB").load.threads
    # The size is that of what is analysed: 20 patterns of 42 pixels, two bytes each.
    monkeypatch.setattr("orimap.flows.pipeline.runtime.workers.SMALL_SCAN_BYTES", 1679)
    assert not planned().load.threads
    assert planned(roi="0:3,0:5").load.threads
    monkeypatch.setattr("orimap.flows.pipeline.runtime.workers.SMALL_SCAN_BYTES", 1680)
    assert planned().load.threads


def test_chunks_hold_whole_patterns(planned):
    plan = planned()
    assert plan.load.pattern_bytes == 84
    assert plan.chunk_bytes >= 84


def test_how_a_run_is_computed_does_not_change_what_it_is(planned):
    mark = planned().fingerprint
    same = (
        {"workers": 3},
        {"cluster": "processes"},
        {"worker_memory": "3 GiB"},
        {"first_worker_minutes": 3},
        {"orchestrate": "never"},
        {"restart": True},
        {"k": "1:20"},
    )
    assert {planned(**asked).fingerprint for asked in same} == {mark}


def test_what_a_run_is_asked_for_changes_its_fingerprint(planned):
    others = (
        {},
        {"k": "1:3"},
        {"filter": "mean"},
        {"seed": 1},
        {"strategy": "knee"},
        {"components": 2},
        {"distinct": 2},
        {"no_merge": True},
        {"counts": "no"},
        {"weighting": "none"},
        {"l1": "0.1"},
        {"split_bent": True},
        {"regularity": 0.5},
        {"roi": "0:2,0:2"},
    )
    assert len({planned(**asked).fingerprint for asked in others}) == len(others)


def test_patterns_depend_on_what_is_cut_summed_and_left_out_alone(planned, tmp_path):
    masks = []
    for number in (0, 1):
        masks.append(tmp_path / f"mask{number}.npy")
        mask = np.zeros((6, 7))
        mask[number] = 1
        np.save(masks[-1], mask)
    mark = planned().ingest_fingerprint
    assert planned(k="1:3", seed=5, filter="mean").ingest_fingerprint == mark
    others = [
        planned(**asked).ingest_fingerprint
        for asked in ({"roi": "0:2,0:2"}, {"crop": "0:2,0:2"}, {"bin": 2}, {"mask": masks[0]})
    ]
    others.append(planned(mask=masks[1]).ingest_fingerprint)
    assert len({mark, *others}) == 6
    # The name of a mask does not matter, what it holds does.
    copied = tmp_path / "copied.npy"
    copied.write_bytes(masks[0].read_bytes())
    assert planned(mask=copied).ingest_fingerprint == others[3]


def test_a_plan_has_the_fingerprints_that_its_parts_make(planned):
    plan = planned(seed=3)
    ingest = ingest_fingerprint(plan.request, plan.acquisition)
    assert plan.ingest_fingerprint == ingest
    assert plan.fingerprint == request_fingerprint(plan.request, ingest)
    assert request_fingerprint(plan.request, "other") != plan.fingerprint


def test_the_fingerprint_of_a_request_is_that_of_stored_results():
    request = Request.read(file="scan.npy", output="results", k="1:3", counts="yes")
    assert request_fingerprint(request, "0123456789abcdef") == "f88cd75f87d6c50b"
    indexed = request.model_copy(update={"crystals": ("a.cif",), "precession": 0.7})
    assert request_fingerprint(indexed, "0123456789abcdef") == "f88cd75f87d6c50b"


def test_crystals_are_read_as_the_run_is_planned(planned, tmp_path):
    crystal = Path(__file__).parents[2] / "tasks" / "index" / "crystals" / "quartz.cif"
    assert planned().indexing is None
    found = planned(crystals=crystal, precession=0.7, detector_rotation=-12.5, detector_flip=True)
    assert [each.name for each in found.indexing.crystals] == ["quartz.cif"]
    assert found.indexing.setup == Setup(precession_deg=0.7, rotation_deg=-12.5, flip=True)
    assert "index" in predicted_seconds(found, 2)
    assert "index" not in predicted_seconds(planned(), 2)
    with pytest.raises(InputError, match="a CIF file at"):
        planned(crystals=[crystal, tmp_path / "nothing.cif"])


def test_a_given_calibration_makes_other_results(planned):
    before, after = planned(), planned(scan_step="2nm")
    assert after.ingest_fingerprint != before.ingest_fingerprint
    assert after.fingerprint != before.fingerprint


def test_the_content_of_the_acquisition_is_part_of_it(planned, small_scan):
    before = planned()
    other = small_scan.copy()
    other[0, 0, 0, 0] += 1
    after = planned(other)
    assert after.ingest_fingerprint != before.ingest_fingerprint
    assert after.fingerprint != before.fingerprint
