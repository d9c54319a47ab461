import base64
import io
from dataclasses import replace

import numpy as np
from PIL import Image

from orimap.tasks.report.results import read_results
from orimap.tasks.report.sections import answer


def changed(results, **arrays):
    """Results whose clusters have other arrays."""
    clusters = results.groups["clusters"].load().copy()
    for name, values in arrays.items():
        clusters[name] = (clusters[name].dims, values)
    return replace(results, groups={**results.groups, "clusters": clusters})


def test_a_card_s_numbers_are_those_of_its_positions(small_store):
    results = read_results(small_store)
    labels = results.values("clusters", "cluster_label")
    shares = results.values("clusters", "cluster_share")
    ratio = results.values("overlap", "overlap_ratio")
    for cluster, card in enumerate(answer.cluster_cards(results)):
        inside = labels == cluster
        assert card.positions.startswith(f"{inside.sum()} position")
        assert float(card.facts["mean share"]) == round(shares[inside, cluster].mean(), 2)
        overlapping = 100 * (ratio[inside] >= 0.5).mean()
        assert abs(float(card.facts["overlapping"].split()[0]) - overlapping) <= 0.5
        with Image.open(io.BytesIO(base64.b64decode(card.map.split(",")[1]))) as image:
            shown = np.asarray(image.convert("RGB"))
        own = (shown == list(bytes.fromhex(card.colour[1:]))).all(axis=2)
        np.testing.assert_array_equal(own, inside)


def test_a_cluster_without_a_position_has_no_map_and_no_share(small_store):
    results = read_results(small_store)
    labels = results.values("clusters", "cluster_label").copy()
    labels[labels == 2] = 0
    card = answer.cluster_cards(changed(results, cluster_label=labels))[2]
    assert card.map is None
    assert card.facts == {}
    assert card.share == "0 %"
    assert card.mean is not None


def test_the_scale_of_the_patterns_is_told_where_there_are_any(small_store):
    results = read_results(small_store)
    # Twelve pixels of 0.02 1/Å: a third is 0.08.
    assert answer.cluster_cards(results)[0].scale == answer.ScaleBar(20.83, "0.05\u00a0Å⁻¹")
    none = results.groups["clusters"].drop_vars(["cluster_mean_pattern", "cluster_representative"])
    without = replace(results, groups={**results.groups, "clusters": none})
    assert answer.cluster_cards(without)[0].scale is None
