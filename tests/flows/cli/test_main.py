import contextlib
import dataclasses
import inspect
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest
from typer.testing import CliRunner

from orimap.flows.cli import main
from orimap.flows.cli.analyse import run
from orimap.flows.cli.simulate import simulate
from orimap.flows.request.names import RENAMED, option_of
from orimap.flows.request.request import Request
from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.write_scan import write_scan

ORIMAP = Path(sys.executable).with_name("orimap")


pytestmark = pytest.mark.usefixtures("no_prefect")


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """A scan of 9×12 patterns of 48×48 pixels with two grains, as .blo."""
    path = tmp_path_factory.mktemp("scan") / "two grains.blo"
    write_scan(ScanRecipe(scan=(9, 12), detector=(48, 48), grains=2, dose=3000, seed=4), path)
    return path


def _call(*arguments):
    return CliRunner().invoke(main.app, [str(argument) for argument in arguments])


def test_help_shows_examples_and_every_command():
    answer = _call("--help")
    assert answer.exit_code == 0
    assert "orimap run scan.blo --output results" in answer.stdout
    assert all(name in answer.stdout for name in ("demo", "simulate", "info", "run", "report"))


ELSEWHERE = """
import sys
for name in ("fcntl", "pwd", "grp", "resource", "termios"):
    sys.modules[name] = None
from orimap.flows.cli.main import main
sys.platform = sys.argv.pop(1)
main()
"""


@pytest.mark.parametrize(("system", "name"), [("win32", "Windows"), ("darwin", "macOS")])
def test_another_system_is_told_so_in_a_sentence(system, name):
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, system, "--help"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"orimap runs on Linux, not on {name}: ")
    assert ("WSL 2" in line) is (name == "Windows")


def test_info_shows_what_was_guessed_under_a_heading_of_its_own(tmp_path):
    patterns = np.random.default_rng(0).poisson(3, (16, 12, 14)).astype(np.uint32)
    with h5py.File(tmp_path / "run_data_000001.h5", "w") as file:
        file["entry/data/data"] = patterns
    master = tmp_path / "run_master.h5"
    with h5py.File(master, "w") as file:
        file["entry/data/data_000001"] = h5py.ExternalLink("run_data_000001.h5", "entry/data/data")
    guessed = _call("info", master).stdout.split("guessed, since the file does not say:\n")
    assert len(guessed) == 2
    assert guessed[1].startswith("guess  the file does not give the scan's shape; 16 patterns")
    assert "guessed" not in _call("info", master, "--scan-shape", "2x8").stdout


def test_info_tells_what_some_patterns_show(tmp_path):
    y, x = np.indices((40, 44))
    mean = 40 * np.exp(-((y - 19) ** 2 + (x - 21) ** 2) / 30) + 0.4
    rng = np.random.default_rng(0)
    electrons = rng.poisson(mean, (10, 12, 40, 44))
    seen = np.rint(9 * electrons + 400 + rng.normal(0, 14, electrons.shape)).astype(np.uint16)
    seen[:, :, 3] = 65535
    np.save(tmp_path / "scan.npy", seen)
    told = _call("info", tmp_path / "scan.npy").stdout
    assert "in 64 patterns from all over the scan; 0 % of them 0" in told
    assert "44 pixels masked: 65,535 in every pattern looked at" in told
    assert "camera         Measured from neighbouring patterns, the camera has a gain of" in told
    np.save(tmp_path / "scan.npy", electrons.astype(np.uint16))
    assert "one unit of intensity is one electron" in _call("info", tmp_path / "scan.npy").stdout


def test_version():
    assert _call("--version").stdout.split() == ["orimap", "0.1.0"]


def test_run_takes_every_field_of_a_request():
    parameters = inspect.signature(run).parameters
    own = {"config", "dry_run", "quiet", "debug"}
    assert set(parameters) == set(Request.model_fields) | own | set(RENAMED)
    answer = _call("run", "--help").stdout
    for name, field in Request.model_fields.items():
        assert name == "file" or f"\n  {option_of(name)} " in answer
        assert field.description.split()[0] in answer


def test_simulate_takes_every_field_of_a_recipe_with_its_default():
    parameters = inspect.signature(simulate).parameters
    defaults = {field.name: field.default for field in dataclasses.fields(ScanRecipe)}
    taken = {name: p.default for name, p in parameters.items()}
    assert set(defaults) == set(taken) - {"out", "force", "quiet", "debug"}
    for name, default in defaults.items():
        text = "x".join(map(str, default)) if isinstance(default, tuple) else default
        assert taken[name] == text


