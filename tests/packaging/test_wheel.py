"""What is installed from a wheel is all there, and works away from the repository."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("cluster", "deploy", "flows", "tasks")
BUILD = "import setuptools.build_meta as build; print(build.build_wheel({folder!r}))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel that was built from a copy of the repository."""
    copy, folder = tmp_path_factory.mktemp("repository"), tmp_path_factory.mktemp("wheel")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    build = [sys.executable, "-c", BUILD.format(folder=str(folder))]
    done = subprocess.run(build, cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """An environment with nothing but the wheel, which finds what it depends on beside us."""
    folder = tmp_path_factory.mktemp("installed")
    base = Path(sys.base_prefix) / "bin" / "python{}.{}".format(*sys.version_info)
    subprocess.run([base, "-m", "venv", "--without-pip", folder], check=True)
    subprocess.run(
        [
            *(base, "-m", "pip", "--python", folder / "bin" / "python", "install"),
            *("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", wheel),
        ],
        check=True,
    )
    (packages,) = folder.glob("lib/python*/site-packages")
    # A path file of a path file is not read, so that the repository itself is not found.
    dependencies = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "dependencies.pth").write_text("\n".join(dependencies))
    _take_compiled(packages / "orimap")
    return folder / "bin"


def _take_compiled(package):
    """Copy the kernels that numba has compiled of the same sources: it takes a minute."""
    for source in (path for name in PACKAGES for path in (ROOT / name).rglob("*.py")):
        place = package / source.relative_to(ROOT)
        for compiled in (source.parent / "__pycache__").glob(f"{source.stem}.*.nb[ic]"):
            # Numba takes what it compiled when size and time of the source agree.
            shutil.copystat(source, place)
            place.with_name("__pycache__").mkdir(exist_ok=True)
            shutil.copy(compiled, place.with_name("__pycache__"))


def test_the_wheel_holds_every_file_of_the_packages(wheel):
    expected = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                place = path.relative_to(ROOT).as_posix()
                expected.add("orimap/" + place.removeprefix("flows/api/"))
    with zipfile.ZipFile(wheel) as opened:
        names = {name for name in opened.namelist() if ".dist-info/" not in name}
    assert {"orimap/__init__.py", "orimap/py.typed"} <= names
    assert names == expected


def test_the_demo_runs_from_the_wheel(installed, tmp_path):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    found = subprocess.run(
        [installed / "python", "-c", "import orimap.tasks as tasks; print(tasks.__file__)"],
        cwd=tmp_path, env=kept, capture_output=True, text=True,
    )  # fmt: skip
    assert Path(found.stdout.strip()).is_relative_to(installed.parent), found.stderr
    done = subprocess.run(
        [installed / "orimap", "demo"], cwd=tmp_path, env=kept, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "truth: 8 grains; decided: 8 patterns" in done.stdout
    assert (tmp_path / "demo" / "results" / "report.html").exists()
