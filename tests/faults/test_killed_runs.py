"""What the count of killed runs stands on: results are compared, and what is left is found."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr

from orimap.tasks.process_name import own_name

FOLDER = Path(__file__).with_name("killed")


@pytest.fixture(scope="module")
def count(script):
    """The script."""
    return script("count")


@pytest.fixture
def truth(tmp_path):
    """Two stores with an array each, one of them with a value that is no number."""
    for store, values in (("patterns.zarr", [1, 2]), ("analysis.zarr", [0.5, np.nan])):
        group = zarr.open_group(tmp_path / "truth" / store, mode="w")
        group.create_array("g/a", data=np.array(values))
    return tmp_path / "truth"


def test_one_value_an_array_or_the_exit_code_make_a_difference(count, truth, tmp_path):
    made = shutil.copytree(truth, tmp_path / "made")
    assert count.compared(made, truth, 0) == "identical"
    assert count.compared(made, truth, 1) == "the run after it ended with 1"
    zarr.open_array(made / "patterns.zarr" / "g" / "a", mode="r+")[1] = 3
    assert count.compared(made, truth, 0) == "['patterns.zarr/g/a'] differ"
    shutil.rmtree(made / "analysis.zarr" / "g" / "a")
    assert count.compared(made, truth, 0) == "other arrays: ['analysis.zarr/g/a']"


def test_only_what_is_of_a_process_that_is_gone_is_left(count, tmp_path):
    (tmp_path / "t").mkdir()
    gone = subprocess.run(
        [sys.executable, "-c", "from orimap.tasks.process_name import own_name; print(own_name())"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    for name in (own_name(), gone):
        (tmp_path / "t" / f"orimap-run-{name}-x").mkdir()
    assert [path.name for path in count.remains(tmp_path)] == [f"orimap-run-{gone}-x"]


def test_the_table_counts_every_kind(count):
    found = [
        {"kind": "group", "hit": True, "end": "identical"},
        {"kind": "group", "hit": False, "end": "['a'] differ"},
        {"kind": "worker", "hit": True, "end": "identical"},
    ]
    lines = count.table(found)
    assert lines[0].startswith("3 kills, 20")
    assert "| group | 2 | 1 | 1 |" in lines
    assert lines[-1] == "| all | 3 | 2 | 2 |"


@pytest.mark.slow
def test_four_kills_change_nothing(tmp_path):
    command = [sys.executable, FOLDER / "count.py", "--kills", "4", "--seed", "3"]
    subprocess.run([*command, "--out", tmp_path], check=True)
    (all_of_them,) = (tmp_path / "table.md").read_text().splitlines()[-1:]
    # One may be over before it is killed.
    assert re.fullmatch(r"\| all \| 4 \| [34] \| 4 \|", all_of_them)
