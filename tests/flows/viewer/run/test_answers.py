import json

import numpy as np
import pytest

from orimap.flows.viewer.run.answers import Json, array_answer, error_answer
from orimap.tasks.errors import InputError, UnavailableError


def test_json_has_null_where_a_number_is_none():
    sent = Json({"a": [1, np.float32(0.5), float("nan")], 2: (np.inf, np.int16(3), "ü")})
    assert json.loads(sent.body) == {"a": [1, 0.5, None], "2": [None, 3, "ü"]}
    assert b"NaN" not in sent.body


@pytest.mark.parametrize(
    ("values", "kind", "dtype"),
    [
        (np.arange(6.0).reshape(2, 3), "float32", "<f4"),
        (np.arange(6, dtype=np.int64).reshape(2, 3), "int16", "<i2"),
        (np.arange(6, dtype=">f4").reshape(3, 2).T, "float32", "<f4"),
    ],
)
def test_arrays_are_little_endian_rows_with_their_shape(values, kind, dtype):
    sent = array_answer(values, shift="1,-2")
    assert sent.headers["x-shape"] == "2,3"
    assert (sent.headers["x-dtype"], sent.headers["x-shift"]) == (kind, "1,-2")
    np.testing.assert_array_equal(np.frombuffer(sent.body, dtype).reshape(2, 3), values)


def test_what_is_not_there_yet_is_told_from_what_is_wrong():
    wrong, later = InputError("a", "b", "c"), UnavailableError("a", "b", "c")
    assert json.loads(error_answer(wrong).body) == {"needed": "a", "found": "b", "remedy": "c"}
    assert (error_answer(wrong).status_code, error_answer(later).status_code) == (400, 503)
    assert error_answer(later, 409).status_code == 409
