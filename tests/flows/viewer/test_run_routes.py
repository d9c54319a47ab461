"""One run over HTTP: numbers against those of the stores, and what happens while they change."""

import asyncio
import base64
import gc
import os
import shutil
import threading
import time
import weakref

import httpx
import numpy as np
import pytest
import zarr
from starlette.testclient import TestClient

import orimap
from orimap.flows.viewer import run_routes
from orimap.flows.viewer.run import description, try_edits
from orimap.flows.viewer.run.edit_routes import MOST_BYTES
from orimap.flows.viewer.run.pages import lies_in
from orimap.flows.viewer.run_routes import run_app
from orimap.tasks.maps.by_hand.edits import Edits
from orimap.tasks.store.locks import held
from orimap.tasks.store.open_results import revision_names
from orimap.tasks.view.numbers import Numbers
from orimap.tasks.view.opened import IMAGES, Opened, Viewed
from orimap.tasks.view.patterns import BLOCKS

pytestmark = [
    pytest.mark.usefixtures("same_workers"),
    pytest.mark.filterwarnings("ignore:Using `httpx`"),
]
DISC = {"shape": "disc", "y": 20, "x": 18, "radius": 5}


@pytest.fixture(scope="module")
def page(small_run):
    """The finished run of two grains; not to be changed."""
    return TestClient(run_app(small_run.folder))


@pytest.fixture
def folder(small_run, tmp_path):
    """A copy of it in a place of its own."""
    return shutil.copytree(small_run.folder, tmp_path / "results")


def array(response):
    assert response.status_code == 200, response.text
    shape = tuple(map(int, response.headers["x-shape"].split(",")))
    kind = {"float32": "<f4", "int16": "<i2"}[response.headers["x-dtype"]]
    return np.frombuffer(response.content, kind).reshape(shape)


def said(response, status=400):
    assert response.status_code == status, response.text
    assert set(response.json()) == {"needed", "found", "remedy"}
    assert "Traceback" not in response.text
    return response.json()


def saved(page, asked):
    """Save edits, wait until they are there, and return their name."""
    begun = page.post("/api/revisions", json=asked)
    assert begun.status_code == 202, begun.text
    for _ in range(600):
        known = page.get("/api/run").json()
        if begun.json()["name"] not in [each["name"] for each in known["saving"]]:
            assert known["failed"] is None
            assert begun.json()["name"] in [each["name"] for each in known["revisions"]]
            return begun.json()["name"]
        threading.Event().wait(0.05)
    raise AssertionError("it is never there")


def raw(results):
    return zarr.open_array(results / "patterns.zarr", path="raw/pattern_intensity", mode="r")[:]


def test_a_run_is_described_by_what_it_holds(page, small_run):
    known = page.get("/api/run").json()
    assert known["headline"] == small_run.headline
    assert (known["confidence"], known["reasons"]) == (small_run.confidence, small_run.reasons)
    assert (known["state"], known["writable"], known["report"]) == ("complete", True, "report.html")
    assert known["scan"] == {"shape": [6, 7], "step": [5.0, 5.0], "unit": "nm"}
    assert known["detector"]["shape"] == [48, 46]
    assert known["detector"]["centre"] == pytest.approx([23.5, 22.5], abs=0.1)
    assert known["detector"]["unit"] == "1/Å"
    assert known["pattern_kinds"][0] == {
        "id": "raw", "title": "as acquired", "frame": "as acquired",
    }  # fmt: skip
    assert [kind["id"] for kind in known["pattern_kinds"]] == ["raw", "reconstructed", "residual"]
    assert known["revisions"] == []
    decided = [n for n in known["numbers"] if n["decided"]]
    assert [n["distinct"] for n in decided] == [small_run.number]
    for layer in known["layers"]:
        found = array(page.get(f"/api/map/{layer['id']}"))
        assert found.shape == (6, 7), layer
        assert (found.dtype.kind == "i") == (layer["kind"] == "labels"), layer


def test_maps_and_patterns_of_clusters_are_those_of_the_results(page, small_run):
    np.testing.assert_array_equal(array(page.get("/api/map/clusters")), small_run.labels)
    np.testing.assert_array_equal(
        array(page.get("/api/map/overlap")), small_run.overlap["overlap_ratio"]
    )
    for cluster in (1, 2):
        np.testing.assert_array_equal(
            array(page.get(f"/api/map/share-{cluster}")), small_run.shares.sel(cluster=cluster)
        )
        for kind, patterns in (
            ("mean", small_run.mean_patterns),
            ("representative", small_run.representatives),
        ):
            found = array(page.get(f"/api/cluster/{cluster}/{kind}"))
            np.testing.assert_array_equal(found, patterns.sel(cluster=cluster))
    clusters = page.get("/api/clusters").json()["clusters"]
    sizes = [int((small_run.labels == n).sum()) for n in (1, 2)]
    assert [each["positions"] for each in clusters] == sizes
    assert [each["number"] for each in clusters] == [1, 2]


