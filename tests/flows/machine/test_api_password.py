import pytest

from orimap.flows.machine.api_password import SERVER, api_password, password_file
from orimap.tasks.errors import InputError


@pytest.fixture(autouse=True)
def none_in_the_environment(monkeypatch):
    monkeypatch.delenv(SERVER, raising=False)


def test_a_password_is_made_once_and_kept_for_this_account_alone(tmp_path):
    made = api_password(tmp_path / "state")
    assert len(made) > 40
    assert api_password(tmp_path / "state") == made
    assert api_password(tmp_path / "other") != made
    file = password_file(tmp_path / "state")
    assert file.read_text() == f"{made}\n"
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_password_that_others_can_read_is_refused(tmp_path):
    api_password(tmp_path)
    password_file(tmp_path).chmod(0o644)
    with pytest.raises(InputError, match="this account alone can read"):
        api_password(tmp_path)


def test_that_of_the_environment_comes_first(tmp_path, monkeypatch):
    monkeypatch.setenv(SERVER, "orimap:long")
    assert api_password(tmp_path) == "orimap:long"
    assert not password_file(tmp_path).exists()
