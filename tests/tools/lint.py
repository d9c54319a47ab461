"""Check everything that can be checked without running it.

    python tests/tools/lint.py                   all checks
    python tests/tools/lint.py imports types     some of them

``style`` and ``format`` are ruff's; ``imports`` holds the layers (import-linter), ``types`` are
mypy's, ``dependencies`` compares what is imported with what is declared (deptry). All are set up in
pyproject.toml. Ends with 1 where a check fails, after all have run.

import-linter and mypy look for modules where their names say, and cannot know that pyproject.toml
installs ``flows`` as ``orimap.flows``. They see a tree of links in which it is so: ``build/lint``.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TREE = ROOT / "build" / "lint"
PACKAGES = ("cluster", "flows", "tasks")
# Where orimap is installed is asked first otherwise (Makefile).
IMPORT_LINTER = (
    "import sys; sys.meta_path.sort(key=lambda each: '__editable___' in each.__module__); "
    "from importlinter.cli import lint_imports_command as main; main()"
)
PYTHON = (sys.executable, "-m")
CHECKS = {
    "style": (*PYTHON, "ruff", "check", "."),
    "format": (*PYTHON, "ruff", "format", "--check", "."),
    "imports": (
        *(sys.executable, "-c", IMPORT_LINTER, str(ROOT / "pyproject.toml")),
        *("--no-logo", "--cache-dir", str(ROOT / "build" / "imports")),
    ),
    "types": (*PYTHON, "mypy", "--config-file", str(ROOT / "pyproject.toml")),
    "dependencies": (*PYTHON, "deptry", *PACKAGES),
}
ON_TREE = ("imports", "types")


def link_tree() -> None:
    """Lay out ``build/lint/orimap`` as the package is installed, by links."""
    package = TREE / "orimap"
    package.mkdir(parents=True, exist_ok=True)
    targets = [*(ROOT / name for name in PACKAGES), *(ROOT / "flows" / "api").iterdir()]
    wanted = {path.name: path for path in targets if path.name != "__pycache__"}
    for link in package.iterdir():
        if link.name not in wanted or link.resolve() != wanted[link.name]:
            link.unlink()
    for name, path in wanted.items():
        if not (package / name).exists():
            (package / name).symlink_to(path)


def passes(check: str) -> bool:
    """Run one check; return whether it found nothing."""
    print(f"== {check}", flush=True)
    started = time.monotonic()
    folder = TREE if check in ON_TREE else ROOT
    done = subprocess.run(CHECKS[check], cwd=folder, check=False)
    print(f"== {check}: {time.monotonic() - started:.1f} s", flush=True)
    return done.returncode == 0


def main() -> None:
    """Run the checks that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=", ".join(CHECKS))
    asked = parser.parse_args().checks or list(CHECKS)
    unknown = sorted(set(asked) - set(CHECKS))
    if unknown:
        parser.error(f"no check is called {', '.join(unknown)}; there are {', '.join(CHECKS)}")
    link_tree()
    failed = [check for check in asked if not passes(check)]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
