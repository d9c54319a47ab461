"""Results of which files are damaged or gone: said in words, by name, and as the table says it."""

import json
import os
import shutil

import pytest
import zarr
from starlette.testclient import TestClient

import orimap
from orimap.flows.viewer.run_routes import run_app
from orimap.flows.viewer.table.runs import RunTable
from orimap.tasks.view.damage import damage_of

pytestmark = [
    pytest.mark.usefixtures("same_workers"),
    pytest.mark.filterwarnings("ignore:Using `httpx`"),
]
ADDRESSES = (
    "/api/run", "/api/clusters", "/api/boundaries", "/api/map/clusters", "/api/map/navigation",
    "/api/pattern/raw?y=1&x=2", "/api/pattern/residual?y=1&x=2", "/api/decomposition?y=1&x=2",
    "/api/virtual?shape=disc&y=20&x=18&radius=5",
    "/api/virtual?shape=disc&y=20&x=18&radius=5&exact=1", "/api/region?y0=0&x0=0&y1=2&x1=2",
    "/api/line?y0=0&x0=0&y1=2&x1=2", "/api/number/3?wait=60", "/api/cluster/1/mean",
)  # fmt: skip


@pytest.fixture
def folder(small_run, tmp_path):
    root = tmp_path.resolve() / "root"
    return shutil.copytree(small_run.folder, root / "run")


def _cut_off(path):
    path.write_bytes(path.read_bytes()[:40])


def _garbled(folder):
    """Write nonsense into every chunk of an array."""
    chunks = [path for path in (folder / "c").rglob("*") if path.is_file()]
    assert chunks
    for path in chunks:
        path.write_bytes(os.urandom(64))


WAYS = {
    "clusters cut off": (
        lambda f: _cut_off(f / "analysis.zarr/clusters/zarr.json"), "analysis.zarr/clusters",
    ),
    "labels garbled": (
        lambda f: _garbled(f / "analysis.zarr/clusters/cluster_label"),
        "analysis.zarr/clusters is damaged (cluster_label: ",
    ),
    "labels gone": (
        lambda f: shutil.rmtree(f / "analysis.zarr/clusters/cluster_label"), "cluster_label",
    ),
    "patterns garbled": (
        lambda f: _garbled(f / "patterns.zarr/raw/pattern_intensity"), "patterns.zarr/raw",
    ),
    "root cut off": (lambda f: _cut_off(f / "analysis.zarr/zarr.json"), "analysis.zarr/zarr.json"),
    "root a list": (
        lambda f: (f / "analysis.zarr/zarr.json").write_text("[1, 2]"), "analysis.zarr/zarr.json",
    ),
    "store empty": (
        lambda f: shutil.rmtree(f / "analysis.zarr") or (f / "analysis.zarr").mkdir(),
        "analysis.zarr/zarr.json",
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_what_cannot_be_read_is_named_wherever_it_is_asked_for(folder, way):
    damage, named = WAYS[way]
    damage(folder)
    page = TestClient(run_app(folder))
    answers = {address: page.get(address) for address in ADDRESSES}
    refused = {a: answer.json() for a, answer in answers.items() if answer.status_code != 200}
    assert refused, "nothing needs it"
    for address, answer in refused.items():
        assert answers[address].status_code == 422, (address, answer)
        assert set(answer) == {"needed", "found", "remedy"}
        assert "damaged" in answer["found"], (address, answer)
        assert answer["remedy"].startswith("make it anew: orimap run"), (address, answer)
        assert named in answer["found"], (address, answer)
    whole = way.startswith(("root", "store"))
    assert ("/api/run" in refused) == (way not in ("patterns garbled",)), refused
    if whole:
        assert set(refused) == set(ADDRESSES)
    if whole or way == "clusters cut off":
        (row,), _ = RunTable(folder.parent, folder.parent / "none").rows()
        assert row.state == "damaged"
    assert page.post("/api/preview", json={"steps": []}).status_code in (200, 422)


def test_a_sketch_that_has_gone_is_missed_where_it_is_needed(folder):
    shutil.rmtree(folder / "analysis.zarr" / "sketch")
    page = TestClient(run_app(folder))
    for address in ADDRESSES:
        assert page.get(address).status_code in (200, 400, 422, 503), address


def test_a_folder_that_goes_while_it_is_looked_at_is_missed(folder):
    page = TestClient(run_app(folder))
    assert page.get("/api/run").status_code == 200
    shutil.rmtree(folder)
    for address in ADDRESSES:
        answer = page.get(address)
        assert (answer.status_code, answer.json()["found"]) == (404, "no folder run any more")


def test_results_that_are_not_complete_are_called_so_here_as_in_the_table(folder):
    root = folder / "analysis.zarr" / "zarr.json"
    root.write_text(root.read_text().replace('"complete"', '"begun"'))
    assert TestClient(run_app(folder)).get("/api/run").json()["state"] == "incomplete"
    (row,), _ = RunTable(folder.parent, folder.parent / "none").rows()
    assert row.state == "incomplete"


def test_a_damaged_revision_is_told_of_and_the_others_are_shown(folder):
    for name in ("good", "cut"):
        orimap.edit(folder, rename={1: "a"}, revision=name, quiet=True)
    revisions = folder / "revisions"
    (revisions / "empty.zarr").mkdir()
    (revisions / "file.zarr").write_text("no store")
    _cut_off(revisions / "cut.zarr" / "zarr.json")
    page = TestClient(run_app(folder))
    known = page.get("/api/run").json()
    assert [each["name"] for each in known["revisions"]] == ["good"]
    assert known["notes"][-3:] == [
        f"The revision {name} is damaged: it cannot be shown." for name in ("cut", "empty", "file")
    ]
    for name in ("cut", "empty", "file"):
        for address in ("/api/clusters", "/api/map/clusters"):
            answer = page.get(f"{address}?revision={name}")
            assert answer.status_code in (400, 422), (name, answer.text)
            assert name in json.dumps(answer.json())


def test_only_what_comes_from_reading_stores_is_called_damage(tmp_path):
    part = tmp_path / "analysis.zarr" / "clusters" / "zarr.json"
    part.parent.mkdir(parents=True)
    part.write_text("{")
    with pytest.raises(ValueError, match="Expecting property name") as cut:
        zarr.open_group(tmp_path / "analysis.zarr", path="clusters", mode="r")
    found = damage_of(cut.value, tmp_path)
    assert found.found.startswith("damaged results: analysis.zarr")
    assert damage_of(ZeroDivisionError("ours"), tmp_path) is None
