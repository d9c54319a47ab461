"""What a run refuses, before or while it looks at the patterns."""

import shutil
from contextlib import contextmanager

import numpy as np
import pytest

from orimap.flows.pipeline.pipeline import run_pipeline
from orimap.flows.pipeline.runtime.runner import NoDisplay, PlainRunner
from orimap.flows.request.request import Request
from orimap.tasks.acquire.identity import ChangedError
from orimap.tasks.decide.evidence import published
from orimap.tasks.errors import InputError


def test_a_scan_too_large_for_the_paper_s_fits_is_refused_before_any_work(
    run, scan, same_workers, tmp_path, monkeypatch
):
    monkeypatch.setattr(published, "MOST_POSITIONS", 100)
    with pytest.raises(InputError, match="12 x 14 = 168, which would take"):
        run(scan, tmp_path / "new", strategy="published")
    assert not (tmp_path / "new").exists()
    assert same_workers == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": "1:169"}, "no more components than scan positions"),
        ({"k": "1:3", "components": 5}, "within --k"),
        ({"filter": "blur"}, "raw, mean, epattern"),
        ({"strategy": "coin"}, "a strategy"),
        ({"roi": (0, 13, 0, 14)}, "region within 12×14"),
        ({"dark_field": (0, 4, 0, 4)}, "add --filter epattern"),
        ({"filter": "epattern", "dark_field": (0, 65, 0, 4)}, "region within 64×64"),
    ],
)
def test_requests_at_fault_are_refused_before_anything_is_written(
    run, scan, same_workers, tmp_path, options, message
):
    with pytest.raises(InputError, match=message):
        run(scan, tmp_path / "out", **options)
    assert same_workers == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (lambda scan: 0 * scan, "every value"),
        (lambda scan: scan * (np.hypot(*np.ogrid[-32:32, -32:32]) < 2), "beside the direct beam"),
    ],
)
def test_scans_without_diffraction_are_refused_and_leave_nothing(
    run, saved, counts, same_workers, tmp_path, values, message
):
    file = saved(tmp_path, values(counts).astype(np.uint16))
    with pytest.raises(InputError, match=message):
        run(file, tmp_path / "out", k="1:3")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (
            lambda scan: scan * (np.hypot(*np.ogrid[-32:32, -32:32]) < 2),
            {"filter": "epattern"},
            "reflections beside the direct beam",
        ),
        (
            lambda scan: np.random.default_rng(0).poisson(1.0, scan.shape),
            {"centre": "yes"},
            "a direct beam to centre",
        ),
    ],
)
def test_what_needs_a_beam_or_reflections_says_so_where_there_are_none(
    run, saved, counts, same_workers, tmp_path, values, options, message
):
    file = saved(tmp_path, values(counts).astype(np.uint16))
    with pytest.raises(InputError, match=message):
        run(file, tmp_path / "out", k="1:3", **options)
    assert not (tmp_path / "out").exists()


def test_counts_cannot_be_claimed_for_floating_point(run, saved, counts, same_workers, tmp_path):
    file = saved(tmp_path, counts.astype(np.float32))
    with pytest.raises(InputError, match="whole numbers"):
        run(file, tmp_path / "out", k="1:3", counts="yes")
    assert not (tmp_path / "out").exists()


class Replacing(NoDisplay):
    """Replaces a file as soon as some of it has been read."""

    def __init__(self, replace):
        self.replace = replace

    @contextmanager
    def step(self, name):
        def progress(done, total):
            if name == "ingest" and self.replace is not None:
                replace, self.replace = self.replace, None
                replace()

        yield progress


@pytest.mark.parametrize("over", [shutil.copyfile, shutil.move])
def test_a_scan_that_is_replaced_while_it_is_read_has_no_results_and_is_read_anew_later(
    saved, counts, same_workers, tmp_path, over
):
    file = saved(tmp_path, counts)
    (tmp_path / "new").mkdir()
    other = saved(tmp_path / "new", counts[::-1])
    request = Request(file=file, output=tmp_path / "out", k="1:3")
    with pytest.raises(ChangedError, match=file.name):
        run_pipeline(request, PlainRunner(Replacing(lambda: over(other, file))))
    assert not (tmp_path / "out").exists()
