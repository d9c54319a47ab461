"""What the older strategies look at."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from orimap.flows.pipeline.steps.older_rules import (
    fit_as_published,
    older_evidence,
    published_fingerprint,
)
from orimap.tasks.decide.evidence import published
from orimap.tasks.store.run_folder import RunFolder
from orimap.tasks.stream.blocks import silent


@pytest.fixture
def run(stages, tmp_path):
    """The run of `stages`, which writes to a folder of its own."""
    folder = RunFolder(tmp_path / "out")
    folder.prepare()
    analysed = stages.run.folder.read("analysed").load()
    folder.write("analysed", analysed, stages.prepared.fingerprint)
    return replace(stages.run, folder=folder, reused=set())


def asking(run, **changes):
    return replace(run, request=run.request.model_copy(update=changes))


@pytest.mark.parametrize("strategy", ["evidence", "knee", "elbow"])
def test_most_strategies_look_at_nothing_more(stages, strategy):
    assert older_evidence(asking(stages.run, strategy=strategy), stages.fitted) == {}


def test_the_silhouette_is_that_of_every_k(stages):
    found = older_evidence(asking(stages.run, strategy="silhouette"), stages.fitted)
    assert list(found) == ["silhouette"]
    assert found["silhouette"].shape == (4,)
    # Two grains are two groups.
    assert np.nanargmax(found["silhouette"]) == 1
    assert 0 < found["silhouette"][1] <= 1


def test_the_paper_s_fits_are_made_once(run, stages, monkeypatch):
    made = []

    def published_fits(client, patterns, valid, *, seed, progress):
        made.append((client, patterns.scan_shape, valid.all(), seed))
        return xr.Dataset({"a": 1})

    monkeypatch.setattr(published, "published_fits", published_fits)
    fit_as_published(run, silent, stages.prepared)
    assert made == [(run.client, (6, 7), np.True_, 0)]
    assert run.reused == set()
    fit_as_published(run, silent, stages.prepared)
    assert run.reused == {"published"}
    assert len(made) == 1
    fit_as_published(asking(run, seed=1), silent, stages.prepared)
    assert made[1][-1] == 1


def test_the_paper_s_fits_are_read_where_its_strategy_is_asked_for(run, stages, monkeypatch):
    run.folder.write("published", xr.Dataset({"a": 1}), "mark")
    monkeypatch.setattr(published, "read_published", lambda ds: int(ds["a"]))
    asked = asking(run, strategy="published")
    assert older_evidence(asked, stages.fitted) == {"published": 1}


def test_the_paper_s_fits_depend_on_patterns_and_seed_alone(run, stages):
    prepared = stages.prepared
    mark = published_fingerprint(run, prepared)
    assert published_fingerprint(asking(run, strategy="knee", l1=(1, 0)), prepared) == mark
    assert published_fingerprint(asking(run, seed=1), prepared) != mark
    assert published_fingerprint(run, replace(prepared, fingerprint="other")) != mark
