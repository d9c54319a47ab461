from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
import zarr

from orimap.tasks.decide.components.merge import Merged
from orimap.tasks.decide.evidence.evidence import METRICS, Components, Evidence
from orimap.tasks.decide.evidence.published import PublishedFits
from orimap.tasks.decide.grains.stored import GRAINS
from orimap.tasks.factorise.sketch import Sketch
from orimap.tasks.factorise.stored_fits import write_sketch
from orimap.tasks.factorise.weighting import poisson_weighting
from orimap.tasks.maps.clusters import overlap_dataset
from orimap.tasks.maps.decomposition import source_attrs
from orimap.tasks.maps.labels_and_overlap import map_clusters
from orimap.tasks.maps.uncertainty import CountingNoise
from orimap.tasks.patterns.source import PatternSource
from orimap.tasks.store import variables
from orimap.tasks.store.groups import mark_complete, write_group


@pytest.fixture
def store_patterns(tmp_path):
    """Write patterns into a store of its own in blocks of a given shape; return their source."""
    numbers = count()

    def write(values, block_shape=None, filter="raw"):
        store = tmp_path / f"patterns{next(numbers)}.zarr"
        group = zarr.open_group(store, path="raw", mode="w", zarr_format=3)
        array = group.create_array(
            "pattern_intensity",
            shape=values.shape,
            chunks=(*(block_shape or values.shape[:2]), *values.shape[2:]),
            dtype=values.dtype,
            dimension_names=["scan_y", "scan_x", "detector_y", "detector_x"],
        )
        array[:] = values
        mark_complete(store, "raw", "raw")
        return PatternSource.open(store, filter)

    return write


