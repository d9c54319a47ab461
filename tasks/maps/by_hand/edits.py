"""What a person changes about clusters, which are counted from 1 here as on the page."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orimap.tasks.errors import InputError, as_whole, shown

LONGEST_NAME = 60
COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class Edits:
    """Changes that are made together: all numbers are those before any of them.

    Parameters
    ----------
    merge : tuple of tuples of int
        Clusters that are one.
    split : tuple of int
        Clusters that are several.
    background : tuple of int
        Clusters whose positions belong to none.
    names : dict of int to str
        Of single clusters, or of what one of them is merged into.
    colours : dict of int to str
        The same, as ``#rrggbb``.
    """

    merge: tuple[tuple[int, ...], ...] = ()
    split: tuple[int, ...] = ()
    background: tuple[int, ...] = ()
    names: dict[int, str] = field(default_factory=dict)
    colours: dict[int, str] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        merge: Iterable[Any] = (),
        rename: Mapping[Any, str] | Iterable[str] = (),
        background: Iterable[Any] | int = (),
        split: Iterable[Any] | int = (),
        colour: Mapping[Any, str] | Iterable[str] = (),
    ) -> "Edits":
        """Return edits as they are typed ("3,4", "2=matrix", "5", "2=#aa3377"), or from Python.

        Raises
        ------
        InputError
            If one cannot be read, or two contradict each other.
        """
        if not isinstance(rename, Mapping):
            rename = _once("--rename", "name", rename, "matrix")
        if not isinstance(colour, Mapping):
            colour = _once("--colour", "colour", colour, "#aa3377")
        groups = tuple(_numbers("--merge", group) for group in _several(merge))
        edits = cls(
            groups,
            tuple(n for one in _several(split) for n in _numbers("--split", one)),
            tuple(n for one in _several(background) for n in _numbers("--background", one)),
            {_number("--rename", n, n): _name(n, name) for n, name in rename.items()},
            {_number("--colour", n, n): _colour(n, given) for n, given in colour.items()},
        )
        edits._check()
        return edits

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "Edits":
        """Return edits as they were stored."""
        return cls.read(
            stored["merge"],
            stored["rename"],
            stored["background"],
            stored["split"],
            # Earlier versions knew no colours.
            stored.get("colour", {}),
        )

    def stored(self) -> dict[str, Any]:
        """Return the edits as JSON has them."""
        return {
            "merge": [list(group) for group in self.merge],
            "rename": {str(n): name for n, name in self.names.items()},
            "background": list(self.background),
            "split": list(self.split),
            # Where there are none, revisions are those of earlier versions.
            **({"colour": {str(n): c for n, c in self.colours.items()}} if self.colours else {}),
        }

    @property
    def regroup(self) -> bool:
        """Whether more than names and colours is changed."""
        return bool(self.merge or self.split or self.background)

    def require(self, count: int) -> None:
        """Check that all clusters are there.

        Raises
        ------
        InputError
            If one is not among 1 to ``count``.
        """
        named = {
            "--merge": [n for group in self.merge for n in group],
            "--split": self.split,
            "--background": self.background,
            "--rename": self.names,
            "--colour": self.colours,
        }
        for option, numbers in named.items():
            for number in numbers:
                if not 1 <= number <= count:
                    raise InputError(
                        f"existing clusters, {_there(count)}",
                        f"{option} {number}",
                        "count clusters from 1, as on the page of the results",
                    )

    def in_words(self) -> list[str]:
        """Say each edit in a sentence, but for splits: what those came to is said of the map."""
        return [
            *(f"Clusters {_listed(group)} were merged." for group in self.merge),
            *(f"The positions of cluster {n} were given to no cluster." for n in self.background),
            *(f"Cluster {n} was named “{name}”." for n, name in self.names.items()),
            *(f"Cluster {n} was given the colour {c}." for n, c in self.colours.items()),
        ]

    def _check(self) -> None:
        if not (self.regroup or self.names or self.colours):
            raise InputError(
                "something to change",
                "no edit",
                "give --merge 3,4, --split 1, --background 5, --rename 2=NAME or "
                "--colour 2=#aa3377",
            )
        taken: dict[int, str] = {}
        for option, groups in (
            ("--merge", self.merge),
            ("--split", [(n,) for n in self.split]),
            ("--background", [(n,) for n in self.background]),
        ):
            for group in groups:
                for number in group:
                    if number in taken:
                        raise InputError(
                            f"one edit of cluster {number}",
                            f"{taken[number]} and {option} {','.join(map(str, group))}",
                            "give all clusters of one merge together (--merge 3,4,5), and make "
                            "further changes in a second edit with --from",
                        )
                    taken[number] = f"{option} {','.join(map(str, group))}"
        for option, thing, given in (
            ("--rename", "name", self.names),
            ("--colour", "colour", self.colours),
        ):
            for number in given:
                if number in self.background:
                    raise InputError(
                        f"a cluster {number} that can have a {thing}",
                        f"--background {number} and {option} {number}",
                        "leave one of them out",
                    )
            for group in self.merge:
                found = {given[n] for n in group if n in given}
                if len(found) > 1:
                    raise InputError(
                        f"one {thing} for what clusters {_listed(group)} become",
                        f"{option} to {' and to '.join(sorted(found))}",
                        "leave one of them out",
                    )


def _several(given: Any) -> list[Any]:
    """Return a list of edits; a single one may come without."""
    return list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]


def _numbers(option: str, given: Any) -> tuple[int, ...]:
    """Read "3,4" or (3, 4)."""
    parts = given.split(",") if isinstance(given, str) else _several(given)
    numbers = tuple(_number(option, part, given) for part in parts)
    fewest = 2 if option == "--merge" else 1
    if len(set(numbers)) < max(fewest, len(numbers)):
        raise InputError(
            f"{'two different clusters or more' if fewest == 2 else 'different clusters'} "
            f"for {option}",
            f"{option} {given}",
            f"for instance {option} {'3,4' if fewest == 2 else '5'}",
        )
    return numbers


def _number(option: str, part: Any, given: Any) -> int:
    number = int(part) if re.fullmatch(r"\s*\d+\s*", str(part)) else as_whole(part)
    if isinstance(part, bool) or number is None:
        raise InputError(
            f"numbers of clusters for {option}",
            f"{option} {given}",
            "give them as on the page, for instance 3",
        )
    return number


def _once(option: str, thing: str, texts: Iterable[str], instance: str) -> dict[str, str]:
    """Return the names, or colours, of clusters, each of which has one."""
    given: dict[str, str] = {}
    for number, value in (_named(text, option, thing, instance) for text in texts):
        if given.setdefault(number.strip(), value) != value:
            raise InputError(
                f"one {thing} for cluster {number}",
                f"{option} {number}={shown(given[number.strip()])} and {option} "
                f"{number}={shown(value)}",
                "leave one of them out",
            )
    return given


def _named(text: str, option: str, thing: str, instance: str) -> tuple[str, str]:
    number, sign, name = text.partition("=")
    if not sign:
        raise InputError(
            f"the number of a cluster and its {thing}",
            f"{option} {text}",
            f"write {option} 2={instance}",
        )
    return number, name


def _name(number: Any, given: str) -> str:
    name = " ".join(str(given).split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise InputError(
            f"a name of 1 to {LONGEST_NAME} letters for cluster {number}",
            f"--rename {number}={shown(given)}",
            "give a short name, for instance matrix",
        )
    return name


def _colour(number: Any, given: Any) -> str:
    colour = str(given).strip()
    if not COLOUR.fullmatch(colour):
        raise InputError(
            f"a colour for cluster {number} as #rrggbb",
            f"--colour {number}={given}",
            "give red, green and blue in hexadecimal digits, for instance #aa3377",
        )
    return colour.lower()


def _listed(numbers: Iterable[int]) -> str:
    *first, last = map(str, numbers)
    return f"{', '.join(first)} and {last}" if first else last


def _there(count: int) -> str:
    return f"1 to {count}" if count > 1 else "1" if count else "none"
