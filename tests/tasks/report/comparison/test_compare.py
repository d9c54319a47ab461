import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from orimap.tasks.report.comparison.compare import (
    Filtered,
    SeedRun,
    agreement,
    common_count,
    judge,
    match_clusters,
    renumbered,
    scores_of,
    seed_run,
)
from orimap.tasks.report.comparison.drawings import FIGURES, comparison_drawings
from orimap.tasks.report.comparison.page import write_comparison
from orimap.tasks.report.results import GROUPS, Results
from orimap.tasks.simulate.truth import Truth
from orimap.tasks.store import variables as v

SCAN, DETECTOR = (9, 12), (16, 18)


def grains(cuts=(4, 8)):
    """Stripes; each cut begins a grain."""
    return np.broadcast_to(np.searchsorted(cuts, np.arange(SCAN[1]), side="right"), SCAN).copy()


def results(label, *, confidence="high", without=(), k_max=5):
    """What a run leaves, as far as a comparison looks at it."""
    count = int(label.max()) + 1
    rng = np.random.default_rng(count)
    ks = np.arange(1, k_max + 1)
    noise = rng.uniform(1, 9, (3, count))
    drop = np.where(ks <= count, 10.0 / ks, -0.1)
    drop[0] = np.nan
    groups = {
        "acquisition": v.dataset(
            {v.detector_mean: np.ones(DETECTOR), v.detector_mask: np.zeros(DETECTOR, np.uint8)},
            source_file="scan_007.hspy",
            scan_step=[2.0, 2.0],
            scan_units="nm",
        ),
        "decision": v.dataset(
            {v.k_relative_loss: 0.2 + 1 / ks, v.k_held_out_drop: drop},
            confidence=confidence,
            runner_up=count + 1,
            fitted_k=count,
        ).assign_coords(k=ks),
        "clusters": v.dataset(
            {
                v.cluster_label: label.astype(np.int16),
                v.cluster_representative: rng.random((count, *DETECTOR)),
                v.cluster_nsd_whole: noise[0],
                v.cluster_nsd_corner: np.full(count, np.nan),
                v.cluster_nsd_robust: noise[2] * 0,
            }
        ),
        "overlap": v.dataset({v.overlap_ratio: np.zeros(SCAN)}),
    }
    found = {name: groups.get(name, xr.Dataset()) for name in GROUPS}
    found = {name: ds.drop_vars(without, errors="ignore") for name, ds in found.items()}
    return Results({"decided_k": count}, found)


RUN = {
    "steps": [
        {"name": "ingest", "seconds": 40.0, "peak_bytes": 9e9, "reused": False},
        {"name": "centre", "seconds": 5.0, "peak_bytes": 8e9, "reused": True},
        {"name": "sketch", "seconds": 2.0, "peak_bytes": 3e8, "reused": False},
        {"name": "fit", "seconds": 0.5, "peak_bytes": 4e8, "reused": False},
    ]
}


def filtered(name, label, *, ks=(), confidence="high", truth=None, **how):
    """One filter; ``ks`` are what further seeds decide."""
    found = results(label, confidence=confidence, **how)
    own = seed_run(found, 0, "mark", truth)
    further = [
        SeedRun(
            seed, "m", k, k, "low", own.k[:-1], [x + 0.01 * seed for x in own.relative_loss[1:]]
        )
        for seed, k in enumerate(ks, start=1)
    ]
    return Filtered(name, found, RUN, [own, *further], scores_of(found, truth))


def verdict(*filters, truth=None):
    return judge(filters, agreement({f.name: f.label for f in filters}), truth)


def truth_of(label):
    return Truth(label, np.eye(int(label.max()) + 1)[label], Path("scan_007.npz"))


def test_the_same_grain_has_the_same_number_whatever_it_was_called():
    label = grains()
    renamed = np.array([2, 0, 1])[label]
    first, second = match_clusters([label, renamed])
    np.testing.assert_array_equal(first, [0, 1, 2])
    np.testing.assert_array_equal(renumbered(renamed, second), label)


def test_half_of_a_grain_keeps_its_number_and_the_other_half_gets_a_new_one():
    label, split = grains((6,)), grains((6, 10))  # columns 6 to 9, and 10 to 11
    _, numbers = match_clusters([label, split])
    np.testing.assert_array_equal(numbers, [0, 1, 2])


def test_a_grain_that_only_later_maps_have_is_the_same_in_both():
    one = np.zeros(SCAN, int)
    two = np.where(np.arange(SCAN[1]) < 3, 0, 1) + one
    three = np.where(np.arange(SCAN[1]) < 4, 1, 0) + one
    first, second, third = match_clusters([one, two, three])
    np.testing.assert_array_equal(first, [0])
    np.testing.assert_array_equal(renumbered(two, second)[0, [0, 11]], [1, 0])
    np.testing.assert_array_equal(renumbered(three, third)[0, [0, 11]], [1, 0])


