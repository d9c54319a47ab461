import pytest

from orimap.flows.jobs.page import page_of


@pytest.fixture
def viewed(tmp_path, monkeypatch):
    monkeypatch.setenv("ORIMAP_VIEW", "http://127.0.0.1:4201")
    monkeypatch.setenv("ORIMAP_RESULTS", str(tmp_path / "results"))
    return tmp_path / "results"


def test_a_run_has_an_address_below_that_of_the_viewer(viewed):
    asked = viewed / "day 1" / "scan #7?.hspy"
    assert page_of(asked) == "http://127.0.0.1:4201/runs/day%201/scan%20%237%3F.hspy/"


def test_what_the_viewer_does_not_show_has_none(viewed, tmp_path, monkeypatch):
    assert page_of(tmp_path / "elsewhere") is None
    assert page_of(viewed) is None
    assert page_of(viewed / ".." / "elsewhere") is None
    monkeypatch.setenv("ORIMAP_VIEW", "javascript:alert(1)//")
    assert page_of(viewed / "a") is None
    monkeypatch.delenv("ORIMAP_VIEW")
    assert page_of(viewed / "a") is None
