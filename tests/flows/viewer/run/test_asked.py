import pytest
from starlette.requests import Request

from orimap.flows.viewer.run.asked import MOST_STEPS, Asked, AskedEdits
from orimap.tasks.errors import InputError
from orimap.tasks.maps.by_hand.edits import Edits
from orimap.tasks.stream.blocks import Block
from orimap.tasks.view.virtual import Aperture


def asked(query, **path):
    scope = {"type": "http", "query_string": query.encode(), "path_params": path, "headers": []}
    return Asked(Request(scope))


def test_a_region_is_given_by_any_two_corners_which_belong_to_it():
    for query in ("y0=4&x0=1&y1=2&x1=5", "y0=2&x0=5&y1=4&x1=1"):
        assert asked(query).region == Block(2, 5, 1, 6)


def test_positions_lines_and_apertures_are_read_from_the_address():
    found = asked("y=3&x=5&y0=.5&x0=1&y1=2&x1=7e0&radius=2.5&shape=disc&revision=&exact=1")
    assert found.position == (3, 5)
    assert found.ends == ((0.5, 1.0), (2.0, 7.0))
    assert found.aperture == Aperture("disc", 3.0, 5.0, 2.5)
    assert (found.revision, found.exact) == (None, True)
    assert asked("shape=ring&y=1&x=2&radius=9&inner=3").aperture.inner == 3
    assert asked("", number="4").whole("number") == 4
    assert not asked("exact=0").exact
    waits = {"": 1.0, "wait=5": 5.0, "wait=inf": 60.0, "wait=-3": 0.0, "wait=nan": 1.0}
    assert {query: asked(query).wait_seconds for query in waits} == waits


def test_edits_are_read_one_step_after_the_other():
    steps = [{"merge": [[3, 4]], "rename": {"2": "matrix"}}, {"colour": {"1": "#AA3377"}}]
    found = AskedEdits.read({"source": "", "name": "mine", "steps": steps})
    assert found.steps == [
        Edits(merge=((3, 4),), names={2: "matrix"}),
        Edits(colours={1: "#aa3377"}),
    ]
    assert (found.source, found.title) == (None, "mine")
    for wrong in (float("nan"), float("inf"), 1.5, None, True, "1", [[1]]):
        for kind, value in (("split", [wrong]), ("background", [wrong]), ("merge", [[2, wrong]])):
            with pytest.raises(InputError, match="whole numbers"):
                AskedEdits.read({"steps": [{kind: value}]})
    for wrong in (None, 3, "\ud800", ["a"]):
        for kind in ("rename", "colour"):
            with pytest.raises(InputError, match="names and colours as text"):
                AskedEdits.read({"steps": [{kind: {"1": wrong}}]})
    for name in ("title", "source"):
        with pytest.raises(InputError, match="names as text"):
            AskedEdits.read({"steps": [], name: "\ud800"})
    with pytest.raises(InputError, match=f"at most {MOST_STEPS} edits"):
        AskedEdits.read({"steps": [steps[1]] * (MOST_STEPS + 1)})
