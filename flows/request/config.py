"""Read a request from a YAML file, every value as it would be typed on the command line."""

from pathlib import Path
from typing import Any

from orimap.flows.request.names import PLURAL, RENAMED
from orimap.flows.request.request import Request, no_such_option
from orimap.tasks.errors import InputError, words_of

# The longest that names every option takes 2 kB; a value may be a list.
LARGEST_BYTES = 64 * 1024
DEEPEST = 3
UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # what such a file begins with, as some editors write it


class Options(dict[str, Any]):
    """Fields of a request as a file gives them, and the line that each is in.

    Parameters
    ----------
    path : Path
    fields : dict
    lines : dict
        From the name of a field to the number of its line, from 1.
    """

    def __init__(self, path: Path, fields: dict[str, Any], lines: dict[str, int]) -> None:
        super().__init__(fields)
        self.path = path
        self.lines = lines

    def check(self, shown: str | None = None) -> None:
        """Check every value by itself.

        Parameters
        ----------
        shown : str, optional
            What the message calls the file; by default its path.

        Raises
        ------
        InputError
            For the first that a request does not take, with the file and the line it is in.
        """
        for name, value in self.items():
            try:
                Request.read(**{"file": Path(), "output": Path(), name: value})
            except InputError as error:
                place = f"{shown or self.path}, line {self.lines[name]}"
                raise InputError(error.needed, f"{place}: {error.found}", error.remedy) from error


def read_config(path: Path) -> Options:
    """Return the fields that a file gives; ``scan-shape`` and ``scan_shape`` are the same.

    Values stay text, for the request to understand: YAML itself reads ``k: 1:20`` as 80 (base 60)
    and ``centre: no`` as false. Numbers in lists, ``crop: [10, 50, 20, 60]``, are numbers.

    Raises
    ------
    InputError
        If the file is not there, is not YAML, or does not hold names with values; if it is larger
        than options are, nested deeper, or has anchors, of which a few lines make gigabytes; if a
        name is not that of an option, or is given twice.
    """
    import yaml

    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_BYTES + 1)
        if len(text) > LARGEST_BYTES:
            raise InputError(
                f"a YAML file with options ({path}), of at most {LARGEST_BYTES:,} bytes",
                "a larger one",
                "remove what is not an option",
            )
        written = text.decode("utf-16" if text[:2] in UTF_16 else "utf-8-sig")
        _require_plain(written, path)
        content = yaml.load(written, yaml.BaseLoader)
        lines = _lines(written, path)
    except OSError as error:
        raise InputError(
            f"a YAML file with options ({path})", _not_yaml(error), "correct --config"
        ) from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(
            f"a YAML file with options ({path})",
            _not_yaml(error),
            f"correct {path.name}: one option per line as in k: 1:12, in UTF-8, with spaces rather "
            "than tabs",
        ) from error
    if content in (None, ""):
        return Options(path, {}, {})
    if not isinstance(content, dict):
        raise InputError(
            f"names and values in {path}, one per line (k: 1:12)",
            f"a {'list' if isinstance(content, list) else 'text'}",
            "write one option per line, named as on the command line without --",
        )
    fields = {str(name).replace("-", "_"): _value(value) for name, value in content.items()}
    for name in fields:
        if name not in Request.model_fields and name not in RENAMED and name not in PLURAL:
            raise no_such_option(name, f"{path}, line {lines[name]}: {name}")
    given = {name: value for name, value in fields.items() if value is not None}
    return Options(path, given, lines)


def _not_yaml(error: Exception) -> str:
    """Return what is wrong with a file that cannot be read as YAML, and in which line."""
    import yaml

    if isinstance(error, UnicodeDecodeError):
        return "it is not text in UTF-8"
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return words_of(error)


def _lines(text: str, path: Path) -> dict[str, int]:
    """Return the line of each name, from 1; refuse a name that is given twice."""
    import yaml

    root = yaml.compose(text, yaml.BaseLoader)
    lines: dict[str, int] = {}
    for key, _ in root.value if isinstance(root, yaml.MappingNode) else ():
        name, line = str(key.value).replace("-", "_"), key.start_mark.line + 1
        if name in lines:
            raise InputError(
                f"every option once in {path}",
                f"{name} in lines {lines[name]} and {line}",
                "remove one of them",
            )
        lines[name] = line
    return lines


def _require_plain(text: str, path: Path) -> None:
    """Refuse what no options need, before anything is made of it."""
    import yaml

    depth = 0
    for event in yaml.parse(text, yaml.BaseLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise InputError(
                f"names and values in {path}, one per line (k: 1:12)",
                f"an anchor or alias in line {line}",
                "write the value out where it is meant",
            )
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise InputError(
                f"names and values in {path}, one per line (k: 1:12)",
                f"lists within lists, {depth} deep, in line {line}",
                "write one option per line, with a value or a list of values",
            )


def _value(value: Any) -> Any:
    """Return text as it is, numbers in lists as numbers, nothing as None."""
    if isinstance(value, list):
        return [_number(item) for item in value]
    return None if value in ("", "~", "null") else value


def _number(text: Any) -> Any:
    """Return the number that a text is, or the text."""
    for kind in (int, float):
        try:
            return kind(text)
        except (TypeError, ValueError):
            continue
    return text
