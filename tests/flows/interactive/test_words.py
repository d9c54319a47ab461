import pytest

from orimap.flows.interactive.words import in_python, speak_python, speaking_python
from orimap.tasks.errors import InputError, UnavailableError


@pytest.mark.parametrize(
    ("option", "argument"),
    [
        ("give --scan-shape 40x48", 'give scan_shape="40x48"'),
        ("--bin 2, --crop, a smaller --k", "bin=2, crop, a smaller k"),
        ("as --scan-shape says", "as scan_shape says"),
        ("--image-names '{x}_{y}' if", "image_names='{x}_{y}' if"),
        ("(--gain, --offset)", "(gain, offset)"),
        ("leave out --no-merge", "leave out no_merge=True"),
        ("did you mean --no-merge?", "did you mean no_merge=True?"),
        ("leave out --no-split-bent", "leave out split_bent=False"),
        ("give them with --scan-shape YxX", "give them with scan_shape=(rows, columns)"),
        ("without --from", "without source"),
        ("give --crystal FILE.cif", 'give crystals="FILE.cif"'),
        ("--rename 2=matrix", 'rename="2=matrix"'),
        ("ask for --distinct 5.", "ask for distinct=5."),
        ("--k 0: too small", "k=0: too small"),
        ("--k 5:1: the wrong way", 'k="5:1": the wrong way'),
        ("--crop [1, 2]: more", "crop=[1, 2]: more"),
        ("--scan-shape (-4, 5)", "scan_shape=(-4, 5)"),
        ("--distinct True: a number", "distinct=True: a number"),
        ("a dash -- like this, and a-b--c", "a dash -- like this, and a-b--c"),
    ],
)
def test_an_option_is_called_as_in_python(option, argument):
    assert in_python(option) == argument


def test_a_command_to_type_stays_as_it_is():
    text = "run orimap edit results --delete edit-1, or leave out --revision"
    assert in_python(text) == "run orimap edit results --delete edit-1, or leave out revision"


def test_an_error_keeps_its_kind_and_says_all_three_parts_anew():
    error = UnavailableError("room for --output", "none", "give another --output")
    speak_python(error)
    assert isinstance(error, InputError)
    assert (error.needed, error.remedy) == ("room for output", "give another output")
    assert str(error) == "needed: room for output\nfound: none\nwhat to do: give another output"


def test_a_function_of_python_speaks_python_and_other_errors_stay_as_they_are():
    @speaking_python
    def fail(error):
        raise error

    with pytest.raises(InputError, match="found: bin=3"):
        fail(InputError("an even number", "--bin 3", "give --bin 4"))
    with pytest.raises(ValueError, match="--bin"):
        fail(ValueError("--bin"))