def test_grains_that_merely_touch_are_not_the_same():
    one = np.where(np.arange(SCAN[1]) < 6, 0, -1) + np.zeros(SCAN, int)
    two = np.where(np.arange(SCAN[1]) < 5, -1, 0) + np.zeros(SCAN, int)
    np.testing.assert_array_equal(match_clusters([one, two])[1], [1])


def test_maps_without_a_cluster_have_no_numbers():
    nothing = np.full(SCAN, -1)
    first, second = match_clusters([nothing, grains()])
    assert len(first) == 0
    assert (common_count([first]), common_count([first, second])) == (0, 3)
    np.testing.assert_array_equal(second, [0, 1, 2])
    np.testing.assert_array_equal(renumbered(nothing, first), nothing)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), maps=st.integers(1, 4))
def test_every_cluster_has_one_number_of_its_own(seed, maps):
    rng = np.random.default_rng(seed)
    labels = []
    for _ in range(maps):
        _, label = np.unique(rng.integers(0, rng.integers(1, 9), SCAN), return_inverse=True)
        labels.append(label.reshape(SCAN))
    numbers = match_clusters(labels)
    for label, found in zip(labels, numbers, strict=True):
        assert len(found) == label.max() + 1
        assert len(set(found)) == len(found)
    used = set(np.concatenate(numbers))
    assert used == set(range(len(used)))


def test_maps_agree_by_pairs():
    found = agreement({"raw": grains(), "mean": grains()[:, ::-1], "epattern": grains() * 0})
    assert list(found) == [("raw", "mean"), ("raw", "epattern"), ("mean", "epattern")]
    assert found["raw", "mean"] == 1
    assert found["raw", "epattern"] == 0


def test_filters_that_agree_are_all_favoured_and_the_simplest_is_named():
    found = verdict(*(filtered(name, grains()) for name in ("raw", "mean", "epattern")))
    assert found.favoured == ("raw", "mean", "epattern")
    assert found.headline == "No filter is clearly better: take raw, the simplest"
    assert found.reasons[0] == "All filters find 3 distinct patterns and the same map."
    assert "raw is the one to take" in found.reasons[-1]


def test_confidence_seeds_and_other_filters_each_have_a_voice():
    found = verdict(
        filtered("raw", grains((3, 6, 9)), ks=[5, 5], confidence="low"),
        filtered("mean", grains(), ks=[3, 3]),
        filtered("epattern", grains(), ks=[4, 3]),
    )
    assert found.favoured == ("mean",)
    assert found.headline == ("Take 3×3 mean: most evidence for its 3 distinct patterns")
    assert "Decided with 3 seeds: raw 4 to 5, 3×3 mean 3, ePattern 3 to 4." in found.reasons


def test_evidence_that_does_not_decide_is_called_so():
    found = verdict(
        filtered("raw", grains((3, 6, 9))),
        filtered("mean", grains((2, 9)), ks=[3]),
    )
    assert found.favoured == ("raw", "mean")
    assert found.headline == "No filter is clearly better: take raw, the simplest"
    assert found.reasons[0] == "All filters have as much evidence each."


def test_maps_that_are_confirmed_almost_alike_make_no_filter_better():
    speck = grains()
    speck[0, 0] = 2
    other = grains()
    other[0, 1] = 2
    agreements = {("raw", "mean"): 0.85, ("raw", "epattern"): 0.84, ("mean", "epattern"): 0.84}
    three = [filtered(name, label) for name, label in zip(
        ("raw", "mean", "epattern"), (grains(), speck, other), strict=True)]  # fmt: skip
    found = judge(three, agreements, None)
    assert found.favoured == ("raw", "mean", "epattern")
    assert found.headline == "No filter is clearly better: take raw, the simplest"
    agreements[("mean", "epattern")] = 0.4
    assert judge(three, agreements, None).headline.startswith("Take raw: most evidence for its 3")


def test_several_without_raw_are_all_to_take():
    found = verdict(
        filtered("raw", grains((3, 6, 9)), ks=[5, 5], confidence="low"),
        filtered("mean", grains(), ks=[3, 3]),
        filtered("epattern", grains(), ks=[3, 3]),
    )
    assert found.headline == (
        "Take 3×3 mean or ePattern: 3×3 mean and ePattern have as much evidence each"
    )


def test_what_is_taken_with_low_confidence_is_said_to_be():
    found = verdict(
        filtered("raw", grains(), ks=[3], confidence="low"),
        filtered("mean", grains((3, 6, 9)), ks=[5], confidence="low"),
    )
    assert found.headline.endswith(", with low confidence")


def test_one_filter_alone_is_favoured():
    alone = verdict(filtered("raw", grains()))
    assert alone.headline == "Only raw was tried: nothing to compare it with"
    assert verdict(filtered("raw", grains())).favoured == ("raw",)


def test_where_the_truth_is_known_the_nearest_map_counts():
    truth = truth_of(grains())
    found = verdict(
        filtered("raw", grains((2, 9)), truth=truth),
        filtered("mean", grains(), confidence="low", truth=truth),
        filtered("epattern", grains((5, 7)), truth=truth),
        truth=truth,
    )
    assert found.favoured == ("mean",)
    assert found.headline == (
        "Take 3×3 mean: nearest to the truth of 3 grains, with low confidence"
    )


