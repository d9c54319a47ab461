from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from orimap.tasks.errors import InputError
from orimap.tasks.maps.by_hand.edits import Edits
from orimap.tasks.maps.by_hand.revise import apply, draw, grouping_of
from orimap.tasks.maps.labels_and_overlap import map_clusters
from orimap.tasks.maps.parts import Parts
from orimap.tasks.maps.uncertainty import CountingNoise
from orimap.tasks.store import variables as v

SHAPE = (8, 15)


@pytest.fixture
def parts():
    """Five components in columns: 0 and 1 are cluster 0, 2 is 1, 3 is 2; the last is background.

    Component 3 lies in two regions that do not touch.
    """
    rng = np.random.default_rng(3)
    weights = rng.uniform(0, 4, (*SHAPE, 5))
    for component, columns in enumerate((slice(0, 3), slice(3, 6), slice(6, 9), slice(9, 11))):
        weights[:, columns, component] += 100
    weights[:, 12:, 3] += 100
    weights[..., 4] = 50
    patterns = rng.uniform(0, 1, (5, 6, 7)).astype(np.float32)
    patterns /= patterns.sum(axis=(1, 2), keepdims=True)
    stored = v.dataset({v.component_pattern: patterns, v.scan_weight: weights.astype(np.float32)})
    noise = CountingNoise.of(patterns.reshape(5, -1), np.ones(42))
    present = np.ones(SHAPE, bool)
    present[:, 11] = False
    groups = np.array([0, 0, 1, 2, -1])
    return Parts(stored, weights, groups, present, None, noise)


@pytest.fixture
def grouping(parts):
    return stored_grouping(parts)


def stored_grouping(parts, *, split=False):
    maps = map_clusters(parts.weights, parts.component_cluster, present=parts.present, split=split)
    return grouping_of(parts, maps.label, maps.share, maps.parent)


def test_merged_clusters_have_the_weights_of_both(grouping, parts):
    merged = apply(grouping, Edits.read(merge=["1,3"]))
    np.testing.assert_array_equal(merged.groups, [0, 0, 1, 0, -1])
    maps = draw(merged)
    own = np.stack([parts.weights[..., [0, 1, 3]].sum(axis=-1), parts.weights[..., 2]], axis=-1)
    label = np.where(parts.present, own.argmax(axis=-1), -1)
    np.testing.assert_array_equal(maps.label, label)
    np.testing.assert_array_equal(maps.label == 0, np.isin(grouping.label, [0, 2]))
    # A position that one of them fills alone: the 90th percentile where it is the strongest.
    strongest = (own / own.max(axis=(0, 1))).argmax(axis=-1)
    full = [np.percentile(own[strongest == c, c], 90) for c in (0, 1)]
    np.testing.assert_allclose(maps.share, own / full, rtol=1e-5)
    np.testing.assert_array_equal(maps.size, [np.sum(label == 0), np.sum(label == 1)])


def test_a_cluster_is_split_into_its_components(grouping):
    split = apply(grouping, Edits.read(split=["1"], rename=["1=big", "3=last"]))
    assert split.said == ("Cluster 1 was split into the 2 components that were joined to it.",)
    assert split.names == ("big 1", "big 2", "", "last")
    first, second = (set(np.flatnonzero(split.groups == n)) for n in (0, 1))
    assert first | second == {0, 1}
    np.testing.assert_array_equal(split.label[0], [*[split.groups[0]] * 3, *[split.groups[1]] * 3,
                                                   *[2] * 3, 3, 3, -1, 3, 3, 3])  # fmt: skip


def test_one_component_is_split_into_the_parts_that_do_not_touch(grouping, parts):
    split = apply(grouping, Edits.read(split=[3]))
    assert split.said == ("Cluster 3 was split into its 2 parts that do not touch.",)
    np.testing.assert_array_equal(split.label[0, 9:], [3, 3, -1, 2, 2, 2])
    assert split.parts.weights.shape[-1] == 6
    np.testing.assert_allclose(split.parts.weights.sum(axis=-1), parts.weights.sum(axis=-1))
    maps = draw(split)
    assert np.isfinite(maps.share_error).all()
    # The one that a position does not belong to has no share there.
    assert not maps.share[:, :3, 2:].all(axis=-1).any()


