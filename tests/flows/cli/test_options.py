import inspect
from pathlib import Path

import pytest

from orimap.flows.cli.options import read_request, state_folder, with_request_options
from orimap.flows.request.request import RENAMED, Request
from orimap.tasks.errors import InputError, Notice


def _command(**how):
    def command(*, debug: bool = False, **options):
        """Do something."""

    return inspect.signature(with_request_options(command, **how)).parameters


def test_a_command_gets_an_option_for_each_field_before_its_own():
    parameters = _command()
    assert list(parameters) == [*Request.model_fields, *RENAMED, "debug"]
    assert parameters["k"].default is None
    assert parameters["restart"].default is False


def test_options_of_a_stored_request_have_no_defaults_and_some_can_be_left_out():
    parameters = _command(without=("file", "output"), stored=True)
    assert list(parameters) == [n for n in [*Request.model_fields, *RENAMED, "debug"] if n not in
                                ("file", "output")]  # fmt: skip
    assert parameters["split_bent"].default is None


def test_a_number_on_the_command_line_sets_aside_one_of_another_kind(tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text("file: a.blo\noutput: out\ncomponents: 7\n")
    asked = read_request("run", config, {"distinct": "5", "no_merge": False, "decided_k": None})
    assert (asked.distinct, asked.components) == (5, None)
    with pytest.warns(Notice, match="--components"):
        asked = read_request("run", config, {"decided_k": "5"} | {"seed": None})
    assert asked.components == 5


def test_the_command_line_comes_before_the_configuration(tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text("file: a.blo\noutput: out\nk: 1:20\nseed: 3\n")
    asked = {"k": "1:5", "bin": None, "restart": False}
    assert read_request("run", config, asked) == Request.read(
        file="a.blo", output="out", k="1:5", seed=3
    )


def test_what_a_command_decides_itself_is_refused_in_a_configuration(tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text("filter: mean\n")
    with pytest.raises(InputError, match=r"filter: mean in .*run\.yaml"):
        read_request("compare-filters", config, {}, without=("filter",))


@pytest.mark.parametrize(
    ("given", "absent"), [({}, "no FILE"), ({"file": "a.blo"}, "no --output DIR")]
)
def test_what_is_indispensable_is_asked_for(given, absent):
    with pytest.raises(InputError) as refused:
        read_request("run", None, given)
    assert refused.value.found == absent


def test_the_journal_lies_in_the_results_unless_it_is_said(tmp_path):
    results = tmp_path.resolve() / "results"
    assert state_folder(results, None) == results / ".orimap"
    assert state_folder(results, Path("/var/lib/orimap")) == Path("/var/lib/orimap").resolve()
