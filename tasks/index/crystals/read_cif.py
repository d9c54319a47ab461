"""Read a crystal from a CIF: its cell, the operations of its space group, the atoms of its cell.

The operations that the file lists go before a name or a number, so that every setting of every
space group is read as it was written. Sites may share a place (mixed occupancy) and be partly
filled.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from orimap.tasks.errors import InputError, is_out_of_reach, shown, shown_name, words_of

# A CIF of an inorganic crystal has some kilobytes; one with its measured reflections, a megabyte.
LARGEST_FILE_BYTES = 20_000_000
# A cell of 2,000 atoms has edges of about 30 Å, whose reflections 4D-STEM no longer tells apart.
MOST_ATOMS = 2_000
# Images of an atom under the symmetry that lie nearer than this are one atom on a special position,
# whose coordinates were rounded. Atoms of one kind are never so close.
SAME_ATOM_ANGSTROM = 0.3
# Edges and angles of a cell may depart by this share from what its symmetry asks for.
METRIC_TOLERANCE = 0.005
# Mean square displacement where the file gives none: a typical value for inorganic crystals at
# room temperature, B = 0.5 Å^2.
TYPICAL_U_ANGSTROM2 = 0.5 / (8 * np.pi**2)
# Hydrogen's isotope scatters electrons like hydrogen.
SAME_CHARGE = {"D": "H"}
CELL = ("_cell_length_a", "b", "c in Å", "_cell_angle_alpha", "beta", "gamma")
ATOMS = ("_atom_site_fract_x", "_atom_site_fract_y", "_atom_site_fract_z")
REMEDY = "give the CIF of the crystal, for instance from the Crystallography Open Database"


@dataclass(frozen=True)
class Crystal:
    """A crystal as its CIF describes it.

    Parameters
    ----------
    name : str
        Name of the file, without its ending.
    formula : str
        As the file gives it, empty where it does not.
    space_group : str
        Hermann-Mauguin symbol of the setting, or the count of operations where it has none.
    parameters : (6,) array
        Edges a, b, c in Å and angles alpha, beta, gamma in degrees.
    axes : (3, 3) array, Å
        Columns are the edges in the Cartesian frame of the crystal: x along a, z along c*. orix
        has the same frame.
    turns : (operations, 3, 3) array of int
        Rotational parts of the space group, in fractional coordinates.
    moves : (operations, 3) array
        Their translations, in parts of the cell.
    elements : tuple of str
        Of each atom in the cell.
    positions : (atoms, 3) array
        Fractional coordinates, in [0, 1).
    occupancy : (atoms,) array
    displacement : (atoms,) array, Å^2
        Mean square displacement U, isotropic.
    """

    name: str
    formula: str
    space_group: str
    parameters: np.ndarray
    axes: np.ndarray
    turns: np.ndarray
    moves: np.ndarray
    elements: tuple[str, ...]
    positions: np.ndarray
    occupancy: np.ndarray
    displacement: np.ndarray

    @property
    def reciprocal(self) -> np.ndarray:
        """Columns are the reciprocal edges a*, b*, c* in the Cartesian frame, 1/Å."""
        return np.linalg.inv(self.axes).T

    @property
    def volume(self) -> float:
        """Volume of the cell in Å^3."""
        return float(np.linalg.det(self.axes))


def read_crystal(path: Path | str) -> Crystal:
    """Read a crystal from a CIF; the same content is taken apart once.

    Raises
    ------
    InputError
        If the file is missing, too large or no CIF, or lacks the cell, the symmetry or the atoms,
        or has an element that is unknown.
    """
    return parse_crystal(read_content(path), Path(path))


def read_content(path: Path | str) -> bytes:
    """Return what is in the file of a crystal.

    Raises
    ------
    InputError
        If it is missing, no file, or too large.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise InputError(f"a CIF file at {path}", "something other than a file", REMEDY)
        if size <= LARGEST_FILE_BYTES:
            return path.read_bytes()
    except (OSError, ValueError) as error:  # a name with a zero byte is a ValueError
        if is_out_of_reach(error):
            raise
        raise InputError(
            f"a CIF file at {shown_name(str(path))}", words_of(error), REMEDY
        ) from error
    raise InputError(
        f"a CIF of at most {LARGEST_FILE_BYTES / 1e6:.0f} MB",
        f"{size / 1e6:.0f} MB in {path}",
        "leave the measured reflections out of the file",
    )


