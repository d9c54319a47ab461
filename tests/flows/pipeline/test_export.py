import re

import numpy as np
import pytest
import zarr
from rsciio.hspy import file_reader
from typer.testing import CliRunner

import orimap
from orimap.flows.cli import export, main
from orimap.tasks.export.formats import FORMATS
from orimap.tasks.simulate.scan import SCAN_STEP_NM


def call(*arguments):
    return CliRunner().invoke(main.app, ["export", *map(str, arguments)])


def test_a_run_opens_as_signals(finished_run, tmp_path):
    answer = call(finished_run, "--to", "hspy", "--output", tmp_path / "signals")
    assert (answer.exit_code, answer.stdout) == (0, f"{tmp_path / 'signals'}\n")
    stored = zarr.open_group(finished_run / "analysis.zarr", mode="r")["clusters"]
    (labels,) = file_reader(tmp_path / "signals" / "labels.hspy")
    np.testing.assert_array_equal(labels["data"], stored["cluster_label"][:] + 1)
    assert [(a["scale"], a["units"]) for a in labels["axes"]] == [(SCAN_STEP_NM, "nm")] * 2
    (patterns,) = file_reader(tmp_path / "signals" / "mean_patterns.hspy")
    np.testing.assert_array_equal(patterns["data"], stored["cluster_mean_pattern"][:])
    # The simulated beam is in the middle.
    for axis in patterns["axes"][1:]:
        assert axis["offset"] == pytest.approx(-31.5 * axis["scale"], abs=0.1 * axis["scale"])


def test_what_is_there_takes_force(finished_run, tmp_path):
    asked = (finished_run, "--to", "npz", "--output", tmp_path / "all.npz")
    assert call(*asked).exit_code == 0
    again = call(*asked)
    assert again.exit_code == 2
    assert "what to do: write elsewhere with --output, or replace it with --force" in again.stderr
    assert call(*asked, "--force").exit_code == 0


def test_python_does_the_same(finished_run, tmp_path):
    written = orimap.export(finished_run, "csv", str(tmp_path / "tables"))
    assert written == tmp_path / "tables"
    assert len((written / "positions.csv").read_text().splitlines()) == 12 * 14 + 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--to", "hdf"), "choose one of hspy, emd"),
        (("--to", "csv", "--dpi", "100"), "leave it out, or export figures"),
        (("--to", "csv", "--revision", "mine"), "no revisions there"),
    ],
)
def test_what_cannot_be_done_ends_with_2(finished_run, arguments, words):
    answer = call(finished_run, *arguments)
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert words in answer.stderr


def test_help_names_every_format():
    told = re.sub(r"\s+", " ", call("--help").stdout)
    assert all(f"{name} {form.meant_for}" in told for name, form in FORMATS.items())
    assert export.FORMATS_EXPLAINED.count("\n") == len(FORMATS) + 1
