import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from orimap.flows.jobs.job import Job
from orimap.flows.jobs.outcome import read_outcome
from orimap.flows.request.request import Request
from orimap.tasks.errors import InputError
from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.write_scan import write_scan


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A root for acquisitions, one for results, and a folder outside."""
    made = [tmp_path.resolve() / name for name in ("watched", "results", "outside")]
    for each in made:
        each.mkdir()
    monkeypatch.setenv("ORIMAP_ROOTS", f"{made[0]}{os.pathsep}{made[1]}")
    return made


def _announced(folders, *, fingerprint="0123456789ab", **options):
    """What an event says of scan.hspy."""
    watched, results, _ = folders
    request = Request.read(file=watched / "scan.hspy", output=results / "scan", **options)
    return {
        "path": request.file,
        "results": request.output,
        "key": Job(acquisition=fingerprint, request=request).key,
        "fingerprint": fingerprint,
        "options": request.model_dump(mode="json", include=set(options)),
    }


def _job(said, where=None):
    from orimap.flows.prefect.deployments import announced_job

    return announced_job(**said, where=where or {})


def test_what_an_event_says_becomes_the_job_that_was_announced(folders):
    said = _announced(folders, k="1:4", bin=2)
    job = _job(said, where={"workers": 1})
    assert job.key == said["key"]
    assert job.request == Request.read(
        file=said["path"], output=said["results"], k="1:4", bin=2, workers=1
    )


@pytest.mark.parametrize("name", ["path", "results"])
@pytest.mark.parametrize("lead", ["{outside}/a", "{watched}/../outside/a", "relative", "link"])
def test_a_path_outside_the_roots_is_refused(folders, name, lead):
    watched, _, outside = folders
    (watched / "link").symlink_to(outside)
    path = watched / "link/scan.hspy" if lead == "link" else lead.format_map(vars_of(folders))
    with pytest.raises(InputError, match="an absolute path under"):
        _job({**_announced(folders), name: Path(path)})


def vars_of(folders):
    return dict(zip(("watched", "results", "outside"), folders, strict=True))


def test_a_mask_outside_the_roots_is_refused(folders):
    said = _announced(folders)
    with pytest.raises(InputError, match="an absolute path under"):
        _job({**said, "options": {"mask": str(folders[2] / "mask.npy")}})


@pytest.mark.parametrize("name", ["crystals", "crystal"])
def test_a_crystal_outside_the_roots_is_refused(folders, name):
    said, path = _announced(folders), str(folders[2] / "a.cif")
    for given in (path, [path], [str(folders[0] / "b.cif"), path]):
        with pytest.raises(InputError, match="an absolute path under"):
            _job({**said, "options": {name: given}})


@pytest.mark.parametrize(
    ("options", "needed"),
    [
        ({"cluster": "tcp://192.0.2.1:8786"}, "options of the analysis from outside"),
        ({"restart": True}, "options of the analysis from outside"),
        ({"output": "/"}, "options of the analysis from outside"),
        ({"unknown": 1}, "an option that orimap run knows"),
        ({"bin": 0}, "--bin 0"),
        ({"bin": 2}, "the job orimap-0123456789ab"),
    ],
)
def test_options_that_are_not_for_an_event_or_not_those_of_its_key_are_refused(
    folders, options, needed
):
    with pytest.raises(InputError, match=needed):
        _job({**_announced(folders), "options": options})


def test_the_form_needs_a_path_alone_and_describes_every_field():
    from prefect.utilities.callables import parameter_schema

    from orimap.flows.prefect.deployments import analyse, compare

    for flow, needed in ((analyse, ["path"]), (compare, ["path", "results"])):
        form = parameter_schema(flow).model_dump()
        assert form["required"] == needed
        assert [name for name, field in form["properties"].items() if not field.get("description")
        ] == []  # fmt: skip


def test_what_a_person_starts_with_a_path_alone_goes_where_the_watcher_puts_it(
    prefect_api, folders, monkeypatch
):
    from orimap.flows.prefect.deployments import analyse

    watched, results, _ = folders
    file = watched / "monday" / "scan.hspy"
    file.parent.mkdir()
    file.write_text("no scan")
    state = analyse(path=file, return_state=True)
    assert "fill in the field results" in state.message
    monkeypatch.setenv("ORIMAP_RESULTS", str(results))
    assert analyse(path=file, return_state=True).is_failed()
    assert "scan.hspy" in read_outcome(results / "scan.hspy").reason
    monkeypatch.setenv("ORIMAP_WATCHED", str(watched))
    assert analyse(path=file, return_state=True).is_failed()
    first = read_outcome(results / "monday" / "scan.hspy")
    # Another file under the same name is another job.
    file.write_text("no scan either")
    assert analyse(path=file, return_state=True).is_failed()
    assert read_outcome(results / "monday" / "scan.hspy").key != first.key


def test_bad_data_ends_the_run_at_once_with_the_reason_in_words(prefect_api, folders):
    from orimap.flows.prefect.deployments import analyse

    said = _announced(folders)
    said["path"].write_text("no scan")
    state = analyse(**said, return_state=True)
    assert (state.type, state.name) == ("FAILED", "Failed")
    assert "scan.hspy" in state.message
    assert "needed:" in state.message
    outcome = read_outcome(said["results"])
    assert (outcome.state, outcome.kind, len(outcome.attempts)) == ("failed", "bad data", 1)


def test_a_run_that_takes_too_long_ends_with_all_its_workers(prefect_api, folders):
    from orimap.flows.prefect.deployments import analyse

    recipe = ScanRecipe(scan=(9, 12), detector=(48, 48), grains=2, dose=3000, seed=4)
    said = _announced(folders)
    write_scan(recipe, said["path"])
    before = set(psutil.Process().children(recursive=True))
    state = analyse(**said, where={"workers": 1}, hours=3 / 3600, return_state=True)
    assert state.is_failed()
    assert "took longer than 0.000833333 hours" in state.message
    outcome = read_outcome(said["results"])
    assert (outcome.state, outcome.kind, outcome.key) == ("failed", "resources", said["key"])
    new = set(psutil.Process().children(recursive=True)) - before
    workers = [p for p in new if "resource_tracker" not in " ".join(p.cmdline())]
    assert psutil.wait_procs(workers, timeout=10)[1] == []


# Each is a run of its own process, as a worker starts them.
A_RUN = """
import json, sys
from pathlib import Path
from orimap.flows.prefect.deployments import analyse

