"""Exactly as many patterns as were asked for; whole runs: flows/pipeline/test_redecide.py."""

from dataclasses import replace

import numpy as np
import pytest

from orimap.tasks.decide.evidence.evidence import Components, Evidence
from orimap.tasks.decide.grains.stored import find_grains, read_dark_fields, write_dark_fields
from orimap.tasks.errors import LateInputError
from orimap.tasks.maps.by_hand.exactly import every_component, exactly
from orimap.tasks.maps.labels_and_overlap import map_clusters
from orimap.tasks.maps.parts import grain_parts


@pytest.fixture
def store(two_grains, sketch_of):
    """A scan of two grains, with dark fields."""
    store = sketch_of(two_grains.counts, two_grains.beam)
    write_dark_fields(store, [], "m", radius_px=2.5, centre=None, dispersion=1.0)
    return store


@pytest.fixture
def evidence(store):
    """Fits of one to four components, as they are grouped by their reflections."""
    fields, ks = read_dark_fields(store), np.arange(1, 5)
    compared = []
    for k in ks:
        _, merged = find_grains(fields, int(k), split_bent=False)
        compared.append(Components({}, merged, np.eye(k)))
    loss = np.array([4.0, 1.0, 0.9, 0.8])
    return Evidence(ks, loss, np.zeros(4), 1.0, loss, None, compared)


def on_the_map(store, found):
    parts = grain_parts(
        store, found.fitted_k, None, split_bent=False, component_cluster=found.component_cluster
    )
    maps = map_clusters(
        parts.weights, parts.component_cluster, present=parts.present, sure=parts.sure
    )
    return len(maps.size), maps


def test_a_fit_that_holds_the_number_is_taken_as_it_is(store, evidence):
    assert evidence.distinct[1] == 2
    found = exactly(store, evidence, 2, 2)
    assert (found.fitted_k, found.by_itself) == (2, True)
    np.testing.assert_array_equal(
        found.component_cluster, evidence.components[1].merged.component_cluster
    )
    assert "The fit of 2 components holds 2 by itself" in found.how


def test_where_no_fit_holds_it_the_most_alike_patterns_are_joined(store, evidence):
    evidence = replace(evidence, ks=evidence.ks[1:2], components=evidence.components[1:2],
                       loss=evidence.loss[1:2], loss_error=np.zeros(1))  # fmt: skip
    found = exactly(store, evidence, 2, 1)
    assert not found.by_itself
    assert "No fit holds exactly 1: in the fit of 2 components" in found.how
    assert "the most alike pair of patterns was joined" in found.how
    count, maps = on_the_map(store, found)
    assert count == 1
    np.testing.assert_array_equal(maps.label[:8, :6], 0)
    np.testing.assert_array_equal(maps.label[:8, 7:], 0)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_map_has_as_many_as_were_asked_for(store, evidence, number):
    found = exactly(store, evidence, 2, number)
    count, maps = on_the_map(store, found)
    assert count == number
    assert (maps.size > 0).all()


def test_more_than_the_scan_can_be_told_apart_into_is_refused(store, evidence):
    with pytest.raises(LateInputError, match="--distinct 9"):
        exactly(store, evidence, 2, 9)


def test_every_component_is_a_pattern_of_its_own(store, evidence):
    groups = every_component(store, 4, has_reflections=True)
    assert sorted(groups) == [0, 1, 2, 3]
    assert evidence.distinct[3] < 4
