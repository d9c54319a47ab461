"""Make the edits of a person on the grouping of components, and draw the map that follows.

Clusters are made of parts: a part is a component, or that of it which lies in one region of the
scan where somebody has told the unconnected parts of a cluster apart. So every edit, and every edit
of an edit, is another way to group parts; labels, shares and overlap follow from their weights.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np

from orimap.tasks.errors import InputError
from orimap.tasks.maps.by_hand.edits import Edits
from orimap.tasks.maps.connected import split_unconnected
from orimap.tasks.maps.labels_and_overlap import Maps, map_clusters
from orimap.tasks.maps.parts import Parts
from orimap.tasks.maps.uncertainty import CountingNoise
from orimap.tasks.store import variables

NOBODY = -1


@dataclass(frozen=True)
class Grouping:
    """Parts, the cluster of each, and where clusters are.

    Parameters
    ----------
    parts : Parts
    label : (scan_y, scan_x) array of int
    names, colours : tuples of str
        One a cluster; names are empty where it has none of its own.
    said : tuple of str
        What an edit came to, where that does not go without saying.
    moved : int
        Positions that belong to another cluster since, though no edit asked for it: what is taken
        together weighs otherwise beside its neighbours.
    """

    parts: Parts
    label: np.ndarray
    names: tuple[str, ...]
    colours: tuple[str, ...]
    said: tuple[str, ...] = ()
    moved: int = 0

    @property
    def in_words(self) -> list[str]:
        """What the edits came to, in sentences."""
        if not self.moved:
            return list(self.said)
        one = self.moved == 1
        return [
            *self.said,
            f"All shares were computed again: {self.moved:,} position{'s' * (not one)} beside what "
            f"was edited {'belongs' if one else 'belong'} to another cluster now.",
        ]

    @property
    def groups(self) -> np.ndarray:
        """The cluster of each part, -1 for none."""
        return self.parts.component_cluster


def grouping_of(
    parts: Parts,
    label: np.ndarray,
    share: np.ndarray,
    parent: np.ndarray,
    colours: Sequence[str] = (),
) -> Grouping:
    """Return the grouping of a map as it is stored; pieces of a cluster are clusters of their own.

    Parameters
    ----------
    parts : Parts
    label : (scan_y, scan_x) array of int
    share : (scan_y, scan_x, cluster) array
        Tells which piece is the nearest one.
    parent : (cluster,) array of int
        The cluster whose components each one has.
    colours : sequence of str
        In which the map is shown, one a cluster.
    """
    for number in np.unique(parent):
        pieces = np.flatnonzero(parent == number)
        if len(pieces) > 1:
            owner = pieces[share[..., pieces].argmax(axis=2)]
            parts = _divided(parts, int(number), owner, pieces.tolist())
    nothing = ("",) * len(parent)
    return Grouping(parts, label, nothing, tuple(colours) or nothing)


def apply(
    before: Grouping, edits: Edits, *, regularity: float = 0.0, palette: Sequence[str] = ()
) -> Grouping:
    """Return the grouping after some edits.

    The lowest of merged clusters gives what they become its place in the order; parts of a split
    one stand in its place. A merged cluster has the name that one of its clusters had, and the
    colour of its lowest one, or one that a person chose; of the parts of a split one, the first
    keeps its colour. All others keep theirs, whatever their number.

    Parameters
    ----------
    before : Grouping
    edits : Edits
    regularity : float
        As the map was drawn with.
    palette : sequence of str
        Colours that no person chose; those that are free go to new parts.

    Raises
    ------
    InputError
        If a cluster is not there, or cannot be split.
    """
    count = len(before.names)
    edits.require(count)
    parts, said = before.parts, []
    # Places in the order of clusters, and what stands at each.
    order: list[list[int]] = [[n] for n in range(count)]
    names = dict(enumerate(before.names))
    names |= {n - 1: name for n, name in edits.names.items()}
    colours = dict(enumerate(before.colours))
    colours |= {n - 1: colour for n, colour in edits.colours.items()}
    if not edits.regroup:
        looks_now = (tuple(kept[n] for n in range(count)) for kept in (names, colours))
        return Grouping(parts, before.label, *looks_now)
    free = count
    for number in edits.split:
        parts, pieces, how = _split(parts, before.label, number - 1, free)
        order[number - 1] = pieces
        unused = [colour for colour in palette if colour not in colours.values()]
        colours |= dict(zip(pieces[1:], unused, strict=False))
        free += len(pieces) - 1
        said.append(f"Cluster {number} was split into {how}.")
        if name := names.pop(number - 1):
            names |= {piece: f"{name} {at}" for at, piece in enumerate(pieces, start=1)}
    groups = parts.component_cluster.copy()
    for merged in edits.merge:
        first, *others = sorted(n - 1 for n in merged)
        for kept, asked in ((names, edits.names), (colours, edits.colours)):
            given = [kept[n - 1] for n in merged if n in asked]
            there = [kept[n] for n in (first, *others) if kept[n]]
            known = given or [look for look in there if look not in palette] or there
            kept[first] = known[0] if known else ""
        for other in others:
            groups[groups == other] = first
            order[other] = []
    present = parts.present
    for number in edits.background:
        groups[groups == number - 1] = NOBODY
        order[number - 1] = []
        present = present & (before.label != number - 1)
    place = {old: new for new, old in enumerate(n for several in order for n in several)}
    groups = np.array([place.get(int(g), NOBODY) for g in groups])
    parts = replace(parts, component_cluster=groups, present=present)
    looks = [(names.get(old, ""), colours.get(old, ""), old) for old in place]
    after, origin = _drawn(parts, looks, regularity, tuple(said))
    became = {n: {n} for n in range(count)}
    became |= {n - 1: set(order[n - 1]) for n in edits.split}
    became |= {n - 1: {min(merged) - 1} for merged in edits.merge for n in merged}
    became |= {n - 1: {NOBODY} for n in edits.background}
    return replace(after, moved=_moved(before.label, after.label, origin, became))


def _moved(
    before: np.ndarray,
    after: np.ndarray,
    origin: Sequence[int],
    became: Mapping[int, Set[int]],
) -> int:
    """Count the positions that are elsewhere than an edit would have them.

    ``origin`` are the numbers, before clusters were put in order, of those on the map;
    ``became`` says which of these each cluster of the map before should be now. What is the
    strongest nowhere was named already: its positions have to be elsewhere.
    """
    was = np.where(after >= 0, np.append(origin, NOBODY)[after], NOBODY)
    count = 0
    for cluster, wanted in became.items():
        if wanted & {*origin, NOBODY}:
            count += int(np.count_nonzero(~np.isin(was[before == cluster], list(wanted))))
    return count


def draw(grouping: Grouping, *, regularity: float = 0.0) -> Maps:
    """Return the maps of a grouping, with errors where the noise is known."""
    parts = grouping.parts
    return map_clusters(
        parts.weights,
        parts.component_cluster,
        noise=parts.noise,
        present=parts.present,
        sure=parts.sure,
        regularity=regularity,
    )


def _drawn(
    parts: Parts, looks: Sequence[tuple[str, str, int]], regularity: float, said: tuple[str, ...]
) -> tuple[Grouping, list[int]]:
    """Return a grouping with its labels, without clusters that are the strongest nowhere.

    ``looks`` are the name and the colour of each cluster, and its number before; the numbers of
    those that are there are returned as well.
    """
    while True:
        maps = map_clusters(
            parts.weights,
            parts.component_cluster,
            present=parts.present,
            sure=parts.sure,
            regularity=regularity,
        )
        # Without a position by its shares, or where it has some, nothing is for sure.
        left = maps.component_cluster.copy().astype(int)
        left[np.isin(left, np.flatnonzero(maps.size == 0))] = NOBODY
        gone = np.unique(parts.component_cluster[(parts.component_cluster >= 0) & (left < 0)])
        if not gone.size:
            names, colours = (tuple(str(look[i]) for look in looks) for i in (0, 1))
            return Grouping(parts, maps.label, names, colours, said), [look[2] for look in looks]
        said = (*said, *(f"What would be cluster {g + 1} is the strongest nowhere." for g in gone))
        kept = [n for n in range(len(looks)) if n not in gone]
        number = {old: new for new, old in enumerate(kept)}
        groups = np.array([number.get(int(g), NOBODY) for g in parts.component_cluster])
        parts = replace(parts, component_cluster=groups)
        looks = [looks[n] for n in kept]


def _split(
    parts: Parts, label: np.ndarray, cluster: int, free: int
) -> tuple[Parts, list[int], str]:
    """Split a cluster into its components, or the one that it has into unconnected parts.

    Returns the parts with their new clusters (further ones numbered from ``free`` on), the numbers,
    and what it was split into.
    """
    members = np.flatnonzero(parts.component_cluster == cluster)
    if len(members) > 1:
        groups = _strongest_somewhere(parts, label, cluster, members, free)
        pieces = [cluster, *np.unique(groups[groups >= free]).tolist()]
        if len(pieces) > 1:
            rest = len(members) - len(pieces)
            joined = (
                f" ({rest} more, which are the strongest nowhere, went to them)" if rest else ""
            )
            how = f"the {len(pieces)} components that were joined to it{joined}"
            return replace(parts, component_cluster=groups), pieces, how
    owner, parent = split_unconnected(np.where(label == cluster, 0, NOBODY), 1)
    if len(parent) == 1:
        one = "one component" if len(members) == 1 else "components of which one is the strongest"
        raise InputError(
            f"several components in cluster {cluster + 1}, or parts that do not touch",
            f"--split {cluster + 1}: it has {one}, and is connected",
            "leave it whole, or take a fit with more components: orimap decide DIR --components K",
        )
    pieces = [cluster, *range(free, free + len(parent) - 1)]
    numbered = np.array(pieces)[owner[..., 0]]
    parts = _divided(parts, cluster, numbered, pieces)
    return parts, pieces, f"its {len(pieces)} parts that do not touch"


def _strongest_somewhere(
    parts: Parts, label: np.ndarray, cluster: int, members: np.ndarray, free: int
) -> np.ndarray:
    """Give each component of a cluster a number of its own, if it is the strongest somewhere.

    The others stay with the first, which is the strongest over the scan.
    """
    weight = parts.weights[..., members].sum(axis=(0, 1), dtype=float)
    order = members[np.argsort(-weight, kind="stable")]
    alone = list(order[1:])
    while alone:
        groups = parts.component_cluster.copy()
        groups[alone] = free + np.arange(len(alone))
        maps = map_clusters(parts.weights, groups, present=parts.present, sure=parts.sure)
        size = np.append(maps.size, 0)[maps.component_cluster[alone]]
        nowhere = [one for one, held in zip(alone, size, strict=True) if held == 0]
        if not nowhere:
            first = maps.component_cluster[order[0]]
            if first >= 0 and maps.size[first] > 0:
                return groups
            nowhere = [alone[-1]]
        # One at a time, the weakest first: what it leaves may be enough for another.
        alone.remove(nowhere[-1])
    return parts.component_cluster


def _divided(parts: Parts, cluster: int, owner: np.ndarray, pieces: Sequence[int]) -> Parts:
    """Return parts of which those of one cluster are divided among regions of the scan.

    Parameters
    ----------
    parts : Parts
    cluster : int
    owner : (scan_y, scan_x) array of int
        The piece that each position belongs to.
    pieces : sequence of int
        Their numbers: the clusters that they become.
    """
    source, cover, groups = [], [], []
    for part, group in enumerate(parts.component_cluster):
        for piece in pieces if group == cluster else [group]:
            source.append(part)
            cover.append(owner == piece if group == cluster else np.ones(owner.shape, bool))
            groups.append(piece)
    at, regions = np.array(source), np.stack(cover, axis=-1)
    v, stored = variables, parts.stored
    taken = stored.isel(component=at)
    scan_weight = v.scan_weight.read(taken)
    taken[v.scan_weight.name] = scan_weight.copy(data=np.where(regions, scan_weight.values, 0))
    return replace(
        parts,
        stored=taken,
        weights=np.where(regions, parts.weights[..., at], 0),
        component_cluster=np.array(groups),
        noise=_noise_of(parts.noise, at),
    )


def _noise_of(noise: CountingNoise | None, at: np.ndarray) -> CountingNoise | None:
    """Return the noise of copies of components, of which one at most is anywhere above 0."""
    if noise is None:
        return None
    return replace(
        noise,
        gram=noise.gram[np.ix_(at, at)],
        spread=noise.spread[np.ix_(at, at, at)],
        fitted=None if noise.fitted is None else noise.fitted[at],
    )