@pytest.mark.slow
def test_from_simulation_to_report(tmp_path, client):
    scan, results = tmp_path / "scan.zarr", tmp_path / "results"
    answer = _call(
        *("simulate", scan, "--scan", "9x12", "--detector", "48x48"),
        *("--grains", 2, "--dose", 3000, "--seed", 4),
    )
    assert answer.exit_code == 0
    assert answer.stdout.splitlines() == [str(scan), str(scan.with_suffix(".npz"))]
    assert "simulate a scan: done in" in answer.stderr

    answer = _call("info", scan)
    assert answer.exit_code == 0
    assert "9 × 12 positions" in answer.stdout
    assert "48 × 48 pixels, uint16" in answer.stdout
    assert "at most" in answer.stdout

    request = (
        "run",
        scan,
        "--output",
        results,
        "--k",
        "1:4",
        "--cluster",
        client.scheduler.address,
    )
    answer = _call(*request, "--quiet")
    assert answer.exit_code == 0, answer.stderr
    assert answer.stdout.startswith("2 distinct patterns")
    assert answer.stdout.splitlines()[-1] == f"report: {results / 'report.html'}"
    assert answer.stderr == ""
    assert json.loads((results / "run.json").read_text())["request"]["k"] == [1, 4]

    (results / "report.html").unlink()
    answer = _call("report", results)
    assert answer.stdout.strip() == str(results / "report.html")
    assert (results / "report.html").stat().st_size > 10_000


def test_the_command_line_comes_before_the_config_file(scan, tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text(f"file: {scan}\noutput: {tmp_path / 'out'}\nk: 1:20\nseed: 3\n")
    answer = _call("run", "--config", config, "--k", "1:5", "--dry-run")
    assert answer.exit_code == 0, answer.stderr
    assert "k 1:5, seed 3" in answer.stdout
    assert "1 to 5" in answer.stdout


def test_a_dry_run_says_what_would_be_done_and_does_nothing(scan, tmp_path):
    answer = _call("run", scan, "--output", tmp_path / "out", "--dry-run")
    assert answer.exit_code == 0, answer.stderr
    assert "Blockfile" in answer.stdout
    assert "would be computed" in answer.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--dark", "--gain-map"])
@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("absent.npy", None, "no file of that name"),
        ("short.npy", np.ones((48, 40)), "short.npy has 48×40"),
        ("picture.npy", np.random.default_rng(0).random((48, 48, 3)), "a colour picture"),
        ("text.png", "text", "text.png cannot be read"),
    ],
)
def test_a_dry_run_opens_the_images_of_the_camera(scan, tmp_path, option, name, values, said):
    path = tmp_path / name
    if isinstance(values, str):
        path.write_text(values)
    elif values is not None:
        np.save(path, values)
    answer = _call("run", scan, "--output", tmp_path / "out", option, path, "--dry-run")
    assert answer.exit_code == 2
    assert said in answer.stderr
    assert option in answer.stderr


def test_a_dry_run_says_what_would_be_done_to_the_values(scan, tmp_path):
    lit = np.ones((48, 48))
    lit[:2] = 0
    np.save(tmp_path / "lit.npy", lit)
    asked = ("--output", tmp_path / "out", "--gain-map", tmp_path / "lit.npy", "--dry-run")
    answer = _call("run", scan, *asked, "--offset", 1.1)
    assert answer.exit_code == 0, answer.stderr
    assert "96 of 2304 pixels masked" in answer.stdout
    assert "doubtful" in answer.stdout
    assert "--offset 1.1 is subtracted, although 85 %" in answer.stdout
    answer = _call("run", scan, *asked, "--offset", 1000)
    assert answer.exit_code == 2
    assert "100 % of the values in 4 patterns lie below it" in answer.stderr


