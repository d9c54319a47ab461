import numpy as np
import pytest

from orimap.flows.request.request import Request
from orimap.flows.request.values import EXAMPLES, needed_for, of_numbers, plain


def test_every_example_is_a_value_that_is_taken():
    for name, example in EXAMPLES.items():
        for written in example.split(" or "):
            read = Request.read(file="a", output="b", **{name: written.strip("'")})
            assert getattr(read, name) is not None
            assert name in read.model_fields_set


def test_fields_of_numbers_are_told_apart():
    fields = Request.model_fields
    numbers = {name for name, field in fields.items() if of_numbers(field)}
    assert {"k", "adapt", "bin", "gain", "l1", "crop", "scan_shape", "seed"} <= numbers
    assert not {"file", "centre", "restart", "mask", "scan_step", "filter"} & numbers


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("distinct", "a whole number for --x, for instance 5"),
        ("regularity", "a number for --x, for instance 0.2"),
        ("k", "a value for --x, for instance 5 or 1:12"),
        ("centre", "auto, yes or no for --x"),
        ("restart", "true or false for --x"),
        ("dark", "a file for --x"),
        ("output", "a folder for the results, --output DIR"),
    ],
)
def test_what_a_field_needs_is_said(name, needed):
    assert needed_for(name, "--x", Request.model_fields[name]) == needed


def test_numbers_of_numpy_become_those_of_python():
    assert plain(np.int8(3)) == 3
    assert type(plain(np.float32(0.5))) is float
    assert plain(np.array([[1, 2]])) == [[1, 2]]
    assert plain("1:20") == "1:20"