def test_parts_that_were_told_apart_can_be_merged_again(grouping):
    split = apply(grouping, Edits.read(split=[3]))
    again = apply(split, Edits.read(merge=[(3, 4)]))
    np.testing.assert_array_equal(again.label, grouping.label)
    np.testing.assert_allclose(draw(again).share, draw(grouping).share, rtol=1e-6)


def test_pieces_of_an_automatic_map_are_clusters_like_any_other(parts):
    pieces = stored_grouping(parts, split=True)
    assert len(pieces.names) == 4
    merged = apply(pieces, Edits.read(merge=["2,4"]))
    np.testing.assert_array_equal(merged.label == 1, np.isin(pieces.label, [1, 3]))


def test_the_positions_of_background_belong_to_no_cluster(grouping):
    without = apply(grouping, Edits.read(background=["2"], rename=["3=c"]))
    assert without.names == ("", "c")
    np.testing.assert_array_equal(without.label == -1, np.isin(grouping.label, [-1, 1]))
    np.testing.assert_array_equal(without.groups, [0, 0, -1, 1, -1])


def test_a_name_goes_with_its_cluster(grouping):
    named = apply(grouping, Edits.read(rename={2: "b", 3: "c"}))
    merged = apply(named, Edits.read(merge=["1,2"]))
    assert (named.names, merged.names) == (("", "b", "c"), ("b", "c"))


PALETTE = ("blue", "orange", "red", "green", "pink")


def coloured(parts, palette=PALETTE):
    before = stored_grouping(parts)
    return replace(before, colours=palette[: len(before.names)])


def test_clusters_that_no_edit_touched_keep_their_colours(parts):
    before = coloured(parts)
    merged = apply(before, Edits.read(merge=["1,2"]), palette=PALETTE)
    assert merged.colours == ("blue", "red")
    without = apply(before, Edits.read(background=[1]), palette=PALETTE)
    assert without.colours == ("orange", "red")
    # New parts have colours that nobody has.
    split = apply(before, Edits.read(split=[1]), palette=PALETTE)
    assert split.colours == ("blue", "green", "orange", "red")
    # What a person chose comes before the lowest one's.
    chosen = apply(before, Edits.read(colour={2: "#aa3377"}), palette=PALETTE)
    assert chosen.colours == ("blue", "#aa3377", "red")
    assert apply(chosen, Edits.read(merge=["1,2"]), palette=PALETTE).colours == ("#aa3377", "red")


def test_positions_that_went_elsewhere_unasked_are_counted(parts):
    weights = np.zeros((4, 5, 3))
    weights[..., 0], weights[:, 2:, 1], weights[:, 4, 2] = 10, 11, 12
    # Two positions of cluster 1 where the other two together are stronger than it.
    weights[0, :2, 1:] = 6
    three = replace(
        parts,
        weights=weights,
        component_cluster=np.arange(3),
        present=np.ones((4, 5), bool),
        noise=None,
    )
    before = stored_grouping(three)
    assert np.bincount(before.label.ravel()).tolist() == [8, 8, 4]
    merged = apply(before, Edits.read(merge=["2,3"]))
    assert merged.moved == 2
    assert np.bincount(merged.label.ravel()).tolist() == [6, 14]
    assert merged.in_words == [
        "All shares were computed again: 2 positions beside what was edited belong to another "
        "cluster now."
    ]
    assert apply(before, Edits.read(merge=["1,2"])).moved == 0
    assert apply(before, Edits.read(background=[3])).moved == 0
    assert apply(before, Edits.read(rename={1: "a"})).in_words == []


def test_a_cluster_that_cannot_be_split_is_refused(grouping):
    with pytest.raises(InputError, match="--split 2: it has one component, and is connected"):
        apply(grouping, Edits.read(split=["2"]))


def test_what_is_stored_follows_the_parts(grouping):
    split = apply(grouping, Edits.read(split=[3]))
    stored = split.parts.stored
    assert isinstance(stored, xr.Dataset)
    np.testing.assert_array_equal(v.scan_weight.read(stored).values > 0, split.parts.weights > 0)
    np.testing.assert_array_equal(
        v.component_pattern.read(stored)[3], v.component_pattern.read(stored)[4]
    )
