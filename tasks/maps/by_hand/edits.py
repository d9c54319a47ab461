"""What a person changes about clusters, which are counted from 1 here as on the page."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orimap.tasks.errors import InputError, as_whole, shown

LONGEST_NAME = 60


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
    """

    merge: tuple[tuple[int, ...], ...] = ()
    split: tuple[int, ...] = ()
    background: tuple[int, ...] = ()
    names: dict[int, str] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        merge: Iterable[Any] = (),
        rename: Mapping[Any, str] | Iterable[str] = (),
        background: Iterable[Any] | int = (),
        split: Iterable[Any] | int = (),
    ) -> "Edits":
        """Return edits as they are typed ("3,4", "2=matrix", "5"), or given from Python.

        Raises
        ------
        InputError
            If one cannot be read, or two contradict each other.
        """
        if not isinstance(rename, Mapping):
            rename = _once(_named(text) for text in rename)
        groups = tuple(_numbers("--merge", group) for group in _several(merge))
        edits = cls(
            groups,
            tuple(n for one in _several(split) for n in _numbers("--split", one)),
            tuple(n for one in _several(background) for n in _numbers("--background", one)),
            {_number("--rename", n, n): _name(n, name) for n, name in rename.items()},
        )
        edits._check()
        return edits

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "Edits":
        """Return edits as they were stored."""
        return cls.read(stored["merge"], stored["rename"], stored["background"], stored["split"])

    def stored(self) -> dict[str, Any]:
        """Return the edits as JSON has them."""
        return {
            "merge": [list(group) for group in self.merge],
            "rename": {str(n): name for n, name in self.names.items()},
            "background": list(self.background),
            "split": list(self.split),
        }

    @property
    def regroup(self) -> bool:
        """Whether more than names is changed."""
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
        ]

    def _check(self) -> None:
        if not (self.regroup or self.names):
            raise InputError(
                "something to change",
                "no edit",
                "give --merge 3,4, --split 1, --background 5 or --rename 2=NAME",
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
        for number in self.names:
            if number in self.background:
                raise InputError(
                    f"a cluster {number} that can have a name",
                    f"--background {number} and --rename {number}",
                    "leave one of them out",
                )
        for group in self.merge:
            names = {self.names[n] for n in group if n in self.names}
            if len(names) > 1:
                raise InputError(
                    f"one name for what clusters {_listed(group)} become",
                    f"--rename to {' and to '.join(sorted(names))}",
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


def _once(named: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the names of clusters, each of which has one."""
    names: dict[str, str] = {}
    for number, name in named:
        if names.setdefault(number.strip(), name) != name:
            raise InputError(
                f"one name for cluster {number}",
                f"--rename {number}={shown(names[number.strip()])} and --rename "
                f"{number}={shown(name)}",
                "leave one of them out",
            )
    return names


def _named(text: str) -> tuple[str, str]:
    number, sign, name = text.partition("=")
    if not sign:
        raise InputError(
            "the number of a cluster and its name", f"--rename {text}", "write --rename 2=matrix"
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


def _listed(numbers: Iterable[int]) -> str:
    *first, last = map(str, numbers)
    return f"{', '.join(first)} and {last}" if first else last


def _there(count: int) -> str:
    return f"1 to {count}" if count > 1 else "1" if count else "none"
