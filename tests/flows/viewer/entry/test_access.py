import os
import time

import pytest

from orimap.flows.viewer.entry.access import (
    CODE_SECONDS,
    COOKIE_SECONDS,
    TOKEN,
    Access,
    access_folder,
    read_token,
)
from orimap.tasks.errors import InputError


def test_the_token_is_made_once_and_this_account_alone_can_read_it(tmp_path):
    folder = tmp_path / "state" / "view"
    token = read_token(folder)
    assert read_token(folder) == token
    assert len(token) == 43  # 32 bytes in base64
    assert (folder / TOKEN).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [each.name for each in folder.iterdir()] == [TOKEN]
    assert read_token(tmp_path / "another") != token


@pytest.mark.parametrize("rights", [0o640, 0o604, 0o666])
def test_a_token_that_others_can_read_is_refused(tmp_path, rights):
    read_token(tmp_path)
    (tmp_path / TOKEN).chmod(rights)
    with pytest.raises(InputError) as refused:
        read_token(tmp_path)
    assert refused.value.found.endswith(f"the rights {rights:o}")


def test_a_token_that_is_short_or_that_a_link_leads_to_is_refused(tmp_path):
    (tmp_path / TOKEN).touch(0o600)
    with pytest.raises(InputError, match="too short"):
        read_token(tmp_path)
    (tmp_path / TOKEN).unlink()
    (tmp_path / "of another").write_text("x" * 40)
    (tmp_path / TOKEN).symlink_to(tmp_path / "of another")
    with pytest.raises(InputError, match="a place for a token"):
        read_token(tmp_path)


def test_the_token_is_in_the_state_folder_or_in_the_home_of_the_account(tmp_path, monkeypatch):
    assert access_folder(tmp_path) == tmp_path / "view"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    assert access_folder(None) == tmp_path / "home" / "orimap" / "view"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")  # the standard says to ignore it
    monkeypatch.setenv("HOME", str(tmp_path))
    assert access_folder(None) == tmp_path / ".local" / "state" / "orimap" / "view"


def test_a_cookie_holds_for_a_month_and_for_its_token_alone(tmp_path, monkeypatch):
    access, other = Access(tmp_path / "one"), Access(tmp_path / "other")
    cookie = access.cookie()
    assert access.is_cookie(cookie)
    assert not other.is_cookie(cookie)
    assert access.cookie_name != other.cookie_name
    assert read_token(tmp_path / "one") not in cookie
    made, nonce, signature = cookie.split(".")
    changed = [f"{int(made) + 9}.{nonce}.{signature}", f"{made}.{nonce}x.{signature}", made,
               f"{made}.{nonce}.", f"{made}.{nonce}.{'0' * 64}", "", ".", "é"]  # fmt: skip
    assert not any(access.is_cookie(each) for each in changed)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + COOKIE_SECONDS + 1)
    assert not access.is_cookie(cookie)


def test_a_code_lets_in_once_and_not_after_ten_minutes(tmp_path, monkeypatch):
    access = Access(tmp_path)
    one, other = access.code(), access.code()
    assert not access.use_code("")
    assert access.use_code(one)
    assert not access.use_code(one)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + CODE_SECONDS + 1)
    assert not access.use_code(other)


def test_only_the_token_is_the_token(tmp_path):
    access = Access(tmp_path)
    token = read_token(tmp_path)
    assert access.is_token(f" {token}\n")  # as it is copied
    assert not any(access.is_token(each) for each in ("", token[:-1], token + "x", "\udcff"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="--state DIR"):
        read_token(tmp_path / "view")
