"""What the page of a run is told of crystals and orientations."""

import base64
import io
import shutil

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import orimap
from orimap.flows.viewer.run.oriented import orientations_words, reflections_words
from orimap.flows.viewer.run_routes import run_app
from orimap.tasks.view.opened import Viewed

pytestmark = pytest.mark.filterwarnings("ignore:Using `httpx`")


@pytest.fixture(scope="module")
def folder(small_run, index_by_hand, tmp_path_factory):
    copy = shutil.copytree(small_run.folder, tmp_path_factory.mktemp("indexed") / "results")
    index_by_hand(copy)
    return copy


@pytest.fixture(scope="module")
def page(folder):
    return TestClient(run_app(folder))


def test_crystals_have_their_colour_keys_and_clusters_their_words(folder):
    found = orientations_words(Viewed(folder).now().required_orientations())
    assert [crystal["name"] for crystal in found["crystals"]] == ["silicon", "gold"]
    key = found["crystals"][0]["key"]
    kind, data = key["image"].split(",")
    assert kind == "data:image/png;base64"
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert image.shape == (key["height"], key["width"], 4)
    assert [corner["name"] for corner in key["corners"]] == ["[0 0 1]", "[1 0 1]", "[1 1 1]"]
    first, second = found["clusters"]
    assert (first["number"], first["crystal"], first["zone"]) == (1, "silicon", "[0 0 1]")
    assert (first["reliability"], first["margin"], first["indexed"]) == ("0.45", "0.31", True)
    assert first["neighbours"] == [
        {"number": 2, "angle": "60.0°", "axis": "[1 1 1]", "name": "Σ3, 0.0° off"}
    ]
    assert second["neighbours"][0]["number"] == 1


def test_maps_have_colours_of_their_own_and_labels_of_the_clusters(page, small_run):
    known = page.get("/api/run").json()
    assert known["oriented"]
    layers = {layer["id"]: layer for layer in known["layers"]}
    # The twin has 122 along z.
    assert layers["direction-z"]["colours"][0] == "#ff0000"
    assert layers["direction-z"]["colours"][1] not in ("#ff0000", "#ececec")
    assert layers["crystals"]["colours"] == ["#2f6fd0"] * 2
    assert "colours" not in layers["clusters"]
    map_of = page.get("/api/map/direction-z")
    found = np.frombuffer(map_of.content, "<i2").reshape(small_run.labels.shape)
    np.testing.assert_array_equal(found, small_run.labels)
    assert page.get("/api/orientations").json()["crystals"][1]["name"] == "gold"


def test_reflections_are_those_of_the_cluster(page, folder):
    found = page.get("/api/orientations/2/reflections").json()
    assert found == reflections_words(Viewed(folder).now().required_orientations(), 2)
    assert found["reflections"][0] == {"y": 34.0, "x": 20.0, "indices": "2 2 0", "amplitude": 1.0}
    refused = page.get("/api/orientations/3/reflections")
    assert refused.status_code == 400
    assert refused.json()["needed"] == "a cluster from 1 to 2"


@pytest.mark.usefixtures("same_workers")
def test_a_revision_has_its_own_orientations_and_none_where_it_was_not_indexed(folder, small_run):
    named = orimap.edit(folder, rename={1: "matrix"}, revision="named")
    # The text of the crystals is not stored, so that other clusters cannot be indexed.
    merged = orimap.edit(folder, merge=[[1, 2]], revision="merged")
    with TestClient(run_app(folder)) as page:
        automatic = page.get("/api/orientations").json()
        known = page.get("/api/run", params={"revision": named}).json()
        assert known["oriented"]
        assert any("colours" in layer for layer in known["layers"])
        assert page.get("/api/orientations", params={"revision": named}).json() == automatic
        known = page.get("/api/run", params={"revision": merged}).json()
        assert not known["oriented"]
        assert not any("colours" in layer for layer in known["layers"])
        refused = page.get("/api/orientations", params={"revision": merged})
        assert refused.status_code == 503
        assert page.get("/api/run").json()["oriented"]


def test_where_nothing_was_indexed_nothing_is_said(small_run):
    with TestClient(run_app(small_run.folder)) as page:
        known = page.get("/api/run").json()
        assert not known["oriented"]
        assert {layer["group"] for layer in known["layers"]}.isdisjoint({"Orientations"})
        assert page.get("/api/orientations").json()["remedy"].endswith("--crystal FILE.cif")