@lru_cache(maxsize=8)
def parse_crystal(content: bytes, path: Path) -> Crystal:
    """Return the crystal that the content of a CIF describes; ``path`` is what messages call it.

    Raises
    ------
    InputError
        If it is no CIF, or lacks the cell, the symmetry or the atoms, or has an element that is
        unknown.
    """
    import gemmi

    try:
        blocks = list(gemmi.cif.read_string(as_text(content)))
    except (ValueError, RuntimeError) as error:
        first = next(iter(str(error).splitlines()), "")
        where = re.sub(r"^string:(\d+):\S*|^string:", r"line \1:", first).replace("line :", "")
        raise InputError(f"a CIF, {path}", f"no CIF: {shown(where.strip())}", REMEDY) from error
    if not blocks:
        raise InputError(f"a CIF, {path}", "a file without a data block", REMEDY)
    try:
        structures = [gemmi.make_small_structure_from_block(block) for block in blocks]
    except (ValueError, RuntimeError) as error:  # angles of no cell
        raise InputError(f"a cell, in {path}", words_of(error), "correct the cell") from error
    with_cell = [pair for pair in zip(structures, blocks, strict=True) if _has_cell(pair[0])]
    whole = [pair for pair in with_cell if _has_atoms(*pair)]
    if not whole:
        what, names = ("atoms", ATOMS) if with_cell else ("cell", CELL)
        missing = f"no {what} ({', '.join(names)})"
        raise InputError(f"a cell and the atoms in it, in {path}", missing, REMEDY)
    return _crystal(path, *whole[0])


def as_text(content: bytes) -> str:
    """Return the text of a CIF, as UTF-8 or as its byte order mark says."""
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if wide else "utf-8-sig", "replace")


def _has_atoms(structure: Any, block: Any) -> bool:
    """Whether a structure has atoms whose places are fractions of the cell, not Ångströms."""
    return len(structure.sites) > 0 and all(block.find_values(each) for each in ATOMS)


def _has_cell(structure: Any) -> bool:
    """Whether a structure has a cell, rather than the default cube of 1 Å."""
    cell = structure.cell
    values = np.array(cell.parameters)
    return bool(np.isfinite(values).all() and min(cell.a, cell.b, cell.c) > 1 and cell.volume > 1)


def _crystal(path: Path, structure: Any, block: Any) -> Crystal:
    """Return the crystal of one block of a CIF."""
    turns, moves, symbol = _operations(path, structure)
    axes = np.array(structure.cell.orth.mat.tolist())
    _check_metric(path, axes, turns, symbol)
    elements, positions, occupancy, displacement = _atoms(path, structure, axes, turns, moves)
    formula = block.find_value("_chemical_formula_sum") or ""
    return Crystal(
        path.stem,
        formula.strip("'\" ") if formula not in ("?", ".") else "",
        symbol,
        np.array(structure.cell.parameters),
        axes,
        turns,
        moves,
        elements,
        positions,
        occupancy,
        displacement,
    )


def _operations(path: Path, structure: Any) -> tuple[np.ndarray, np.ndarray, str]:
    """Rotations and translations of the space group, those of the centring included."""
    import gemmi

    try:
        if structure.symops:
            operations = [gemmi.Op(each) for each in structure.symops]
            group = gemmi.find_spacegroup_by_ops(gemmi.GroupOps(operations))
        else:
            group = structure.spacegroup
            if group is None:
                structure.determine_and_set_spacegroup("h1n")
                group = structure.spacegroup
                if group is not None and group.ext == "1":  # a number alone: as a name alone
                    group = gemmi.find_spacegroup_by_name(group.hm, prefer="2") or group
            operations = list(group.operations()) if group is not None else []
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"the symmetry operations of a space group, in {path}", words_of(error), REMEDY
        ) from error
    if not operations:
        raise InputError(
            f"the space group of the crystal, in {path}",
            "neither symmetry operations nor a known name or number",
            "add _space_group_name_H-M_alt or the loop _space_group_symop_operation_xyz",
        )
    turns = np.array([np.array(each.rot) for each in operations]) // gemmi.Op.DEN
    _check_group(path, turns)
    moves = np.array([each.tran for each in operations]) / gemmi.Op.DEN
    return turns, moves, group.xhm() if group is not None else f"{len(operations)} operations"