@pytest.mark.parametrize("position", [(0, 0), (3, 5)])
def test_a_click_gives_the_pattern_its_fit_and_its_parts(page, small_run, position):
    at = dict(zip("yx", position, strict=True))
    whole = small_run.decompose(*position)
    acquired = page.get("/api/pattern/raw", params=at)
    assert acquired.headers["x-shift"] == "0,0"
    np.testing.assert_array_equal(array(acquired), raw(small_run.folder)[position])
    kinds = ("filtered", "reconstructed", "residual")
    shown, fit, residual = (array(page.get(f"/api/pattern/{k}", params=at)) for k in kinds)
    np.testing.assert_array_equal(shown, whole["decomposed_pattern"])
    # Both are sums in single precision, in another order.
    np.testing.assert_allclose(residual, whole["decomposed_residual"], atol=1e-4)
    np.testing.assert_allclose(fit + residual, shown, atol=1e-4)
    parts = page.get("/api/decomposition", params=at).json()
    assert parts["label"] == whole.attrs["label"]
    assert parts["measured"]
    for share, name in (
        ("share", "decomposed_share"),
        ("error", "decomposed_share_error"),
        ("intensity", "decomposed_intensity"),
    ):
        found = [part[share] for part in parts["shares"]]
        np.testing.assert_allclose(found, whole[name], rtol=1e-4)
    # The background is what is left: small where the fit needs little of it.
    np.testing.assert_allclose(
        parts["background_intensity"],
        float(whole["decomposed_background"].sum()),
        rtol=1e-4,
        atol=1e-3,
    )


def test_a_virtual_image_comes_at_once_and_then_exactly(page, small_run):
    counts = raw(small_run.folder).astype(float)
    y, x = np.mgrid[:48, :46]
    mask = (y - 20) ** 2 + (x - 18) ** 2 <= 25
    exact = counts[..., mask].sum(axis=-1)
    page.get("/api/run")  # begins to read what the error is measured with
    quick = page.get("/api/virtual", params=DISC)
    assert quick.headers["x-exact"] == "approximate"
    error = np.sqrt(np.mean((array(quick) - exact) ** 2) / np.mean(exact**2))
    noise = np.sqrt(exact.mean() / np.mean(exact**2))
    assert error < 1.3 * noise
    for _ in range(100):
        if "x-error" in quick.headers:
            break
        threading.Event().wait(0.05)
        quick = page.get("/api/virtual", params=DISC)
    # The sketch of so few patterns holds all of their noise, but for rounding.
    assert float(quick.headers["x-error"]) == pytest.approx(error, abs=1e-6)
    assert float(quick.headers["x-noise"]) == pytest.approx(noise, rel=1e-3)
    found = page.get("/api/virtual", params={**DISC, "exact": 1})
    assert found.headers["x-exact"] == "exact"
    np.testing.assert_array_equal(array(found), exact)
    # From then on it is at hand.
    assert page.get("/api/virtual", params=DISC).headers["x-exact"] == "exact"


def test_a_region_has_its_mean_and_a_line_its_shares(page, small_run):
    found = page.get("/api/region", params={"y0": 4, "x0": 1, "y1": 2, "x1": 5})
    assert found.headers["x-positions"] == "15"
    expected = raw(small_run.folder)[2:5, 1:6].mean(axis=(0, 1))
    np.testing.assert_allclose(array(found), expected, rtol=1e-6)
    line = page.get("/api/line", params={"y0": 0, "x0": 0, "y1": 5, "x1": 6}).json()
    whole = small_run.along_line((0, 0), (5, 6))
    assert line["clusters"] == [1, 2]
    places = [[point["y"], point["x"]] for point in line["points"]]
    np.testing.assert_array_equal(places, whole["line_position"])
    for name, of in (("shares", "line_share"), ("errors", "line_share_error")):
        np.testing.assert_allclose([point[name] for point in line["points"]], whole[of], rtol=1e-6)
    assert line["points"][-1]["label"] == int(small_run.labels[5, 6])


def test_where_nothing_was_measured_no_numbers_are_shown(folder, sealed):
    measured = zarr.open_group(folder / "analysis.zarr", path="acquisition", mode="r+")
    where = np.ones((6, 7), np.int8)
    where[2, 3] = where[4, 0] = 0
    if "scan_measured" in measured:
        measured["scan_measured"][:] = where
    else:
        measured.create_array("scan_measured", data=where, dimension_names=("scan_y", "scan_x"))
    sealed(folder)
    page = TestClient(run_app(folder))
    for kind in ("filtered", "reconstructed", "residual"):
        assert np.isnan(array(page.get(f"/api/pattern/{kind}?y=2&x=3"))).all()
        assert np.isfinite(array(page.get(f"/api/pattern/{kind}?y=2&x=2"))).all()
    parts = page.get("/api/decomposition?y=2&x=3").json()
    assert (parts["measured"], parts["background_intensity"]) == (False, None)
    found = page.get("/api/region?y0=2&x0=2&y1=3&x1=3")
    assert found.headers["x-positions"] == "3"
    patterns = raw(folder)
    expected = (patterns[2, 2] + patterns[3, 2] + patterns[3, 3].astype(float)) / 3
    np.testing.assert_allclose(array(found), expected, rtol=1e-6)
    refused = said(page.get("/api/region?y0=4&x0=0&y1=4&x1=0"), 404)
    assert refused["found"] == "no position of it was measured"


