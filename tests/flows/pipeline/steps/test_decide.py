"""The decision, and how the range of k grows where the best touches an edge."""

from concurrent.futures import Executor
from dataclasses import replace

import numpy as np
import pytest

from orimap.flows.pipeline.plan import Plan
from orimap.flows.pipeline.runtime.helpers import Here
from orimap.flows.pipeline.runtime.run import Decided, Fitted
from orimap.flows.pipeline.steps import decide as step
from orimap.flows.pipeline.steps.decide import decide, decision_rows, widened
from orimap.flows.request.request import Request
from orimap.tasks.store.fingerprint import fingerprint
from orimap.tasks.store.groups import complete_mark
from orimap.tasks.stream.blocks import silent


def widen(first, last, settled, *, most=60, largest=1000, found=(0, 0), **asked):
    request = Request.read(file="scan.npy", output="results", **asked)
    ks = tuple(range(first, last + 1))
    plan = Plan(request, None, ks, largest, None, "", "")
    fitted = Fitted(None, ks, most, "", (0, 0))
    return widened(plan, Decided(fitted, last, True, True, True, settled, "", *found))


@pytest.mark.parametrize(
    ("first", "last", "settled", "expected"),
    [
        # Settled in the middle: three fits that agree, and it begins above the first.
        (1, 8, 3, None),
        (1, 8, 6, None),
        # Fewer than three fits hold it: it may still grow.
        (1, 8, 7, range(1, 19)),
        (1, 8, 8, range(1, 19)),
        (2, 4, 3, range(2, 15)),
        # It settled at the first already: fewer may do.
        (5, 9, 5, range(1, 10)),
        (15, 20, 15, range(5, 21)),
        (1, 9, 1, None),
        # Both at once: the upper end comes first.
        (5, 6, 5, range(5, 17)),
        # One k is taken as it is.
        (4, 4, 4, None),
    ],
)
def test_the_range_grows_by_ten_at_the_edge_that_is_touched(first, last, settled, expected):
    assert widen(first, last, settled) == (None if expected is None else [*expected])


def test_the_range_grows_to_what_stands_out_from_noise_but_no_more_than_threefold():
    # 40 directions: a quarter more; 80: three times the range.
    assert widen(1, 20, 19, most=100, found=(40, 19)) == [*range(1, 51)]
    assert widen(1, 20, 20, most=100, found=(80, 20)) == [*range(1, 61)]
    # The number seems to have settled, but nearly every component is a pattern of its own.
    assert widen(1, 20, 15, most=100, found=(32, 15)) == [*range(1, 41)]
    assert widen(1, 20, 15, most=100, found=(32, 14)) is None
    assert widen(1, 20, 15, most=100, found=(29, 15)) is None


def test_a_range_that_is_all_one_number_grows_where_more_stands_out_from_noise():
    # Ten grains, looked at with one to three components, were one pattern in all three fits.
    assert widen(1, 3, 1, most=100, found=(22, 1)) == [*range(1, 14)]
    assert widen(1, 3, 1, most=100, found=(4, 1)) is None
    assert widen(1, 4, 1, most=100, found=(22, 1)) is None


def test_no_range_grows_beyond_what_can_be_fitted():
    assert widen(1, 55, 55) == [*range(1, 61)]
    assert widen(1, 60, 60) is None
    assert widen(1, 8, 8, most=9) == [*range(1, 10)]
    assert widen(1, 8, 8, largest=11) == [*range(1, 12)]
    assert widen(1, 8, 8, most=8) is None
    # There are no more, but fewer may do.
    assert widen(8, 9, 8, most=9) == [*range(1, 10)]


def test_nothing_grows_where_the_number_was_asked_for_or_follows_an_older_rule():
    assert widen(1, 8, 8, components=8) is None
    assert widen(1, 8, 8, strategy="knee") is None
    assert widen(1, 8, None) is None


def asking(run, **changes):
    return replace(run, request=run.request.model_copy(update=changes), notes=[])


@pytest.fixture
def own(stages, tmp_path, monkeypatch):
    """The run of `stages`; what it writes is thrown away."""
    written = {}
    folder = stages.run.folder
    monkeypatch.setattr(
        folder, "write", lambda group, ds, mark: written.update({group: (ds, mark)})
    )
    return stages.run, written


def test_two_grains_are_two_patterns(stages):
    decided = stages.decided
    assert (decided.fitted_k, decided.settled_k) == (2, 2)
    assert decided.fitted is stages.fitted
    facts = stages.run.folder.read("decision").attrs
    assert (facts["strategy"], facts["fitted_k"], facts["settled_k"]) == ("evidence", 2, 2)
    assert facts["reasons"][0].startswith("The number of distinct patterns settles at 2")
    assert (facts["crystal_found"], facts["countable"]) == (True, True)
    assert facts["not_converged"] == []
    assert complete_mark(stages.run.folder.analysis, "decision") == decided.fingerprint


def test_a_decision_depends_on_scores_strategy_number_and_bent_grains(stages, own):
    run, written = own
    assert decide(run, silent, stages.fitted) == stages.decided
    marks = [stages.decided.fingerprint]
    assert marks[0] == fingerprint(
        scores=[stages.fitted.score_fingerprint(k) for k in (1, 2, 3, 4)],
        strategy="evidence",
        forced=None,
        split_bent=False,
    )
    for changes in ({"strategy": "knee"}, {"components": 3}, {"split_bent": True}):
        decided = decide(asking(run, **changes), silent, stages.fitted)
        assert written["decision"][1] == decided.fingerprint
        marks.append(decided.fingerprint)
    assert len(set(marks)) == 4


def test_a_forced_number_is_used_and_the_evidence_told(stages, own):
    run, written = own
    decided = decide(asking(run, components=3), silent, stages.fitted)
    assert decided.fitted_k == 3
    facts = written["decision"][0].attrs
    assert facts["strategy"] == "forced"
    assert facts["reasons"][0] == "3 components were asked for; the evidence speaks for 2."


def test_a_helper_weighs_the_evidence(stages, own):
    asked = []

    class Helper(Executor):
        def submit(self, work, /, *args, **kwargs):
            asked.append(work)
            return Here().submit(work, *args, **kwargs)

    run, _ = own
    decided = decide(replace(run, helpers=Helper()), silent, stages.fitted)
    assert decided == stages.decided
    assert asked == [step._weigh]


def test_fits_that_did_not_converge_are_told(stages, own, monkeypatch):
    run, written = own
    attributes = run.folder.attributes

    def unconverged(group):
        return attributes(group) | ({"converged": False} if group == "fits/k03" else {})

    monkeypatch.setattr(run.folder, "attributes", unconverged)
    run = asking(run)
    decide(run, silent, stages.fitted)
    assert run.notes == ["Stopped at the largest number of iterations, not converged: k = [3]."]
    assert written["decision"][0].attrs["not_converged"] == [3]


def test_the_table_has_a_row_for_every_k(stages):
    rows = decision_rows(stages.run, stages.fitted.ks)
    ds = stages.run.folder.read("decision")
    assert [row["k"] for row in rows] == [1, 2, 3, 4]
    assert [row["used"] for row in rows] == [False, True, False, False]
    assert [row["distinct"] for row in rows] == ds["k_distinct"].values.tolist()
    assert rows[1]["loss"] == ds["k_component_loss"].values[1]
    assert np.isnan(rows[0]["held-out drop"])
    assert rows[1]["held-out drop"] > 0
    assert decision_rows(stages.run, [3]) == rows[2:3]