def test_the_demo_compares_with_the_truth_and_takes_nothing_of_another_seed(
    tmp_path, monkeypatch, same_workers
):
    from orimap.tasks.simulate import recipe

    small = partial(ScanRecipe, scan=(6, 8), detector=(48, 48), grains=2, dose=3000)
    monkeypatch.setattr(recipe, "ScanRecipe", small)
    monkeypatch.setattr(Request, "read", partial(Request.read, k="1:3"))
    truths = []
    for seed in (4, 5):
        answer = _call("demo", "--output", tmp_path / "demo", "--seed", seed, "--quiet")
        assert answer.exit_code == 0, answer.stderr
        assert "truth: 2 grains; decided: " in answer.stdout
        assert "adjusted Rand index" in answer.stdout
        recorded = json.loads((tmp_path / "demo" / "results" / "run.json").read_text())
        assert not any(step["reused"] for step in recorded["steps"])
        truths.append(np.load(tmp_path / "demo" / "scan.npz")["labels"])
    assert (truths[0] != truths[1]).any()


def _truncated(path, source):
    path.write_bytes(source.read_bytes()[: -(source.stat().st_size // 3)])
    return path


ANGLES = (("a", "alpha"), ("b", "beta"), ("c", "gamma"))


@pytest.fixture
def bad_input(scan, tmp_path):
    """Arguments of ``orimap run`` that are at fault, and a word of what was found."""
    text = tmp_path / "text.blo"
    text.write_text("not a blockfile\n" * 100)
    file = tmp_path / "file"
    file.write_text("")
    dark = tmp_path / "dark.npy"
    np.save(dark, np.zeros((16, 16)))
    empty, bare = tmp_path / "empty.cif", tmp_path / "bare.cif"
    empty.touch()
    edges = "".join(f"_cell_length_{edge} 4\n_cell_angle_{angle} 90\n" for edge, angle in ANGLES)
    bare.write_text(f"data_bare\n{edges}_space_group_name_H-M_alt 'P 1'\n")
    return {
        "missing file": ((tmp_path / "absent.blo",), "absent.blo"),
        "text": ((text,), "text.blo"),
        "truncated": ((_truncated(tmp_path / "cut.blo", scan),), "cut.blo"),
        "k from 0": ((scan, "--k", "0:3"), "smallest number of components is 1"),
        "k above positions": ((scan, "--k", "1:109"), "--k 1:109"),
        "k as a word": ((scan, "--k", "many"), "must be one number or FIRST:LAST"),
        "decided k": ((scan, "--decided-k", "50"), "--components 50"),
        "filter": ((scan, "--filter", "blur"), "--filter blur"),
        "lengths": ((scan, "--epattern-lengths", "long"), "--epattern-lengths long"),
        "strategy": ((scan, "--strategy", "guess"), "guess"),
        "scan shape": ((scan, "--scan-shape", "5x5"), "9×12"),
        "roi": ((scan, "--roi", "0:4,50:60"), "--roi"),
        "mask": ((scan, "--mask", tmp_path / "absent.png"), "absent.png"),
        "dark": ((scan, "--dark", tmp_path / "absent.npy"), "absent.npy"),
        "gain map": ((scan, "--gain-map", text), "text.blo cannot be read"),
        "gain": ((scan, "--gain", "0"), "must be above 0"),
        "two zeros": ((scan, "--offset", "3", "--dark", dark), "--offset 3 and --dark dark.npy"),
        "counts of corrected": ((scan, "--gain", "3", "--counts", "yes"), "corrected"),
        "cluster": ((scan, "--cluster", "slurm"), "slurm"),
        "output": ((scan, "--output", file / "results"), "results"),
        "no crystal there": ((scan, "--crystal", tmp_path / "absent.cif"), "absent.cif"),
        "crystal": ((scan, "--crystal", text), "text.blo"),
        "empty crystal": ((scan, "--crystal", empty), "a file without a data block"),
        "crystal without atoms": ((scan, "--crystal", bare), "no atoms"),
        "precession": ((scan, "--crystal", bare, "--precession", "70"), "must be at most 10"),
        "no file": ((), "no FILE"),
    }


CASES = (
    *("missing file", "text", "truncated", "k from 0", "k above positions", "k as a word"),
    *("decided k", "filter", "lengths", "strategy", "scan shape", "roi", "mask", "cluster"),
    *("output", "no file", "dark", "gain map", "gain", "two zeros", "counts of corrected"),
    *("no crystal there", "crystal", "empty crystal", "crystal without atoms", "precession"),
)


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_reported_and_leaves_nothing_behind(bad_input, tmp_path, case):
    assert set(bad_input) == set(CASES)
    arguments, found = bad_input[case]
    output = () if "--output" in arguments else ("--output", tmp_path / "out")
    before = sorted(tmp_path.rglob("*"))
    answer = _call("run", *arguments, *output)
    _is_told(answer.stdout, answer.stderr, answer.exit_code, found)
    assert sorted(tmp_path.rglob("*")) == before


def _is_told(stdout, stderr, code, found):
    assert code == 2
    assert stdout == ""
    said = [line for line in stderr.strip().splitlines() if not line.startswith("opening ")]
    needed, met, remedy = said
    assert needed.startswith("needed: ")
    assert met.startswith("found: ")
    assert remedy.startswith("what to do: ")
    assert found in stderr


def test_a_dry_run_finds_an_output_that_cannot_be_written(scan, tmp_path):
    (tmp_path / "file").write_text("")
    answer = _call("run", scan, "--output", tmp_path / "file" / "results", "--dry-run")
    _is_told(answer.stdout, answer.stderr, answer.exit_code, "is a file")


def test_a_truncated_mib_is_reported(shared_data, tmp_path):
    cut = _truncated(tmp_path / "cut.mib", shared_data / "formats" / "001_4x2_6bit.mib")
    (tmp_path / "cut.hdr").write_bytes((shared_data / "formats" / "001_4x2_6bit.hdr").read_bytes())
    for command in (("info", cut), ("run", cut, "--output", tmp_path / "out")):
        answer = _call(*command)
        _is_told(answer.stdout, answer.stderr, answer.exit_code, "cut.mib")
    assert not (tmp_path / "out").exists()


def test_debug_shows_where_an_error_comes_from(tmp_path):
    answer = _call("run", tmp_path / "absent.blo", "--output", tmp_path / "out", "--debug")
    assert answer.exit_code == 2
    assert answer.stderr.startswith("Traceback")
    assert answer.stderr.splitlines()[-1].startswith("what to do: ")


def test_a_reader_that_has_seen_enough_ends_a_command_quietly(scan):
    shown = subprocess.run(
        f"{shlex.quote(str(ORIMAP))} info {shlex.quote(str(scan))} | true",
        shell=True, capture_output=True, text=True,
    )  # fmt: skip
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, "", "")


def test_what_is_not_the_users_fault_is_one_line_and_exit_1(scan, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr("orimap.tasks.acquire.acquisition.describe", fail)
    answer = _call("info", scan)
    assert answer.exit_code == 1
    assert answer.stderr == "failed: RuntimeError: first line (--debug shows where)\n"


def test_report_asks_for_the_folder_of_a_run(tmp_path):
    answer = _call("report", tmp_path)
    _is_told(answer.stdout, answer.stderr, answer.exit_code, "has none")
    assert list(tmp_path.iterdir()) == []


def test_simulate_refuses_what_it_cannot_simulate(tmp_path):
    for arguments in (
        ("scan.zarr", "--scan", "64"),
        ("scan.zarr", "--grains", "0"),
        ("scan.png",),
        ("scan.zarr", "--material", "cheese"),
    ):
        answer = _call("simulate", tmp_path / arguments[0], *arguments[1:], "--quiet")
        _is_told(answer.stdout, answer.stderr, answer.exit_code, "found: ")
    assert list(tmp_path.iterdir()) == []


def test_the_command_itself_exits_with_2_and_three_lines(tmp_path):
    done = subprocess.run(
        [ORIMAP, "run", tmp_path / "absent.blo", "--output", tmp_path / "out"],
        capture_output=True,
        text=True,
    )
    _is_told(done.stdout, done.stderr, done.returncode, "absent.blo")


@pytest.mark.parametrize(
    ("sent", "code"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)],
)
def test_an_interrupted_run_ends_in_order_and_can_go_on(scan, tmp_path, sent, code):
    process = subprocess.Popen(
        [ORIMAP, "run", scan, "--output", tmp_path / "out"],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        said = process.stderr.readline()
        if said == "opening two grains.blo\n":  # where that takes two seconds
            said = process.stderr.readline()
        # The workers are there.
        assert said.startswith("Dask dashboard"), said + process.stderr.read()
        # A terminal interrupts all processes; who ends a run from outside, its first one.
        (os.killpg if sent == signal.SIGINT else os.kill)(process.pid, sent)
        said, words = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code
    assert said == ""
    assert "Traceback" not in words
    if sent == signal.SIGINT:
        assert words.splitlines()[-2:] == [
            "the same command continues where this one stopped",
            "interrupted",
        ]
    _no_process_left_of(process.pid)


@pytest.mark.parametrize("unbuffered", ["", pytest.param("1", marks=pytest.mark.slow)])
def test_a_command_whose_reader_has_seen_enough_ends_without_a_word(scan, unbuffered):
    line = f"{shlex.quote(sys.executable)} -m orimap.flows info {shlex.quote(str(scan))} | true"
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(line, shell=True, capture_output=True, text=True, env=environment)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize(
    "closed", [">&-", pytest.param("2>&-", marks=pytest.mark.slow), "<&- >&- 2>&-"]
)
def test_a_command_works_without_the_streams_it_is_not_given(scan, tmp_path, closed):
    written = tmp_path / "dry"
    command = [Path(sys.executable).with_name("orimap"), "run", scan, "--output", written]
    line = shlex.join(map(str, [*command, "--k", "1:2", "--dry-run"]))
    done = subprocess.run(f"{line} {closed}", shell=True, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert ("patterns" in done.stdout) == (closed == "2>&-")
    line = shlex.join(map(str, [*command[:2], scan.with_name("absent.npy"), *command[3:]]))
    done = subprocess.run(f"{line} {closed}", shell=True, capture_output=True, text=True)
    assert (done.returncode, "needed" in done.stderr) == (2, closed == ">&-")


def test_what_the_terminal_cannot_show_is_a_question_mark(scan):
    command = [Path(sys.executable).with_name("orimap"), "info", scan]
    surroundings = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert " ? " in done.stdout


SWALLOWED = """
import signal, sys, time
from orimap.flows.cli import main

class Swallows:
    def __del__(self):
        signal.raise_signal({sent})
        time.sleep(0)

def work():
    Swallows()
    time.sleep(20)

main.app = work
main.main()
"""


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, -2), (signal.SIGTERM, 143)])
def test_an_interrupt_is_not_lost_in_a_callback(sent, code):
    script = SWALLOWED.format(sent=int(sent))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60)
    assert done.returncode == code


