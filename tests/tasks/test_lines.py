import ast
import io
import os
from pathlib import Path

import pytest

from orimap.tasks.errors import InputError, words_of
from orimap.tasks.lines import printable, say

FLOWS = Path(__file__).parents[2] / "flows"


def test_a_name_that_is_no_text_can_be_printed_and_others_stay():
    assert printable(os.fsdecode(b"\xe9.npy")) == r"\udce9.npy"
    plain = "échantillon 试样 2 × 3\u202f nm, 0.5 Å⁻¹ 🔬.npy"
    assert printable(plain) == plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\nforged: line\r", r"a\nforged: line\r"),
        ("\x9b2J\x07\x7f\t", r"\x9b2J\x07\x7f\t"),
        ("gpj.\u202eexe", r"gpj.\u202eexe"),
        ("a\u2028b\u200b\ufeff", r"a\u2028b\u200b\ufeff"),
    ],
)
def test_what_a_terminal_obeys_or_a_log_ends_a_line_at_is_written_as_numbers(text, shown):
    assert printable(text) == shown
    assert printable(shown) == shown


def test_what_is_said_is_as_many_lines_as_were_given():
    stream = io.StringIO()
    say("one\nforged", "two \x1b[2J", "", stream=stream)
    assert stream.getvalue() == "one\\nforged\ntwo \\x1b[2J\n\n"


def test_errors_say_names_as_one_line_each():
    error = InputError("a file", "evil\n\x1b[31m.npy", "another\rone")
    expected = "needed: a file\nfound: evil\\n\\x1b[31m.npy\nwhat to do: another\\rone"
    assert str(error) == expected
    assert words_of(OSError("two\n lines \x1b[0m")) == r"two lines \x1b[0m"


def test_no_command_writes_past_the_place_where_lines_are_written():
    written = [
        f"{path.name}:{node.lineno}"
        for folder in ("cli", "pipeline", "watch", "jobs")
        for path in sorted((FLOWS / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
    ]
    assert written == []
