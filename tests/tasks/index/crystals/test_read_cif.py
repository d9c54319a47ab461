"""Crystals from CIF: cells, symmetry and atoms against known values, and every fault in words."""

from pathlib import Path

import numpy as np
import pytest

from orimap.tasks.errors import InputError
from orimap.tasks.index.crystals.read_cif import TYPICAL_U_ANGSTROM2, read_crystal

HERE = Path(__file__).parent
# Atoms in the cell (multiplicities of International Tables A), operations of the group with
# centring.
CELLS = {
    "silicon": (8, 192),
    "gold": (4, 192),
    "lnmo_disordered": (8 + 16 + 16 + 32, 192),
    "lnmo_ordered": (8 + 4 + 12 + 8 + 24, 24),
    "rutile": (2 + 4, 16),
    "quartz": (3 + 6, 6),
    "magnesium": (2, 24),
    "forsterite": (4 + 4 + 4 + 4 + 4 + 8, 8),
    "monoclinic_zirconia": (4 + 8, 4),
    "triclinic_rhenium_disulfide": (8 + 16, 2),
}
HEAD = """data_x
_cell_length_a 4.0
_cell_length_b 4.0
_cell_length_c 4.0
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
"""
SITES = """loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "x.cif"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", CELLS)
def test_the_cell_has_the_atoms_and_the_group_the_operations_of_the_tables(name):
    crystal = read_crystal(HERE / f"{name}.cif")
    assert (len(crystal.elements), len(crystal.turns)) == CELLS[name]
    assert len(crystal.positions) == len(crystal.occupancy) == len(crystal.elements)


def test_mixed_occupancy_shares_a_place():
    crystal = read_crystal(HERE / "lnmo_disordered.cif")
    elements = np.array(crystal.elements)
    manganese, nickel = elements == "Mn", elements == "Ni"
    np.testing.assert_allclose(crystal.positions[manganese], crystal.positions[nickel], atol=1e-9)
    assert set(crystal.occupancy[manganese]) == {0.75}
    assert set(crystal.occupancy[nickel]) == {0.25}


def test_a_special_position_whose_coordinates_are_rounded_stays_one_atom(tmp_path):
    # 1/3, 2/3 written with four digits: two atoms in the cell of magnesium, not twelve.
    crystal = read_crystal(HERE / "magnesium.cif")
    np.testing.assert_allclose(
        np.sort(crystal.positions, axis=0), [[1 / 3, 1 / 3, 1 / 4], [2 / 3, 2 / 3, 3 / 4]],
        atol=1e-4,
    )  # fmt: skip


def test_another_origin_is_the_same_crystal(tmp_path):
    text = (HERE / "silicon.cif").read_text()
    second = text.replace("F d -3 m :1", "F d -3 m :2").replace(" 0 0 0 1", " .125 .125 .125 1")
    other = read_crystal(written(tmp_path, second))
    assert len(other.elements) == 8
    assert other.space_group == "F d -3 m:2"


def test_listed_operations_go_before_a_name(tmp_path):
    symmetry = "loop_\n_space_group_symop_operation_xyz\nx,y,z\n-x,-y,-z\n"
    crystal = read_crystal(written(tmp_path, HEAD + symmetry + SITES + "Au1 Au 0.1 0.2 0.3\n"))
    assert len(crystal.turns) == 2
    assert crystal.elements == ("Au", "Au")


def test_the_frame_has_a_along_x_and_the_reciprocal_c_along_z():
    crystal = read_crystal(HERE / "triclinic_rhenium_disulfide.cif")
    a = crystal.axes[:, 0]
    np.testing.assert_allclose(a, [6.352, 0, 0], atol=1e-9)
    assert abs(crystal.reciprocal[:2, 2]).max() < 1e-12
    assert np.linalg.det(crystal.axes) > 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("triclinic_rhenium_disulfide", [0.15743073, 0.44180306, 0.37219413]),
        ("quartz", [0.20354162, 0.58757406, 0.55504163]),
    ],
)
def test_the_reflection_123_lies_where_orix_has_it(name, expected):
    # Miller(hkl=[1, 2, 3], phase=...).data of orix 0.15.
    crystal = read_crystal(HERE / f"{name}.cif")
    np.testing.assert_allclose(crystal.reciprocal @ [1, 2, 3], expected, atol=1e-7)


def test_displacements_are_read_and_else_typical(tmp_path):
    head = HEAD + "_space_group_name_H-M_alt 'P 1'\n"
    one = SITES.replace("fract_z\n", "fract_z\n_atom_site_U_iso_or_equiv\n")
    given = read_crystal(written(tmp_path, head + one + "Au1 Au 0 0 0 0.01\n"))
    assert given.displacement == pytest.approx([0.01])
    assert read_crystal(HERE / "gold.cif").displacement == pytest.approx([TYPICAL_U_ANGSTROM2] * 4)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("no cif at all", "no CIF"),
        ("", "without a data block"),
        ("data_x\n" + SITES + "Au1 Au 0 0 0\n", "no cell"),
        (HEAD + "_space_group_name_H-M_alt 'P 1'\n", "no atoms"),
        (HEAD + SITES + "Au1 Au 0 0 0\n", "neither symmetry operations"),
        (HEAD + "_space_group_name_H-M_alt 'P 1'\n" + SITES + "Zz Zz 0 0 0\n", "Zz"),
        (
            HEAD.replace("c 4.0", "c 5.0")
            + "_space_group_name_H-M_alt 'F m -3 m'\n" + SITES + "Au1 Au 0 0 0\n",
            "does not allow",
        ),
        (HEAD + "_space_group_name_H-M_alt 'P 1'\n" + SITES + "Au1 Au ? 0 0\n", "without"),
        (HEAD + SITES + "Au1 Au 0 0\n", "line 8: Wrong number of values"),
        (HEAD.replace("alpha 90", "alpha 180") + SITES + "Au1 Au 0 0 0\n", "angle"),
        # Places in Ångströms would all have been read as the origin.
        (
            HEAD + "_space_group_name_H-M_alt 'P 1'\n"
            + SITES.replace("fract", "Cartn") + "Au1 Au 2 2 0\n",
            "no atoms (_atom_site_fract_x",
        ),
        (
            HEAD + "loop_\n_space_group_symop_operation_xyz\nx,y,z\ny,z,x\n"
            + SITES + "Au1 Au 0 0 0\n",
            "not listed",
        ),
    ],
)  # fmt: skip
def test_a_faulty_file_is_told_in_words(tmp_path, text, found):
    with pytest.raises(InputError) as caught:
        read_crystal(written(tmp_path, text))
    assert found in caught.value.found
    assert "x.cif" in caught.value.needed


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_letters_and_ends_of_lines_are_read_as_any_editor_writes_them(tmp_path, encoding, end):
    text = (HERE / "silicon.cif").read_text() + "# Prüfung\n"
    path = tmp_path / "silicon.cif"
    path.write_bytes(text.replace("\n", end).encode(encoding))
    assert len(read_crystal(path).elements) == 8


def test_a_number_alone_has_the_origin_that_a_name_alone_has(tmp_path):
    text = (HERE / "silicon.cif").read_text().replace(" 0 0 0 1", " .125 .125 .125 1")
    name = next(line for line in text.splitlines() if "name_H-M" in line)
    for symmetry in ("_space_group_IT_number 227", "_space_group_name_H-M_alt 'F d -3 m'"):
        crystal = read_crystal(written(tmp_path, text.replace(name, symmetry)))
        assert (crystal.space_group, len(crystal.elements)) == ("F d -3 m:2", 8)


def test_of_several_crystals_in_a_file_the_first_is_read(tmp_path):
    text = (HERE / "silicon.cif").read_text()
    second = (HERE / "gold.cif").read_text()
    assert set(read_crystal(written(tmp_path, f"data_empty\n{text}\n{second}")).elements) == {"Si"}


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputError, match="null byte"):
        read_crystal("a\0.cif")
    with pytest.raises(InputError, match=r"nothing.cif"):
        read_crystal(tmp_path / "nothing.cif")
    with pytest.raises(InputError, match="file"):
        read_crystal(tmp_path)
