import pytest

from orimap.tasks.acquire.formats.stacks.describe_empad import describe_empad, raw_file_of

XML = (
    '<root><raw_file filename="C:\\data\\scan_x8_y6.raw"/><pix_x>6</pix_x><pix_y>5</pix_y>'
    '<scan_parameters mode="search"><scan_resolution_x>8</scan_resolution_x>'
    "<scan_resolution_y>7</scan_resolution_y></scan_parameters>"
    '<scan_parameters mode="acquire"><scan_resolution_x>9</scan_resolution_x>'
    "<scan_resolution_y>7</scan_resolution_y></scan_parameters></root>"
)


def test_every_shape_is_found_with_its_place():
    described = describe_empad(XML)
    assert (described.raw, described.patterns) == ("scan_x8_y6.raw", None)
    assert described.shapes == {
        "pix_x and pix_y": (5, 6),
        "the name of the .raw file": (6, 8),
        "scan_resolution of the mode search": (7, 8),
        "scan_resolution of the mode acquire": (7, 9),
    }


@pytest.mark.parametrize(("patterns", "fitting"), [(48, [(6, 8)]), (30, [(5, 6)]), (10, [])])
def test_the_shapes_that_have_so_many_positions(patterns, fitting):
    assert list(describe_empad(XML).fitting(patterns).values()) == fitting


def test_a_series_is_no_scan():
    text = "<root><series_count>12</series_count></root>"
    described = describe_empad(text)
    assert (described.raw, described.shapes, described.patterns) == (None, {}, 12)


def test_the_raw_file_is_named_without_the_folder_on_the_microscope(tmp_path):
    (tmp_path / "a.xml").write_text(XML)
    (tmp_path / "b.xml").write_text("<other/>")
    assert raw_file_of(tmp_path / "a.xml") == "scan_x8_y6.raw"
    assert raw_file_of(tmp_path / "b.xml") is None
