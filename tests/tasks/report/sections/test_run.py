import numpy as np

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
