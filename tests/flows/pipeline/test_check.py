"""What is checked before any long work."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from orimap.flows.pipeline import check as checks
from orimap.flows.pipeline.check import (
    check,
    check_disk,
    check_place,
    disk_space,
    disk_warning,
)
from orimap.flows.pipeline.estimate import estimate
from orimap.flows.request.request import Request
from orimap.tasks.decide.evidence import published
from orimap.tasks.errors import InputError


@pytest.fixture
def checked(saved, small_scan, tmp_path):
    """Check a request for a scan of 4x5 patterns of 6x7 pixels."""
    file = saved(tmp_path, small_scan)

    def of(**asked):
        return check(Request.read(**{"file": file, "output": tmp_path / "out", **asked}))

    return of


def test_what_is_in_order_becomes_a_plan(checked, tmp_path):
    plan = checked(k="1:3", bin=2)
    assert plan.request.k == plan.ks[:1] + plan.ks[-1:] == (1, 3)
    assert plan.acquisition.scan_shape == (4, 5)
    assert plan.load.detector_shape == (3, 3)
    assert not (tmp_path / "out").exists()


def test_the_file_is_opened_as_it_was_asked_for(saved, small_scan, tmp_path):
    file = saved(tmp_path, small_scan.reshape(20, 6, 7))
    request = Request.read(file=file, output=tmp_path / "out", scan_shape="2x10")
    assert check(request).load.scan_shape == (2, 10)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"file": "absent.blo"}, "absent.blo"),
        ({"filter": "blur"}, "raw, mean, epattern"),
        ({"strategy": "coin"}, "a strategy: evidence"),
        ({"adapt": "1:3"}, "--adapt with a batch system"),
        ({"cluster": "cloud"}, "--cluster cloud"),
        ({"k": "2:21"}, "no more components than scan positions"),
        ({"worker_memory": "100 MiB"}, "--worker-memory or take fewer --workers"),
    ],
)
def test_what_is_not_in_order_is_refused_and_leaves_nothing(checked, tmp_path, asked, message):
    with pytest.raises(InputError, match=message):
        checked(**asked)
    assert not (tmp_path / "out").exists()


def test_memory_of_workers_elsewhere_is_not_judged_by_this_machine(checked):
    assert checked(cluster="tcp://192.0.2.1:8786", worker_memory="100 MiB").ks[-1] == 19


def test_the_paper_s_strategy_is_refused_where_it_would_take_too_long(checked, monkeypatch):
    assert checked(strategy="published").request.strategy == "published"
    monkeypatch.setattr(published, "MOST_POSITIONS", 19)
    with pytest.raises(InputError, match="4 x 5 = 20"):
        checked(strategy="published")
    assert checked(strategy="evidence").ks[-1] == 19


def _free(monkeypatch, size):
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda _: SimpleNamespace(free=size))


def test_a_run_is_refused_below_what_it_surely_needs_and_warned_below_what_it_may(
    checked, monkeypatch
):
    plan = checked(k="1:3")
    # As of a scan that is larger than its pages.
    plan = replace(plan, load=replace(plan.load, scan_shape=(400, 500)))
    space = disk_space(plan)
    assert space.most == estimate(plan).disk_bytes > space.least
    _free(monkeypatch, space.most)
    check_disk(plan)
    assert disk_warning(plan) is None
    _free(monkeypatch, space.most - 1)
    check_disk(plan)
    assert disk_warning(plan).startswith("The results may take up to ")
    _free(monkeypatch, space.least - 1)
    with pytest.raises(InputError, match="MB of disk space") as refused:
        check_disk(plan)
    assert " MB free on the disk of " in refused.value.found


def test_the_folder_of_the_results_is_checked_with_all_that_lies_there(checked, monkeypatch):
    plan = checked(k="1:3")
    _free(monkeypatch, disk_space(plan).least + 10)
    assert check_place(plan, beside=10) is False
    with pytest.raises(InputError, match="of disk space for the results"):
        check_place(plan, beside=11)
    plan.request.output.write_text("somebody's work")
    with pytest.raises(InputError, match="is a file"):
        check_place(plan)
