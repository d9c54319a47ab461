from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from orimap.tasks.export.contents import read_contents
from orimap.tasks.export.orientation_map import read_orientation_map
from orimap.tasks.export.write_ang import header_lines, symmetry_of, write_file


@pytest.fixture(scope="module")
def lines(finished, tmp_path_factory):
    path = tmp_path_factory.mktemp("ang") / "gold.ang"
    write_file(read_contents(finished), path)
    text = path.read_bytes().decode()
    assert text.count("\r\n") == text.count("\n")
    return text.split("\r\n")


def test_the_header_says_lattices_symmetries_and_the_grid(lines):
    head = [line for line in lines if line.startswith("#")]
    assert lines[: len(head)] == head
    first = head.index("# Phase 1")
    assert head[first : first + 7] == [
        "# Phase 1",
        "# MaterialName          silicon",
        "# Formula               Si",
        "# Info",
        "# Symmetry              43",
        "# LatticeConstants      5.4300 5.4300 5.4300 90.0000 90.0000 90.0000",
        "# NumberFamilies        0",
    ]
    second = head.index("# Phase 2")
    assert second < first
    assert head[second + 4] == "# Symmetry              62"
    assert head[second + 5].endswith(" 3.2000 3.2000 5.2000 90.0000 90.0000 120.0000")
    grid = head.index("# GRID: SqrGrid")
    assert head[grid + 1 : grid + 6] == [
        "# XSTEP: 0.0050000", "# YSTEP: 0.0020000", "# NCOLS_ODD: 4", "# NCOLS_EVEN: 4",
        "# NROWS: 3",
    ]  # fmt: skip
    # Readers take these words for files of other programs, with other columns.
    assert not any(word in line for line in head for word in ("ACOM", "EMsoft", "Column names"))


def test_a_row_for_every_position_in_radians_and_micrometres(lines):
    table = np.array([line.split() for line in lines if line and line[0] != "#"], float)
    assert table.shape == (12, 10)
    quarter = np.pi / 2
    np.testing.assert_allclose(
        table[0], [quarter, quarter / 2, 0, 0, 0, 0.9, 0.4, 1, 0, 0], atol=1e-5
    )
    # Row 0, column 2: of magnesium, whose x lies along a here.
    np.testing.assert_allclose(
        table[2],
        [2 * np.pi / 3, quarter, np.pi / 6, 0.01, 0, 0.8, 0.2, 2, 0, 0],
        atol=1e-5,
    )
    # Row 1, column 1 was not measured.
    np.testing.assert_allclose(
        table[5], [*[4 * np.pi] * 3, 0.005, 0.002, 0, -1, 0, 0, 180], atol=1e-5
    )
    np.testing.assert_allclose(table[11, 3:5], [0.015, 0.004])


def test_a_scan_without_steps_says_so(uncalibrated):
    contents = read_contents(uncalibrated)
    head = header_lines(contents, read_orientation_map(contents))
    assert "# XSTEP: 1.0000000" in head
    assert "# The scan is not calibrated: steps count positions" in head


def test_monoclinic_crystals_say_which_axis_is_the_twofold_one(finished):
    silicon = read_orientation_map(read_contents(finished)).crystals[0]
    for axis, symmetry in (([0, 1, 0], "20"), ([0, 0, 1], "2"), ([1, 0, 0], "1")):
        half = Rotation.from_rotvec(np.pi * np.array(axis)).as_matrix()
        crystal = replace(silicon, laue="2/m", turns=np.stack([np.eye(3), half]))
        assert symmetry_of(crystal) == symmetry
    assert symmetry_of(replace(silicon, laue="-3")) == "3"
