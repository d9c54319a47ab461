"""Colours of crystal directions, as inverse pole figures have them.

A direction is brought into the fundamental sector of the crystal's Laue class. There its hue goes
round the middle of the sector, which is white, and its edges have full colour: red at the axis of
highest order, for cubic crystals red at 001, green at 101 and blue at 111. So colour is the same
for directions that cannot be told apart, and without a step between those that lie together, but
for edges that are no mirror planes of the class.

References
----------
Nolze & Hielscher (2016), J. Appl. Cryst. 49, 1786, doi:10.1107/S1600576716012942, explain such
keys and what is hard about them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TOLERANCE = 1e-3
CUBIC_THREEFOLDS = 8


@dataclass(frozen=True)
class Sector:
    """The fundamental sector of a Laue class.

    Parameters
    ----------
    normals : (n, 3) array
        Inside lies what has no negative product with any of them.
    corners : (m, 3) array
        Unit vectors, the first of them red, at equal steps of hue.
    middle : (3,) array
        White.
    pole, right : (3,) arrays
        Unit vectors: what is in the middle of a projection, and what lies to its right.
    """

    normals: np.ndarray
    corners: np.ndarray
    middle: np.ndarray
    pole: np.ndarray
    right: np.ndarray


def find_sector(turns: np.ndarray) -> Sector:
    """Return the fundamental sector of a Laue class.

    Parameters
    ----------
    turns : (n, 3, 3) array
        Its proper rotations, in the crystal's Cartesian frame.
    """
    traces = np.trace(turns, axis1=1, axis2=2)
    if (np.abs(traces) < TOLERANCE).sum() == CUBIC_THREEFOLDS:
        return _cubic(whole=len(turns) == 24)
    axes, folds = _axes(turns, traces)
    order = int(folds.max(initial=1))
    pole = _upward(axes[folds == order]) if order > 1 else np.array([0.0, 0.0, 1.0])
    across = (folds == 2) & (np.abs(axes @ pole) < TOLERANCE)
    # A twofold axis across the pole comes with a mirror plane that holds the pole.
    planes = np.cross(axes[across], pole)
    width = np.pi / order if len(planes) else 2 * np.pi / order
    right = _start(pole, planes)
    left = np.cross(pole, right)
    end = np.cos(width) * right + np.sin(width) * left
    if order == 1:
        return Sector(pole[None], right[None], pole, pole, right)
    normals = np.stack([pole, left, -np.cross(pole, end)])
    middle = pole + right + end if width < 3 else pole + left
    return Sector(normals, np.stack([pole, right, end]), _unit(middle), pole, right)


def _cubic(*, whole: bool) -> Sector:
    """Return the sector of m-3m, or of m-3, which is twice as large."""
    pole, right = np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0])
    if whole:
        normals = np.array([[0, 1, 0], [1, -1, 0], [-1, 0, 1]], float)
        corners = np.array([[0, 0, 1], [1, 0, 1], [1, 1, 1]], float)
    else:
        normals = np.array([[0, 1, 0], [1, 0, 0], [-1, 0, 1], [0, -1, 1]], float)
        corners = np.array([[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], float)
    corners = _unit(corners)
    return Sector(_unit(normals), corners, _unit(corners.sum(axis=0)), pole, right)


def _axes(turns: np.ndarray, traces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the axis of every turn but none, and which fold it is at least."""
    from scipy.spatial.transform import Rotation

    vectors = Rotation.from_matrix(turns[traces < 3 - TOLERANCE]).as_rotvec()
    angles = np.linalg.norm(vectors, axis=1)
    return vectors / angles[:, None], np.rint(2 * np.pi / angles).astype(int)


def _upward(axes: np.ndarray) -> np.ndarray:
    """Return the axis that is nearest to z, with a sign that points there, or along y or x."""
    best: np.ndarray = axes[np.argmax(np.abs(axes[:, 2]))]
    first = next(each for each in best[::-1] if abs(each) > TOLERANCE)
    return best * np.sign(first)


def _start(pole: np.ndarray, planes: np.ndarray) -> np.ndarray:
    """Return where the sector begins on the equator: at a, or at the next mirror plane."""
    along = np.eye(3)[0] - pole[0] * pole
    if np.linalg.norm(along) < TOLERANCE:
        along = np.eye(3)[2] - pole[2] * pole
    along = _unit(along)
    if not len(planes):
        return along
    both = np.concatenate([planes, -planes])
    angle = np.arctan2(both @ np.cross(pole, along), both @ along)
    angle = np.where(angle < -TOLERANCE, angle + 2 * np.pi, angle)
    return _unit(both[np.argmin(angle)])


def _unit(vectors: np.ndarray) -> np.ndarray:
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit


def into_sector(directions: np.ndarray, turns: np.ndarray, sector: Sector) -> np.ndarray:
    """Return of every direction (n, 3) the equivalent one that lies in the sector."""
    whole = np.concatenate([turns, -turns])
    images = np.einsum("sij,nj->nsi", whole, _unit(directions))
    inside = (images @ sector.normals.T).min(axis=-1)
    found: np.ndarray = images[np.arange(len(images)), inside.argmax(axis=1)]
    return found


