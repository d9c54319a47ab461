"""The reflections of a crystal: where they lie in its own frame, and how strongly they scatter."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from orimap.tasks.errors import InputError
from orimap.tasks.index.crystals.read_cif import Crystal
from orimap.tasks.index.crystals.symmetry import laue_operations

# So many reflections are more than any camera tells apart; they would take minutes.
MOST_REFLECTIONS = 200_000
# Fainter than this share of the strongest, a reflection counts as extinct.
EXTINCT_SHARE = 1e-6
# Reflections worked out at a time: blocks of some tens of megabytes.
BLOCK_PHASES = 2_000_000


@dataclass(frozen=True)
class Reflections:
    """Reflections of a crystal that are not extinct.

    Parameters
    ----------
    hkl : (n, 3) int array
    g : (n, 3) array, 1/Å
        In the Cartesian frame of the crystal; its length is 1 / d.
    strength : (n,) array, Å^2
        Square of the structure factor for electrons.
    """

    hkl: np.ndarray
    g: np.ndarray
    strength: np.ndarray


def find_reflections(crystal: Crystal, q_max: float) -> Reflections:
    """Return all reflections with ``0 < |g| <= q_max`` (1/Å) that are not extinct.

    Worked out once for a crystal and its largest ``q_max``, in hundredths of 1/Å.

    Raises
    ------
    InputError
        If there are too many.
    """
    step = float(np.ceil(q_max * 100 - 1e-9) / 100)
    found = _find(_Key(crystal), step)
    near = np.linalg.norm(found.g, axis=1) <= q_max
    return Reflections(found.hkl[near], found.g[near], found.strength[near])


class _Key:
    """A crystal, hashed by what it is: the same object."""

    def __init__(self, crystal: Crystal) -> None:
        self.crystal = crystal

    def __hash__(self) -> int:
        return id(self.crystal)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.crystal is self.crystal


@lru_cache(maxsize=32)
def _find(key: _Key, q_max: float) -> Reflections:
    crystal = key.crystal
    expected = 4 / 3 * np.pi * q_max**3 * crystal.volume
    if expected > MOST_REFLECTIONS:
        raise InputError(
            f"at most {MOST_REFLECTIONS:,} reflections up to {q_max:g} 1/Å",
            f"about {expected:,.0f} of {crystal.name}, whose cell has {crystal.volume:,.0f} Å^3",
            "give the crystal with its primitive cell, or crop the patterns",
        )
    hkl = _indices(crystal, q_max)
    hkl = hkl[~_is_absent(crystal, hkl)]
    operations = laue_operations(crystal)
    # Equivalent reflections have one strength: it is worked out for one of them.
    images = np.einsum("ni,sij->nsj", hkl, operations)
    span = 2 * np.abs(hkl).max(initial=0) + 1
    number = (images @ np.array([span * span, span, 1])).max(axis=1)
    _, one, which = np.unique(number, return_index=True, return_inverse=True)
    strength = structure_strength(crystal, hkl[one])[which]
    kept = strength > EXTINCT_SHARE * strength.max(initial=0)
    return Reflections(hkl[kept], hkl[kept] @ crystal.reciprocal.T, strength[kept])


def _indices(crystal: Crystal, q_max: float) -> np.ndarray:
    """Return all hkl but 0 with ``|g| <= q_max``."""
    # An index is g times the edge: at most q_max times its length.
    limits = np.floor(q_max * np.linalg.norm(crystal.axes, axis=0)).astype(int)
    ranges = [np.arange(-limit, limit + 1) for limit in limits]
    hkl = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    length = np.linalg.norm(hkl @ crystal.reciprocal.T, axis=1)
    return hkl[(length > 0) & (length <= q_max)]


def _is_absent(crystal: Crystal, hkl: np.ndarray) -> np.ndarray:
    """Tell which reflections the space group extinguishes.

    One is, where an operation leaves its indices as they are and shifts its phase.
    """
    is_still = (crystal.turns == np.eye(3, dtype=int)).all(axis=(1, 2))
    absent: np.ndarray = np.any(_is_shifted(hkl, crystal.moves[is_still]), axis=1)
    rest = np.flatnonzero(~absent)
    # Those that differ by the centring say the same of what the centring leaves.
    turns, first = np.unique(crystal.turns, axis=0, return_index=True)
    for turn, move in zip(turns, crystal.moves[first], strict=True):
        some = rest[(hkl[rest] @ turn == hkl[rest]).all(axis=1)]
        absent[some] |= _is_shifted(hkl[some], move)
    return absent


def _is_shifted(hkl: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Tell whether moves shift the phase of reflections, (n,) or (n, moves)."""
    phase = np.asarray(hkl @ moves.T)
    return np.abs(phase - np.rint(phase)) > 1e-3


def structure_strength(crystal: Crystal, hkl: np.ndarray) -> np.ndarray:
    """Return the square of the structure factor for electrons, (n,), Å^2.

    Parameters
    ----------
    crystal : Crystal
    hkl : (n, 3) int array

    References
    ----------
    Peng, Ren, Dudarev & Whelan (1996), Acta Cryst. A52, 257, doi:10.1107/S0108767395014371: five
    Gaussians for the scattering factor of each neutral atom, as gemmi has them.
    """
    import gemmi

    # s = sin(theta) / lambda, squared.
    squared = (np.linalg.norm(hkl @ crystal.reciprocal.T, axis=1) / 2) ** 2
    factor = np.zeros(len(hkl), dtype=complex)
    # Atoms alike but for their place share a form factor.
    kinds: dict[tuple[str, float], list[int]] = {}
    for atom, element in enumerate(crystal.elements):
        kinds.setdefault((element, float(crystal.displacement[atom])), []).append(atom)
    for (element, displacement), atoms in kinds.items():
        coefficients = gemmi.Element(element).c4322
        a, b = np.array(coefficients.a), np.array(coefficients.b)
        form = np.exp(-squared[:, None] * b) @ a
        form *= np.exp(-8 * np.pi**2 * displacement * squared)
        at, share = crystal.positions[atoms], crystal.occupancy[atoms]
        rows = max(1, BLOCK_PHASES // len(atoms))
        for start in range(0, len(hkl), rows):
            part = slice(start, start + rows)
            factor[part] += form[part] * (np.exp(2j * np.pi * (hkl[part] @ at.T)) @ share)
    return np.abs(factor) ** 2
