from pathlib import Path

import pytest

from orimap.flows.request.config import read_config
from orimap.tasks.errors import InputError


def _read(tmp_path, text):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return read_config(path)


def test_values_stay_as_they_would_be_typed(tmp_path):
    text = "k: 1:20\nscan-shape: 40x50\n\ncentre: no\nworkers: 3\ncrop: [10, 50, 20.5, x]\n"
    read = _read(tmp_path, text)
    assert read == {
        "k": "1:20", "scan_shape": "40x50", "centre": "no", "workers": "3",
        "crop": [10, 50, 20.5, "x"],
    }  # fmt: skip
    assert read.lines == {"k": 1, "scan_shape": 2, "centre": 4, "workers": 5, "crop": 6}


def test_a_wrong_value_is_reported_with_file_and_line(tmp_path):
    read = _read(tmp_path, "# a run\nk: 1:12\nbin: two\n")
    with pytest.raises(InputError) as refused:
        read.check()
    place = f"{tmp_path / 'run.yaml'}, line 3"
    assert refused.value.found == f"{place}: --bin two"
    _read(tmp_path, "k: 5\nbin: 2\n").check()


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("filtr", "did you mean filter?"), ("scan-shap", "did you mean scan-shape?"),
     ("componets", "did you mean components?"), ("zzz", "orimap run --help lists them all")],
)  # fmt: skip
def test_an_unknown_name_is_reported_with_its_line_and_the_nearest_option(tmp_path, name, remedy):
    with pytest.raises(InputError) as refused:
        _read(tmp_path, f"k: 1:12\n{name}: 3\n")
    assert f"{tmp_path / 'run.yaml'}, line 2: " in refused.value.found
    assert refused.value.found.endswith(", which is not an option")
    assert refused.value.remedy == remedy


def test_an_option_that_is_given_twice_is_refused(tmp_path):
    with pytest.raises(InputError) as refused:
        _read(tmp_path, "scan-step: 2nm\nk: 3\nscan_step: 3nm\n")
    assert refused.value.found == "scan_step in lines 1 and 3"


@pytest.mark.parametrize("text", ["", "\n", "# only words\n", "mask:\nseed: ~\nbin: null\n"])
def test_what_is_empty_gives_no_field(tmp_path, text):
    assert _read(tmp_path, text) == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [("- k\n- bin\n", "a list"), ("only words", "a text"), ("k: [1", "line 1: expected")],
)
def test_what_is_no_list_of_options_is_refused(tmp_path, text, found):
    with pytest.raises(InputError) as refused:
        _read(tmp_path, text)
    assert found in refused.value.found
    assert str(tmp_path / "run.yaml") in refused.value.needed


BOMB = "k:\n- &a [x,x]\n- &b [*a,*a,*a,*a]\n- &c [*b,*b,*b,*b]\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (BOMB, "an anchor or alias in line 2"),
        ("k: &k 1:12\n", "an anchor or alias in line 1"),
        ("k: &k\n  - *k\n", "an anchor or alias in line 1"),
        ("seed: 3\nk: [[[[1]]]]\n", "lists within lists, 4 deep, in line 2"),
        ("k: " + "[" * 20_000, "lists within lists, 4 deep, in line 1"),
        ("a:\n b:\n  c:\n   d: 1\n", "lists within lists, 4 deep, in line 4"),
        ("# " + "x" * 70_000, "a larger one"),
    ],
)
def test_what_grows_or_never_ends_is_refused_before_it_is_made(tmp_path, text, found):
    with pytest.raises(InputError) as refused:
        _read(tmp_path, text)
    assert refused.value.found == found
    assert str(tmp_path / "run.yaml") in refused.value.needed


def test_a_file_without_an_end_is_not_read_to_it():
    with pytest.raises(InputError, match="a larger one"):
        read_config(Path("/dev/zero"))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match="No such file") as refused:
        read_config(tmp_path / "absent.yaml")
    assert "Errno" not in str(refused.value)
    assert refused.value.remedy == "correct --config"
    (tmp_path / "image.yaml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(InputError, match="it is not text in UTF-8"):
        read_config(tmp_path / "image.yaml")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_may_be_in_the_encodings_of_common_editors(tmp_path, encoding):
    (tmp_path / "run.yaml").write_text("k: 1:12\nbin: 2\n", encoding=encoding)
    assert read_config(tmp_path / "run.yaml") == {"k": "1:12", "bin": "2"}


def test_a_tab_is_named_with_the_file_it_is_in(tmp_path):
    (tmp_path / "scan.orimap.yaml").write_text("k: 1:12\n\tbin: 2\n")
    with pytest.raises(InputError) as error:
        read_config(tmp_path / "scan.orimap.yaml")
    assert "correct scan.orimap.yaml" in error.value.remedy
    assert "spaces rather than tabs" in error.value.remedy
