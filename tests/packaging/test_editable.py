"""The repository as `make install` installs it, seen from where it was cloned."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_MADE = "orimap was not installed by make here"


@pytest.mark.skipif(not (ROOT / ".venv" / "installed").exists(), reason=NOT_MADE)
def test_a_clone_called_orimap_does_not_hide_the_package_from_the_folder_above_it(tmp_path):
    (tmp_path / "orimap" / "flows").mkdir(parents=True)
    done = subprocess.run(
        [ROOT / ".venv" / "bin" / "python", "-c", "import orimap; print(orimap.run.__name__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("run\n", "")


def test_an_interpreter_that_only_root_can_run_is_named():
    makefile = (ROOT / "Makefile").read_text()
    script = makefile.split("define SEEN_BY_OTHERS\n")[1].split("endef")[0]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    python = Path(os.path.realpath(sys.executable))
    closed = [folder for folder in python.parents if not folder.stat().st_mode & 1]
    assert done.returncode == 0, done.stderr
    if os.getuid() == 0 and closed:
        assert done.stdout.startswith(
            f"note: only root can run the Python that was taken, {python}"
        )
        assert "make PYTHON=/usr/bin/python3 install" in done.stdout
    else:
        assert done.stdout == ""