said = json.loads(sys.argv[1])
state = analyse(**said, where={"workers": 1}, return_state=True)
print(json.dumps([state.type.value, state.name, state.message]))
"""


def _start_run(said, api):
    """Start a run of a job; its answer is type, name and message of its last state."""
    plain = {**said, "path": str(said["path"]), "results": str(said["results"])}
    return subprocess.Popen(
        [sys.executable, "-c", A_RUN, json.dumps(plain)],
        env={**os.environ, "PREFECT_API_URL": str(api.api_url)},
        stdout=subprocess.PIPE,
        text=True,
    )


def _answer(run):
    said, _ = run.communicate(timeout=240)
    return json.loads(said.splitlines()[-1])


def test_of_two_runs_of_one_job_one_analyses_and_the_other_ends_well_and_without_work(
    prefect_api, folders
):
    """A direct run, and that of an event which has come too late: whichever starts first."""
    from orimap.flows.prefect.deployments import analyse

    said = _announced(folders, k="1:4")
    recipe = ScanRecipe(scan=(9, 12), detector=(48, 48), grains=2, dose=3000, seed=4)
    write_scan(recipe, said["path"])
    pair = [_start_run(said, prefect_api) for _ in range(2)]
    duplicate, analysed = sorted(map(_answer, pair), key=lambda answer: answer[1] != "Duplicate")
    assert analysed[:2] == ["COMPLETED", "Completed"]
    assert analysed[2].startswith("2 clusters")
    assert duplicate[:2] == ["COMPLETED", "Duplicate"]
    assert duplicate[2].startswith("Nothing to do: another run")
    log = said["results"] / "run.log"
    before = {path: path.stat().st_mtime_ns for path in (log, said["results"] / "outcome.json")}
    assert log.read_text().count("ingest: done") == 1
    # It may as well start when the first one has ended.
    late = analyse(**said, where={"workers": 1}, return_state=True)
    done = "Nothing to do: another run has done this job."
    assert (late.type.value, late.name, late.message) == ("COMPLETED", "Duplicate", done)
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_a_failed_job_may_be_started_again_by_hand(prefect_api, folders):
    from orimap.flows.prefect.deployments import analyse

    said = _announced(folders)
    said["path"].write_text("no scan")
    for _ in range(2):
        assert analyse(**said, return_state=True).name == "Failed"
        time.sleep(1.1)  # outcomes are dated in whole seconds
    assert (said["results"] / "run.log").read_text().count("scan.hspy") > 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_end_of_its_time_is_not_lost_in_a_callback(tmp_path):
    from orimap.flows.prefect.deployments import _at_most

    class Careless:
        def __del__(self):
            # Nothing that is raised here gets out.
            time.sleep(1.0)

    (tmp_path / "out").mkdir()
    request = Request.read(file=tmp_path / "scan.npy", output=tmp_path / "out")
    job = Job(acquisition="0123456789ab", request=request)
    cleaned = []

    def run():
        with _at_most(0.5 / 3600, job):
            try:
                Careless()
                time.sleep(20)
            finally:
                # On its way out a run takes its time, and is not told again.
                time.sleep(2.5)
                cleaned.append(True)

    with pytest.raises(TimeoutError, match="took longer"):
        run()
    assert cleaned == [True]