@pytest.mark.parametrize("edit", [{"merge": [[1, 2]]}, {"rename": {1: "left"}}])
def test_an_outdated_revision_is_shown_as_far_as_it_goes_by_itself(folder, edit):
    orimap.edit(folder, **edit, revision="mine", quiet=True)
    page = TestClient(run_app(folder))
    before = page.get("/api/decomposition?y=1&x=2&revision=mine").json()
    map_before = array(page.get("/api/map/clusters?revision=mine"))
    orimap.decide(folder, distinct=3, quiet=True)
    known = page.get("/api/run?revision=mine").json()
    assert [each["outdated"] for each in known["revisions"]] == [True]
    for layer in known["layers"]:
        assert array(page.get(f"/api/map/{layer['id']}?revision=mine")).shape == (6, 7), layer
    np.testing.assert_array_equal(array(page.get("/api/map/clusters?revision=mine")), map_before)
    after = page.get("/api/decomposition?y=1&x=2&revision=mine").json()
    assert after["label"] == before["label"]
    shares = [[part["share"] for part in parts["shares"]] for parts in (before, after)]
    assert shares[0] == shares[1]
    intensities = [[part["intensity"] for part in parts["shares"]] for parts in (before, after)]
    # A revision of names alone has no fit of its own, and that of now says nothing of it.
    expected = intensities[0] if "merge" in edit else [None if share else 0 for share in shares[0]]
    assert intensities[1] == expected
    assert ("overlap" in [layer["id"] for layer in known["layers"]]) == ("merge" in edit)
    assert page.get("/api/line?y0=0&x0=0&y1=5&x1=6&revision=mine").status_code == 200
    assert page.get("/api/boundaries?revision=mine").status_code == 200
    assert array(page.get("/api/cluster/1/mean?revision=mine")).shape == (48, 46)


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("/api/pattern/raw?y=6&x=0", "row 6, column 0"),
        ("/api/pattern/raw?y=one&x=0", "one"),
        ("/api/pattern/raw?x=0", "none"),
        ("/api/pattern/nothing?y=0&x=0", "nothing"),
        ("/api/decomposition?y=0&x=7", "row 0, column 7"),
        ("/api/map/nothing", "nothing"),
        ("/api/cluster/3/mean", "cluster 3"),
        ("/api/cluster/1/median", "median"),
        ("/api/virtual?shape=disc&y=nan&x=3&radius=3", "disc at nan, 3 with radii 0 to 3"),
        ("/api/virtual?shape=disc&y=900&x=3&radius=3&exact=1", "none"),
        ("/api/region?y0=0&x0=0&y1=6&x1=3", "rows 0 to 6, columns 0 to 3"),
        ("/api/line?y0=0&x0=0&y1=inf&x1=3", "from (0.0, 0.0) to (inf, 3.0)"),
        ("/api/line?y0=inf&x0=0&y1=inf&x1=3", "from (inf, 0.0) to (inf, 3.0)"),
        ("/api/virtual?shape=disc&y=3&x=3&radius=1e200", "disc at 3, 3 with radii 0 to 1e+200"),
        ("/api/virtual?shape=disc&y=3&x=3&radius=-1e308", "disc at 3, 3 with radii 0 to -1e+308"),
        ("/api/virtual?shape=disc&y=1e200&x=3&radius=3", "disc at 1e+200, 3 with radii 0 to 3"),
        (
            "/api/virtual?shape=ring&y=3&x=3&radius=9&inner=1e200",
            "ring at 3, 3 with radii 1e+200 to 9",
        ),
        ("/api/number/5?wait=inf", "5"),
        ("/api/clusters?revision=../analysis", "no revisions there"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(page, address, found):
    assert said(page.get(address))["found"] == found


def test_another_number_is_drawn_as_orimap_decide_draws_it(page, small_run, folder):
    numbers = {n["distinct"]: n for n in page.get("/api/run").json()["numbers"]}
    assert {1, 2} <= set(numbers)
    # That of the results, and one that no fit holds by itself.
    for number, decided in (
        (2, small_run),
        (3, orimap.decide(folder, distinct=3, quiet=True)),
    ):
        known = page.get(f"/api/number/{number}?wait=60").json()
        found = page.get(f"/api/number/{number}/map?wait=60")
        # The same clusters, in other numbers.
        label, drawn = array(found), decided.labels.values
        pairs = sorted(set(zip(label.ravel().tolist(), drawn.ravel().tolist(), strict=True)))
        assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
        assert known["components"] == decided.attrs["fitted_k"]
        for each in known["clusters"]:
            assert each["positions"] == int((label == each["number"]).sum()) > 0
        assert [each["number"] for each in known["clusters"]] == list(range(1, number + 1))
        # Those that are decided keep number and colour where they lie.
        shown = page.get("/api/clusters").json()["clusters"]
        for each, same in zip(known["clusters"], shown, strict=False):
            assert (each["like"], each["colour"]) == (same["number"], same["colour"])
            here = label == each["number"]
            assert (small_run.labels.values[here] == same["number"]).mean() > 0.5
    assert known["clusters"][2]["like"] is None
    assert known["clusters"][2]["colour"] not in [each["colour"] for each in shown]
    assert known["how"] in decided.reasons


def test_of_a_number_that_takes_long_it_is_said_how_far_it_is(small_run, monkeypatch):
    ready, whole = threading.Event(), Numbers.whole
    monkeypatch.setattr(
        Numbers, "whole", lambda self, number: ready.wait(30) and whole(self, number)
    )
    page = TestClient(run_app(small_run.folder))
    for address in ("/api/number/3", "/api/number/3/map"):
        asked = page.get(f"{address}?wait=0")
        assert asked.status_code == 202
        assert asked.json() == {
            "distinct": 3, "working": True, "done": 0, "total": 5,
            "doing": "Looking for the fit that holds this number",
        }  # fmt: skip
    assert page.get("/api/number/4?wait=0").json()["doing"] == "Another map is drawn first"
    ready.set()
    assert page.get("/api/number/3?wait=60").status_code == 200
    # What was waited for went up to the map.
    drawing = Viewed(small_run.folder).now().numbers
    drawing.get(3, 60)
    assert drawing._drawings[3].doing.startswith("Drawing the map of the fit with ")
    assert 1 <= drawing._drawings[3].done < drawing._drawings[3].total == 5


def test_who_waits_for_another_number_keeps_nobody_else_waiting(small_run, monkeypatch):
    ready, whole = threading.Event(), Numbers.whole
    monkeypatch.setattr(
        Numbers, "whole", lambda self, number: ready.wait(30) and whole(self, number)
    )
    app = run_app(small_run.folder)

    async def ask():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            # More than there are threads for requests.
            waiting = [asyncio.create_task(client.get("/api/number/3?wait=60")) for _ in range(60)]
            clicked = await client.get("/api/pattern/raw?y=1&x=2")
            assert not any(task.done() for task in waiting)
            ready.set()
            return clicked.status_code, [(await task).status_code for task in waiting]

    async def within():
        async with asyncio.timeout(30):
            return await ask()

    assert asyncio.run(within()) == (200, [200] * 60)


def test_edits_are_tried_without_a_trace_and_written_as_one_revision(folder):
    page = TestClient(run_app(folder))
    steps = [{"merge": [[1, 2]]}, {"rename": {"1": "all <b>"}, "colour": {"1": "#AA3377"}}]
    before = sorted(path for path in folder.rglob("*") if path.is_file())
    version = page.get("/api/run").json()["version"]
    tried = page.post("/api/preview", json={"source": None, "steps": steps}).json()
    assert sorted(path for path in folder.rglob("*") if path.is_file()) == before
    label = np.frombuffer(base64.b64decode(tried["map"]), "<i2").reshape(tried["shape"])
    assert tried["clusters"] == [
        {"number": 1, "name": "all <b>", "colour": "#aa3377", "positions": int((label == 1).sum())}
    ]
    assert tried["said"][:2] == ["Clusters 1 and 2 were merged.", "Cluster 1 was named “all <b>”."]
    # Undone: the last step is left out.
    undone = page.post("/api/preview", json={"source": None, "steps": []}).json()
    automatic = np.frombuffer(base64.b64decode(undone["map"]), "<i2").reshape(undone["shape"])
    np.testing.assert_array_equal(automatic, array(page.get("/api/map/clusters")))

    asked = {"title": "checked", "source": None, "steps": steps}
    assert saved(page, asked) == "checked"
    # The results that are looked at have not changed.
    assert page.get("/api/run").json()["version"] == version
    written = array(page.get("/api/map/clusters?revision=checked"))
    np.testing.assert_array_equal(written, label)
    stored = orimap.open(folder, revision="checked")["clusters"].attrs
    assert (stored["cluster_names"], stored["cluster_colours"]) == (["all <b>"], ["#aa3377"])
    clusters = page.get("/api/clusters?revision=checked").json()["clusters"]
    assert clusters == tried["clusters"]
    described = page.get("/api/run?revision=checked").json()
    (known,) = described["revisions"]
    assert (known["name"], known["outdated"], known["patterns"]) == ("checked", False, 1)
    opened = orimap.open(folder, revision="checked")
    assert (
        described["headline"] == opened.headline == "1 cluster, edited by hand (revision checked)"
    )
    assert (described["confidence"], described["reasons"]) == (opened.confidence, opened.reasons)
    assert described["edits"] == tried["said"]
    assert described["automatic"] == orimap.open(folder).headline
    taken = page.post("/api/revisions", json=asked)
    assert taken.status_code == 409
    assert taken.json()["found"] == "checked, which is there"
    assert (taken.json()["name"], taken.json()["replaceable"]) == ("checked", True)
    # What follows starts from it.
    more = page.post("/api/preview", json={"source": "checked", "steps": []}).json()
    assert more["clusters"] == tried["clusters"]


def test_an_edit_is_made_once_however_many_follow_it(small_run, monkeypatch):
    made, apply = [], try_edits.apply_all

    def counted(grouping, steps, regularity):
        made.extend(steps)
        return apply(grouping, steps, regularity)

    monkeypatch.setattr(try_edits, "apply_all", counted)
    monkeypatch.setattr(try_edits, "MOST_KEPT", 3)
    trial = try_edits.Trial(small_run.folder)
    names = [Edits.read(rename={1: f"name {n}"}) for n in range(4)]
    assert trial.after(names[:2]).names[0] == "name 1"
    assert trial.after(names[:1]).names[0] == "name 0"
    assert made == names[:2]
    # The oldest are let go of, never the results themselves.
    assert trial.after(names).names[0] == "name 3"
    assert trial.after([]).names[0] == ""
    assert trial.after(names[:1]).names[0] == "name 0"
    assert made == [*names, names[0]]


def test_what_was_read_stays_while_results_do(folder):
    viewed = Viewed(folder)
    run = viewed.now()
    clusters = run.clusters()
    with held(folder / ".lock"):
        assert viewed.now() is run
        assert run.words == "complete"
    orimap.edit(folder, rename={1: "a"}, revision="mine", quiet=True)
    assert viewed.now() is run
    assert run.clusters() is clusters
    assert run.clusters("mine").names[0] == "a"
    shutil.rmtree(folder / "revisions" / "mine.zarr")
    orimap.edit(folder, rename={1: "b"}, revision="mine", quiet=True)
    assert run.clusters("mine").names[0] == "b"


def test_centred_patterns_are_shown_as_acquired_and_as_analysed(folder, sealed):
    clusters = zarr.open_group(folder / "analysis.zarr", path="clusters", mode="r+")
    clusters.attrs["patterns_centred"] = True
    beam = zarr.open_group(folder / "patterns.zarr", path="beam", mode="r+")
    moves = np.zeros((6, 7, 2), np.int16)
    moves[1, 2] = 3, -4
    beam["scan_pixel_shift"][:] = moves
    sealed(folder)
    run = Viewed(folder).now()
    kinds = description.pattern_kinds(run, run.clusters())
    assert [(kind["id"], kind["frame"]) for kind in kinds] == [
        ("raw", "as acquired"),
        ("filtered", "centred"),
        ("reconstructed", "centred"),
        ("residual", "centred"),
    ]
    page = TestClient(run_app(folder))
    assert page.get("/api/run").json()["virtual_frame"] == "centred"
    acquired = page.get("/api/pattern/raw?y=1&x=2")
    assert acquired.headers["x-shift"] == "3,-4"
    moved = array(page.get("/api/pattern/filtered?y=1&x=2"))
    np.testing.assert_array_equal(moved[3:, :-4], array(acquired)[:-3, 4:])


def test_a_page_that_only_shows_writes_nothing(folder):
    page = TestClient(run_app(folder, writable=False))
    assert page.get("/api/run").json()["writable"] is False
    asked = {"name": "a", "source": None, "steps": [{"rename": {"1": "matrix"}}]}
    said(page.post("/api/revisions", json=asked))
    assert revision_names(folder) == []
    assert page.post("/api/preview", json=asked).json()["clusters"][0]["name"] == "matrix"


def test_nothing_is_written_while_a_run_writes(folder):
    page = TestClient(run_app(folder))
    asked = {"name": "a", "source": None, "steps": [{"rename": {"1": "matrix"}}]}
    with held(folder / ".lock"):
        refused = said(page.post("/api/revisions", json=asked), 409)
        assert "another run is writing it" in refused["found"]
        assert page.get("/api/pattern/raw?y=0&x=0").status_code == 200
    assert saved(page, asked) == "a"


def test_titles_are_any_text_and_one_can_be_replaced_and_removed(folder):
    page = TestClient(run_app(folder))
    asked = {"title": "Größe 4+5 (Anna)", "source": None, "steps": [{"rename": {"1": "matrix"}}]}
    assert saved(page, asked) == "Groe-4-5-Anna"
    assert saved(page, {**asked, "title": "Größe 4/5 Anna"}) == "Groe-4-5-Anna-2"
    (folder / "report-Groe-4-5-Anna.html").write_text("of the one before")
    before = page.get("/api/run").json()["revisions"]
    assert [each["title"] for each in before] == ["Größe 4+5 (Anna)", "Größe 4/5 Anna"]
    more = {"source": "Groe-4-5-Anna", "steps": [{"rename": {"2": "rim"}}], "replace": True}
    assert saved(page, {**asked, **more}) == "Groe-4-5-Anna"
    after = page.get("/api/run").json()["revisions"]
    assert after[0]["edits"] == ["Cluster 1 was named “matrix”.", "Cluster 2 was named “rim”."]
    assert (after[0]["made"] > before[0]["made"], after[1]) == (True, before[1])
    assert not (folder / "report-Groe-4-5-Anna.html").exists()
    assert page.get("/api/clusters?revision=Groe-4-5-Anna").json()["clusters"][1]["name"] == "rim"

    with held(folder / ".lock"):
        said(page.post("/api/revisions/Groe-4-5-Anna/delete", json={}), 409)
    assert page.post("/api/revisions/Groe-4-5-Anna/delete", json={}).json() == {
        "name": "Groe-4-5-Anna"
    }
    assert revision_names(folder) == ["Groe-4-5-Anna-2"]
    for name in ("Groe-4-5-Anna", "..%2Fanalysis", "x%00"):
        assert page.post(f"/api/revisions/{name}/delete", json={}).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"3",
        b'{"steps": 3}',
        b'{"steps": [3]}',
        b'{"steps": [{"sudo": [1]}]}',
        b'{"steps": [{"merge": [3]}]}',
        b'{"steps": [{"merge": null}]}',
        b'{"steps": [{"rename": {"1": "' + 61 * b"x" + b'"}}]}',
        b'{"steps": [{"colour": {"1": "red"}}]}',
        b'{"steps": [{"merge": [[1, 9]]}]}',
        b'{"steps": [{"background": [1]}, {"background": [2]}]}',
        b'{"steps": ' + 100_000 * b"[",
        b'{"steps": [{"split": [NaN]}]}',
        b'{"steps": [{"split": [1e999]}]}',
        b'{"steps": [{"rename": {"1": "\\ud800"}}]}',
        b'{"steps": [{"rename": {"1": null}}]}',
        b'{"steps": [{"rename": {"1": "a"}}], "source": 4}',
        b'{"steps": [{"rename": {"1": "a"}}], "source": "nobody"}',
        b'{"steps": [{"rename": {"1": "a"}}], "title": "a\\u202eb"}',
        b'{"steps": [{"rename": {"1": "a"}}], "title": "a\\nb"}',
        b'{"steps": [{"rename": {"1": "a"}}], "title": "' + 81 * b"x" + b'"}',
        b'{"steps": [{"rename": {"1": "a"}}], "title": " "}',
        b'{"steps": [{"rename": {"1": "a"}}], "title": "a", "replace": 1}',
        b'{"steps": [{"rename": {"1": "a"}}], "name": "' + MOST_BYTES * b"x" + b'"}',
    ],
)
def test_edits_that_cannot_be_meant_are_refused(page, small_run, body):
    for address in ("/api/preview", "/api/revisions"):
        if b"title" in body and address == "/api/preview":
            continue  # it has no use for one
        said(page.post(address, content=body))
    assert revision_names(small_run.folder) == []


