"""The arithmetic of the measurement of clicks in the viewer, on figures made by hand."""

from pathlib import Path

FOLDER = Path(__file__).with_name("benchmarks") / "viewing"


def test_the_table_has_median_and_percentiles_beside_processor_time(script):
    measure = script("measure")
    times = {"click": [float(n) for n in range(1, 102)], "one": [7.0]}
    lines = list(measure.table(times, {"click": [2.0, 4.0]}))
    assert lines[2:] == [
        "| click | 101 | 51.0 | 96.0 | 101.0 | 3.0 | 3.9 |",
        "| one | 1 | 7.0 | 7.0 | 7.0 |",
    ]