def direction_colours(directions: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Return the colours of directions in the crystal's frame.

    Parameters
    ----------
    directions : (n, 3) array
        NaN gets NaN.
    turns : (n, 3, 3) array
        Proper rotations of the Laue class.

    Returns
    -------
    (n, 3) array
        Red, green, blue in 0..1.
    """
    sector = find_sector(turns)
    known = np.isfinite(directions).all(axis=1)
    colours = np.full((len(directions), 3), np.nan)
    if known.any():
        colours[known] = sector_colours(into_sector(directions[known], turns, sector), sector)
    return colours


def sector_colours(directions: np.ndarray, sector: Sector) -> np.ndarray:
    """Return the colours of unit vectors (n, 3) that lie in the sector."""
    from matplotlib.colors import hsv_to_rgb

    middle = sector.middle
    to_red = _unit(sector.corners[0] - (sector.corners[0] @ middle) * middle)
    beside = np.cross(middle, to_red)
    at = np.arctan2(sector.corners @ beside, sector.corners @ to_red) % (2 * np.pi)
    if len(at) > 2 and at[1] > at[2]:  # hues go on from red to green
        beside, at = -beside, (2 * np.pi - at) % (2 * np.pi)
    at[np.abs(at - 2 * np.pi) < TOLERANCE] = 0
    turn = np.arctan2(directions @ beside, directions @ to_red) % (2 * np.pi)
    steps = np.arange(len(at) + 1) / len(at)
    hue = np.interp(turn, [*at, 2 * np.pi], steps) % 1

    away = np.arccos(np.clip(directions @ middle, -1, 1))
    towards = directions - (directions @ middle)[:, None] * middle
    length = np.linalg.norm(towards, axis=1)
    towards = np.divide(
        towards, length[:, None], out=np.zeros_like(towards), where=length[:, None] > 1e-12
    )
    # Along the way outwards from the middle, how far the edge of the sector is.
    edge = np.arctan2(sector.normals @ middle, -(towards @ sector.normals.T)).min(axis=1)
    full = np.clip(away / edge, 0, 1)
    return np.asarray(hsv_to_rgb(np.stack([hue, full, np.ones_like(hue)], axis=1)))


def colour_key(turns: np.ndarray, pixels: int = 160) -> tuple[np.ndarray, np.ndarray]:
    """Return the sector in its colours, and where its corners lie.

    Parameters
    ----------
    turns : (n, 3, 3) array
    pixels : int
        Along the longer side.

    Returns
    -------
    image : (height, width, 4) array
        Stereographic projection about the pole; transparent outside.
    corners : (m, 2) array
        Places of the corners in it, as parts of width and height from its upper left corner.
    """
    sector = find_sector(turns)
    up = np.cross(sector.pole, sector.right)
    rim = _rim(sector)
    places = _projected(rim, sector, up)
    low, high = places.min(axis=0), places.max(axis=0)
    step = (high - low).max() / pixels
    width, height = np.maximum(np.rint((high - low) / step), 1).astype(int)
    x = low[0] + (np.arange(width) + 0.5) * (high[0] - low[0]) / width
    y = high[1] - (np.arange(height) + 0.5) * (high[1] - low[1]) / height
    u, v = np.meshgrid(x, y)
    squared = u**2 + v**2
    basis = np.stack([sector.right, up, sector.pole])
    local = np.stack([2 * u, 2 * v, 1 - squared], axis=-1) / (1 + squared)[..., None]
    directions = (local @ basis).reshape(-1, 3)
    inside = (directions @ sector.normals.T > -1e-9).all(axis=1)
    image = np.zeros((len(directions), 4))
    image[inside, :3] = sector_colours(directions[inside], sector)
    image[inside, 3] = 1
    at = (_projected(sector.corners, sector, up) - (low[0], high[1])) / (high - low) * (1, -1)
    return image.reshape(height, width, 4), at


def _projected(directions: np.ndarray, sector: Sector, up: np.ndarray) -> np.ndarray:
    """Return the stereographic projection (right, up) of unit vectors."""
    flat = np.stack([directions @ sector.right, directions @ up], axis=1)
    projected: np.ndarray = flat / (1 + directions @ sector.pole)[:, None]
    return projected


def _rim(sector: Sector) -> np.ndarray:
    """Return unit vectors along the rim of the sector."""
    angle = np.linspace(0, 2 * np.pi, 361)
    first = _unit(sector.corners[0] - (sector.corners[0] @ sector.middle) * sector.middle)
    if not np.isfinite(first).all():
        first = sector.right
    towards = np.cos(angle)[:, None] * first + np.sin(angle)[:, None] * np.cross(
        sector.middle, first
    )
    edge = np.arctan2(sector.normals @ sector.middle, -(towards @ sector.normals.T)).min(axis=1)
    return np.cos(edge)[:, None] * sector.middle + np.sin(edge)[:, None] * towards