def test_a_folder_may_have_any_name(small_run, tmp_path):
    name = os.fsdecode(b"bad\xff\n") + "\u202egnp"
    folder = shutil.copytree(small_run.folder, tmp_path / name)
    known = TestClient(run_app(folder)).get("/api/run").json()
    assert known["name"] == "bad\\udcff\\n\\u202egnp"


def test_a_run_under_way_shows_what_is_there(folder):
    page = TestClient(run_app(folder))
    unfinished = folder / ".unfinished"
    unfinished.mkdir()
    for name in ("analysis.zarr", "patterns.zarr"):
        (folder / name).rename(unfinished / name)
    (folder / "report.html").unlink()
    analysis = unfinished / "analysis.zarr"
    later = ("baseline", "clusters", "overlap", "decision", "fits", "dark_fields", "sketch", "")
    with held(folder / ".lock"):
        for group in later:
            if group:
                shutil.rmtree(analysis / group)
            else:
                shutil.rmtree(analysis / "acquisition")
            for address in (
                "/api/run", "/api/clusters", "/api/map/clusters", "/api/map/navigation",
                "/api/pattern/raw?y=1&x=2", "/api/pattern/residual?y=1&x=2",
                "/api/decomposition?y=1&x=2", "/api/boundaries", "/api/number/2?wait=60",
                "/api/virtual?shape=disc&y=20&x=18&radius=5",
                "/api/virtual?shape=disc&y=20&x=18&radius=5&exact=1",
                "/api/region?y0=0&x0=0&y1=2&x1=2", "/api/line?y0=0&x0=0&y1=2&x1=2",
                "/report.html", "/",
            ):  # fmt: skip
                assert page.get(address).status_code in (200, 400, 404, 503), (group, address)
            known = page.get("/api/run").json()
            assert known["state"].startswith("running: ")
            assert known["writable"] is False
            there = bool(group)
            assert [layer["id"] for layer in known["layers"]].count("navigation") == there
            if there and group != "baseline":
                assert [kind["id"] for kind in known["pattern_kinds"]] == ["raw"]
                assert said(page.get("/api/clusters"), 503)["found"].startswith("a run that")
        assert known["state"] == "running: ingest"
        assert known["scan"] is None


