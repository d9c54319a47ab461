"""The arithmetic of the benchmark of speed, on figures made by hand."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

FOLDER = Path(__file__).parent / "benchmarks" / "speed"


@pytest.fixture(scope="module")
def script():
    """Give the scripts of the benchmark by name; they import one another as scripts do."""
    names = {path.stem for path in [*FOLDER.glob("*.py"), *(FOLDER / "peers").glob("*.py")]}
    before = set(sys.modules)
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module
    sys.path.remove(str(FOLDER))
    for name in set(sys.modules) - before:
        if name in names or name.partition(".")[0] == "peers":
            del sys.modules[name]


@pytest.fixture(scope="module")
def fit(script):
    return script("peers.answers").Fit


def test_law_tells_start_and_iterations_apart(script, fit):
    # 1 s and half a second for each k to start; a tenth of a second for each k and iteration.
    def seconds(k, iterations):
        return 1 + 0.5 * k + iterations * 0.1 * k

    fits = [fit(k, seconds(k, i), i, sampled=True) for k in (2, 20, 10) for i in (1, 11)]
    law = script("extrapolate").Law.of_sampled(fits)
    assert law.seconds(2, 40) == pytest.approx(10)
    assert law.seconds(5, 200) == pytest.approx(103.5)


def test_whole_sweep_is_the_sum_of_its_fits(script, fit):
    fits = [fit(3, 5.0, 50), fit(2, 1.0, 10)]
    estimate = script("extrapolate").sweep_seconds(fits, [2, 3], {})
    assert (estimate.seconds, estimate.how) == (6, None)


def test_missing_fits_follow_from_those_there_was_time_for(script, fit):
    # An iteration takes k / 10 s; of k = 3 it is known that there were 30 on a smaller scan.
    fits = [fit(2, 2.0, 10), fit(4, 16.0, 40)]
    sweep_seconds = script("extrapolate").sweep_seconds
    estimate = sweep_seconds(fits, [2, 3, 4], {2: 99, 3: 30, 4: 99})
    assert estimate.seconds == pytest.approx(2 + 30 * 0.3 + 16)
    assert "whole fits at k = 2, 4" in estimate.how
    assert "smaller scan" in estimate.how
    between = sweep_seconds(fits, [2, 3, 4], {})  # 25 lie between 10 and 40
    assert between.seconds == pytest.approx(2 + 25 * 0.3 + 16)


def test_sampled_fits_need_the_iterations_of_a_smaller_scan(script, fit):
    fits = [fit(k, 1.0 * i, i, sampled=True) for k in (2, 4) for i in (1, 11)]
    sweep_seconds = script("extrapolate").sweep_seconds
    assert sweep_seconds(fits, [2, 3, 4], {}) is None
    estimate = sweep_seconds(fits, [2, 3, 4], {2: 10, 3: 20, 4: 50})
    assert estimate.seconds == pytest.approx(80)
    assert "k = 2, 4" in estimate.how


def test_way_without_iterations_takes_what_it_took(script, fit):
    fits = [fit(k, 3.0 * k, 1, sampled=True) for k in (2, 4) for _ in range(2)]
    estimate = script("extrapolate").sweep_seconds(fits, [2, 3, 4], {})
    assert estimate.seconds == pytest.approx(27)


def test_nothing_follows_from_one_sampled_fit(script, fit):
    sweep_seconds = script("extrapolate").sweep_seconds
    assert sweep_seconds([fit(2, 1.0, 1, sampled=True)], [2, 3], {2: 10, 3: 10}) is None
    assert sweep_seconds([], [2, 3], {}) is None


def test_first_fits_lie_as_far_apart_as_can_be(script):
    spread = script("extrapolate").spread
    assert spread(range(2, 7)) == [2, 6, 4, 3, 5]
    assert spread(range(2, 21))[:4] == [2, 20, 11, 6]
    assert sorted(spread(range(2, 21))) == list(range(2, 21))
    assert spread([3]) == [3]


def test_peak_is_that_of_the_sweep_alone(script):
    samples = script("contest").Samples([0.0, 1.0, 2.0, 3.0], [9, 5, 7, 8])
    assert samples.peak([(0.5, 1.5), (1.9, 2.1)]) == 7
    assert samples.peak([]) is None


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
def test_relative_error_is_that_of_the_whole_matrix(script, form):
    rng = np.random.default_rng(0)
    matrix = rng.poisson(1.0, (7, 5)).astype(float)
    factors = {k: (rng.random((7, k)), rng.random((k, 5))) for k in (2, 3)}
    order = rng.permutation(7)
    blocks = [(order[:3], form(matrix[order[:3]])), (order[3:], form(matrix[order[3:]]))]
    errors = script("score").relative_errors(blocks, factors)
    for k, (weights, patterns) in factors.items():
        expected = np.linalg.norm(matrix - weights @ patterns) / np.linalg.norm(matrix)
        assert errors[k] == pytest.approx(expected, rel=1e-12)


def test_labels_are_of_components_of_unit_sum(script):
    label = script("score").label
    # A weight of 1 of a pattern with 30 counts is more than a weight of 2 of one with 10.
    assert label(np.array([[1.0, 2.0], [1.0, 4.0]]), np.array([30.0, 10.0])).tolist() == [0, 1]


@pytest.fixture
def figures():
    return {
        "k_true": 3,
        "plain_read": {"workers": 0.5},
        "scan": {"entries": 100, "filled_entries": 10.0},
        "ways": {
            "orimap": {
                "seconds": 2.0,
                "extrapolated": None,
                "cpu_seconds": 3.0,
                "peak_bytes": 100,
                "stages": {"sketch": 1.0},
                "relative_error": {2: 0.5, 3: 0.42, 4: 0.41},
                "ari": 0.9,
            },
            "scikit-learn": {
                "seconds": 300.0,
                "extrapolated": "from two fits",
                "cpu_seconds": None,
                "peak_bytes": 400,
                "relative_error": {2: 0.5, 3: 0.4, 4: 0.40},
                "ari": 0.6,
                "failure": None,
            },
            "torchnmf-kl": {"seconds": None, "extrapolated": None, "failure": "too large"},
        },
    }


def test_ratios_have_the_values_worked_by_hand(script, figures):
    ratios = script("sections").ratios_of(figures)
    values = {name: ratio.value for name, ratio in ratios.items()}
    assert values["orimap / plain read: seconds"] == 4
    assert values["orimap, sketch / plain read: seconds"] == 2
    assert values["scikit-learn / plain read: seconds"] == 600
    assert values["scikit-learn / orimap: seconds"] == 150
    assert values["scikit-learn / orimap: peak memory"] == 4
    assert "scikit-learn / orimap: processor time" not in values
    up_to, beyond = (
        f"orimap / scikit-learn: relative error, worst k {part} the true k"
        for part in ("up to", "beyond")
    )
    assert values[up_to] == pytest.approx(1.05)
    assert values[beyond] == pytest.approx(1.025)
    assert values["orimap / scikit-learn: ARI at the true k"] == pytest.approx(1.5)
    assert not any("torchnmf" in name for name in values)
    assert ratios["scikit-learn / orimap: seconds"].extrapolated
    assert not ratios["orimap / plain read: seconds"].extrapolated
    # What a peer needs beside a plain read is not ours to answer for.
    assert ratios["scikit-learn / plain read: seconds"].better is None


def test_held_out_counts_are_compared_at_the_worst_k(script, figures):
    figures["held_out"] = {"orimap-held-out": {2: 0.3, 3: 0.2}, "scikit-learn-training": {3: 0.25}}
    ratio = script("sections").ratios_of(figures)[
        "orimap-held-out / scikit-learn-training: held-out deviance, worst k"
    ]
    assert (ratio.value, ratio.better) == (pytest.approx(0.8), "lower")


def test_larger_scan_follows_from_its_entries(script, figures):
    sections, by_name = script("sections"), script("ways").BY_NAME
    larger = {"scan": {"entries": 1600, "filled_entries": 40.0}}
    assert sections.growth(by_name["scikit-learn"], larger, figures) == 16
    assert sections.growth(by_name["scikit-learn-sparse"], larger, figures) == 4
    row = sections.scaled(figures["ways"]["scikit-learn"], 16.0, "small", "entries")
    assert (row["seconds"], row["cpu_seconds"], row["peak_bytes"]) == (4800, None, 6400)
    assert "16 times the small scan's" in row["extrapolated"]
    assert row["extrapolated"].endswith("those from two fits")
    nothing = sections.scaled(figures["ways"]["torchnmf-kl"], 16.0, "small", "entries")
    assert nothing["seconds"] is None


def test_table_marks_what_was_not_measured(script, figures):
    text = script("table").way_table(figures)
    ours, theirs, failed = text.splitlines()[2:]
    assert "| 2 s | 1 | 4 | 3 s |" in ours
    assert "| ~ 300 s | ~ 150 | ~ 600 | - |" in theirs
    assert theirs.endswith("| 0.600 | +2.0e-02 | +1.0e-02 |")
    assert "| - | - | - | - |" in failed


def section(script, **values):
    """Return a section of ratios, lower the better but for those named ``speed``."""
    better = {name: "higher" if name == "speed" else "lower" for name in values}
    return {
        "ratios": {name: {"value": value, "better": better[name]} for name, value in values.items()}
    }


def test_comparison_marks_what_got_worse_by_more_than_a_fifth(script):
    compare = script("compare")
    old = {"sections": {"sweep": section(script, cost=10.0, speed=100.0, other=1.0), "gone": {}}}
    new = {"sections": {"sweep": section(script, cost=12.5, speed=81.0, new=1.0)}}
    found, unpaired = compare.changes(old, new)
    assert [(change.name, change.worse) for change in found] == [("cost", True), ("speed", True)]
    assert found[0].percent == pytest.approx(25)
    assert found[1].percent == pytest.approx(-19)  # 100 / 81 is 1.23
    assert unpaired == [
        "sweep, other: only in the old",
        "sweep, new: only in the new",
        "gone: only in the old",
    ]
    text = compare.lines(found, unpaired)
    assert "  cost: 10 → 12.5 (+25.0 %)  WORSE" in text
    assert text[-1] == "2 of 2 ratios got worse by more than they may"


def test_what_only_informs_is_never_worse(script):
    ratio = script("results").Ratio
    assert ratio(1.0, None).worsened(ratio(50.0, None)) == 1
    assert ratio(2.0, "lower").worsened(ratio(3.0, "lower")) == 1.5
    assert ratio(2.0, "higher").worsened(ratio(4.0, "higher")) == 0.5


def test_strict_comparison_ends_with_1(script, tmp_path, monkeypatch, capsys):
    compare, results = script("compare"), script("results")
    old, new = tmp_path / "2026-01-01.json", tmp_path / "new.json"
    results.add_section(old, "sweep", {"cost": results.Ratio(1.0, "lower")}, {})
    results.add_section(new, "sweep", {"cost": results.Ratio(1.5, "lower")}, {})
    monkeypatch.setattr(results, "KEPT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["compare.py", str(new), str(old), "--strict"])
    with pytest.raises(SystemExit, match="1"):
        compare.main()
    assert "cost: 1 → 1.5 (+50.0 %)  WORSE" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["compare.py", str(old), str(old), "--strict"])
    compare.main()


def test_kept_file_gathers_sections_of_one_day(script, tmp_path, monkeypatch):
    results = script("results")
    monkeypatch.setattr(results, "KEPT", tmp_path / "kept")
    assert results.newest_kept() is None
    for name in ("sweep-small", "memory"):
        results.add_section(tmp_path / f"{name}.json", name, {"a": results.Ratio(2.0)}, {1: 1 / 3})
        kept = results.keep(tmp_path / f"{name}.json")
    assert results.newest_kept() == kept
    assert results.newest_kept(before=kept) is None
    content = results.read(kept)
    assert list(content["sections"]) == ["sweep-small", "memory"]
    assert content["sections"]["memory"]["figures"] == {"1": 0.333333}
    assert results.ratios(content["sections"]["memory"])["a"].value == 2


def test_answer_is_read_back(script, tmp_path, fit):
    answers = script("peers.answers")
    answer = answers.Answer(tmp_path, 1.5, fits=[fit(2, 0.5, 7)], windows=[(1.0, 2.0)])
    answer.write()
    assert answers.read(tmp_path) == answer
    assert answers.read(tmp_path / "elsewhere") is None


def test_processor_time_follows_the_same_law(script, fit, tmp_path):
    fits = [fit(k, 9.0 * i, i, True, 2.0 * i) for k in (2, 4) for i in (1, 11)]
    answer = script("peers.answers").Answer(tmp_path, 1.0, fits=fits)
    row = script("sections").row_of(script("contest").Outcome(answer), [2, 4], {2: 10, 4: 30})
    assert (row["seconds"], row["cpu_seconds"]) == (pytest.approx(360), pytest.approx(80))
    assert row["extrapolated"]
    assert row["fit_seconds"] == {}


def test_more_iterations_in_less_time_say_nothing(script, fit):
    fits = [fit(2, 5.0, 1, True), fit(2, 4.0, 11, True), fit(4, 1.0, 1, True)]
    law = script("extrapolate").Law
    with pytest.raises(ValueError, match="two fits of one k"):
        law.of_sampled(fits)
    known = law.of_sampled([*fits, fit(4, 21.0, 11, True)])
    assert known.seconds(9, 10) == pytest.approx(20)  # of one k: the same for all
