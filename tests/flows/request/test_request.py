from pathlib import Path

import numpy as np
import pytest

from orimap.flows.request.config import read_config
from orimap.flows.request.request import Request, as_first_named, laid_over
from orimap.tasks.errors import InputError, Notice


def _read(**fields):
    return Request.read(**{"file": "scan.blo", "output": "out", **fields})


@pytest.mark.parametrize(
    ("field", "written", "read"),
    [
        ("k", "2:9", (2, 9)),
        ("k", [2, 9], (2, 9)),
        ("k", "5", (5, 5)),
        ("k", 5, (5, 5)),
        ("k", np.int64(5), (5, 5)),
        ("k", np.array([2, 9]), (2, 9)),
        ("k", ["2", "9"], (2, 9)),
        ("k", range(1, 4), (1, 3)),
        ("k", None, (1, 20)),
        ("centre", None, "auto"),
        ("distinct", np.int32(3), 3),
        ("gain", np.float32(2.5), 2.5),
        ("l1", np.float64(0.1), (0.1, 0.1)),
        ("skip_frames", np.uint8(5), (5, 0)),
        ("scan_shape", np.array([40, 50]), (40, 50)),
        ("restart", np.True_, True),
        ("adapt", " 2 : 20", (2, 20)),
        ("scan_shape", "40x50", (40, 50)),
        ("skip_frames", "5", (5, 0)),
        ("skip_frames", 5, (5, 0)),
        ("skip_frames", "0:2", (0, 2)),
        ("skip_frames", [5, 3], (5, 3)),
        ("keep_rows", "9", 9),
        ("image_names", "p_{x}_{y}.tif", "p_{x}_{y}.tif"),
        ("image_names", "order", "order"),
        ("crop", "10:50,20:60", (10, 50, 20, 60)),
        ("roi", [0, 4, 0, 5], (0, 4, 0, 5)),
        ("l1", "0.1", (0.1, 0.1)),
        ("l1", "0.1,0", (0.1, 0.0)),
        ("l1", 0.2, (0.2, 0.2)),
        ("distinct", "9", 9),
        ("components", "9", 9),
        ("bin", "2", 2),
        ("mask", "stop.png", Path("stop.png")),
        ("scan_step", "2nm", "2nm"),
        ("detector_step", "0.01/Å", "0.01/Å"),
        ("beam_energy", "200 kV", "200 kV"),
        ("axes", "ky,kx,y,x", "ky,kx,y,x"),
    ],
)
def test_values_are_read_as_they_are_written(field, written, read):
    assert getattr(_read(**{field: written}), field) == read


@pytest.mark.parametrize(
    ("field", "written", "found"),
    [
        ("k", "0:3", "the smallest number of components is 1"),
        ("k", "9:2", r"the last k \(2\) is below the first \(9\)"),
        ("k", "many", "must be one number or FIRST:LAST, for instance 5 or 1:20"),
        ("k", "0", "the smallest number of components is 1"),
        ("scan_shape", "40", "must be ROWSxCOLUMNS"),
        ("skip_frames", "-1", "must be BEFORE or BEFORE:AFTER"),
        ("skip_frames", [1, -1], "must be at least 0"),
        ("keep_rows", "0", "must be at least 1"),
        ("image_names", "p_{x}.tif", "must be order, or have {x} and {y} in it"),
        ("adapt", "2", "must be MIN:MAX"),
        ("adapt", "0:2", "MIN must be at least 1 and no larger than MAX"),
        ("adapt", [3, 2], "MIN must be at least 1 and no larger than MAX"),
        ("crop", "50:10,20:60", "holds nothing; the end must come after the start"),
        ("l1", "2", "must be at most 1"),
        ("l1", "0.1,x", "must be one number, or two with a comma"),
        ("crop", [1, 2], "more values are needed"),
        ("crop", [1, 2, 3, 4, 5], "4 values are needed, not 5"),
        ("gain", "two", "a number for --gain, for instance 3.2\nfound: --gain two\n"),
        ("gain", "0", "must be above 0"),
        ("worker_memory", "8", "must be a size with its unit, for instance 8 GB"),
        ("bin", "0", "must be at least 1"),
        ("bin", "two", "a whole number for --bin, for instance 2\nfound: --bin two\n"),
        ("bin", 1.5, "needed: a whole number for --bin, for instance 2\nfound: --bin 1.5\n"),
        ("mask", 5, "needed: a file for --mask\nfound: --mask 5: a path is needed"),
        ("restart", "perhaps", "needed: true or false for --restart"),
        ("k", 1.5, "found: --k 1.5: must be one number or FIRST:LAST"),
        ("k", [], r"found: --k \[\]: must be one number or FIRST:LAST"),
        ("k", [1, 2, 3], "must be one number or FIRST:LAST"),
        ("k", [1, 2.5], "must be one number or FIRST:LAST"),
        ("k", range(1, 9, 2), r"in steps of one, for instance range\(1, 13\)"),
        ("k", range(0), "a range must go up in steps of one"),
        ("k", True, "--k True: a number is needed, not true or false"),
        ("distinct", True, "--distinct True: a number is needed, not true or false"),
        ("workers", np.False_, "--workers False: a number is needed, not true or false"),
        ("scan_shape", (-20, -24), "the numbers of rows and columns must be 1 or more"),
        ("scan_shape", "0x5", "the numbers of rows and columns must be 1 or more"),
        ("scan_shape", 4, "--scan-shape 4: a list of values is needed"),
        ("centre", "x" * 500, r"--centre x{80}\.\.\. \(500 letters\)"),
        (
            "counts",
            "perhaps",
            "needed: auto, yes or no for --counts\nfound: --counts perhaps: must",
        ),
        ("seed", "-1", "must be at least 0"),
        ("colour", "red", "--colour, which is not an option"),
        ("scan_step", "2", "must be a number with its unit, for instance 2nm"),
        ("scan_step", 2, "must be a number with its unit, for instance 2nm"),
        ("detector_step", "0.01nm", "for instance 0.01/Å"),
        ("beam_energy", "2kV,", "for instance 200keV"),
        ("axes", "y,x", "must name every axis once"),
    ],
)
def test_a_wrong_value_is_reported_with_its_option(field, written, found):
    with pytest.raises(InputError, match=found) as caught:
        _read(**{field: written})
    assert "--" + field.replace("_", "-") in str(caught.value)