def test_results_that_were_kept_without_patterns_are_shown_as_far_as_they_go(folder, sealed):
    clusters = zarr.open_group(folder / "analysis.zarr", path="clusters", mode="r+")
    before = array(TestClient(run_app(folder)).get("/api/pattern/reconstructed?y=0&x=0"))
    assert clusters.attrs["patterns_floor"] == 0
    clusters.attrs.update(patterns_centred=True, patterns_floor=0.5)
    shutil.rmtree(folder / "patterns.zarr")
    for name in ("fits", "dark_fields"):
        shutil.rmtree(folder / "analysis.zarr" / name)
    sealed(folder)
    page = TestClient(run_app(folder))
    known = page.get("/api/run").json()
    assert known["virtual_frame"] == "centred"
    # The noise of read-out is taken off without the patterns, too.
    found = array(page.get("/api/pattern/reconstructed?y=0&x=0"))
    valid = before != 0
    np.testing.assert_allclose(found[valid], before[valid] - 0.5, atol=1e-5)
    assert [kind["id"] for kind in known["pattern_kinds"]] == ["reconstructed"]
    assert known["writable"] is False
    assert [n["distinct"] for n in known["numbers"]] == [2]
    assert array(page.get("/api/cluster/1/mean")).shape == (48, 46)
    assert page.get("/api/decomposition?y=0&x=0").status_code == 200
    for address in ("/api/pattern/raw?y=0&x=0", "/api/region?y0=0&x0=0&y1=2&x1=2"):
        assert "not kept" in said(page.get(address), 503)["found"]
    assert "no /dark_fields" in said(page.get("/api/number/1"))["found"]
    assert page.post("/api/preview", json={"steps": []}).status_code == 400


