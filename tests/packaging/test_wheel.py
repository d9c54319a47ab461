"""What is installed from a wheel is all there, and works away from the repository."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("cluster", "deploy", "flows", "tasks")
BUILD = "import setuptools.build_meta as build; print(build.build_wheel({folder!r}))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel that was built from a copy of the repository."""
    return _built(tmp_path_factory.mktemp("repository"), tmp_path_factory.mktemp("wheel"))


def _built(copy, folder, version=None):
    """Build a wheel from a copy of the repository, maybe as another version."""
    for name in PACKAGES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    if version:
        project = (copy / "pyproject.toml").read_text()
        (copy / "pyproject.toml").write_text(
            re.sub('^version = ".*"$', f'version = "{version}"', project, count=1, flags=re.M)
        )
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
    _pip(folder, "install", "--no-index", "--no-deps", wheel)
    (packages,) = folder.glob("lib/python*/site-packages")
    # A path file of a path file is not read, so that the repository itself is not found.
    dependencies = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "dependencies.pth").write_text("\n".join(dependencies))
    _take_compiled(packages / "orimap")
    return folder / "bin"


def _pip(folder, *arguments):
    """Call pip for an environment that has none of its own."""
    base = Path(sys.base_prefix) / "bin" / "python{}.{}".format(*sys.version_info)
    pip = (base, "-m", "pip", "--python", folder / "bin" / "python")
    subprocess.run([*pip, *arguments, "--quiet", "--disable-pip-version-check"], check=True)


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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_newer_wheel_takes_its_place_reads_its_results_and_is_removed_again(
    wheel, tmp_path_factory, tmp_path
):
    folder = tmp_path_factory.mktemp("upgraded")
    base = Path(sys.base_prefix) / "bin" / "python{}.{}".format(*sys.version_info)
    subprocess.run([base, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    dependencies = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "dependencies.pth").write_text("\n".join(dependencies))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    with tarfile.open(ROOT / "tests" / "data" / "results_0.1.0.tar.gz") as packed:
        packed.extractall(tmp_path, filter="data")
    (store,) = tmp_path.rglob("analysis.zarr")

    def answer(script):
        asked = [folder / "bin" / "python", "-c", script, store.parent]
        return subprocess.run(asked, cwd=tmp_path, env=kept, capture_output=True, text=True)

    newer = _built(
        tmp_path_factory.mktemp("newer"), tmp_path_factory.mktemp("newer wheel"), "0.1.99"
    )
    for each, version in ((wheel, "0.1.0"), (newer, "0.1.99")):
        _pip(folder, "install", "--upgrade", "--no-index", "--no-deps", each)
        said = subprocess.run(
            [folder / "bin" / "orimap", "--version"], env=kept, capture_output=True, text=True
        )
        assert said.stdout == f"orimap {version}\n", said.stderr
        opened = answer("import orimap, sys; print(orimap.open(sys.argv[1]).attrs['decided_k'])")
        assert int(opened.stdout) > 0, opened.stderr
    before = sorted(store.rglob("*"))
    _pip(folder, "uninstall", "--yes", "orimap")
    assert not (folder / "bin" / "orimap").exists()
    assert not (packages / "orimap").exists()
    assert sorted(store.rglob("*")) == before
