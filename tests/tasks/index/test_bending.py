"""The two ends of a bent grain are turned from it by what they were drawn with."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from orimap.tasks.index.bending import component_images, component_turns
from orimap.tasks.index.index_results import Setup, index_patterns

# Of the two components of the first crystal, in the sample's frame.
BENT_DEG = np.array([[0.5, -0.3, 0.2], [-0.5, 0.3, -0.2]])


@pytest.fixture(scope="module")
def bent(known):
    """Two crystals; a first and a second end of the first of them, and the second once more."""
    whole = known("lnmo_disordered", 2)
    ends = Rotation.from_rotvec(np.radians(BENT_DEG)).as_matrix() @ whole.rotation[0]
    parts = known("lnmo_disordered", rotation=np.concatenate([ends, whole.rotation[1:]]))
    return whole, parts


@pytest.mark.parametrize("setup", [Setup(), Setup(rotation_deg=90.0), Setup(flip=True)])
def test_the_ends_of_a_bent_grain_are_turned_from_it(bent, setup):
    whole, parts = bent
    patterns, components = whole.patterns, parts.patterns
    # Columns of the detector, which the scan's are turned or mirrored against.
    expected = BENT_DEG
    if setup.flip:
        patterns, components = (
            replace(
                each, images=each.images[:, ::-1], centre=np.array([120, 0]) + [-1, 1] * each.centre
            )
            for each in (patterns, components)
        )
    if setup.rotation_deg:
        # x of the detector is minus y of the sample, y is x.
        expected = np.stack([BENT_DEG[:, 1], -BENT_DEG[:, 0], BENT_DEG[:, 2]], axis=1)
    indexed, scan, _ = index_patterns(patterns, [whole.crystal], setup)
    found = component_turns(components, np.array([0, 0, 1]), indexed, scan, setup)
    np.testing.assert_allclose(found[:2], expected, atol=0.12)
    # Alone in its cluster: nothing to compare with.
    assert np.isnan(found[2]).all()


def test_nothing_is_said_where_the_cluster_is_not_reliable(bent):
    whole, parts = bent
    indexed, scan, _ = index_patterns(whole.patterns, [whole.crystal])
    unsure = replace(indexed, indexed=np.array([False, True]))
    for cluster in ([0, 0, 1], [-1, -1, -1]):
        found = component_turns(parts.patterns, np.array(cluster), unsure, scan, Setup())
        assert np.isnan(found).all()


def test_components_count_where_they_are_strongest():
    pattern = np.full((2, 3, 4), 1 / 12)
    weight = np.array([[[6.0, 0], [2, 4]], [[0, 8], [0, 12]]])
    images, positions = component_images(pattern, weight)
    assert positions.tolist() == [1, 3]
    np.testing.assert_allclose(images.sum(axis=(1, 2)), [8, 8])