def test_what_is_taken_off_a_fit_is_refused_where_it_is_not_known(folder, sealed):
    """Results of earlier versions, without patterns, of a camera with noise of its own."""
    analysis = folder / "analysis.zarr"
    clusters = zarr.open_group(analysis, path="clusters", mode="r+")
    del clusters.attrs["patterns_floor"]
    zarr.open_group(analysis, path="acquisition", mode="r+").attrs["camera_shift"] = 2.0
    shutil.rmtree(folder / "patterns.zarr")
    zarr.open_group(analysis, path="dark_fields", mode="r+").attrs["pedestal"] = 0.25
    sealed(folder)
    page = TestClient(run_app(folder))
    with_it = page.get("/api/decomposition?y=0&x=0").json()["background_intensity"]
    shutil.rmtree(analysis / "dark_fields")
    sealed(folder)
    page = TestClient(run_app(folder))
    assert page.get("/api/decomposition?y=0&x=0").json()["background_intensity"] is None
    assert with_it is not None
    for address in (
        "/api/pattern/reconstructed?y=0&x=0",
        "/api/virtual?shape=disc&y=20&x=18&radius=5",
    ):
        assert "not stored elsewhere" in said(page.get(address), 503)["found"]


def test_what_was_read_is_read_anew_when_the_results_are_others(folder):
    page = TestClient(run_app(folder))
    before = page.get("/api/run").json()
    orimap.decide(folder, distinct=1, quiet=True)
    after = page.get("/api/run").json()
    assert before["version"] != after["version"]
    assert after["headline"].startswith("1 distinct pattern")
    assert [each["number"] for each in page.get("/api/clusters").json()["clusters"]] == [1]
    assert array(page.get("/api/map/clusters")).max() == 1


