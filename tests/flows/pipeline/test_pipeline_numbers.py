"""Which numbers of components are fitted, and which one a run decides for."""

import functools

import h5py
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from orimap.flows.cli.answers import print_result
from orimap.tasks.decide.evidence import published
from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.write_scan import write_scan

# Of the scan that conftest.py makes.
DETECTOR = (64, 64)


def also_slowly(*values):
    """Parameters that `make faults` tries as well."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


def test_the_range_of_k_grows_when_the_best_touches_its_upper_end(
    run, results, scan, same_workers, tmp_path
):
    run(scan, tmp_path, k="1:2")
    tree = results(tmp_path)
    assert tree["decision"]["k"].values[-1] > 2
    assert tree.attrs["decided_k"] == 3
    assert any("touches the edge" in note for note in tree.attrs["notes"])


def test_the_range_of_k_grows_when_the_best_touches_its_lower_end(
    run, results, scan, same_workers, tmp_path
):
    run(scan, tmp_path, k="5:7")
    tree = results(tmp_path)
    np.testing.assert_array_equal(tree["decision"]["k"], np.arange(1, 8))
    assert tree.attrs["decided_k"] == 3


def test_a_single_k_is_taken_as_it_is(run, results, tiny, same_workers, tmp_path):
    run(tiny, tmp_path, k="2:2")
    tree = results(tmp_path)
    np.testing.assert_array_equal(tree["decision"]["k"], [2])
    assert tree.attrs["fitted_k"] == 2


def test_k_of_one_alone(run, results, tiny, same_workers, tmp_path):
    run(tiny, tmp_path, k="1:1")
    tree = results(tmp_path)
    assert (tree.attrs["decided_k"], tree.attrs["fitted_k"]) == (1, 1)


def test_a_forced_number_is_used_whatever_the_evidence_says(
    run, results, tiny, same_workers, tmp_path
):
    run(tiny, tmp_path, k="1:4", decided_k=3)
    tree = results(tmp_path)
    assert tree.attrs["fitted_k"] == 3
    assert tree["decision"].attrs["strategy"] == "forced"


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """A folder for runs of which a later one takes over fits."""
    return tmp_path_factory.mktemp("strategies") / "results"


@pytest.mark.parametrize("strategy", ["knee", *also_slowly("elbow", "silhouette"), "published"])
def test_the_other_strategies_run_too(
    run, results, tiny, same_workers, output, monkeypatch, strategy
):
    # Images of the paper's size take minutes, whatever the scan.
    small = functools.partial(published.published_fits, side=16)
    monkeypatch.setattr(published, "published_fits", small)
    run(tiny, output, k="2:4", strategy=strategy)
    tree = results(output)
    assert tree["decision"].attrs["strategy"] == strategy
    assert tree.attrs["fitted_k"] in (2, 3, 4)
    assert ("published" in tree) == (strategy == "published")


def test_a_single_crystal_has_one_cluster_everywhere(run, results, same_workers, tmp_path):
    file = tmp_path / "one.npy"
    write_scan(ScanRecipe(scan=(7, 9), detector=DETECTOR, grains=1, dose=3000, seed=1), file)
    run(file, tmp_path / "out", k="1:4")
    tree = results(tmp_path / "out")
    assert tree.attrs["decided_k"] == 1
    np.testing.assert_array_equal(tree["clusters"]["cluster_label"], 0)
    np.testing.assert_array_equal(tree["overlap"]["overlap_ratio"], 0)


@pytest.mark.parametrize("shape", [(1, 1), *also_slowly((2, 2), (1, 9)), (9, 1)])
def test_tiny_scans_and_single_lines_run(
    run, results, saved, counts, same_workers, tmp_path, shape
):
    run(saved(tmp_path, counts[: shape[0], : shape[1]]), tmp_path / "out")
    tree = results(tmp_path / "out")
    assert tree["clusters"]["cluster_label"].shape == shape
    assert 1 <= tree.attrs["decided_k"] <= max(1, shape[0] * shape[1] - 1)
    assert tree["decision"]["k"].values[-1] == max(1, shape[0] * shape[1] - 1)


def test_noiseless_patterns_that_span_few_directions_end_at_as_many(
    run, results, saved, same_workers, tmp_path
):
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 200, (3, 32, 32)) * (rng.random((3, 32, 32)) > 0.7)
    label = np.arange(6)[:, None] // 2 * np.ones(7, int)
    run(saved(tmp_path, patterns[label].astype(np.uint16)), tmp_path / "out", k="1:6")
    tree = results(tmp_path / "out")
    assert tree["decision"]["k"].values[-1] == 3
    assert any("span only 3" in note for note in tree.attrs["notes"])
    assert adjusted_rand_score(
        label.ravel(), tree["clusters"]["cluster_label"].values.ravel()
    ) == pytest.approx(1)


def _discs(places, shape=(48, 64)):
    """A pattern with a direct beam and reflections at some places; of sum 1."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    pattern = 0.02 + 12.0 * ((y - 24) ** 2 + (x - 32) ** 2 <= 9)
    for row, column in places:
        pattern += 3.0 * ((y - row) ** 2 + (x - column) ** 2 <= 9)
    return pattern / pattern.sum()


