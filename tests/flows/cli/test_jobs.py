import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orimap.flows.cli import main
from orimap.flows.cli.jobs import _Both, _inside, _profile, _words, read_job
from orimap.flows.jobs.job import Job, Standing
from orimap.flows.request.request import Request
from orimap.tasks.errors import InputError


def test_a_job_is_read_as_it_was_written(tmp_path):
    job = Job(acquisition="abc", request=Request(file=tmp_path / "a.npy", output=tmp_path))
    (tmp_path / "job.json").write_text(job.model_dump_json())
    assert read_job(tmp_path / "job.json") == job


@pytest.mark.parametrize("content", [None, "no job", "{}"])
def test_what_is_no_job_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "job.json").write_text(content)
    with pytest.raises(InputError, match="a job as orimap writes it"):
        read_job(tmp_path / "job.json")
    answer = CliRunner().invoke(main.app, ["perform", str(tmp_path / "job.json")])
    assert (answer.exit_code, answer.stdout) == (2, "")


def test_a_job_names_whole_paths_and_computes_on_its_own_cores(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = Request(file="a.npy", output="out", profile="mine")
    inside = _inside(asked)
    assert (inside.file, inside.output) == (tmp_path / "a.npy", tmp_path / "out")
    assert (inside.mask, inside.profile) == (None, None)
    assert inside.crystals == ()
    named = _inside(asked.model_copy(update={"crystals": (Path("a.cif"),), "mask": Path("m.npy")}))
    assert (named.crystals, named.mask) == ((Path("a.cif").absolute(),), Path("m.npy").absolute())
    assert _inside(asked.model_copy(update={"cluster": "slurm"})).profile == "mine"


def test_without_a_batch_system_nothing_can_be_submitted():
    asked = Request(file="a.npy", output="out")
    with pytest.raises(InputError, match="neither --profile nor --cluster names one"):
        _profile(asked)
    assert _profile(asked.model_copy(update={"cluster": "slurm"})).system == "slurm"


def test_the_reason_of_a_state_follows_it():
    assert _words(Standing("waiting", "Priority")) == "waiting: Priority"
    assert _words(Standing("running")) == "running"


def test_a_log_goes_to_the_terminal_and_to_its_file(tmp_path, capsys):
    with (tmp_path / "log").open("w") as log:
        both = _Both(sys.stderr, log)
        assert both.write("a line\n") == 7
        both.flush()
        assert (tmp_path / "log").read_text() == capsys.readouterr().err == "a line\n"
