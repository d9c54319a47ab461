import pytest

from orimap.flows.request.names import dashed, one_way, option_of, with_new_names
from orimap.flows.request.request import Request
from orimap.tasks.errors import InputError, Notice


def test_options_go_by_the_names_of_fields_and_lists_by_their_singular():
    assert option_of("scan_shape") == "--scan-shape"
    assert option_of("crystals") == "--crystal"
    assert dashed("crystals") == "crystal"


def test_the_singular_stands_for_the_list_without_a_word(recwarn):
    assert with_new_names({"crystal": "a.cif", "k": 3}) == {"crystals": "a.cif", "k": 3}
    assert with_new_names({"crystal": None}) == {}
    assert not recwarn


def test_an_old_name_is_read_with_a_warning():
    with pytest.warns(Notice, match="is now called --components"):
        assert with_new_names({"decided_k": 4}) == {"components": 4}


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"decided_k": 4, "components": 5}, "--decided-k, its old name, as well"),
        ({"crystal": "a.cif", "crystals": ["b.cif"]}, "--crystal, which is the same, as well"),
        ({"decided_k": 4, "distinct": 5}, "--distinct 5 and --decided-k 4"),
    ],
)
def test_one_option_by_two_names_is_refused(given, found):
    with pytest.raises(InputError) as refused:
        with_new_names(given)
    assert refused.value.found == found


def test_a_form_offers_old_names_and_messages_name_both_ways():
    assert Request.model_json_schema()["properties"]["decided_k"]["deprecated"] is True
    assert "--components" in one_way("both").remedy
