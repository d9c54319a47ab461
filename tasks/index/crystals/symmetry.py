"""The symmetry of orientations: which turns of a crystal leave its reflections as they are.

The reflections of a crystal have the symmetry of its Laue class, which is that of its space group
with an inversion at the origin. Of its operations those without a reflection are the turns after
which a crystal cannot be told from what it was.
"""

from __future__ import annotations

import numpy as np

from orimap.tasks.index.crystals.read_cif import Crystal


def laue_operations(crystal: Crystal) -> np.ndarray:
    """Return the operations of the Laue class on indices hkl, (n, 3, 3) integers.

    A row of indices times one of them is an equivalent reflection.
    """
    return np.unique(np.concatenate([crystal.turns, -crystal.turns]), axis=0)


def laue_turns(crystal: Crystal) -> np.ndarray:
    """Return the proper rotations of the Laue class in the crystal's Cartesian frame, (n, 3, 3)."""
    whole = np.unique(np.concatenate([crystal.turns, -crystal.turns]), axis=0)
    proper = whole[np.linalg.det(whole) > 0]
    turns = crystal.axes @ proper @ np.linalg.inv(crystal.axes)
    # Where edges are rounded, the nearest rotation.
    u, _, v = np.linalg.svd(turns)
    return u @ v


def laue_class(turns: np.ndarray) -> str:
    """Return the symbol of a Laue class, such as m-3m, by its proper rotations (n, 3, 3)."""
    traces = np.rint(np.trace(turns, axis1=1, axis2=2)).astype(int)
    fourfold, sixfold = (traces == 1).any(), (traces == 2).any()
    of_cube = (traces == 0).sum() == 8
    return {
        1: "-1",
        2: "2/m",
        3: "-3",
        4: "4/m" if fourfold else "mmm",
        6: "6/m" if sixfold else "-3m",
        8: "4/mmm",
        12: "m-3" if of_cube else "6/mmm",
        24: "m-3m",
    }[len(turns)]


def misorientation_deg(first: np.ndarray, second: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Return the smallest angle between orientations of one crystal.

    Parameters
    ----------
    first, second : (..., 3, 3) arrays
        Rotations from the crystal's frame into the sample's; the leading axes are broadcast.
    turns : (n, 3, 3) array
        `laue_turns` of the crystal.

    Returns
    -------
    (...) array, degrees
    """
    between = np.swapaxes(first, -1, -2) @ second
    # The traces of their products with all turns, as one product of matrices.
    each = np.swapaxes(turns, -1, -2).reshape(-1, 9)
    trace = (between.reshape(*between.shape[:-2], 9) @ each.T).max(axis=-1)
    return np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))


def zone_directions(turns: np.ndarray, spacing_deg: float = 2.0) -> np.ndarray:
    """Return directions of the crystal, evenly spaced, no two of them equivalent.

    Parameters
    ----------
    turns : (n, 3, 3) array
        `laue_turns`. Opposite directions count as equivalent, too.
    spacing_deg : float
        About the distance of neighbours.

    Returns
    -------
    (directions, 3) array of unit vectors
        For a cubic crystal of class m-3m they fill a 48th of the sphere, for a triclinic one half.

    References
    ----------
    Swinbank & Purser (2006), Q. J. R. Meteorol. Soc. 132, 1769, doi:10.1256/qj.05.227: Fibonacci
    grids. The sector is ours: directions nearer to one arbitrary direction than all their images.
    """
    count = int(np.ceil(4 * np.pi / np.radians(spacing_deg) ** 2))
    z = 1 - (2 * np.arange(count) + 1) / count
    angle = np.pi * (3 - np.sqrt(5)) * np.arange(count)
    rho = np.sqrt(1 - z**2)
    sphere = np.stack([rho * np.cos(angle), rho * np.sin(angle), z], axis=1)
    # No direction of symmetry, so that no image of it lies as near as itself.
    middle = np.array([0.8776, 0.3301, 0.3477])
    images = np.concatenate([turns, -turns]) @ middle
    nearness = sphere @ images.T
    return sphere[nearness.max(axis=1) <= sphere @ middle + 1e-12]


def as_quaternions(rotations: np.ndarray) -> np.ndarray:
    """Return unit quaternions of rotation matrices, (..., 4), the scalar first and not negative."""
    from scipy.spatial.transform import Rotation

    flat = Rotation.from_matrix(np.reshape(rotations, (-1, 3, 3))).as_quat()[:, [3, 0, 1, 2]]
    flat = np.where(flat[:, :1] < 0, -flat, flat)
    return flat.reshape(*np.shape(rotations)[:-2], 4)


def as_matrices(quaternions: np.ndarray) -> np.ndarray:
    """Return rotation matrices of quaternions with the scalar first, (..., 3, 3)."""
    from scipy.spatial.transform import Rotation

    flat = np.reshape(quaternions, (-1, 4))[:, [1, 2, 3, 0]]
    return Rotation.from_quat(flat).as_matrix().reshape(*np.shape(quaternions)[:-1], 3, 3)
