"""What options are called: on the command line, in files and in Python, now and earlier."""

from collections.abc import Mapping
from typing import Any

from orimap.tasks.errors import InputError, tell

# Old names of options, and until which version they are read.
RENAMED, RENAMED_UNTIL = {"decided_k": "components"}, "0.3"
# The number of patterns cannot be chosen in two ways.
NOT_WITH_DISTINCT = ("components", "no_merge")
# What one is called on the command line, and as well in files, where a list goes by its plural.
SINGULAR = {"crystals": "crystal"}
PLURAL = {singular: plural for plural, singular in SINGULAR.items()}


def dashed(name: str) -> str:
    """Return the name of a field as an option has it, without its first dashes."""
    return SINGULAR.get(name, name).replace("_", "-")


def option_of(name: str) -> str:
    """Return the option of the command line for a field."""
    return f"--{dashed(name)}"


def with_new_names(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a request with other names replaced by their own; warn of old ones.

    Raises
    ------
    InputError
        If an option is given by both its names.
    """
    found = dict(fields)
    for old, new in {**RENAMED, **PLURAL}.items():
        value = found.pop(old, None)
        if value is None:
            continue
        if found.get(new) is not None:
            other = "its old name" if old in RENAMED else "which is the same"
            raise InputError(
                f"--{new.replace('_', '-')} alone",
                f"--{old.replace('_', '-')}, {other}, as well",
                f"leave out --{old.replace('_', '-')}",
            )
        if new in NOT_WITH_DISTINCT and found.get("distinct") is not None:
            raise one_way(f"--distinct {found['distinct']} and --{dashed(old)} {value}")
        if old in RENAMED:
            tell(
                f"--{dashed(old)} ({old}) is now called --{dashed(new)} ({new}); the old name is "
                f"read until orimap {RENAMED_UNTIL}"
            )
        found[new] = value
    return found


def one_way(found: str) -> InputError:
    """Return the error for a number of patterns that is asked for in two ways."""
    return InputError(
        "one way to choose the number of patterns",
        found,
        "give --distinct for a number of patterns, or --components, with or without --no-merge, "
        "for a number of components",
    )


def offer_old_names(schema: dict[str, Any]) -> None:
    """Let a form that is checked by its schema still give options by their old names."""
    for old, new in RENAMED.items():
        schema["properties"][old] = {
            **schema["properties"][new],
            "title": f"{schema['properties'][new]['title']} (old name)",
            "description": f"Old name of {new}, read until orimap {RENAMED_UNTIL}",
            "deprecated": True,
        }
