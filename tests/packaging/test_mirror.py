"""Tests lie where the code lies.

A module has a test file of its name in the same folder under tests/, or its docstring ends with
"Tested in tests/....py.", and that file imports it.
"""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("cluster", "flows", "tasks")
TESTED_IN = re.compile(r"Tested\s+in\s+(tests/\S+\.py)\.$")


def modules():
    """Return the paths of all modules, relative to the repository."""
    found = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    return sorted(path.relative_to(ROOT) for path in found if not path.stem.startswith("__"))


def imported_by(source):
    """Return every name that a source imports: modules, and names from modules as if they were."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def fault_of(module, root=ROOT):
    """Return what is missing for a module, None where it has its tests."""
    of_its_name = Path("tests") / module.parent / f"test_{module.stem}.py"
    if (root / of_its_name).is_file():
        return None
    docstring = ast.get_docstring(ast.parse((root / module).read_text())) or ""
    named = TESTED_IN.search(docstring)
    if named is None:
        return f"no {of_its_name}, and the docstring names no other"
    if not (root / named[1]).is_file():
        return f"there is no {named[1]}"
    if ".".join(("orimap", *module.with_suffix("").parts)) not in imported_by(
        (root / named[1]).read_text()
    ):
        return f"{named[1]} does not import it"
    return None


def test_every_module_has_its_tests():
    faults = {module: fault_of(module) for module in modules()}
    missing = [f"{module}: {fault}" for module, fault in faults.items() if fault is not None]
    assert not missing, f"{len(missing)} modules have no tests:\n" + "\n".join(missing)


def test_every_folder_of_tests_mirrors_a_folder():
    tests = (path for folder in FOLDERS for path in (ROOT / "tests" / folder).rglob("test_*.py"))
    folders = {path.parent.relative_to(ROOT / "tests") for path in tests}
    assert {str(folder) for folder in folders if not (ROOT / folder).is_dir()} == set()


def test_ways_to_import_a_module_are_understood():
    source = "import a.b\ndef f():\n    from a.c import d\n    from e.f import g as h\n"
    assert imported_by(source) == {"a.b", "a.c", "a.c.d", "e.f", "e.f.g"}


@pytest.mark.parametrize(
    ("docstring", "test", "fault"),
    [
        ("Blur.", "", "no tests/tasks/test_blur.py, and the docstring names no other"),
        ("Blur.\n\nTested in tests/other.py.", "", "there is no tests/other.py"),
        ("Blur.\n\nTested in tests/test_all.py. Slowly.", "import orimap.tasks.blur",
         "no tests/tasks/test_blur.py, and the docstring names no other"),
        ("Blur.\n\nTested in\ntests/test_all.py.", "import orimap.tasks",
         "tests/test_all.py does not import it"),
        ("Blur.\n\nTested in\ntests/test_all.py.", "from orimap.tasks import blur", None),
        ("Blur. Tested in tests/test_all.py.\n", "from orimap.tasks.blur import blur", None),
    ],
)  # fmt: skip
def test_a_module_without_tests_is_found(tmp_path, docstring, test, fault):
    for name, text in (("tasks/blur.py", f'"""{docstring}"""'), ("tests/test_all.py", test)):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    assert fault_of(Path("tasks/blur.py"), tmp_path) == fault
