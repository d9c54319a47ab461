import json
import shutil
import threading
import time
from collections import Counter

import numpy as np
import pytest
import xarray as xr

from orimap.flows.pipeline.pipeline import run_pipeline
from orimap.flows.pipeline.runtime.runner import NoDisplay, PlainRunner
from orimap.flows.request.request import Request
from orimap.tasks.errors import InputError
from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.write_scan import write_scan


@pytest.fixture(scope="module")
def runs(prefect_api, client, bare_pages, tmp_path_factory):
    """The same request run plainly and recorded."""
    from orimap.flows.prefect.runner import analyse_recorded

    folder = tmp_path_factory.mktemp("runs")
    recipe = ScanRecipe(scan=(9, 12), detector=(48, 48), grains=2, dose=3000, seed=4)
    write_scan(recipe, folder / "scan.zarr")
    asked = {"file": folder / "scan.zarr", "k": "1:4", "cluster": client.scheduler.address}
    with bare_pages():
        plain = run_pipeline(
            Request.read(output=folder / "plain", **asked), PlainRunner(NoDisplay())
        )
    recorded = analyse_recorded(Request.read(output=folder / "recorded", **asked), NoDisplay())
    return plain, recorded


def _recorded(api, kind):
    return api.request("POST", f"/{kind}/filter", json={"limit": 200}).json()


def _group(folder, group):
    return xr.open_zarr(folder / "analysis.zarr", group=group, consolidated=False)


def test_a_recorded_run_has_the_same_results(runs):
    for group in ("clusters", "overlap", "decision", "fits/k01", "fits/k04"):
        plain, recorded = (_group(folder, group) for folder in runs)
        xr.testing.assert_allclose(plain, recorded, rtol=1e-4)
    labels = [_group(folder, "clusters")["cluster_label"].values for folder in runs]
    np.testing.assert_array_equal(*labels)


def test_the_run_its_steps_and_every_k_are_recorded(runs, prefect_api):
    (run,) = [r for r in _recorded(prefect_api, "flow_runs") if r["name"] == "scan.zarr"]
    assert run["state_type"] == "COMPLETED"
    assert run["parameters"]["request"]["k"] == [1, 4]
    tasks = [t for t in _recorded(prefect_api, "task_runs") if t["flow_run_id"] == run["id"]]
    assert all(task["state_type"] == "COMPLETED" for task in tasks)
    names = Counter(task["name"] for task in tasks)
    assert {"ingest", "sketch", "decide", "clusters", "report"} <= set(names)
    fits = [name for name in names if name.startswith("fit ")]
    assert len(fits) == 4
    assert set(names.values()) == {1}


def test_decision_maps_and_links_are_artifacts(runs, prefect_api):
    _, recorded = runs
    found = _recorded(prefect_api, "artifacts")
    artifacts = {a["key"]: a["data"] for a in found}
    assert '"k"' in artifacts["decision"]
    described = {a["key"]: a["description"] for a in found}
    assert described["decision"].startswith("Why this number of components: for every k")
    assert described["cluster-map"] == "cluster map, from the report"
    assert artifacts["cluster-map"].startswith("![cluster_map](data:image/png;base64,")
    # Other tests record runs on the same server.
    link = (recorded / "report.html").as_uri()
    (report,) = (a["data"] for a in found if a["key"] == "report" and link in a["data"])
    # Browsers refuse such a link from a page of a server: the path is there to be copied.
    assert f"\n{recorded / 'report.html'}\n" in report
    assert "/status" in artifacts["link"]


def test_orientations_are_a_table_where_clusters_were_indexed(
    runs, prefect_api, index_by_hand, tmp_path
):
    from orimap.flows.prefect.runner import keep_orientations

    plain, _ = runs
    # The run itself was not given crystals.
    assert "orientations" not in {a["key"] for a in _recorded(prefect_api, "artifacts")}
    keep_orientations(plain)
    assert "orientations" not in {a["key"] for a in _recorded(prefect_api, "artifacts")}
    indexed = shutil.copytree(plain, tmp_path / "indexed")
    index_by_hand(indexed)
    keep_orientations(indexed)
    (found,) = (a for a in _recorded(prefect_api, "artifacts") if a["key"] == "orientations")
    assert found["description"].startswith("Which crystal each cluster is and how it lies")
    rows = json.loads(found["data"])
    assert [row["cluster"] for row in rows] == list(range(1, len(rows) + 1))
    assert rows[0] == {
        "cluster": 1,
        "crystal": "silicon",
        "zone axis": "[0 0 1]",
        "reliability": 0.45,
        "flag": "",
    }


