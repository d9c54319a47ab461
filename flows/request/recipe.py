"""Read what is to be simulated, as it is typed or as Python gives it."""

import dataclasses
from typing import Any

from pydantic import TypeAdapter, ValidationError

from orimap.flows.request.values import Shape, plain
from orimap.tasks.errors import NUMBER, WHOLE_NUMBER, InputError, nearest, problem, shown
from orimap.tasks.simulate.recipe import ScanRecipe


def read_recipe(**values: Any) -> ScanRecipe:
    """Return the recipe of a scan from its fields; say clearly which one is wrong.

    Parameters
    ----------
    **values
        Fields of a `ScanRecipe`. ``scan`` and ``detector`` may be text, "64x48". What is None is
        not given.

    Raises
    ------
    InputError
        If a field is unknown, or has a value that cannot be simulated.
    """
    known = {field.name: field for field in dataclasses.fields(ScanRecipe)}
    read: dict[str, Any] = {}
    for name, value in values.items():
        option = f"--{name.replace('_', '-')}"
        if name not in known:
            meant = nearest(name, known)
            raise InputError(
                "an option that orimap simulate knows",
                f"{option}, which is not an option",
                f"did you mean --{meant.replace('_', '-')}?"
                if meant
                else "orimap simulate --help lists them all",
            )
        if value is not None:
            read[name] = _value(name, option, plain(value))
    return ScanRecipe(**read)


def _value(name: str, option: str, value: Any) -> Any:
    """Return the value of a field, of its own type."""
    kind = KINDS[name]
    try:
        if isinstance(value, bool) and kind is not bool:
            raise ValueError("no true or false")
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        wrong = problem(error.errors()[0])
    except ValueError as error:
        wrong = str(error)
    more = "" if wrong in (WHOLE_NUMBER, NUMBER) else f": {wrong}"
    default = getattr(ScanRecipe, name)
    example = "x".join(map(str, default)) if isinstance(default, tuple) else default
    raise InputError(
        f"{WORDS.get(kind, 'rows and columns')} for {option}"
        + ("" if example is None else f", for instance {example}"),
        f"{option} {shown(value)}{more}",
        f"correct {option}; orimap simulate --help explains it",
    )


WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a name"}
KINDS: dict[str, Any] = {
    field.name: {"int": int, "float": float, "bool": bool, "str": str, "float | None": float}.get(
        str(field.type), Shape
    )
    for field in dataclasses.fields(ScanRecipe)
}
