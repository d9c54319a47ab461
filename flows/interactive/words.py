"""Say to those who call from Python what is at fault in the words of Python."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    T = TypeVar("T")

    from orimap.tasks.errors import InputError

# A whole command, up to the end of what is said of it, is for a terminal.
COMMAND = re.compile(r"(\borimap [a-z][^;,:()\n]*)")
# An option, and its value where there is one rather than a word of the sentence.
OPTION = re.compile(
    r"(?<![\w-])--(?P<name>[a-z](?:[a-z0-9-]*[a-z0-9])?)"
    r"(?:[ =](?P<value>'[^'\n]*'|\"[^\"\n]*\"|[\[(][-+., 0-9e]*[\])]"
    r"|(?=[^\s;,()\[\]]*[0-9A-Z{}])[^\s;,()\[\]]+))?"
)
NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
# What options are called in Python where it is not their own name.
NAMES = {"from": "source", "crystal": "crystals"}
# What stands for a value of two numbers where a command is explained.
WRITTEN_AS = {"YxX": "(rows, columns)", "ROWSxCOLUMNS": "(rows, columns)"}
# Flags whose own name says no; others can be given either way.
SAYING_NO = ("no-merge",)


def speaking_python(call: Callable[P, T]) -> Callable[P, T]:
    """Have errors name the arguments of a function where a command names its options."""

    @functools.wraps(call)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return call(*args, **kwargs)
        except ValueError as error:
            from orimap.tasks.errors import InputError

            if isinstance(error, InputError):
                speak_python(error)
            raise

    return called


def speak_python(error: InputError) -> None:
    """Put arguments of Python in place of the options of commands in what an error says."""
    error.needed, error.found, error.remedy = (
        in_python(text) for text in (error.needed, error.found, error.remedy)
    )
    error.args = type(error)(error.needed, error.found, error.remedy).args


def in_python(text: str) -> str:
    """Return a sentence with arguments of Python in place of options.

    Commands to type stay as they are. ``give --scan-shape 40x48`` becomes
    ``give scan_shape="40x48"``, ``leave out --no-merge`` becomes ``leave out no_merge=True``.
    """
    parts = COMMAND.split(text)
    # Every second part is a command.
    parts[::2] = [OPTION.sub(_argument, part) for part in parts[::2]]
    return "".join(parts)


def _argument(option: re.Match[str]) -> str:
    name, value = option["name"], option["value"]
    if name in SAYING_NO:
        return f"{_name(name)}=True" + (f" {value}" if value else "")
    if name.startswith("no-"):
        return f"{_name(name.removeprefix('no-'))}=False" + (f" {value}" if value else "")
    if value is None:
        return _name(name)
    stop = value[-1] if value[-1] in ".:" else ""
    value = value.removesuffix(stop)
    if value in WRITTEN_AS:
        return f"{_name(name)}={WRITTEN_AS[value]}{stop}"
    if not NUMBER.fullmatch(value) and value[0] not in "'\"[(" and value not in ("True", "None"):
        value = f'"{value}"'
    return f"{_name(name)}={value}{stop}"


def _name(option: str) -> str:
    return NAMES.get(option, option.replace("-", "_"))