def test_input_at_fault_fails_the_run_at_once_and_is_told_as_it_is(prefect_api, tmp_path):
    from orimap.flows.prefect.runner import analyse_recorded

    request = Request.read(file=tmp_path / "absent.blo", output=tmp_path / "out")
    with pytest.raises(InputError, match=r"absent\.blo"):
        analyse_recorded(request, NoDisplay())
    (run,) = [r for r in _recorded(prefect_api, "flow_runs") if r["name"] == "absent.blo"]
    assert run["state_type"] == "FAILED"


def _in_flow(work, monkeypatch):
    """Call something inside a flow, with a step runner that does not wait between tries."""
    from prefect import flow
    from prefect.task_runners import ThreadPoolTaskRunner

    from orimap.flows.prefect import runner as prefect_runner

    monkeypatch.setattr(prefect_runner, "RETRY_DELAYS_SECONDS", [0, 0])
    inner = flow(work, name="inner", task_runner=ThreadPoolTaskRunner(max_workers=8))
    return inner(prefect_runner.PrefectRunner(NoDisplay()))


def test_a_piece_that_fails_is_tried_again(prefect_api, monkeypatch):
    tries = Counter()

    def work(k):
        tries[k] += 1
        if k == 3 and tries[k] < 3:
            raise RuntimeError("a worker was lost")
        return k

    def flow(runner):
        return runner.each("fit", {f"k={k}": lambda k=k: work(k) for k in (2, 3)})

    assert _in_flow(flow, monkeypatch) == {"k=2": 2, "k=3": 3}
    assert tries == {2: 1, 3: 3}


@pytest.mark.parametrize(
    ("error", "times"),
    [
        (InputError("a", "b", "c"), 1),
        (FileNotFoundError("gone"), 1),
        (ValueError("wrong"), 1),
        (OSError("disk is away for a moment"), 3),
    ],
)
def test_a_step_is_tried_again_only_where_that_can_help(prefect_api, monkeypatch, error, times):
    tries = []

    def work(_progress):
        tries.append(1)
        raise error

    with pytest.raises(type(error), match=str(error).splitlines()[0]):
        _in_flow(lambda runner: runner.step("ingest", work), monkeypatch)
    assert len(tries) == times


def test_pieces_run_at_the_same_time_and_the_first_failure_ends_them(prefect_api, monkeypatch):
    together, release = threading.Barrier(2, timeout=60), threading.Event()
    tries = Counter()

    def fail():
        tries["fails"] += 1
        together.wait()
        raise InputError("a", "b", "c")

    def waits():
        tries["waits"] += 1
        together.wait()
        release.wait(60)
        raise RuntimeError("its client is closed")

    def flow(runner):
        try:
            return runner.each("fit", {"k=2": fail, "k=3": waits})
        finally:
            release.set()

    with pytest.raises(InputError):
        _in_flow(flow, monkeypatch)
    assert tries == {"fails": 1, "waits": 1}


def test_a_long_step_has_its_progress_as_an_artifact(prefect_api, monkeypatch):
    from orimap.flows.prefect import runner as prefect_runner

    monkeypatch.setattr(prefect_runner, "PROGRESS_AFTER_SECONDS", 0.05)

    def work(progress):
        for done in range(1, 4):
            time.sleep(0.1)
            progress(done, 8)

    _in_flow(lambda runner: runner.step("a long one", work), monkeypatch)
    (artifact,) = [
        a for a in _recorded(prefect_api, "artifacts") if a["key"] == "a-long-one-progress"
    ]
    assert artifact["type"] == "progress"
    assert float(artifact["data"]) == 100


def test_numbers_in_tables_have_the_digits_that_people_compare():
    from orimap.flows.prefect.runner import _plain

    values = [np.float32(0.123456), 1234567.8, np.int64(123456), np.bool_(True), np.nan, "six"]
    assert [_plain(value) for value in values] == [0.1235, 1235000.0, 123456, True, None, "six"]
