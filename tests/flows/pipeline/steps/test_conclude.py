"""Maps, baseline and remarks."""

from concurrent.futures import Executor
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from orimap.flows.pipeline.runtime.helpers import Here
from orimap.flows.pipeline.steps import conclude
from orimap.tasks.maps import baseline
from orimap.tasks.store.fingerprint import fingerprint
from orimap.tasks.store.groups import complete_mark
from orimap.tasks.stream.blocks import silent


def asking(run, **changes):
    """Return the same run with another request, and nothing noted or reused yet."""
    request = run.request.model_copy(update=changes)
    return replace(run, request=request, reused=set(), notes=[])


def test_the_map_is_that_of_the_grains(stages, tiny):
    truth = np.load(tiny.with_suffix(".npz"))["labels"]
    drawn = stages.run.folder.read("clusters")
    label = drawn["cluster_label"].values
    assert drawn.sizes["cluster"] == 2
    assert adjusted_rand_score(truth.ravel(), label.ravel()) > 0.8
    for cluster in range(2):
        np.testing.assert_allclose(
            drawn["cluster_mean_pattern"][cluster],
            np.load(tiny)[label == cluster].mean(axis=0),
            rtol=1e-5,
        )
    ratio = stages.run.folder.read("overlap")["overlap_ratio"].values
    assert ratio.shape == (6, 7)
    assert ratio.min() >= 0
    assert ratio.max() <= 1


def test_all_maps_have_the_fingerprint_of_the_decision(stages):
    mark = conclude.clusters_fingerprint(stages.run, stages.decided)
    assert mark == fingerprint(
        decision=stages.decided.fingerprint, fitted=2, regularity=0.0, split=False
    )
    for group in conclude.MAPS:
        assert complete_mark(stages.run.folder.analysis, group) == mark


@pytest.mark.parametrize("changes", [{"regularity": 0.5}, {"split_unconnected": True}])
def test_other_maps_of_the_same_decision_have_another(stages, changes):
    mark = conclude.clusters_fingerprint(stages.run, stages.decided)
    assert conclude.clusters_fingerprint(asking(stages.run, **changes), stages.decided) != mark
    assert conclude.clusters_fingerprint(asking(stages.run, seed=7), stages.decided) == mark
    for other in ({"fingerprint": "other"}, {"fitted_k": 3}):
        decided = replace(stages.decided, **other)
        assert conclude.clusters_fingerprint(stages.run, decided) != mark


def test_maps_that_are_there_are_not_drawn_again(stages, monkeypatch):
    def draw(*_args, **_kwargs):
        raise AssertionError("drawn again")

    monkeypatch.setattr("orimap.tasks.maps.labels_and_overlap.map_clusters", draw)
    run = asking(stages.run)
    conclude.map_clusters(run, silent, stages.decided)
    assert run.reused == {"clusters"}
    with pytest.raises(AssertionError, match="drawn again"):
        conclude.map_clusters(asking(run, regularity=0.5), silent, stages.decided)


class Helper(Executor):
    """Counts what it is asked for."""

    def __init__(self):
        self.asked = 0

    def submit(self, work, /, *args, **kwargs):
        self.asked += 1
        return Here().submit(work, *args, **kwargs)


def test_the_baseline_of_a_small_scan_is_made_by_a_helper_once(stages):
    helper = Helper()
    run = replace(asking(stages.run), helpers=helper)
    conclude.compare_baseline(run, silent, stages.decided)
    found = run.folder.read("baseline")
    assert helper.asked == 1
    assert found["kmeans_label"].shape == (6, 7)
    assert set(np.unique(found["kmeans_label"])) == {0, 1}
    conclude.compare_baseline(run, silent, stages.decided)
    assert (helper.asked, run.reused) == (1, {"baseline"})


def test_the_baseline_of_a_large_scan_is_spread_over_workers(stages, monkeypatch):
    monkeypatch.setattr(baseline, "CHUNK_POSITIONS", 41)
    helper = Helper()
    run = replace(asking(stages.run, restart=True), helpers=helper)
    before = run.folder.read("baseline")["kmeans_label"].values
    conclude.compare_baseline(run, silent, stages.decided)
    assert helper.asked == 0
    after = run.folder.read("baseline")["kmeans_label"].values
    assert adjusted_rand_score(before.ravel(), after.ravel()) == 1


def test_remarks_tell_what_was_centred_and_left_out(stages):
    run = asking(stages.run)
    run.note("Something was widened.")
    said = conclude.remarks(run, stages.decided)
    assert said[0] == "Something was widened."
    assert said[1].startswith("Patterns were not centred: the direct beam, a disc of ")
    assert said[1].endswith(".")
    assert said[2].startswith("The direct beam (")
    assert len(said) == 3


def test_remarks_tell_what_was_asked_for_against_what_was_found(stages):
    run = asking(stages.run, counts="no", centre="no")
    prepared = stages.prepared
    prepared = replace(prepared, ingested=replace(prepared.ingested, counts=False))
    fitted = replace(stages.fitted, prepared=prepared)
    said = conclude.remarks(run, replace(stages.decided, fitted=fitted))
    assert said[0].startswith("Patterns were not centred (--centre no): ")
    assert said[2] == (
        "The values were taken not as counts because of --counts no; their Fano factor says "
        "otherwise."
    )


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (
            {"loss_error": 0.1, "loss_positions": 40},
            "The loss was computed from a sample of 40 positions; its standard error is in the "
            "table of every k.",
        ),
        ({"empty_components": 1}, "1 component of the fit used is empty."),
        ({"empty_components": 2}, "2 components of the fit used are empty."),
        (
            {"noise_positions": [5, 30]},
            "The noise of the patterns was measured at 30 positions of each distinct pattern that "
            "has more than that.",
        ),
    ],
)
def test_remarks_tell_what_was_sampled_or_empty(stages, monkeypatch, changed, sentence):
    read = stages.run.folder.read

    def changed_facts(group):
        ds = read(group)
        ds.attrs.update(changed)
        return ds

    assert sentence not in conclude.remarks(asking(stages.run), stages.decided)
    monkeypatch.setattr(stages.run.folder, "read", changed_facts)
    assert sentence in conclude.remarks(asking(stages.run), stages.decided)
