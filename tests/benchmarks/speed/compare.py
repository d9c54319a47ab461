"""Compare the ratios of a new file of figures with those of an old one.

    python tests/benchmarks/speed/compare.py NEW.json [OLD.json] [--strict]

OLD is the newest kept file by default. Every ratio that both have is printed, old and new; what got
worse by more than it may is marked, and with ``--strict`` makes the exit code 1.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import results
from results import Ratio


@dataclass(frozen=True)
class Change:
    """One ratio in two files."""

    section: str
    name: str
    old: Ratio
    new: Ratio

    @property
    def percent(self) -> float:
        """By how much the value changed, in per cent."""
        return 100 * (self.new.value / self.old.value - 1) if self.old.value else float("nan")

    @property
    def worse(self) -> bool:
        """Whether it got worse by more than it may."""
        return self.old.worsened(self.new) > 1 + self.old.tolerance


def main() -> None:
    """Print all changes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("new", type=Path)
    parser.add_argument("old", type=Path, nargs="?")
    parser.add_argument("--strict", action="store_true")
    arguments = parser.parse_args()
    old = arguments.old or results.newest_kept(before=arguments.new.resolve())
    if old is None:
        print("nothing to compare with: no file is kept yet")
        return
    if missing := [str(file) for file in (arguments.new, old) if not file.exists()]:
        sys.exit(f"needed: two files of figures; found: no {' and no '.join(missing)}")
    found, unpaired = changes(results.read(old), results.read(arguments.new))
    print(f"{old.name} → {arguments.new.name}")
    for line in lines(found, unpaired):
        print(line)
    if arguments.strict and any(change.worse for change in found):
        sys.exit(1)


def changes(old: dict[str, Any], new: dict[str, Any]) -> tuple[list[Change], list[str]]:
    """Return what changed, and the names of what only one of the files has."""
    found, unpaired = [], []
    for section in dict.fromkeys([*old["sections"], *new["sections"]]):
        if section not in old["sections"] or section not in new["sections"]:
            unpaired.append(
                f"{section}: only in the {'new' if section in new['sections'] else 'old'}"
            )
            continue
        before = results.ratios(old["sections"][section])
        after = results.ratios(new["sections"][section])
        for name in dict.fromkeys([*before, *after]):
            if name in before and name in after:
                found.append(Change(section, name, before[name], after[name]))
            else:
                unpaired.append(
                    f"{section}, {name}: only in the {'new' if name in after else 'old'}"
                )
    return found, unpaired


def lines(found: list[Change], unpaired: list[str]) -> list[str]:
    """Return what is printed, the worst first of all at the end in one line."""
    text, section = [], None
    for change in found:
        if change.section != section:
            section = change.section
            text.append(f"\n{section}")
        loose = " (extrapolated)" if change.old.extrapolated or change.new.extrapolated else ""
        mark = "  WORSE" if change.worse else ""
        values = f"{change.old.value:.4g} → {change.new.value:.4g} ({change.percent:+.1f} %)"
        text.append(f"  {change.name}{loose}: {values}{mark}")
    text += ["", *unpaired] if unpaired else []
    worse = sum(change.worse for change in found)
    return [*text, "", f"{worse} of {len(found)} ratios got worse by more than they may"]


if __name__ == "__main__":
    main()
