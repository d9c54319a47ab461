import pickle

from orimap.tasks.errors import InputError, UnavailableError


def test_the_three_parts_stand_below_each_other_or_in_one_line():
    error = InputError("an even number", "3", "add 1")
    assert str(error) == "needed: an even number\nfound: 3\nwhat to do: add 1"
    assert error.reason == "needed: an even number; found: 3"
    assert error.in_one_line == "needed: an even number; found: 3; add 1"


def test_an_error_travels_between_processes_with_all_its_parts():
    there = pickle.loads(pickle.dumps(UnavailableError("a server", "none", "start it")))
    assert type(there) is UnavailableError
    assert (there.needed, there.found, there.remedy) == ("a server", "none", "start it")
