import re
import time

import pytest
from typer.testing import CliRunner

from orimap.flows.cli import main

SITE = {"system": "slurm", "queue": "short", "cores": 2, "memory": "2 GB", "interface": "lo"}


def _call(*asked):
    return CliRunner().invoke(main.app, ["cluster", "check", *(str(each) for each in asked)])


def _wait_until_gone(own_jobs):
    """Jobs that are cancelled take a moment to end."""
    until = time.monotonic() + 60
    while jobs := own_jobs():
        assert time.monotonic() < until, jobs
        time.sleep(0.2)


@pytest.fixture
def site(tmp_path):
    """Write a site profile with some keys changed."""

    def write(**changed):
        path = tmp_path / "site.yaml"
        path.write_text("".join(f"{name}: {v}\n" for name, v in {**SITE, **changed}.items()))
        return path

    return write


def test_a_worker_on_this_machine_is_tried(tmp_path):
    answer = _call("--folder", tmp_path)
    rows = [line.split()[:2] for line in answer.stdout.splitlines()]
    looked_at = ["start", "worker", "versions", "folder", "memory", "link", "clock"]
    # How much memory is free here, and how fast a busy machine is, are not for a test to say.
    assert [what for _, what, *_ in rows if what in looked_at] == looked_at
    assert all(["ok", what] in rows for what in ("start", "worker", "versions", "folder"))
    assert list(tmp_path.iterdir()) == []


def test_a_worker_of_slurm_is_tried_and_leaves_nothing(own_jobs, site, tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    answer = _call("--profile", site(), "--folder", folder)
    rows = [line.split()[:2] for line in answer.stdout.splitlines()]
    assert all(["ok", what] in rows for what in ("start", "worker", "versions", "folder")), answer
    [memory] = re.findall(r"memory +(\d+) MB a worker", answer.stdout)
    assert int(memory) == pytest.approx(1000, rel=0.01)  # Dask hands it over in hundredths of GiB
    assert list(folder.iterdir()) == []
    _wait_until_gone(own_jobs)


def test_the_script_of_a_worker_is_shown_without_starting_one(site, tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    answer = _call("--profile", site(), "--folder", folder, "--dry-run")
    assert answer.stdout.startswith("#!/usr/bin/env bash\n\n#SBATCH -J orimap-worker\n")
    assert "#SBATCH -p short\n" in answer.stdout
    assert list(folder.iterdir()) == []


def test_a_worker_that_never_starts_is_wrong_and_the_reason_is_told(own_jobs, site, tmp_path):
    answer = _call(
        *("--profile", site(queue="closed"), "--folder", tmp_path),
        *("--first-worker-minutes", 0.05),
    )
    assert answer.exit_code == 1
    assert answer.stdout.startswith("wrong  start ")
    assert "PartitionDown" in answer.stdout
    assert "what to do: " in answer.stdout
    _wait_until_gone(own_jobs)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("--profile", "nowhere"), "a site profile"),
        (("--cluster", "cloud"), "local, threads, processes, the address"),
        (("--folder", "nowhere"), "no folder nowhere"),
    ],
)
def test_what_cannot_be_tried_is_said(asked, words):
    answer = _call(*asked)
    assert answer.exit_code == 2
    assert words in answer.stderr