@pytest.mark.parametrize("how", ["closed", "replaced"])
def test_what_was_read_is_let_go_at_once_when_nobody_looks_any_more(folder, monkeypatch, how):
    opened = []

    class Watched(Opened):
        def __init__(self, *given):
            super().__init__(*given)
            opened.append(weakref.ref(self))

    monkeypatch.setattr("orimap.tasks.view.opened.Opened", Watched)
    app = run_app(folder)
    page = TestClient(app)
    before = BLOCKS.bytes, IMAGES.bytes
    for address in (
        "/api/run", "/api/map/clusters", "/api/map/navigation", "/api/pattern/raw?y=1&x=2",
        "/api/pattern/residual?y=1&x=2", "/api/virtual?shape=disc&y=20&x=18&radius=5",
        "/api/virtual?shape=disc&y=20&x=18&radius=5&exact=1", "/api/number/3?wait=60",
    ):  # fmt: skip
        assert page.get(address).status_code == 200
    assert page.post("/api/preview", json={"steps": [{"merge": [[1, 2]]}]}).status_code == 200
    until = time.monotonic() + 60
    while any(thread.name == "first clicks" for thread in threading.enumerate()):
        assert time.monotonic() < until
        time.sleep(0.01)
    run = opened[0]()
    held = [run, run.patterns, run.clusters(), run.clusters().fit, run.approximate, run.sample,
            run.numbers, run.numbers._fields, *run.trials.values()]  # fmt: skip
    assert len(held) == 9
    gone = [weakref.ref(each) for each in held]
    assert app.bytes >= run.approximate.nbytes + run.clusters().share.nbytes
    assert BLOCKS.bytes > before[0]
    assert IMAGES.bytes == before[1] + 6 * 7 * 8
    gc.collect()
    gc.disable()
    try:
        del run, held
        if how == "closed":
            app.close()
        else:
            (folder / "analysis.zarr" / "clusters" / "zarr.json").touch()
            assert page.get("/api/clusters").status_code == 200
        assert [each() for each in gone] == [None] * len(gone)
        assert (BLOCKS.bytes, IMAGES.bytes) == before
    finally:
        gc.enable()


