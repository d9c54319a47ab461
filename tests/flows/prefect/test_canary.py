"""The canary with an analysis that is said to have ended; the real one sings every night."""

import pytest

from orimap.flows.jobs.outcome import Outcome, write_outcome
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.errors import InputError


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A watched folder and one of results, as orimap up names them."""
    made = [tmp_path.resolve() / name for name in ("watched", "results")]
    for name, folder in zip(("ORIMAP_WATCHED", "ORIMAP_RESULTS"), made, strict=True):
        folder.mkdir()
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setenv("ORIMAP_ROOTS", str(tmp_path.resolve()))
    return made


def _sing(monkeypatch, **facts):
    """Let the canary come to an end; return its state and where its results were expected."""
    from orimap.flows.prefect import canary

    asked = []

    def wait(output, minutes):
        asked.append((output, minutes))
        fields = {"key": "k", "acquisition": "a", "state": "done", "checked": True, **facts}
        return Outcome(**fields)

    monkeypatch.setattr(canary, "_wait", wait)
    return canary.canary(minutes=7, return_state=True), asked


def test_a_right_decision_is_a_success(prefect_api, folders, monkeypatch):
    state, asked = _sing(monkeypatch, decided_k=3)
    assert state.is_completed()
    assert state.result() == 3
    watched, results = folders
    (scan,) = (watched / "orimap-canary").glob("*.hspy")
    sidecar = scan.with_name(f"{scan.name}.orimap.yaml")
    assert sidecar.read_text() == "k: 1:8\n"
    assert scan.stat().st_mtime_ns > sidecar.stat().st_mtime_ns  # the options are there first
    assert open_acquisition(scan).scan_shape == (12, 16)
    assert asked == [(results / "orimap-canary" / scan.name, 7)]


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (
            {"decided_k": 2, "report": "r.html"},
            "3 grains, and 2 were decided; look at r.html",
        ),
        ({"state": "failed", "reason": "too dark", "remedy": "more"}, "not analysed: too dark"),
        ({"checked": False}, "the canary was not analysed"),
    ],
)
def test_anything_else_fails_the_run(prefect_api, folders, monkeypatch, facts, said):
    state, _ = _sing(monkeypatch, **facts)
    assert state.is_failed()
    assert said in state.message


def test_no_decision_in_time_says_where_to_look(tmp_path):
    from orimap.flows.prefect.canary import CanaryError, _wait

    with pytest.raises(CanaryError, match=r"no decision in .* after 0 minutes: look at"):
        _wait(tmp_path, 0)
    outcome = Outcome(key="k", acquisition="a", state="failed")
    write_outcome(tmp_path, outcome)
    assert _wait(tmp_path, 1) == outcome


def test_a_folder_that_is_not_named_or_not_allowed_is_refused(folders, monkeypatch):
    from orimap.flows.prefect.canary import WATCHED_VARIABLE, _folder

    assert _folder(None, WATCHED_VARIABLE) == folders[0]
    with pytest.raises(InputError, match="an absolute path under"):
        _folder("/", WATCHED_VARIABLE)
    monkeypatch.delenv(WATCHED_VARIABLE)
    with pytest.raises(InputError, match="the folder that ORIMAP_WATCHED names"):
        _folder(None, WATCHED_VARIABLE)
