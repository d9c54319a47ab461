"""Lint sees what it is there for: each case breaks one rule in a copy of the code."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("cluster", "flows", "tasks", "tests/tools")
# Where a line is added, the line, and the contract that it breaks.
BREAKS = (
    ("cluster/local.py", "import orimap.flows.request.config",
     "flows above cluster above tasks"),
    ("tasks/stream/sizes.py", "import orimap.tasks.store.locks",
     "tasks follow the data"),
    ("tasks/decide/ranking.py", "import orimap.tasks.report.words",
     "tasks follow the data"),
    ("flows/request/config.py", "import orimap.flows.jobs.job",
     "flows lead from the request up to the command line"),
    ("flows/cli/options.py", "import orimap.flows.api",
     "flows lead from the request up to the command line"),
    ("tasks/acquire/formats/signals.py", "import orimap.tasks.acquire.acquisition",
     "no folder needs a folder that needs it"),
    ("tasks/maps/labels_and_overlap.py", "import prefect",
     "tasks and cluster know neither Prefect nor the command line"),
    ("flows/pipeline/estimate.py", "def late():\n    import prefect",
     "only flows.prefect and flows.machine know Prefect"),
    ("cluster/client.py", "import orimap.tasks.stream.sizes",
     "cluster takes nothing of tasks but the errors and the names of processes"),
    ("tasks/report/words.py", "import orimap.tasks.maps.connected",
     "the report reads stored results and knows no science"),
    ("flows/jobs/job.py", "from orimap import run",
     "nothing inside imports orimap itself"),
)  # fmt: skip


@pytest.fixture
def copy(tmp_path):
    """A copy of the code and of what checks it."""
    for name in COPIED:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(root, check):
    """Run one check of a copy; return its exit code and what it prints, as one line."""
    script = root / "tests" / "tools" / "lint.py"
    done = subprocess.run([sys.executable, script, check], capture_output=True, text=True)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_a_copy_is_as_clean_as_the_code(copy):
    code, said = lint(copy, "imports")
    assert (code, "0 broken" in said) == (0, True), said


def test_imports_that_break_contracts_are_all_found(copy):
    for module, line, _ in BREAKS:
        with (copy / module).open("a") as file:
            file.write(f"\n\n{line}\n")
    code, said = lint(copy, "imports")
    assert code == 1
    for _, _, contract in BREAKS:
        assert f"{contract} BROKEN" in said


@pytest.mark.slow
@pytest.mark.parametrize(("module", "line", "contract"), BREAKS)
def test_an_import_that_breaks_a_contract_is_found(copy, module, line, contract):
    with (copy / module).open("a") as file:
        file.write(f"\n\n{line}\n")
    code, said = lint(copy, "imports")
    assert code == 1
    assert f"{contract} BROKEN" in said


def test_a_folder_without_a_layer_is_found(copy):
    (copy / "tasks" / "new").mkdir()
    (copy / "tasks" / "new" / "__init__.py").touch()
    code, said = lint(copy, "imports")
    assert code == 1
    assert "tasks follow the data BROKEN" in said


def test_a_package_that_is_not_declared_is_found(copy):
    with (copy / "tasks" / "errors.py").open("a") as file:
        file.write("\n\nimport httpx\n")
    code, said = lint(copy, "dependencies")
    assert code == 1
    assert "'httpx' imported but it is a transitive dependency" in said


def test_a_check_that_does_not_exist_is_refused():
    code, said = lint(ROOT, "spelling")
    assert code == 2
    assert "no check is called spelling; there are style, format, imports, types" in said


def test_pre_commit_runs_the_same_checks():
    config = ROOT / ".pre-commit-config.yaml"
    validate = [sys.executable, "-m", "pre_commit", "validate-config", config]
    assert subprocess.run(validate, capture_output=True, check=False).returncode == 0
    entries = [hook["entry"] for hook in yaml.safe_load(config.read_text())["repos"][0]["hooks"]]
    assert entries == [
        f".venv/bin/python tests/tools/lint.py {check}"
        for check in ("style", "format", "imports", "types", "dependencies")
    ]