def test_between_equally_near_maps_the_right_number_counts():
    truth = truth_of(grains())
    speck = grains()
    speck[0, 0] = 3
    found = verdict(
        filtered("raw", speck, truth=truth), filtered("mean", grains(), truth=truth), truth=truth
    )
    assert found.favoured == ("mean",)
    both = [filtered(name, grains(), truth=truth) for name in ("raw", "mean")]
    assert verdict(*both, truth=truth).favoured == ("raw", "mean")


def test_what_is_done_once_for_all_filters_is_no_filters_cost():
    assert filtered("raw", grains()).cost() == (2.5, 4e8)


class Reader(HTMLParser):
    """Collects what a page refers to and says."""

    def __init__(self):
        super().__init__()
        self.found, self.words = [], []

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.words.append(data)


def read(page):
    reader = Reader()
    reader.feed(page.read_text())
    return reader.found, " ".join(" ".join(reader.words).split())


@pytest.fixture
def three():
    """Three filters, of which the last finds one grain more."""
    truth = truth_of(grains())
    return [
        filtered("raw", grains(), ks=[3], truth=truth),
        filtered("mean", grains(), ks=[4], truth=truth),
        filtered("epattern", grains((3, 6, 9)), ks=[4], truth=truth),
    ], truth


def test_the_page_needs_nothing_but_the_reports(three, tmp_path):
    filters, truth = three
    page = write_comparison(tmp_path, filters, truth, request={"seed": 0}, truth_found=True)
    found, words = read(page)
    outside = [at for at in found if not at.startswith(("data:", "#"))]
    assert outside == ["raw/report.html", "mean/report.html", "epattern/report.html"]
    assert words.count("scan_007.npz , found beside the acquisition") == 1
    assert (
        "Take raw, the simplest: raw and 3×3 mean come equally near the truth of 3 grains" in words
    )
    drawn = {path.stem for path in (tmp_path / "figures").glob("*.png")}
    assert drawn == {"maps", "patterns", "noise", "loss", "fluctuation", "held_out"}
    for path in (tmp_path / "figures").glob("*.png"):
        assert min(Image.open(path).size) > 150


def test_only_what_was_stored_is_drawn(three):
    def names(filters):
        numbers = match_clusters([f.label for f in filters])
        return tuple(drawing.name for drawing in comparison_drawings(filters, numbers))

    filters, _ = three
    assert names(filters) == FIGURES
    assert "fluctuation" not in names([filtered("raw", grains()), filtered("mean", grains())])
    bare = filtered("mean", grains(), without=["cluster_representative", "k_held_out_drop"])
    assert names([filters[0], bare]) == ("maps", "noise", "loss", "fluctuation", "held_out")
    assert names([bare]) == ("maps", "noise", "loss")


def test_all_numbers_are_in_the_json_file(three, tmp_path):
    filters, truth = three
    write_comparison(tmp_path, filters, truth, request={"seed": 0})
    found = json.loads((tmp_path / "comparison.json").read_text())
    assert found["verdict"]["favoured"] == ["raw", "mean"]
    assert found["truth"]["grains"] == 3
    assert found["agreement"][0]["filters"] == ["raw", "mean"]
    mean = found["filters"]["mean"]
    assert (mean["decided_k"], mean["ari"], mean["seconds"]) == (3, 1.0, 2.5)
    assert (mean["crystal_found"], mean["countable"]) == (True, True)
    assert [run["decided_k"] for run in mean["seeds"]] == [3, 4]
    assert mean["cluster_nsd"]["corner"] is None
    assert mean["cluster_nsd"]["robust"] == [0, 0, 0]
    assert mean["k_held_out_drop"][0] is None
    assert SeedRun(**mean["seeds"][1]) == filters[1].seeds[1]


def test_what_was_not_stored_is_named_and_old_figures_of_it_go(three, tmp_path):
    filters, truth = three
    write_comparison(tmp_path, filters, truth, request={})
    without = [
        *("cluster_nsd_whole", "cluster_nsd_robust", "cluster_representative"),
        *("k_relative_loss", "k_held_out_drop"),
    ]
    bare = [filtered(name, grains(), without=without) for name in ("raw", "mean")]
    page = write_comparison(tmp_path, bare, None, request={})
    assert [path.stem for path in (tmp_path / "figures").iterdir()] == ["maps"]
    _, words = read(page)
    for missing in ("No noise", "No patterns", "No loss curve", "no held-out curves"):
        assert missing in words
    assert "ARI" not in words


@pytest.mark.parametrize(
    "label", [np.zeros(SCAN, int), np.full(SCAN, -1), grains(tuple(range(1, 12)))]
)
def test_one_no_and_many_clusters_are_drawn(label, tmp_path):
    count = int(label.max()) + 1
    without = () if count else ("cluster_representative", "cluster_nsd_whole")
    filters = [filtered(name, label, without=without) for name in ("raw", "mean", "epattern")]
    page = write_comparison(tmp_path, filters, None, request={})
    assert f"{count} distinct pattern" in page.read_text()
