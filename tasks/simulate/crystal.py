"""Kinematical electron diffraction of a few cubic crystals: where reflections lie, how strong.

Reciprocal vectors are in 1/Å without the factor 2 pi, so that ``|g| = 1/d``. The laboratory frame
has x along detector columns, y along detector rows (downwards) and z along the beam.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import permutations, product

import numpy as np

from orimap.tasks.errors import InputError

# Five Gaussians (a in Å, b in Å^2) per neutral atom, valid for s = sin(theta)/lambda up to 2 / Å:
# Peng, Ren, Dudarev & Whelan (1996), Acta Cryst. A52, 257, doi:10.1107/S0108767395014371, reprinted
# in International Tables for Crystallography C, table 4.3.2.2.
SCATTERING_FACTORS = {
    "Li": ((0.0750, 0.2249, 0.5548, 1.4954, 0.9354), (0.3864, 2.9383, 15.3829, 53.5545, 138.7337)),
    "O": ((0.0974, 0.2921, 0.6910, 0.6990, 0.2039), (0.2067, 1.3815, 4.6943, 12.7105, 32.4726)),
    "Si": ((0.2519, 0.6372, 1.3795, 2.5082, 1.0500), (0.3075, 2.0174, 9.6746, 29.3744, 80.4732)),
    "Mn": ((0.3796, 1.2094, 1.7815, 2.5420, 1.5937), (0.2699, 2.0455, 7.4726, 31.0604, 91.5622)),
    "Ni": ((0.3860, 1.1765, 1.5451, 2.0730, 1.3814), (0.2478, 1.7660, 6.3107, 25.2204, 74.3146)),
    "Au": ((0.9674, 1.8916, 3.3993, 3.0524, 1.2607), (0.2358, 1.4712, 5.6758, 18.7119, 61.5286)),
}
# Thermal motion damps the structure factor by exp(-B s^2); one typical value at room temperature
# serves all atoms.
THERMAL_B_ANGSTROM2 = 0.5

_FACE_CENTRING = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])


@dataclass(frozen=True)
class Crystal:
    """A cubic crystal: its lattice constant and the atoms of its cell.

    Parameters
    ----------
    name : str
    lattice_angstrom : float
    sites : tuple of (atoms, positions)
        ``atoms`` is a tuple of (element, occupancy); ``positions`` an (n, 3) array of fractional
        coordinates without the face centring, which all three crystals share. Those of a site are
        images of one another by the operations of the space group.
    space_group : str
        Its symbol after Hermann and Mauguin, with the choice of origin.
    """

    name: str
    lattice_angstrom: float
    sites: tuple[tuple[tuple[tuple[str, float], ...], np.ndarray], ...]
    space_group: str

    def cif(self) -> str:
        """Return what other programs read the crystal from, and `orimap index`."""
        name = "".join(letter for letter in self.name if letter.isalnum())
        lines = [f"data_{name}", f"_chemical_name_common '{self.name}'"]
        lines += [f"_cell_length_{axis} {self.lattice_angstrom:g}" for axis in "abc"]
        lines += [f"_cell_angle_{angle} 90" for angle in ("alpha", "beta", "gamma")]
        lines += [f"_space_group_name_H-M_alt '{self.space_group}'", "loop_"]
        columns = ("label", "type_symbol", "fract_x", "fract_y", "fract_z")
        lines += [f"_atom_site_{column}" for column in columns]
        lines += ["_atom_site_occupancy", "_atom_site_B_iso_or_equiv"]
        for number, (atoms, positions) in enumerate(self.sites, start=1):
            x, y, z = np.asarray(positions, float)[0]
            lines += [
                f"{element}{number} {element} {x:g} {y:g} {z:g} {part:g} {THERMAL_B_ANGSTROM2:g}"
                for element, part in atoms
            ]
        return "\n".join(lines) + "\n"

    def atoms(self) -> list[tuple[tuple[tuple[str, float], ...], np.ndarray]]:
        """Return the sites with all positions in the cell, fractional, in [0, 1)."""
        centred = []
        for atoms, positions in self.sites:
            shifted = np.asarray(positions)[:, None] + _FACE_CENTRING
            centred.append((atoms, shifted.reshape(-1, 3) % 1))
        return centred


@dataclass(frozen=True)
class Reflections:
    """Reflections of a crystal that are not extinct.

    Parameters
    ----------
    hkl : (n, 3) int array
    g : (n, 3) array, 1/Å, in the crystal's own frame
    structure_factor : (n,) complex array, Å
    """

    hkl: np.ndarray
    g: np.ndarray
    structure_factor: np.ndarray


def _spinel_oxygen(u: float) -> np.ndarray:
    """Position 32e of Fd-3m, origin at the inversion centre, without the face centring."""
    x = np.array([u, u, u])
    # One representative and its images under the three twofold axes, each with its inverse.
    turned = np.array(
        [
            x,
            [0.75 - u, 0.25 - u, u + 0.5],
            [0.25 - u, u + 0.5, 0.75 - u],
            [u + 0.5, 0.75 - u, 0.25 - u],
        ]
    )
    return np.concatenate([turned, -turned])


CRYSTALS = {
    # Disordered spinel, Fd-3m: lithium on 8a, manganese and nickel sharing 16d, oxygen on 32e with
    # u = .263 (International Tables A, no. 227, origin choice 2).
    "LiNi0.5Mn1.5O4": Crystal(
        "LiNi0.5Mn1.5O4",
        8.17,
        (
            ((("Li", 1.0),), np.array([[1, 1, 1], [7, 3, 3]]) / 8),
            (
                (("Mn", 0.75), ("Ni", 0.25)),
                np.array([[2, 2, 2], [1, 3, 0], [3, 0, 1], [0, 1, 3]]) / 4,
            ),
            ((("O", 1.0),), _spinel_oxygen(0.263)),
        ),
        "F d -3 m :2",
    ),
    "Si": Crystal(
        "Si",
        5.431,
        (((("Si", 1.0),), np.array([[0, 0, 0], [0.25, 0.25, 0.25]])),),
        "F d -3 m :1",
    ),
    "Au": Crystal("Au", 4.078, (((("Au", 1.0),), np.zeros((1, 3))),), "F m -3 m"),
}


def find_crystal(name: str) -> Crystal:
    """Return the crystal of that name (capital letters do not matter; ``LNMO`` is the spinel)."""
    by_name = {key.lower(): crystal for key, crystal in CRYSTALS.items()}
    by_name["lnmo"] = CRYSTALS["LiNi0.5Mn1.5O4"]
    if name.lower() not in by_name:
        raise InputError(
            f"a material out of {', '.join(CRYSTALS)}", repr(name), "choose one of these"
        )
    return by_name[name.lower()]


def electron_wavelength_angstrom(voltage_kv: float) -> float:
    """Return the relativistic wavelength, .02508 Å at 200 kV."""
    # h / sqrt(2 m e V (1 + e V / 2 m c^2)) with CODATA constants.
    return 12.2643 / np.sqrt(1e3 * voltage_kv * (1 + 0.978476e-3 * voltage_kv))


def scattering_factor_angstrom(element: str, s_inv_angstrom: np.ndarray) -> np.ndarray:
    """Return the electron scattering factor of an atom at rest, f(s), s = ``|g|`` / 2."""
    a, b = (np.array(values) for values in SCATTERING_FACTORS[element])
    return np.exp(-np.square(s_inv_angstrom)[..., None] * b) @ a


def find_reflections(crystal: Crystal, q_max_inv_angstrom: float) -> Reflections:
    """Return all reflections with ``0 < |g| <= q_max`` that the structure does not extinguish.

    A reflection counts as extinct when its intensity is below 1e-6 of the strongest.
    """
    limit = int(q_max_inv_angstrom * crystal.lattice_angstrom)
    index = np.arange(-limit, limit + 1)
    hkl = np.stack(np.meshgrid(index, index, index, indexing="ij"), axis=-1).reshape(-1, 3)
    length = np.linalg.norm(hkl, axis=1) / crystal.lattice_angstrom
    hkl = hkl[(length > 0) & (length <= q_max_inv_angstrom)]
    s = np.linalg.norm(hkl, axis=1) / crystal.lattice_angstrom / 2

    factor = np.zeros(len(hkl), dtype=complex)
    for atoms, positions in crystal.atoms():
        form = sum(share * scattering_factor_angstrom(element, s) for element, share in atoms)
        factor += form * np.exp(-2j * np.pi * hkl @ positions.T).sum(axis=1)
    factor *= np.exp(-THERMAL_B_ANGSTROM2 * s**2)
    intensity = np.abs(factor) ** 2
    kept = intensity > 1e-6 * intensity.max(initial=0)
    return Reflections(hkl[kept], hkl[kept] / crystal.lattice_angstrom, factor[kept])


def excitation_error(g: np.ndarray, voltage_kv: float) -> np.ndarray:
    """Distance along the beam from each reciprocal point to the Ewald sphere, in 1/Å.

    Parameters
    ----------
    g : (..., 3) array, 1/Å, laboratory frame
        The beam runs along the last axis.
    """
    radius = 1 / electron_wavelength_angstrom(voltage_kv)
    across = g[..., 0] ** 2 + g[..., 1] ** 2
    return np.sqrt(radius**2 - across) - radius - g[..., 2]


def relrod(excitation_error: np.ndarray, reach_inv_angstrom: float) -> np.ndarray:
    """Return how strongly a reflection is excited: 1 on the Ewald sphere, 0 from ``reach`` on.

    A squared cosine: the main lobe of a thin foil's shape transform without the fringes beyond it,
    which a foil of uneven thickness washes out. The choice of this function is ours.
    """
    part = np.abs(excitation_error) / reach_inv_angstrom
    return np.where(part < 1, np.cos(0.5 * np.pi * part) ** 2, 0.0)


@cache
def cubic_rotations() -> np.ndarray:
    """Return the 24 proper rotations of the cube, (24, 3, 3)."""
    matrices = []
    for order in permutations(range(3)):
        for signs in product((1, -1), repeat=3):
            matrix = np.eye(3)[list(order)] * np.array(signs)[:, None]
            if np.linalg.det(matrix) > 0:
                matrices.append(matrix)
    return np.array(matrices)


def disorientation_deg(first: np.ndarray, second: np.ndarray) -> float:
    """Return the smallest angle that turns one cubic crystal into the other, in degrees.

    Parameters
    ----------
    first, second : (3, 3) array
        Rotations from the crystal's frame into the laboratory's.
    """
    between = first.T @ second
    trace = np.einsum("sij,ji->s", cubic_rotations(), between)
    return float(np.degrees(np.arccos(np.clip((trace.max() - 1) / 2, -1, 1))))


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    """Draw a rotation matrix uniformly: a unit quaternion uniform on the four-dimensional sphere.

    References
    ----------
    Shoemake (1992), Graphics Gems III, 124
    """
    quaternion = rng.standard_normal(4)
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
