from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from orimap.tasks.export.contents import read_contents
from orimap.tasks.export.orientation_map import read_orientation_map
from orimap.tasks.export.write_ctf import axes_of_ctf, header_lines, symmetry_of, write_file


@pytest.fixture(scope="module")
def lines(finished, tmp_path_factory):
    path = tmp_path_factory.mktemp("ctf") / "gold.ctf"
    write_file(read_contents(finished), path)
    text = path.read_bytes().decode()
    assert text.count("\r\n") == text.count("\n")
    return text.split("\r\n")


def test_the_header_has_its_lines_in_their_order(lines):
    assert lines[:4] == [
        "Channel Text File", "Prj\tgold", "Author\torimap 9.9", "JobMode\tGrid",
    ]  # fmt: skip
    assert lines[4:8] == ["XCells\t4", "YCells\t3", "XStep\t0.0050000", "YStep\t0.0020000"]
    assert lines[11].startswith("Euler angles refer to Sample Coordinate system (CS0)!\tMag\t0\t")
    assert "\tKV\t200\t" in lines[11]
    assert lines[12] == "Phases\t2"
    # Laue groups 11 and 9 of 11, space groups 227 and 194.
    silicon, magnesium = (line.split("\t") for line in lines[13:15])
    assert silicon[:5] == [
        "5.4300;5.4300;5.4300", "90.0000;90.0000;90.0000", "silicon", "11", "227",
    ]  # fmt: skip
    assert magnesium[1:5] == ["90.0000;90.0000;120.0000", r"magnesium\tphase", "9", "194"]
    assert lines[15] == "Phase\tX\tY\tBands\tError\tEuler1\tEuler2\tEuler3\tMAD\tBC\tBS"


def test_a_row_for_every_position_in_degrees_and_micrometres(lines):
    table = np.array([line.split("\t") for line in lines[16:] if line], float)
    assert table.shape == (12, 11)
    # 0.9 and 0.4 of 255.
    np.testing.assert_allclose(table[0], [1, 0, 0, 3, 0, 90, 45, 0, 0, 230, 102])
    # Row 0, column 2: of magnesium, whose x lies along a* here, 30 degrees from a.
    np.testing.assert_allclose(table[2], [2, 0.01, 0, 2, 0, 120, 90, 60, 0, 204, 51], atol=1e-4)
    # Row 1, column 1 was not measured: there is no solution.
    np.testing.assert_allclose(table[5], [0, 0.005, 0.002, 0, 3, 0, 0, 0, 0, 0, 0])


def test_a_scan_without_steps_says_so(uncalibrated):
    contents = read_contents(uncalibrated)
    head = header_lines(contents, read_orientation_map(contents))
    assert head[1] == "Prj\tgold, steps count positions"
    assert "XStep\t1.0000000" in head
    assert "\tKV\t0\t" in head[11]


def test_the_frame_lies_along_a_star_and_c():
    # Monoclinic, beta 100 degrees: c leans, a* lies across b and c.
    beta = np.radians(100)
    axes = np.array([[5, 0, 5.3 * np.cos(beta)], [0, 5.2, 0], [0, 0, 5.3 * np.sin(beta)]])
    x, y, z = axes_of_ctf(axes).T
    np.testing.assert_allclose(y, [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(z, [np.cos(beta), 0, np.sin(beta)], atol=1e-12)
    np.testing.assert_allclose(x, [np.sin(beta), 0, -np.cos(beta)], atol=1e-12)
    np.testing.assert_allclose(axes_of_ctf(4 * np.eye(3)), np.eye(3))


def test_a_monoclinic_crystal_is_one_where_b_is_its_axis(finished):
    silicon = read_orientation_map(read_contents(finished)).crystals[0]
    for axis, numbers in (([0, 1, 0], (2, 14)), ([0, 0, 1], (1, 0))):
        half = Rotation.from_rotvec(np.pi * np.array(axis)).as_matrix()
        crystal = replace(silicon, laue="2/m", turns=np.stack([np.eye(3), half]), space_group=14)
        assert symmetry_of(crystal) == numbers
