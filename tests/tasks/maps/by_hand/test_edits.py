import numpy as np
import pytest

from orimap.tasks.errors import InputError
from orimap.tasks.maps.by_hand.edits import Edits


def test_what_is_typed_is_what_python_gives():
    typed = Edits.read(["3,4"], ["2=matrix"], ["5"], ["1"])
    assert typed == Edits(((3, 4),), (1,), (5,), {2: "matrix"})
    assert typed == Edits.read([(3, 4)], {2: "matrix"}, 5, 1)
    numpy = Edits.read([np.array([3, 4])], {np.int64(2): "matrix"}, np.int32(5), np.uint8(1))
    assert typed == numpy
    assert Edits.of(typed.stored()) == typed
    assert typed.in_words() == [
        "Clusters 3 and 4 were merged.",
        "The positions of cluster 5 were given to no cluster.",
        "Cluster 2 was named “matrix”.",
    ]


def test_colours_are_edits_of_their_own_and_revisions_of_earlier_versions_have_none():
    typed = Edits.read(rename=["2=matrix"], colour=["2=#AA3377", " 3 =#00ff00"])
    assert typed == Edits(names={2: "matrix"}, colours={2: "#aa3377", 3: "#00ff00"})
    assert Edits.of(typed.stored()) == typed
    assert not typed.regroup
    assert typed.in_words()[1:] == [
        "Cluster 2 was given the colour #aa3377.",
        "Cluster 3 was given the colour #00ff00.",
    ]
    earlier = {"merge": [[1, 2]], "rename": {}, "background": [], "split": []}
    assert Edits.of(earlier).stored() == earlier


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, "no edit"),
        ({"merge": ["3"]}, "--merge 3"),
        ({"merge": ["3,3"]}, "--merge 3,3"),
        ({"merge": ["3;4"]}, "--merge 3;4"),
        ({"split": ["one"]}, "--split one"),
        ({"rename": ["matrix"]}, "--rename matrix"),
        ({"rename": ["2= "]}, "a name of 1 to 60 letters for cluster 2"),
        ({"merge": ["3,4", "4,5"]}, "--merge 3,4 and --merge 4,5"),
        ({"merge": ["3,4"], "split": ["4"]}, "--merge 3,4 and --split 4"),
        (
            {"rename": ["1=a", "1=b"]},
            "one name for cluster 1\nfound: --rename 1=a and --rename 1=b",
        ),
        ({"rename": ["2=" + "x" * 5000]}, r"--rename 2=x{80}\.\.\. \(5,000 letters\)\n"),
        ({"split": True}, "--split True"),
        ({"split": 1.5}, "--split 1.5"),
        ({"background": [5], "rename": {5: "x"}}, "--background 5 and --rename 5"),
        ({"merge": ["3,4"], "rename": ["3=a", "4=b"]}, "--rename to a and to b"),
        ({"colour": ["2"]}, "--colour 2"),
        ({"colour": ["2=red"]}, "--colour 2=red"),
        ({"colour": ["x=#aa3377"]}, "--colour x"),
        ({"background": [5], "colour": {5: "#aa3377"}}, "--background 5 and --colour 5"),
        (
            {"merge": ["3,4"], "colour": ["3=#000000", "4=#ffffff"]},
            "--colour to #000000 and to #ffffff",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(given, found):
    with pytest.raises(InputError, match=found):
        Edits.read(**given)


def test_what_is_not_there_is_refused_with_what_is():
    edits = Edits.read(merge=["2,7"])
    edits.require(7)
    with pytest.raises(InputError, match=r"existing clusters, 1 to 6\n.*--merge 7"):
        edits.require(6)
    with pytest.raises(InputError, match="--colour 7"):
        Edits.read(colour={7: "#aa3377"}).require(6)
    with pytest.raises(InputError, match="--split 0"):
        Edits.read(split=[0]).require(6)
