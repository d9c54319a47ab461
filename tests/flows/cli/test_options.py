import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

from orimap.cluster.local import ON_THIS_MACHINE
from orimap.cluster.queue.commands import BATCH_SYSTEMS
from orimap.flows.cli import main
from orimap.flows.cli.options import (
    GROUP_OF,
    GROUPS,
    NAMED_VALUES,
    complete_readers,
    read_request,
    state_folder,
    with_request_options,
)
from orimap.flows.request.names import RENAMED
from orimap.flows.request.request import Request
from orimap.tasks.decide.choose_k import STRATEGIES
from orimap.tasks.errors import InputError, Notice
from orimap.tasks.patterns.filters import FILTERS


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


def test_an_option_that_may_be_repeated_goes_by_one_of_its_values(tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text("file: a.blo\noutput: out\ncrystal: [a.cif, b.cif]\nprecession: 0.7\n")
    asked = read_request("run", config, {"crystals": [], "precession": None})
    assert asked.crystals == (Path("a.cif"), Path("b.cif"))
    assert asked.precession == 0.7
    asked = read_request("run", config, {"crystals": ["c.cif"], "precession": "0"})
    assert (asked.crystals, asked.precession) == ((Path("c.cif"),), 0)
    kind, option = get_args(_command()["crystals"].annotation)
    assert kind == list[str] | None
    assert option.metavar == "FILE"


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


def _help(*command, columns):
    orimap = Path(sys.executable).with_name("orimap")
    environment = {**os.environ, "COLUMNS": str(columns)}
    return subprocess.check_output(
        [orimap, *command, "--help"], env=environment, text=True
    ).splitlines()


def test_help_of_a_run_comes_in_groups_as_wide_as_the_terminal():
    assert set(GROUP_OF) == set(Request.model_fields)
    wide = _help("run", columns=150)
    assert 130 < max(map(len, wide)) <= 150
    shown = [line.removesuffix(":") for line in wide if line[:1].isalpha()]
    assert shown[1:] == ["Arguments", *GROUPS]
    group = wide[wide.index("Fitting:") : wide.index("Deciding:")]
    assert [line.split()[0] for line in group if line.startswith("  --")] == [
        "--k", "--weighting", "--direct-beam", "--l1", "--seed",
    ]  # fmt: skip
    plain = _help("simulate", columns=70)
    assert max(map(len, plain)) <= 70
    assert [line for line in plain if line[:1].isalpha()][1:] == ["Arguments:", "Options:"]


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("run --centre ", ["auto", "yes", "no"]),
        ("run --strategy k", ["knee"]),
        ("decide --strategy e", ["evidence", "elbow"]),
        ("run --cluster s", ["slurm", "sge"]),
        ("run --filt", ["--filter"]),
        ("cluster check --cluster p", ["processes", "pbs"]),
        ("watch --submit-to b", ["batch"]),
        ("simulate --material A", ["Au"]),
        ("ver", ["verify"]),
    ],
)
def test_a_shell_completes_names_and_values(typed, completed):
    words = f"orimap {typed}"
    asked = {
        "_ORIMAP_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    answer = CliRunner().invoke(main.app, [], env=asked, prog_name="orimap")
    assert answer.stdout.split() == completed


def test_what_is_completed_is_what_can_be_given():
    assert NAMED_VALUES["filter"] == FILTERS
    assert NAMED_VALUES["strategy"] == tuple(STRATEGIES)
    assert NAMED_VALUES["cluster"] == (*ON_THIS_MACHINE, *BATCH_SYSTEMS)
    assert complete_readers("quantum") == ["QuantumDetector"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("simulate", "x.zarr", "--grains", "two"), "'--grains': a whole number is needed"),
        (("demo", "--seed", "-1"), "'--seed': must be at least 0"),
        (("watch", "x", "--results", "y", "--poll", "a"), "'--poll': a number is needed"),
    ],
)
def test_a_wrong_value_is_refused_in_plain_words(given, said):
    answer = CliRunner().invoke(main.app, given)
    assert answer.exit_code == 2
    assert answer.stderr.rstrip().endswith(said)


def test_a_configuration_is_reported_with_its_line(tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text("k: 1:12\nbin: two\n")
    with pytest.raises(InputError, match=r"run\.yaml, line 2: --bin two"):
        read_request("run", config, {"bin": "2"})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            ("decide", "x", "--distinct", "five"),
            "needed: the folder of a finished run, with analysis.zarr in it\n"
            "found: no folder of that name (x)\n",
        ),
        (
            ("run", "x.blo", "--output", "o", "--distinct", "five"),
            "needed: a whole number for --distinct, for instance 5\nfound: --distinct five\n"
            "what to do: correct --distinct; orimap run --help explains it\n",
        ),
        (
            ("compare-filters", "x.blo", "--output", "o", "--bin", "0"),
            "needed: a whole number for --bin, for instance 2\n"
            "found: --bin 0: must be at least 1\n"
            "what to do: correct --bin; orimap compare-filters --help explains it\n",
        ),
        (
            ("info", "x.blo", "--scan-shape", "4"),
            "needed: a value for --scan-shape, for instance 40x50\n"
            "found: --scan-shape 4: must be ROWSxCOLUMNS, for instance 40x50\n"
            "what to do: correct --scan-shape; orimap info --help explains it\n",
        ),
        (
            ("run", "x.blo"),
            "needed: a folder for the results, --output DIR\nfound: no --output DIR\n",
        ),
        (
            ("info", "nofile.hspy"),
            "found: no file of that name (nofile.hspy)\n",
        ),
    ],
)
def test_a_mistake_points_to_the_help_of_its_own_command(given, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = CliRunner().invoke(main.app, given)
    assert answer.exit_code == 2
    assert said in answer.stderr
    assert list(tmp_path.iterdir()) == []
