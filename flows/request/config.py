"""Read a request from a YAML file, every value as it would be typed on the command line."""

from pathlib import Path
from typing import Any

from orimap.tasks.errors import InputError

# The longest that names every option takes 2 kB; a value may be a list.
LARGEST_BYTES = 64 * 1024
DEEPEST = 3
UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # what such a file begins with, as some editors write it


def read_config(path: Path) -> dict[str, Any]:
    """Return the fields that a file gives; ``scan-shape`` and ``scan_shape`` are the same.

    Values stay text, for the request to understand: YAML itself reads ``k: 1:20`` as 80 (base 60)
    and ``centre: no`` as false. Numbers in lists, ``crop: [10, 50, 20, 60]``, are numbers.

    Raises
    ------
    InputError
        If the file is not there, is not YAML, or does not hold names with values; if it is larger
        than options are, nested deeper, or has anchors, of which a few lines make gigabytes.
    """
    import yaml

    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_BYTES + 1)
        if len(text) > LARGEST_BYTES:
            raise InputError(
                f"a YAML file with options ({path}), of at most {LARGEST_BYTES:,} bytes",
                "a larger one",
                "take out what are no options",
            )
        written = text.decode("utf-16" if text[:2] in UTF_16 else "utf-8-sig")
        _require_plain(written, path)
        content = yaml.load(written, yaml.BaseLoader)
    except OSError as error:
        raise InputError(
            f"a YAML file with options ({path})", " ".join(str(error).split()), "correct --config"
        ) from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(
            f"a YAML file with options ({path})",
            " ".join(str(error).split()),
            f"correct {path.name}: one option per line as in k: 1:12, in UTF-8, with spaces rather "
            "than tabs",
        ) from error
    if content in (None, ""):
        return {}
    if not isinstance(content, dict):
        raise InputError(
            f"names and values in {path}, one per line (k: 1:12)",
            f"a {'list' if isinstance(content, list) else 'text'}",
            "write one option per line, named as on the command line without --",
        )
    fields = {name.replace("-", "_"): _value(value) for name, value in content.items()}
    return {name: value for name, value in fields.items() if value is not None}


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
