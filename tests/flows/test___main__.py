import subprocess
import sys


def test_the_command_line_runs_as_a_module():
    asked = [sys.executable, "-m", "orimap.flows", "--version"]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert done.stdout == "orimap 0.1.0\n"


def test_an_import_of_it_runs_nothing():
    script = "from orimap.flows.__main__ import main; print(main.__module__)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "orimap.flows.cli.main\n"