def _check_group(path: Path, turns: np.ndarray) -> None:
    """Raise InputError where operations are missing: the product of two is one of them."""
    kinds = {each.tobytes() for each in turns}
    products = np.unique(turns, axis=0)
    products = (products[:, None] @ products).reshape(-1, 3, 3).astype(turns.dtype)
    if not all(each.tobytes() in kinds for each in products):
        raise InputError(
            f"all symmetry operations of the space group, in {path}",
            f"{len(turns)}, of which some follow one upon another give one that is not listed",
            "list all, or leave only the name of the space group (_space_group_name_H-M_alt)",
        )


def _check_metric(path: Path, axes: np.ndarray, turns: np.ndarray, symbol: str) -> None:
    """Raise InputError where the operations do not turn the cell into itself."""
    metric = axes.T @ axes
    turned = np.einsum("nji,jk,nkl->nil", turns, metric, turns)
    edges = np.sqrt(np.diag(metric))
    if np.abs((turned - metric) / np.outer(edges, edges)).max() > 4 * METRIC_TOLERANCE:
        lengths = ", ".join(f"{each:.4g}" for each in edges)
        raise InputError(
            f"a cell with the symmetry {symbol}, in {path}",
            f"edges of {lengths} Å or angles that it does not allow",
            "correct the cell or the space group of the file",
        )


def _atoms(
    path: Path, structure: Any, axes: np.ndarray, turns: np.ndarray, moves: np.ndarray
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray, np.ndarray]:
    """Element, position, occupancy and mean square displacement of every atom in the cell."""
    elements: list[str] = []
    positions, occupancy, displacement = [], [], []
    for site in structure.sites:
        element = _element(path, site)
        start = np.array(site.fract.tolist())
        if not np.isfinite(start).all():
            raise InputError(
                f"three coordinates of every atom, in {path}",
                f"the site {shown(site.label)} without",
                REMEDY,
            )
        if not 0 < site.occ <= 1.001:
            if site.occ == 0:
                continue
            raise InputError(
                f"occupancies from 0 to 1, in {path}",
                f"{site.occ:g} of the site {shown(site.label)}",
                "correct the file",
            )
        own = _distinct((turns @ start + moves) % 1, axes)
        elements += [element] * len(own)
        if len(elements) > MOST_ATOMS:
            raise InputError(
                f"a cell of at most {MOST_ATOMS:,} atoms", f"a larger one in {path}", REMEDY
            )
        positions.append(own)
        occupancy += [min(site.occ, 1.0)] * len(own)
        displacement += [_displacement(site, structure.cell)] * len(own)
    if not elements:
        raise InputError(f"the atoms of the cell, in {path}", "none that is there", REMEDY)
    return (
        tuple(elements),
        np.concatenate(positions),
        np.array(occupancy),
        np.array(displacement),
    )


def _element(path: Path, site: Any) -> str:
    """Return the symbol of a site's element."""
    import gemmi

    name = SAME_CHARGE.get(site.element.name, site.element.name)
    if site.element.atomic_number == 0 or gemmi.Element(name).c4322 is None:
        raise InputError(
            f"elements up to californium, in {path}",
            f"{shown(site.type_symbol or site.label)} at the site {shown(site.label)}",
            "correct _atom_site_type_symbol",
        )
    return name


def _displacement(site: Any, cell: Any) -> float:
    """Return the mean square displacement of a site in Å^2, a typical one where none is given."""
    if site.aniso.nonzero():
        # A third of the trace in Cartesian axes (International Tables D, 1.9).
        tensor = np.array(site.aniso.as_mat33().tolist())
        lengths = np.array(cell.reciprocal().parameters[:3])
        axes = np.array(cell.orth.mat.tolist())
        return float(np.sum(tensor * np.outer(lengths, lengths) * (axes.T @ axes)) / 3)
    return float(site.u_iso) if site.u_iso > 0 else TYPICAL_U_ANGSTROM2


def _distinct(images: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Return the images of an atom that are different, each the mean of those that coincide."""
    apart = images[:, None] - images
    apart -= np.rint(apart)
    near = np.linalg.norm(apart @ axes.T, axis=-1) < SAME_ATOM_ANGSTROM
    first = near.argmax(axis=1) == np.arange(len(images))
    # Means about each, so that an atom at the rim of the cell stays one.
    mean = images - np.einsum("ij,ijk->ik", near, apart) / near.sum(axis=1)[:, None]
    return mean[first] % 1
