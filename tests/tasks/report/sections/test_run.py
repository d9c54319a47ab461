import numpy as np
import pytest

from orimap.tasks.report.results import read_results
from orimap.tasks.report.sections import run


def test_notes_become_sentences():
    facts = {"notes": ["3 dead pixels masked", "values are saturated at 255; kept"]}
    mask = np.zeros((4, 5), np.uint8)
    mask[0, :2] = 4
    analysed = np.zeros((4, 5), np.uint8)
    analysed[:, :2] = 16
    assert run.repairs(facts, mask, analysed, ["ePattern took its time."]) == [
        "3 dead pixels masked.",
        "Values are saturated at 255; kept.",
        "2 pixels left out by the given mask.",
        "ePattern took its time.",
        "In all 40 % of the detector's pixels are not analysed.",
    ]


@pytest.mark.parametrize("notes", [["Patterns were not centred: too little."], ["Two hot pixels."]])
def test_centring_is_only_referred_to_where_it_is_told(small_store, notes):
    section = run.repairs_section(read_results(small_store), notes)
    assert section.of_centring == ("centred" in notes[0])