def test_an_option_by_its_old_name_is_read_with_a_note():
    with pytest.warns(Notice, match="--decided-k .* is now called --components") as told:
        assert _read(decided_k="4").components == 4
    # As of the line that has called, not of one inside a library.
    assert [each.filename for each in told] == [__file__]
    assert _read(decided_k=None) == _read()
    stored = _read(components=4).model_dump(mode="json")
    stored["decided_k"] = stored.pop("components")
    with pytest.warns(Notice, match="until orimap 0.3"):
        assert Request.model_validate(stored) == _read(components=4)
    with pytest.raises(InputError, match="its old name, as well"):
        _read(decided_k=4, components=4)
    with pytest.raises(InputError, match="found: --distinct 3 and --decided-k 4\n"):
        _read(decided_k=4, distinct=3)
    offered = Request.model_json_schema()["properties"]["decided_k"]
    assert offered["deprecated"] is True


@pytest.mark.parametrize("other", [{"components": 4}, {"no_merge": True}])
def test_one_number_is_asked_for_at_a_time(other):
    with pytest.raises(InputError, match="--distinct 3 and --"):
        _read(distinct=3, **other)
    # What takes precedence sets aside the other.
    assert laid_over({**other, "k": "1:5"}, {"distinct": 3}) == {"k": "1:5", "distinct": 3}
    assert laid_over({"distinct": 3}, other) == other


def test_without_a_choice_a_request_is_told_as_it_always_was():
    first = as_first_named(_read().model_dump(mode="json"))
    assert first["decided_k"] is None
    assert not {"components", "distinct", "no_merge"} & set(first)
    chosen = as_first_named(_read(distinct=3).model_dump(mode="json"))
    assert (chosen["decided_k"], chosen["distinct"]) == (None, 3)


def test_how_a_file_is_read_is_what_was_asked_for():
    assert _read().reading == {}
    asked = {"reader": "npy", "scan_shape": (4, 5), "skip_frames": (5, 3), "keep_rows": 3}
    assert _read(**asked, k="1:3").reading == asked


def test_a_request_survives_json():
    request = _read(k="2:9", l1="0.1,0", scan_shape="4x5", detector_step="0.5 mrad")
    assert Request.model_validate_json(request.model_dump_json()) == request


def test_how_an_acquisition_is_opened_is_told_apart():
    opened = _read(reader="npy", beam_energy="200kV", seed=3).reading
    assert opened == {"reader": "npy", "beam_energy": "200kV"}


def test_every_field_says_what_it_is():
    assert all(field.description for field in Request.model_fields.values())


CONFIG = """\
# as on the command line
file: scan.blo
output: results
k: 1:20
centre: no
l1: 0.1,0
crop: [10, 50, 20, 60]
scan-shape: 4x5
components: 9
signal: 1
mask:
restart: true
scan-step: 2nm
detector_step: 0.01 1/Å
beam-energy: 200 kV
"""


def test_a_config_file_means_what_the_command_line_means(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(CONFIG)
    request = Request.read(**read_config(path))
    assert request.k == (1, 20)  # plain YAML makes 80 of it
    assert request.centre == "no"  # plain YAML makes False of it
    assert request.l1 == (0.1, 0)
    assert request.crop == (10, 50, 20, 60)
    assert request.scan_shape == (4, 5)
    assert request.components == 9
    assert request.signal == "1"
    assert "mask" not in request.model_fields_set
    assert request.restart is True
    given = (request.scan_step, request.detector_step, request.beam_energy)
    assert given == ("2nm", "0.01 1/Å", "200 kV")


@pytest.mark.parametrize(
    ("content", "found"),
    [("- k: 3", "a list"), ("k: [1", "line 1: expected"), ("word", "a text")],
)
def test_a_config_file_at_fault_is_reported(tmp_path, content, found):
    path = tmp_path / "run.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=found):
        read_config(path)


def test_a_missing_config_file_is_reported_and_an_empty_one_is_nothing(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_config(tmp_path / "run.yaml")
    (tmp_path / "run.yaml").write_text("# nothing\n")
    assert read_config(tmp_path / "run.yaml") == {}
