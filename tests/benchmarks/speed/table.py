"""Make a Markdown page of a file of figures.

python tests/benchmarks/speed/table.py RESULT.json [--output PAGE.md]
"""

import argparse
import json
from pathlib import Path
from typing import Any

from ways import BY_NAME, REFERENCE

COLUMNS = (
    *("way", "sweep", "÷ orimap", "÷ plain read", "processor time", "peak memory", "÷ orimap"),
    *("start-up", "warm-up", "ARI at the true k", "orimap's error − its, worst k", "beyond true k"),
)


def main() -> None:
    """Write the page, or print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("result", type=Path)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    text = page(json.loads(arguments.result.read_text()))
    if arguments.output:
        arguments.output.write_text(text)
    print(text)


def page(result: dict[str, Any]) -> str:
    """Return the whole page."""
    parts = ["# Speed: orimap and its peers", _machine(result)]
    for name, section in result["sections"].items():
        if name.startswith("sweep-"):
            parts += sweep_parts(name.removeprefix("sweep-"), section)
        else:
            parts += [f"## {name}", ratio_table(section["ratios"])]
    return "\n\n".join(parts) + "\n"


def _machine(result: dict[str, Any]) -> str:
    of = result["machine"]
    return (
        f"Measured {result['date']} with {of['cores']} cores ({of.get('processor', 'unknown')}), "
        f"{of['memory_bytes'] / 1e9:.0f} GB of memory, Python {of['python']}."
    )


def sweep_parts(size: str, section: dict[str, Any]) -> list[str]:
    """Return heading, tables and notes of one size."""
    figures = section["figures"]
    scan, ks = figures["scan"], figures["ks"]
    rows, columns = scan["positions"]
    height, width = scan["pixels"]
    parts = [
        f"## {size}: {rows} × {columns} positions × {height} × {width} pixels, "
        f"k = {ks[0]} to {ks[-1]}",
        f"Code {section['code']}. {_reads(figures)} {_loads(figures)}",
        way_table(figures),
    ]
    notes = [
        f"- ~ {_title(name)}: {row['extrapolated']}."
        for name, row in figures["ways"].items()
        if row["extrapolated"]
    ]
    notes += [
        f"- {_title(name)} did not end: {row['failure']}."
        for name, row in figures["ways"].items()
        if row["failure"]
    ]
    if notes:
        parts.append("\n".join(notes))
    errors = {
        name: row["relative_error"]
        for name, row in figures["ways"].items()
        if row.get("relative_error")
    }
    if errors:
        parts += ["Relative error reached:", k_table(errors, ks, ".5f")]
    if held_out := figures.get("held_out"):
        parts += ["Held-out Poisson deviance a position and pixel:", k_table(held_out, ks, ".7f")]
    return parts


def _reads(figures: dict[str, Any]) -> str:
    reads = figures.get("plain_read")
    if not reads:
        return "The store was not read."
    return (
        f"One plain read of the store ({reads['array_bytes'] / 1e9:.2f} GB, stored in "
        f"{reads['stored_bytes'] / 1e6:.0f} MB): {_seconds(reads['workers'])} by the workers, "
        f"{_seconds(reads['one_process'])} by one process."
    )


def _loads(figures: dict[str, Any]) -> str:
    """Tell how busy the machine was: times on a machine that others use as well say little."""
    loads = [row["load"] for row in figures["ways"].values() if row.get("load")]
    if not loads:
        return ""
    return f"Processes that wanted to run meanwhile: {min(loads):.1f} to {max(loads):.1f}."


def way_table(figures: dict[str, Any]) -> str:
    """Return a row for each way."""
    ours = figures["ways"].get(REFERENCE, {})
    read = figures.get("plain_read", {}).get("workers")
    k_true, lines = figures["k_true"], []
    for name, row in figures["ways"].items():
        mark = "~ " if row["extrapolated"] else ""
        lines.append(
            (
                _title(name),
                _told(row["seconds"], _seconds, mark),
                _told(_divide(row["seconds"], ours.get("seconds")), _times, mark),
                _told(_divide(row["seconds"], read), _times, mark),
                _told(row.get("cpu_seconds"), _seconds, mark),
                _told(row.get("peak_bytes"), _gigabytes, mark),
                _told(_divide(row.get("peak_bytes"), ours.get("peak_bytes")), _times, mark),
                _told(row.get("start_up_seconds"), _seconds),
                _told(row.get("warm_up_seconds"), _seconds),
                _told(row.get("ari"), lambda ari: f"{ari:.3f}"),
                *(_told(excess, lambda e: f"{e:+.1e}") for excess in excesses(ours, row, k_true)),
            )
        )
    return markdown(COLUMNS, lines)


def excesses(ours: dict, row: dict, k_true: int) -> list[float | None]:
    """Return the largest excess of our relative error over another's, up to the true k and beyond.

    None for our own, and where there are no errors to compare.
    """
    if row is ours:
        return [None, None]
    theirs = row.get("relative_error", {})
    above = {
        int(k): e - theirs[k] for k, e in ours.get("relative_error", {}).items() if k in theirs
    }
    parts = (lambda k: k <= k_true), (lambda k: k > k_true)
    return [max((e for k, e in above.items() if part(k)), default=None) for part in parts]


def k_table(of_ways: dict[str, dict], ks: list[int], form: str) -> str:
    """Return a row for each k and a column for each way."""
    lines = []
    for k in ks:
        values = [of_way.get(str(k), of_way.get(k)) for of_way in of_ways.values()]
        lines.append((str(k), *(_told(value, lambda v: format(v, form)) for value in values)))
    return markdown(("k", *of_ways), lines)


def ratio_table(of_section: dict[str, dict]) -> str:
    """Return all ratios of a section."""
    lines = [(name, _times(ratio["value"])) for name, ratio in of_section.items()]
    return markdown(("ratio", "value"), lines)


def markdown(head: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    """Return a table, all but the first column set to the right."""
    aligned = ["---", *["--:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, aligned, *lines))


def _title(name: str) -> str:
    return BY_NAME[name].title if name in BY_NAME else name


def _told(value: float | None, form: Any, mark: str = "") -> str:
    return "-" if value is None else mark + form(value)


def _divide(value: float | None, by: float | None) -> float | None:
    return value / by if value and by else None


def _seconds(value: float) -> str:
    if value >= 7200:
        return f"{value / 3600:.1f} h"
    return f"{value:.0f} s" if value >= 100 else f"{value:.3g} s"


def _times(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _gigabytes(value: float) -> str:
    return f"{value / 1e9:.2f} GB"


if __name__ == "__main__":
    main()