CRYSTAL = _discs([(10, 12), (38, 52), (9, 40)])


@pytest.fixture
def headline(run, saved, same_workers, tmp_path, capsys):
    """Analyse patterns; return the first line that a run prints of its results."""

    def first_line(patterns):
        run(saved(tmp_path, patterns), tmp_path / "out")
        capsys.readouterr()
        print_result(tmp_path / "out")
        return capsys.readouterr().out.splitlines()[0]

    return first_line


@pytest.mark.parametrize("shape", [(1, 1), *also_slowly((2, 2), (1, 5)), (2, 3)])
def test_repeats_of_one_pattern_at_a_few_positions_are_not_counted(
    headline, results, tmp_path, shape
):
    counts = np.random.default_rng(0).poisson(3000 * CRYSTAL, (*shape, 48, 64)).astype(np.uint16)
    said = headline(counts)
    assert said.startswith("too few positions to count, low confidence")
    tree = results(tmp_path / "out")
    assert not tree.attrs["countable"]
    reasons = tree["decision"].attrs["reasons"]
    assert reasons[0].startswith("Too few positions to count")
    assert reasons[-1].endswith("It would be settled by a scan of more positions.")
    assert "--k)" not in reasons[-1]


@pytest.mark.parametrize("kind", ["camera", *also_slowly("float camera"), "counts"])
@pytest.mark.parametrize("shape", [(3, 3), pytest.param((8, 10), marks=pytest.mark.slow)])
def test_noise_shows_no_crystal_and_no_number(headline, results, tmp_path, kind, shape):
    rng = np.random.default_rng(5)
    noise = rng.normal(400, 6, (*shape, 48, 64)).astype(np.float32)
    if kind == "camera":
        noise = np.rint(noise).astype(np.uint16)
    if kind == "counts":
        noise = rng.poisson(0.05, noise.shape).astype(np.uint16)
    said = headline(noise)
    attrs = results(tmp_path / "out").attrs
    assert not attrs["crystal_found"]
    assert "no crystal found" in said
    assert "high" not in said
    assert attrs["countable"] == (shape == (8, 10))
    assert said.startswith("too few positions to count") == (shape == (3, 3))
    if attrs["countable"]:
        assert attrs["decided_k"] == 1


@pytest.mark.parametrize("said", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_shape_that_was_guessed_is_told_and_its_answer_not_certain(
    run, results, counts, same_workers, tmp_path, said
):
    patterns = counts[:, :12].reshape(144, *DETECTOR)
    with h5py.File(tmp_path / "run_data_000001.h5", "w") as file:
        file["entry/data/data"] = patterns
    master = tmp_path / "run_master.h5"
    with h5py.File(master, "w") as file:
        file["entry/data/data_000001"] = h5py.ExternalLink("run_data_000001.h5", "entry/data/data")
    run(master, tmp_path / "out", k="1:8", **({"scan_shape": (12, 12)} if said else {}))
    tree = results(tmp_path / "out")
    decision = tree["decision"].attrs
    assert tree.attrs["decided_k"] == 3
    assert decision["confidence"] == ("high" if said else "moderate")
    guesses = tree["acquisition"].attrs["guesses"]
    assert len(guesses) == (0 if said else 1)
    told = [reason for reason in decision["reasons"] if reason.startswith("Guessed: ")]
    assert told == [f"Guessed: {guess}." for guess in guesses]