@pytest.fixture(scope="session")
def one_worker():
    """A Dask client with a single worker."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture
def brute_force_mean():
    """The 3×3 mean over the neighbours that exist, by a loop over positions."""

    def mean(patterns):
        rows, columns = patterns.shape[:2]
        result = np.empty(patterns.shape)
        for y in range(rows):
            for x in range(columns):
                near = [
                    patterns[v, u].astype(float)
                    for v in range(max(0, y - 1), min(rows, y + 2))
                    for u in range(max(0, x - 1), min(columns, x + 2))
                ]
                result[y, x] = sum(near) / len(near)
        return result

    return mean


def components_of(k, distinct, not_redundant=None):
    """The components of one fit: ``distinct`` patterns, the rest joined to the last of them."""
    member = np.minimum(np.arange(k), distinct - 1)
    # SSIM and the others grow with k.
    metrics = {name: np.where(np.eye(k, dtype=bool), 1.0, 0.5 + 0.01 * k) for name in METRICS}
    merged = Merged(member, True, np.zeros(k, bool))
    return Components(metrics, merged, np.eye(k), not_redundant)


@pytest.fixture(scope="session")
def make_evidence():
    """Return what makes evidence of fits that hold given numbers of distinct patterns, up to k.

    The mean held-out score falls by ``drops`` from each k to the next; of 400 positions, so that
    the standard error of a drop is about a fourteenth of ``spread``.
    """

    def make(
        distinct,
        drops=None,
        *,
        first=1,
        loss=None,
        counts=True,
        redundancy=None,
        spread=0.02,
        **more,
    ):
        number = len(distinct)
        ks = np.arange(first, first + number)
        held_out = None
        if drops is not None:
            mean = 1000 - np.concatenate([[0], np.cumsum(drops)])
            wobble = np.random.default_rng(0).normal(0, spread, (number, 400))
            held_out = mean[:, None] + wobble - wobble.mean(axis=1, keepdims=True)
        return Evidence(
            ks,
            1.0 / ks if loss is None else np.asarray(loss, float),
            np.zeros(number),
            2.0,
            np.full(number, 0.3),
            held_out if counts else None,
            [
                components_of(*one)
                for one in zip(ks, distinct, redundancy or [None] * number, strict=True)
            ],
            cross_validation=None if counts else held_out,
            silhouette=np.where(ks > 1, 1.0 / ks, np.nan),
            published=PublishedFits(ks, 1.0 / ks, 1, {name: np.ones((1, 1)) for name in METRICS}),
            **more,
        )

    return make


@pytest.fixture(scope="session")
def two_grains():
    """Counts of a scan of two grains side by side, with discs of radius 2.5 at places of their own.

    A column between them holds both; the last rows hold nothing but background.
    """
    size, rng, sites = 64, np.random.default_rng(7), []
    y, x = np.mgrid[:size, :size]
    radius = np.hypot(y - 31.5, x - 31.5)
    while len(sites) < 14:
        one = rng.integers(5, size - 5, 2)
        if radius[tuple(one)] > 10 and all(np.hypot(*(one - other)) > 8 for other in sites):
            sites.append(one)
    sites = np.array(sites)
    discs = [30.0 * (np.hypot(y - v, x - u) <= 2.5) for v, u in sites]
    images = np.stack([sum(discs[:7]), 0.5 * sum(discs[7:])])
    shares = np.zeros((10, 13, 2))
    shares[:8, :6, 0] = shares[:8, 7:, 1] = 1
    shares[:8, 6] = 0.5
    beam = radius < 5
    below = 6 + 60 * np.exp(-radius / 9) + 3000 * (radius < 4)
    mean = shares @ images.reshape(2, -1)
    return SimpleNamespace(
        counts=rng.poisson(mean.reshape(10, 13, size, size) + below),
        mean=mean.reshape(10, 13, size, size) + below,
        beam=beam,
        places=(sites[:7], sites[7:]),
        shares=shares,
    )


@pytest.fixture
def sketch_of(tmp_path):
    """Write patterns as a sketch that keeps all of them into a store of its own; return that."""
    numbers = count()

    def write(patterns, beam, valid=None, rank=None):
        store = tmp_path / f"sketch{next(numbers)}.zarr"
        valid = np.ones(beam.shape, bool) if valid is None else valid
        weighting = poisson_weighting(patterns.mean(axis=(0, 1)), valid, beam)
        rows = patterns[..., valid].reshape(-1, np.count_nonzero(valid)).astype(float)
        factor = weighting.row_factor(rows)
        left, values, right = np.linalg.svd(weighting.apply(rows, factor), full_matrices=False)
        kept = np.flatnonzero(values > 1e-10 * values[0])[:rank]
        left, values, right = left.T[kept], values[kept], right[kept]
        excluded = left @ (rows[:, ~weighting.fitted] * factor[:, None])
        sketch = Sketch(left, values, right, excluded, factor, float((values**2).sum()))
        write_sketch(store, "sketch", sketch, weighting, patterns.shape[:2], "m")
        return store

    return write


@pytest.fixture
def clustered_run(tmp_path):
    """A run of two clusters (one of two components, in two places) and a background."""
    scan, detector = (9, 12), (6, 7)
    members = np.array([0, 1, -1, 0])
    rng = np.random.default_rng(0)
    images = rng.random((4, *detector))
    valid = np.ones(detector, bool)
    valid[2, 3] = False
    images *= valid
    images /= images.sum(axis=(1, 2), keepdims=True)
    weights = np.zeros((*scan, 4))
    weights[:, :4, 0] = weights[:, 8:, 3] = 300
    weights[:, 4:8, 1] = 500
    weights[..., 2] = 40
    weights[4, 4] = [150, 250, 40, 20]
    counts = rng.poisson(np.tensordot(weights, images, axes=1)).astype(np.uint16)
    counts[..., 2, 3] = 999  # a hot pixel
    group = zarr.open_group(tmp_path / "patterns.zarr", path="raw", mode="w")
    group.create_array(
        "pattern_intensity",
        data=counts,
        chunks=(4, 5, *detector),
        dimension_names=variables.pattern_intensity.dims,
    )
    source = PatternSource.open(tmp_path / "patterns.zarr", "raw")
    noise = CountingNoise.of(images[:, valid], np.ones(valid.sum()))
    maps = map_clusters(weights, members, noise=noise, split=True)
    v, store = variables, tmp_path / "analysis.zarr"
    groups = {
        GRAINS: v.dataset({v.component_pattern: images, v.scan_weight: weights}),
        "sketch": v.dataset({v.detector_valid: valid}),
        "overlap": overlap_dataset(maps),
        "clusters": v.dataset(
            {
                v.cluster_label: maps.label,
                v.component_cluster: maps.component_cluster,
                v.cluster_parent: maps.parent,
                v.cluster_share: maps.share,
                v.cluster_share_error: maps.share_error,
            },
            **source_attrs(source),
        ),
    }
    for name, ds in groups.items():
        write_group(store, name, ds, "m")
    return tmp_path, images, weights, np.where(valid, counts, 0), maps
