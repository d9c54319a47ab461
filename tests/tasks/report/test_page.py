import base64

from orimap.tasks.report import page


def test_an_image_is_its_own_address():
    address = page.data_address(b"\x89PNG and more")
    head, code = address.split(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(code) == b"\x89PNG and more"


def test_the_fields_of_a_page_are_what_its_template_shows():
    shown = page.Page(
        "5 <patterns>", "scan.hspy", "9 × 12 positions", [], {}, "2026-01-02 03:04", None
    )
    text = page.render("page.html", shown).decode()
    assert "<h1>5 &lt;patterns&gt;</h1>" in text
    assert "<title>5 &lt;patterns&gt; · scan.hspy</title>" in text
    assert '<p class="measured">9 × 12 positions</p>' in text
    assert "Written 2026-01-02 03:04 by orimap." in text