def _no_process_left_of(session):
    for _ in range(50):
        left = [pid for pid in psutil.pids() if _session_of(pid) == session]
        if not left:
            return
        time.sleep(0.1)
    raise AssertionError(f"processes left: {left}")


def _session_of(pid):
    with contextlib.suppress(OSError):
        return os.getsid(pid)


def test_info_names_the_files_that_links_lead_to(tmp_path, monkeypatch):
    monkeypatch.delenv("ORIMAP_ROOTS", raising=False)
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    with h5py.File(tmp_path / "there" / "data.h5", "w") as file:
        file["x"] = np.random.default_rng(0).poisson(3, (4, 5, 16, 17)).astype("u2")
    scan = tmp_path / "here" / "scan.h5"
    with h5py.File(scan, "w") as file:
        file["x"] = h5py.ExternalLink("../there/data.h5", "/x")
    told = _call("info", scan).stdout
    assert f"data from      {tmp_path / 'there' / 'data.h5'}\n" in told
    monkeypatch.setenv("ORIMAP_ROOTS", str(tmp_path / "here"))
    for command in (("info", scan), ("run", scan, "--output", tmp_path / "out", "--dry-run")):
        refused = _call(*command)
        assert refused.exit_code == 2
        assert "lies elsewhere" in refused.stderr


def test_nothing_that_a_file_holds_moves_the_terminal_or_begins_a_line(tmp_path):
    scan = tmp_path / "a\x1b[31m\nnote  forged\r\u202e\x9b2J.h5"
    with h5py.File(scan, "w") as file:
        patterns = np.random.default_rng(0).poisson(3, (4, 5, 16, 17)).astype("u2")
        file["x\x1b]0;title\x07\nguess  forged"] = patterns
    answer = _call("info", scan)
    assert r"a\x1b[31m\nnote  forged\r\u202e\x9b2J.h5" in answer.stdout
    assert r"x\x1b]0;title\x07\nguess  forged" in answer.stdout
    refused = _call("info", scan, "--dataset", "none")
    assert refused.exit_code == 2
    for said in (answer.stdout, refused.stderr):
        assert all(line.isprintable() for line in said.split("\n"))
        assert not any(
            line.startswith(("note  forged", "guess  forged")) for line in said.split("\n")
        )
    assert len(refused.stderr.splitlines()) == 3