def test_a_long_answer_ends_when_nobody_waits_for_it(small_run, monkeypatch):
    begun, ended = threading.Event(), threading.Event()

    def endless(source, mask, stop):
        begun.set()
        assert stop.wait(20), "nobody said that whoever asked is gone"
        ended.set()
        raise run_routes.StoppedError

    monkeypatch.setattr(run_routes, "exact_image", endless)
    app = run_app(small_run.folder)
    query = b"shape=disc&y=20&x=18&radius=5&exact=1"
    scope = {
        "type": "http", "method": "GET", "path": "/api/virtual", "query_string": query,
        "headers": [], "http_version": "1.1", "scheme": "http", "server": ("127.0.0.1", 1),
        "root_path": "",
    }  # fmt: skip
    sent = []

    async def receive():
        if begun.is_set():
            return {"type": "http.disconnect"}
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"", "more_body": True}

    async def send(message):
        sent.append(message)

    async def ask():
        async with asyncio.timeout(20):
            await app(scope, receive, send)

    asyncio.run(ask())
    assert ended.is_set()
    assert sent[0]["status"] == run_routes.NOBODY_WAITS


def test_pages_of_the_run_are_served_and_nothing_else_of_its_folder(folder):
    (folder / "figures").mkdir(exist_ok=True)
    (folder / "figures" / "map.png").write_bytes(b"picture")
    for name in ("page.html", "code.js", "style.css", "data.json", "page.xhtml", "map.PNG.js"):
        (folder / "figures" / name).write_text("made by somebody")
    (folder / "report-edit-1.html").write_text("<p>edited</p>")
    outside = folder.parent / "secret.html"
    outside.write_text("secret")
    (folder / "report-link.html").symlink_to(outside)
    (folder / "figures" / "link.png").symlink_to(outside)
    page = TestClient(run_app(folder))
    for address in ("/report.html", "/report-edit-1.html"):
        found = page.get(address)
        assert found.status_code == 200
        # It has scripts of its own, which get at nothing of the viewer.
        assert found.headers["content-security-policy"].startswith("sandbox ")
        assert "allow-same-origin" not in found.headers["content-security-policy"]
    picture = page.get("/figures/map.png")
    assert (picture.content, picture.headers["content-type"]) == (b"picture", "image/png")
    assert picture.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    for address in (
        "/figures/page.html", "/figures/code.js", "/figures/style.css", "/figures/data.json",
        "/figures/page.xhtml", "/figures/map.PNG.js", "/figures/page.html?a=map.png",
        "/run.json", "/analysis.zarr/zarr.json", "/report-link.html", "/figures/link.png",
        "/figures/..%2Frun.json", "/..%2Fsecret.html", "/figures-x/%2e%2e", "/secret.html",
        "/report-..html", "/.lock",
    ):  # fmt: skip
        assert page.get(address).status_code == 404, address
    assert page.get("/static/viewer.html").status_code == 200
    # The page of what is no revision (any more) is shown as it lies there.
    assert page.get("/report-edit-2.html").status_code == 404
    assert page.get("/").headers["content-type"].startswith("text/html")


def test_what_goes_wrong_in_the_program_is_said_without_its_insides(small_run, monkeypatch):
    def broken(*_):
        raise RuntimeError("the secret insides")

    monkeypatch.setattr(run_routes, "cluster_words", broken)
    page = TestClient(run_app(small_run.folder), raise_server_exceptions=False)
    answer = page.get("/api/clusters")
    said(answer, 500)
    assert "insides" not in answer.text


def test_a_link_that_leads_elsewhere_is_no_file_of_the_folder(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    (tmp_path / "secret").write_text("not for the page")
    (folder / "report.html").write_text("the page")
    (folder / "link.html").symlink_to(tmp_path / "secret")
    assert lies_in(folder / "report.html", folder)
    assert not lies_in(folder / "link.html", folder)
    assert not lies_in(folder / "absent.html", folder)
    assert not lies_in(folder, folder)
