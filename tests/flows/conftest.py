"""What the tests of flows share."""

import json
import os
from contextlib import contextmanager

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import orimap
from orimap.tasks.index.stored import write_orientations
from orimap.tasks.store.groups import complete_mark, open_group
from orimap.tasks.store.variables import ORIENTATIONS
from orimap.tasks.store.whole.results import seal_groups


@pytest.fixture(autouse=True)
def rights_as_before(monkeypatch):
    """Give this process back what services change for all that they start."""
    before = os.umask(0o022)
    os.umask(before)
    monkeypatch.setenv("ORIMAP_DASHBOARD", "")
    monkeypatch.delenv("ORIMAP_DASHBOARD")
    yield
    os.umask(before)


@pytest.fixture
def no_prefect(monkeypatch, tmp_path):
    """No Prefect API is configured, whatever this machine has."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_PROFILES_PATH", str(tmp_path / "no-profiles.toml"))


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory):
    """A Prefect server on loopback with a database of its own; gives a client of its API.

    One for all: starting it takes half a minute.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("PREFECT"):
                patch.delenv(name)
        patch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("prefect")))
        patch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
        patch.setenv("DO_NOT_TRACK", "1")
        patch.setenv("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
        from prefect.client.orchestration import get_client
        from prefect.testing.utilities import prefect_test_harness

        with prefect_test_harness(server_startup_timeout=180), get_client(sync_client=True) as api:
            yield api


@pytest.fixture(scope="session")
def sharing_workers(client):
    """Return a context in which runs use the workers that the tests have already.

    Starting workers and helpers takes longer than a tiny run, and so does giving workers one task
    for each of many chunks: patterns are stored in few. The context gives a list of what workers
    were asked for.
    """

    @contextmanager
    def sharing_workers():
        opened = []

        @contextmanager
        def open_client(cluster="local", *, workers=None, **_):
            opened.append((cluster, workers))
            yield client

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("orimap.cluster.client.open_client", open_client)
            patch.setattr("orimap.tasks.stream.memory.FEWEST_CHUNKS", 3)
            yield opened

    return sharing_workers


@pytest.fixture(scope="session")
def bare_pages():
    """Return a context in which a page that holds the request stands for the report.

    Figures take most of the time of a tiny run.
    """

    def write_report(_results, output, *, run, executor=None):
        (output / "figures").mkdir(exist_ok=True)
        (output / "report.html").write_text(json.dumps(run["request"]))

    @contextmanager
    def bare_pages():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("orimap.tasks.report.report.write_report", write_report)
            yield

    return bare_pages


@pytest.fixture(scope="session")
def few_figures():
    """Return a context in which reports have only the figures that somebody looks for.

    All of them take seconds; they are drawn where reports are tested, and in the finished run.
    """

    @contextmanager
    def few_figures():
        from orimap.tasks.report.drawings import catalogue

        kept = ("cluster_map", "orientations", "phases")
        few = {name: catalogue.FIGURES[name] for name in kept}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(catalogue, "FIGURES", few)
            yield

    return few_figures


@pytest.fixture(scope="session")
def index_by_hand():
    """Return what writes /orientations of made-up crystals into the results in a folder.

    Cluster 1 is silicon as the sample lies, cluster 2 its twin, and cluster 3, if there is one,
    gold that is not reliable. Each has three reflections, 10 pixels from row 24, column 20.
    """

    def index_by_hand(folder):
        analysis = folder / "analysis.zarr"
        sizes = open_group(analysis, "clusters").sizes
        count = sizes["cluster"]
        quaternion = np.tile([1.0, 0, 0, 0], (count, 1))
        quaternion[1] = [np.sqrt(0.75), *[np.sqrt(1 / 12)] * 3]
        indexed = np.arange(count) < 2
        phase = (~indexed).astype(np.int16)
        turned = np.array([[0, 0, 0, 1.0]] * count)
        cubic = Rotation.create_group("O").as_matrix()
        edges = np.array([5.43, 4.08])
        spots = np.repeat(np.arange(count), 3)
        made = {
            "cluster_quaternion": np.where(indexed[:, None], quaternion, np.nan),
            "cluster_phase": phase,
            "cluster_zone_axis": np.tile([0, 0, 1.0], (count, 1)),
            "cluster_score": np.full(count, 0.95),
            "cluster_reliability": np.where(indexed, 0.45, 0.02),
            "cluster_phase_margin": np.full(count, 0.31),
            "cluster_indexed": indexed,
            "cluster_ambiguous": ~indexed,
            "cluster_candidate_quaternion": np.stack([quaternion, turned], axis=1),
            "cluster_candidate_phase": np.stack([phase, phase], axis=1),
            "cluster_candidate_score": np.full((count, 2), 0.95),
            "crystal_edge": np.tile(edges[:, None], (1, 3)),
            "crystal_angle": np.full((2, 3), 90.0),
            "crystal_axes": edges[:, None, None] * np.eye(3),
            "crystal_turn": np.stack([cubic, cubic]),
            "predicted_cluster": spots.astype(np.int16),
            "predicted_indices": np.tile([[4, 0, 0], [2, 2, 0], [2, -2, 0]], (count, 1)),
            "predicted_position": np.tile([[24.0, 30], [34, 20], [14, 20]], (count, 1)),
            "predicted_amplitude": np.tile([0.3, 1.0, 0.8], count),
            "component_turn": np.full((sizes["component"], 3), np.nan),
            "boundary_cluster": np.array([[0, 1]], np.int16),
            "boundary_length": np.array([9]),
            "boundary_angle": np.array([60.0]),
            "boundary_axis": np.ones((1, 3)),
            "boundary_from_sigma3": np.zeros(1),
        }
        facts = {
            "crystals": ["silicon", "gold"],
            "crystal_files": ["silicon.cif", "gold.cif"],
            "crystal_formulas": ["Si", "Au"],
            "crystal_space_groups": ["F d -3 m:1", "F m -3 m"],
            "reliable_from": 0.06,
            "of": complete_mark(analysis, "clusters"),
        }
        arrays = {each: made[name] for name, each in ORIENTATIONS.variables.items()}
        write_orientations(analysis, (arrays, facts))
        seal_groups(analysis)

    return index_by_hand


@pytest.fixture
def same_workers(sharing_workers, bare_pages):
    """Runs share workers and write bare pages; lists what workers were asked for."""
    with sharing_workers() as opened, bare_pages():
        yield opened


@pytest.fixture(scope="session")
def small_run_scan(tmp_path_factory):
    """A simulated, calibrated scan of two grains, its truth beside it."""
    return orimap.simulate(
        tmp_path_factory.mktemp("api") / "scan.zarr",
        scan=(6, 7), detector=(48, 46), grains=2, dose=3000, overlap=0.5, seed=3, quiet=True,
    )  # fmt: skip


@pytest.fixture(scope="session")
def small_run(sharing_workers, few_figures, small_run_scan):
    """Its results; not to be changed."""
    with sharing_workers() as opened, few_figures():
        found = orimap.run(
            str(small_run_scan), small_run_scan.parent / "results", k="1:4", workers=1, quiet=True
        )
    assert opened == [("threads", 1)]
    return found
