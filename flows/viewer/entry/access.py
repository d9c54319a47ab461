"""Who may look: a token in a file of this account, cookies made with it, codes for one visit.

Every user of a machine reaches its loopback. So whoever looks has to know the token, which only
this account can read. A browser gets a cookie for it, from which nobody learns the token.
"""

import contextlib
import hashlib
import hmac
import os
import secrets
import stat
import time
from pathlib import Path

from orimap.tasks.errors import InputError, words_of
from orimap.tasks.process_name import own_name

TOKEN = "token"
FOLDER = "view"
TOKEN_BYTES = 32
TOKEN_BYTES_AT_MOST = 1024
# A browser that was let in stays so for a month; another token ends it at once.
COOKIE_SECONDS = 30 * 86400
# Time enough to copy an address from a terminal, or to wait for a browser that starts slowly.
CODE_SECONDS = 600


def access_folder(state: Path | None) -> Path:
    """Return where the token is kept: in the state folder given, else in that of this account."""
    if state is not None:
        return state / FOLDER
    named = os.environ.get("XDG_STATE_HOME", "")
    home = Path(named) if Path(named).is_absolute() else Path.home() / ".local" / "state"
    return home / "orimap" / FOLDER


def read_token(folder: Path) -> str:
    """Return the token of this account; make it where there is none.

    Raises
    ------
    InputError
        If it cannot be kept there, or others can read or have written it.
    """
    path = folder / TOKEN
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.path.lexists(path):
            _write_once(path, secrets.token_urlsafe(TOKEN_BYTES))
        # A link in its place would lead to a file that somebody else has made.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            facts = os.fstat(descriptor)
            token = os.read(descriptor, TOKEN_BYTES_AT_MOST).decode(errors="replace").strip()
        finally:
            os.close(descriptor)
    except OSError as error:
        raise InputError(
            f"a place for a token ({path})",
            words_of(error),
            "give a folder that this account can write with --state DIR",
        ) from error
    owned = facts.st_uid == os.geteuid() and stat.S_ISREG(facts.st_mode)
    if not owned or facts.st_mode & 0o077 or len(token) < TOKEN_BYTES:
        raise InputError(
            f"a token that this account alone can read ({path})",
            "a token that is too short"
            if len(token) < TOKEN_BYTES
            else f"a file of user {facts.st_uid} with the rights {stat.S_IMODE(facts.st_mode):o}",
            "remove the file: the next start makes a new one",
        )
    return token


def _write_once(path: Path, token: str) -> None:
    """Write a token whole, unless another process has done so meanwhile."""
    made = path.with_name(f".{path.name}.{own_name()}-{secrets.token_hex(4)}")
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(token + "\n")
        with contextlib.suppress(FileExistsError):
            os.link(made, path)
    finally:
        made.unlink()


class Access:
    """Tells who may look from who may not.

    Parameters
    ----------
    folder : Path
        Of the token; see `access_folder`.

    Raises
    ------
    InputError
        If the token cannot be kept there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._token = read_token(folder)
        self._codes: dict[str, float] = {}
        # One for each token: viewers of several accounts on one machine leave each other's alone.
        self.cookie_name = f"orimap-{self._signed('name')[:8]}"

    def is_token(self, text: str) -> bool:
        """Return whether this is the token; takes as long whatever it is."""
        return _same(text.strip(), self._token)

    def cookie(self) -> str:
        """Make the value of a cookie."""
        facts = f"{int(time.time())}.{secrets.token_urlsafe(12)}"
        return f"{facts}.{self._signed(facts)}"

    def is_cookie(self, value: str) -> bool:
        """Return whether a cookie was made with this token, and not too long ago."""
        facts, _, signature = value.rpartition(".")
        made = facts.partition(".")[0]
        if not _same(signature, self._signed(facts)):
            return False
        return made.isdecimal() and 0 <= time.time() - int(made) < COOKIE_SECONDS

    def code(self) -> str:
        """Make a code that lets one browser in once, within ten minutes."""
        code = secrets.token_urlsafe(TOKEN_BYTES)
        self._codes[code] = time.monotonic()
        return code

    def use_code(self, text: str) -> bool:
        """Return whether a code lets somebody in; it does not do so again."""
        known = [code for code in self._codes if _same(text, code)]
        return any(time.monotonic() - self._codes.pop(code) < CODE_SECONDS for code in known)

    def _signed(self, facts: str) -> str:
        return hmac.new(
            self._token.encode(), f"orimap {facts}".encode(), hashlib.sha256
        ).hexdigest()


def _same(one: str, other: str) -> bool:
    """Compare in a time that does not tell how much agrees."""
    return hmac.compare_digest(
        hashlib.sha256(one.encode("utf-8", "surrogatepass")).digest(),
        hashlib.sha256(other.encode("utf-8", "surrogatepass")).digest(),
    )
