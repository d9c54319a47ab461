import json
import os

import pytest
import zarr
from PIL import Image

from orimap.flows.jobs.outcome import Outcome, write_outcome
from orimap.flows.viewer.entry.access import Access
from orimap.tasks.store.whole.results import complete_groups
from orimap.tasks.store.whole.seal import seal

DECISION = {"confidence": "high", "reasons": ["The number settles at 3."]}
ROOT = {"status": "complete", "decided_k": 3, "crystal_found": True, "countable": True}


@pytest.fixture(scope="session")
def make_run():
    """Write what the table reads of a finished run, as a run does: attributes, record, a figure."""

    def make(folder, *, root=None, decision=None, acquisition=None, seconds=60.0, figure=True):
        folder.mkdir(parents=True)
        store = zarr.open_group(folder / "analysis.zarr", mode="w")
        store.attrs.update(ROOT | (root or {}))
        store.create_group("decision").attrs.update(DECISION | (decision or {}))
        if acquisition is not None:
            store.create_group("acquisition").attrs.update(acquisition)
        (folder / "run.json").write_text(json.dumps({"seconds": seconds, "steps": []}))
        if figure:
            (folder / "figures").mkdir()
            Image.new("RGB", (400, 300), "#3060c0").save(folder / "figures" / "cluster_map.png")
        return folder

    return make


@pytest.fixture(scope="session")
def put_outcome():
    def put(folder, **facts):
        folder.mkdir(parents=True, exist_ok=True)
        started = "2026-01-02T03:04:05+00:00"
        write_outcome(folder, Outcome(key="orimap-a", acquisition="a", started=started, **facts))

    return put


@pytest.fixture
def age():
    """Make folders older than the table doubts the times of."""

    def age(*folders):
        for folder in folders:
            os.utime(folder, (1e9, 1e9))

    return age


@pytest.fixture
def access(tmp_path_factory):
    return Access(tmp_path_factory.mktemp("access"))


@pytest.fixture(scope="session")
def sealed():
    """Have results that a test has changed pass for whole again."""

    def seal_all(folder):
        analysis, patterns = folder / "analysis.zarr", folder / "patterns.zarr"
        kept = {store: complete_groups(store) for store in (analysis, patterns) if store.is_dir()}
        for store, groups in kept.items():
            for group in groups:
                seal(store, group)
        seal(analysis, "", groups=kept[analysis], patterns=kept.get(patterns, []))

    return seal_all
