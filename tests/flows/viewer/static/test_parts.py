"""What the scripts of the page work out by themselves, against NumPy and by hand."""

import json

import numpy as np
import pytest
from matplotlib import colormaps

LABELS = np.array(
    [
        [1, 1, 1, 1, 2, 2],
        [1, 1, 1, 1, 2, 2],
        [1, 1, 1, 1, 2, 2],
        [3, 3, 0, 0, 2, 2],
        [3, 3, -1, 0, 2, 2],
    ]
)


@pytest.fixture
def call(page):
    """Call what a script of the page exports; arguments and answer are JSON."""

    def call(module, code):
        script = f"""import("./static/viewer/parts/{module}.js")
            .then((m) => arguments[0](JSON.stringify({code})));"""
        return json.loads(page.driver.execute_async_script(script))

    return call


@pytest.fixture
def labels():
    return f"{{data: new Int16Array({LABELS.ravel().tolist()}), shape: {list(LABELS.shape)}}}"


def test_numbers_stand_where_a_cluster_is_widest(call, labels):
    found = {one["label"]: one for one in call("marks", f"m.insides({labels})")}
    rows, columns = np.indices(LABELS.shape)
    for label in (1, 2, 3):
        others = np.argwhere(np.pad(LABELS, 1, constant_values=-9) != label) - 1
        steps = np.abs(rows[..., None] - others[:, 0]) + np.abs(columns[..., None] - others[:, 1])
        far = np.where(label == LABELS, steps.min(axis=-1), 0)
        assert found[label]["far"] == far.max()
        assert far[found[label]["y"], found[label]["x"]] == far.max()
    assert set(found) == {1, 2, 3}


def test_positions_where_two_clusters_touch(call, labels):
    found = np.reshape(call("marks", f"[...m.touching({labels}, [1, 2])]"), LABELS.shape)
    expected = np.zeros_like(LABELS)
    expected[:3, 3:5] = 1
    np.testing.assert_array_equal(found, expected)


def test_numbers_are_written_as_a_person_writes_them(call):
    values = [0, 0.5, 12.345, 123456, 2.5e7, -0.0004, 37.0]
    assert call("colours", f"{values}.map(m.written)") == [
        "0", "0.5", "12.3", "123\u202f456", "2.5 × 10⁷", "−4 × 10⁻⁴", "37",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["linear", "root", "log"])
def test_ticks_stand_where_their_values_are(call, kind):
    found = call(
        "colours",
        f"(({{place, ticks}}) => ticks.map((tick) => [tick, place(parseFloat(tick.text.replace"
        f"(/[^\\d.]/g, '')))]))(m.scaleOf('{kind}', 0, 80, {{floor: 0.5}}))",
    )
    assert len(found) >= 3
    for tick, place in found:
        assert place == pytest.approx(tick["at"], abs=1e-6)


def test_scale_bars_have_round_lengths(call):
    lengths = "[0.7, 1, 1.9, 2, 4.9, 68, 0.033]"
    assert call("bars", f"{lengths}.map(m.roundLength)") == pytest.approx(
        [0.5, 1, 1, 2, 2, 50, 0.02]
    )


def test_a_second_pattern_is_only_said_to_be_there_where_it_counts(call):
    def said(second, *shares):
        used = [{"share": share, "error": error} for share, error in shares]
        found = {"second": second, "overlap_ratio": 0.5, "overlap_ratio_error": 0.02}
        return call("shares", f"m.overlap({json.dumps(found)}, {json.dumps(used)})")

    assert said(0, (0.9, 0.02)) == "One pattern alone"
    assert said(0, (0.9, 0.02), (0.05, 0.02)) == "The second pattern is below its error"
    assert said(0, (0.87, 0.03), (0.05, 0.01)) == "The second pattern is too weak to count"
    assert said(2, (0.6, 0.02), (0.3, 0.02)) == "Second over first: 0.50 ± 0.02"


def test_numbers_of_clusters_may_have_holes(call):
    clusters = [{"number": 1, "colour": "#010203"}, {"number": 4, "colour": "#040506"}]
    found = call("colours", f"[...m.paintLabels([4, 1, 0], {json.dumps(clusters)})]")
    assert np.reshape(found, (3, 4))[:, :3].tolist() == [[4, 5, 6], [1, 2, 3], [236, 236, 236]]


@pytest.mark.parametrize("name", ["viridis", "inferno"])
def test_tables_are_those_of_matplotlib_but_for_what_nobody_sees(call, name):
    table = np.reshape(call("colours", f"[...m.table('{name}')]"), (256, 3))
    expected = colormaps[name](np.arange(256), bytes=True)[:, :3].astype(int)
    assert np.abs(table - expected).max() <= 8
