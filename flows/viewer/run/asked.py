"""What a request of the page asks for, checked: numbers, names, a disc or ring."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from orimap.tasks.errors import InputError, shown
from orimap.tasks.maps.by_hand.edits import Edits
from orimap.tasks.stream.blocks import Block
from orimap.tasks.view.virtual import Aperture

# What a step of edits may hold; each of these is a list, or a table from cluster to text.
LISTS, TABLES = ("merge", "split", "background"), ("rename", "colour")
MOST_STEPS = 500
# A map of another number of patterns that takes longer is shown in a quick form first.
PATIENCE_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 60.0


class Asked:
    """The parameters of one request.

    Parameters
    ----------
    request : Request
    """

    def __init__(self, request: Request) -> None:
        self._query = request.query_params
        self._path = request.path_params

    @property
    def revision(self) -> str | None:
        """The revision whose clusters are asked for, None for the automatic result."""
        return self._query.get("revision") or None

    def text(self, name: str) -> str:
        """Return a parameter as it came; InputError without."""
        value = self._path.get(name, self._query.get(name))
        if value is None:
            raise InputError(f"{name}", "none", f"ask with {name}=...")
        return str(value)

    def number(self, name: str, otherwise: float | None = None) -> float:
        """Return a number; InputError if it is none."""
        given = self._path.get(name, self._query.get(name))
        if given is None and otherwise is not None:
            return otherwise
        try:
            return float(self.text(name))
        except ValueError:
            raise InputError(f"a number for {name}", shown(given), f"give {name}=1.5") from None

    @property
    def wait_seconds(self) -> float:
        """How long to wait for an answer that is not there yet; never longer than a minute."""
        given = self.number("wait", PATIENCE_SECONDS)
        return min(max(given, 0.0), LONGEST_WAIT_SECONDS) if given == given else PATIENCE_SECONDS

    def whole(self, name: str) -> int:
        """Return a whole number; InputError if it is none."""
        given = self.text(name)
        try:
            return int(given)
        except ValueError:
            raise InputError(f"a whole number for {name}", shown(given), f"give {name}=3") from None

    @property
    def position(self) -> tuple[int, int]:
        """Row and column in the scan."""
        return self.whole("y"), self.whole("x")

    @property
    def ends(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Where a line begins and ends."""
        start = self.number("y0"), self.number("x0")
        return start, (self.number("y1"), self.number("x1"))

    @property
    def region(self) -> Block:
        """A rectangle; both ends belong to it, in either order."""
        rows = sorted((self.whole("y0"), self.whole("y1")))
        columns = sorted((self.whole("x0"), self.whole("x1")))
        return Block(rows[0], rows[1] + 1, columns[0], columns[1] + 1)

    @property
    def aperture(self) -> Aperture:
        """A disc or a ring on the detector."""
        return Aperture(
            self.text("shape"),
            self.number("y"),
            self.number("x"),
            self.number("radius"),
            self.number("inner", 0.0),
        )

    @property
    def exact(self) -> bool:
        """Whether a virtual image is to be the exact one."""
        return self._query.get("exact", "0") not in ("0", "", "false")


@dataclass(frozen=True)
class AskedEdits:
    """Edits that a page asks for.

    Parameters
    ----------
    steps : list of Edits
        One after the other.
    source : str or None
        The revision that they start from, None for the automatic result.
    title : str or None
        Of the revision to be written.
    replace : bool
        Whether it may take the place of one with this title.
    """

    steps: list[Edits]
    source: str | None
    title: str | None
    replace: bool = False

    @classmethod
    def read(cls, body: Any) -> "AskedEdits":
        """Read what came as JSON.

        Raises
        ------
        InputError
            If it is anything else.
        """
        if not isinstance(body, Mapping) or not isinstance(body.get("steps"), list):
            raise InputError('edits as {"source", "steps"}', "something else", "load the page anew")
        source, steps, replace = body.get("source"), body["steps"], body.get("replace", False)
        title = body.get("title") or body.get("name")
        if not all(each is None or _is_text(each) for each in (source, title)):
            found = f"{shown(source)}, {shown(title)}"
            raise InputError("names as text", found, "load the page anew")
        if not isinstance(replace, bool):
            raise InputError("replace as true or false", repr(replace), "load the page anew")
        if len(steps) > MOST_STEPS:
            raise InputError(
                f"at most {MOST_STEPS} edits", str(len(steps)), "save them, and start from there"
            )
        return cls([_step(step) for step in steps], source or None, title, replace)


def _step(given: Any) -> Edits:
    """Return one step of edits."""
    if not isinstance(given, Mapping) or not set(given) <= {*LISTS, *TABLES}:
        raise InputError(
            f"edits ({', '.join((*LISTS, *TABLES))})",
            str(sorted(map(str, given))) if isinstance(given, Mapping) else repr(given),
            "load the page anew",
        )
    for name, value in given.items():
        if not isinstance(value, list if name in LISTS else dict):
            raise InputError(
                f"{name} as a {'list' if name in LISTS else 'table'}", repr(value), "load anew"
            )
    if any(not isinstance(group, list) for group in given.get("merge", ())):
        raise InputError("merge as a list of lists", shown(given["merge"]), "load the page anew")
    numbers = [n for name in LISTS for one in given.get(name, ()) for n in _several(one)]
    wrong = [n for n in numbers if not isinstance(n, int) or isinstance(n, bool)]
    words = [word for name in TABLES for word in given.get(name, {}).values()]
    wrong += [word for word in words if not _is_text(word)]
    if wrong:
        raise InputError(
            "clusters as whole numbers, names and colours as text", shown(wrong[0]), "load anew"
        )
    return Edits.read(**given)


def _several(one: Any) -> list[Any]:
    return one if isinstance(one, list) else [one]


def _is_text(word: Any) -> bool:
    """Return whether a word can be written: JSON can have halves of letters."""
    return isinstance(word, str) and word == word.encode("utf-8", "replace").decode("utf-8")
