import numpy as np
import pytest

from orimap.tasks.errors import InputError
from orimap.tasks.simulate.truth import find_truth, read_truth, true_overlap_ratio

SCAN = (4, 5)


def write(path, **changed):
    labels = np.arange(20).reshape(SCAN) % 3
    weights = np.eye(3, dtype=np.float32)[labels]
    np.savez(path, **{"labels": labels, "weights": weights} | changed)
    return path


def test_a_perfect_map_has_full_marks_whatever_its_numbers(tmp_path):
    truth = read_truth(write(tmp_path / "t.npz"), SCAN)
    assert truth.grains == 3
    renamed = np.array([2, 0, 1])[truth.labels]
    assert truth.score(renamed, np.zeros(SCAN)) == {"ari": 1.0, "overlap_f1": 1.0}


def test_overlaps_are_scored_by_which_positions_have_one(tmp_path):
    weights = np.zeros((*SCAN, 2))
    weights[..., 0] = 1
    weights[0, :4] = (0.6, 0.4)  # second over first: .67
    weights[1, 0] = (0.8, 0.2)  # .25
    truth = read_truth(write(tmp_path / "t.npz", weights=weights), SCAN)
    found = np.zeros(SCAN)
    found[0, :3], found[1, 0], found[2, 2] = 0.7, 0.6, np.nan
    # 3 right, 1 too many, 1 missed: F1 = 2·3 / (2·3 + 1 + 1).
    assert truth.score(truth.labels, found)["overlap_f1"] == pytest.approx(0.75)


def test_the_ratio_is_second_over_first_and_0_where_there_is_nothing():
    weights = np.array([[0.2, 0.5, 0.3], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(true_overlap_ratio(weights), [0.6, 0])
    np.testing.assert_array_equal(true_overlap_ratio(np.ones((2, 1))), [0, 0])


def test_the_truth_of_the_whole_scan_is_cut_to_the_region(tmp_path):
    truth = read_truth(write(tmp_path / "t.npz"), SCAN, (1, 3, 0, 4))
    np.testing.assert_array_equal(truth.labels, (np.arange(20).reshape(SCAN) % 3)[1:3, :4])
    assert truth.weights.shape == (2, 4, 3)


def test_the_truth_may_be_of_the_region_alone(tmp_path):
    labels = np.zeros((2, 4), int)
    path = write(tmp_path / "t.npz", labels=labels, weights=np.ones((2, 4, 1)))
    assert read_truth(path, SCAN, (1, 3, 0, 4)).labels.shape == (2, 4)


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"labels": np.zeros((5, 4), int)}, "(5, 4)"),
        ({"labels": np.zeros(SCAN)}, "float64"),
        ({"weights": np.ones(SCAN)}, "weights (4, 5)"),
        ({"weights": np.ones((*SCAN, 2), int)}, "int64"),
    ],
)
def test_what_does_not_fit_the_scan_is_refused_or_passed_over(tmp_path, changed, found):
    path = write(tmp_path / "scan.npz", **changed)
    with pytest.raises(InputError) as caught:
        read_truth(path, SCAN)
    assert found in caught.value.found
    assert "4x5" in caught.value.needed
    assert find_truth(tmp_path / "scan.blo", SCAN) is None


def test_what_is_no_truth_at_all_is_refused(tmp_path):
    (tmp_path / "text.npz").write_text("no arrays")
    (tmp_path / "empty.npz").write_bytes(b"")
    np.savez(tmp_path / "other.npz", labels=np.zeros(SCAN, int))
    np.savez(tmp_path / "others.npz", something=1)
    np.save(tmp_path / "one.npy", np.zeros(SCAN, int))
    for name, found in (
        ("absent.npz", "not there"),
        ("text.npz", "cannot be read"),
        ("empty.npz", "cannot be read"),
        ("one.npy", "cannot be read"),
        ("others.npz", "no labels and no weights in it"),
        ("other.npz", "no weights in it"),
    ):
        with pytest.raises(InputError) as caught:
            read_truth(tmp_path / name, SCAN)
        assert found in str(caught.value.found)
        assert name in caught.value.needed


def test_a_truth_beside_the_acquisition_is_found(tmp_path):
    assert find_truth(tmp_path / "scan.hspy", SCAN) is None
    write(tmp_path / "scan.npz")
    found = find_truth(tmp_path / "scan.hspy", SCAN)
    assert found.source == tmp_path / "scan.npz"
    assert find_truth(tmp_path / "scan.npz", SCAN) is None
