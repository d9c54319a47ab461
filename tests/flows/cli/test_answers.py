import pytest
import typer

from orimap.flows.cli.answers import answers, print_lines, print_table
from orimap.tasks.errors import InputError


def _exit_code(error, **options):
    @answers
    def command(**_options):
        raise error

    with pytest.raises(typer.Exit) as end:
        command(**options)
    return end.value.exit_code


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("a", "b", "c"), 2, "needed: a\nfound: b\nwhat to do: c\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (ValueError("one\ntwo"), 1, "failed: ValueError: one (--debug shows where)\n"),
        (ValueError(), 1, "failed: ValueError:  (--debug shows where)\n"),
        (OSError(28, "No space left"), 1, "failed: No space left (--debug shows where)\n"),
        (typer.Exit(7), 7, ""),
    ],
)
def test_what_goes_wrong_becomes_words_and_an_exit_code(capsys, error, code, said):
    assert _exit_code(error) == code
    assert capsys.readouterr() == ("", said)


def test_debug_shows_where_an_error_comes_from_and_not_twice_what_it_is(capsys):
    assert _exit_code(ValueError("one"), debug=True) == 1
    said = capsys.readouterr().err
    assert said.startswith("Traceback")
    assert said.count("ValueError: one") == 1


def test_names_without_words_are_left_out(capsys):
    print_lines([("file", "a.blo"), ("also in it", ""), ("k", "1 to 4")])
    assert capsys.readouterr().out == "file        a.blo\nk           1 to 4\n"


def test_a_table_is_as_wide_as_its_longest_words(capsys):
    print_table(("id", "state", ""), [("1", "done", "a long one"), ("20", "seen", "")])
    assert capsys.readouterr().out == ("id  state\n1   done   a long one\n20  seen\n")
    print_table(("id",), [])
    assert capsys.readouterr().out == "nothing is there\n"
