"""Parts of the pages that code or measurements tell: commands, options, stores, confidence.

They are reStructuredText. ``conf.py`` makes a directive of each, which pages in Markdown name in an
``eval-rst`` block.
"""

import csv
import importlib
import pkgutil
from collections import Counter
from collections.abc import Iterator
from inspect import cleandoc
from itertools import groupby
from pathlib import Path
from textwrap import indent
from typing import Any

MEASURED = Path(__file__).parents[1] / "tests" / "benchmarks" / "deciding" / "results"
CONFIDENCES = ("high", "moderate", "low")
# Of the kinematical scans, numbers from here on were measured once, at the end; of the realistic
# ones, these seeds were measured when the rules stood.
FRESH_FROM = 80
UNSEEN_SEEDS = ("s4000", "s5000")


def commands() -> Iterator[tuple[str, Any]]:
    """Return the commands that are not hidden, those of groups as ``cluster check``."""
    from typer.main import get_command

    from orimap.flows.cli.main import app

    def walk(group: Any, before: str) -> Iterator[tuple[str, Any]]:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from walk(command, f"{before}{name} ")
            elif not command.hidden:
                yield before + name, command

    return walk(get_command(app), "")


def command_text(name: str, command: Any) -> str:
    """Return one command with its arguments and options."""
    from typer import Context

    context = Context(command, info_name=name)
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    usage = " ".join(["orimap", name, *map(placeholder, arguments), "[OPTIONS]"])
    lines = [f"orimap {name}", "-" * (len(name) + 7), "", f".. program:: orimap {name}", ""]
    lines += ["``" + usage + "``", "", escaped(cleandoc(command.help or "")), ""]
    for argument in arguments:
        lines += [f"``{placeholder(argument)}``", indent(escaped(argument.help), "   "), ""]
    for panel, members in groupby(options, lambda p: getattr(p, "rich_help_panel", None)):
        lines += [f"*{panel}*", ""] if panel else []
        for option in members:
            names, said = option.get_help_record(context)
            names = names.replace(" / ", ", ")
            lines += [f".. option:: {names}", "", indent(escaped(said), "   "), ""]
    return "\n".join(lines)


def placeholder(argument: Any) -> str:
    """Return what stands for an argument in the usage of a command."""
    return str(argument.metavar or argument.name.upper())


def escaped(text: str | None) -> str:
    """Return text for reStructuredText that has none of its marks."""
    return "".join(f"\\{letter}" if letter in "*`|_\\" else letter for letter in text or "")


def results_text() -> str:
    """Return every stored variable, a table for each group."""
    from orimap.tasks.store import variables

    lines = []
    named = [value for name, value in vars(variables).items() if name.isupper()]
    for group in (value for value in named if isinstance(value, variables.Group)):
        path = f"/{group.path}" if group.path else "/raw, /mean, /epattern"
        title = f"{group.store} {path}"
        lines += [title, "-" * len(title), "", ".. list-table::", "   :header-rows: 1"]
        lines += ["   :widths: 28 27 12 33", "", *row("name", "axes", "unit", "meaning")]
        for each in group.variables.values():
            axes = ", ".join(each.dims)
            lines += row(f"``{each.name}``", escaped(axes), each.units, escaped(each.long_name))
        lines += [""]
    return "\n".join(lines)


def row(*cells: str) -> list[str]:
    """Return a row of a list table."""
    return [f"   {'*' if not place else ' '} - {cell}" for place, cell in enumerate(cells)]


def modules_text(package: str) -> str:
    """Return every module of a package that has documented members, in order of their names."""
    parent = importlib.import_module(package)
    found = [package] if not hasattr(parent, "__path__") else []
    walked = pkgutil.walk_packages(getattr(parent, "__path__", ()), f"{package}.")
    found += [module.name for module in walked if not module.ispkg]
    lines = []
    for name in sorted(found):
        title = escaped(name.removeprefix(f"{package}.").removeprefix("orimap.tasks."))
        lines += [title, "-" * len(title), "", f".. automodule:: {name}"]
        lines += ["   :members:", ""]
    return "\n".join(lines)


def pages_of_modules() -> dict[str, str]:
    """Return a page in Markdown for each package of ``tasks``, by its name."""
    tasks = importlib.import_module("orimap.tasks")
    return {
        found.name: f"# orimap.tasks.{found.name}\n\n"
        f"```{{eval-rst}}\n.. orimap-modules:: orimap.tasks.{found.name}\n```\n"
        for found in pkgutil.iter_modules(tasks.__path__)
    }


def python_text() -> str:
    """Return all that ``import orimap`` offers."""
    orimap = importlib.import_module("orimap")
    lines = []
    for name in orimap.__all__:
        if isinstance(found := getattr(orimap, name), type):
            lines += [f".. autoclass:: orimap.{name}", "   :members:", ""]
        elif callable(found):
            lines += [f".. autofunction:: orimap.{name}", ""]
    return "\n".join(lines)


def request_text() -> str:
    """Return every option of a run, with its default."""
    from orimap.flows.request.request import Request

    lines = []
    for name, field in Request.model_fields.items():
        default = "" if field.is_required() or field.default is None else f" = {field.default!r}"
        lines += [f"``{name}{default}``", indent(escaped(field.description), "   "), ""]
    return "\n".join(lines)


def confidence_text() -> str:
    """Return how often the number was right, by stated confidence, from the rows measured."""
    kinematical = [r for r in rows_of("rows.csv") if int(r["number"]) % 2]
    realistic = [r for r in rows_of("realistic.csv") if r["seed"] in UNSEEN_SEEDS]
    late = [int(r["number"]) > FRESH_FROM for r in kinematical]
    early = [r for r, is_late in zip(kinematical, late, strict=True) if not is_late]
    fresh = [r for r, is_late in zip(kinematical, late, strict=True) if is_late]
    lines = [".. list-table::", "   :header-rows: 1", ""]
    lines += row("stated confidence", *CONFIDENCES)
    for title, found, right in (
        ("kinematical, reporting half", early, "exact"),
        ("kinematical, never looked at", fresh, "exact"),
        ("realistic", realistic, "defensible"),
    ):
        counted = Counter((r["confidence"], r[right] == "True") for r in found)
        right_of = [(counted[c, True], counted[c, True] + counted[c, False]) for c in CONFIDENCES]
        lines += row(title, *(f"{good} of {of}" if of else "no scan" for good, of in right_of))
    return "\n".join(lines)


def rows_of(name: str) -> list[dict[str, str]]:
    """Return what orimap answered in a measurement."""
    with (MEASURED / name).open() as file:
        return [r for r in csv.DictReader(file) if r["way"] == "orimap"]


def commands_text() -> str:
    """Return every command with its options."""
    return "\n".join(command_text(name, command) for name, command in commands())
